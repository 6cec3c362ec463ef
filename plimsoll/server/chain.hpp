#pragma once

#include "plimsoll/exchange/part.hpp"

#include <vector>

namespace plimsoll::server {

/// Which exchanges a policy belongs to: all, with preflights, health and pages on problems; those that tell of the API
/// as well (its documents, 404, 405); pages for callers that are known as well; what is passed on without being
/// declared as well; or only those of an operation.
enum class Reach : std::uint8_t { everything, documents, callers, undeclared, operations };

struct Row {
  const Part* part;
  Reach reach;
  std::string_view why_here;
};
/// The policies of the server in their order, and those of the program between them.
std::span<const Row> rows();

/// Puts a policy of the program before or after the one that the contract calls `beside`. An error: there is none of
/// that name, or the part's own name is taken. Before anything is read, by one thread; the part lives as long as the
/// process. The same part again changes nothing.
enum class Side : std::uint8_t { before, after };
Result<> add_row(const Part& part, Side side, std::string_view beside);

/// One operation's chain: the links of those policies that have something to do for it, in the written order.
struct Chain {
  std::vector<std::unique_ptr<Policy>> policies;
  std::vector<Link> links;
  Importance importance = Importance::first;
  /// Of a chain of an operation: the links of those policies that everything has, before another handler.
  std::vector<Link> beside;
};
/// `reach`: of the exchanges it is for; only the rows that reach those (for what answers beside the operations).
/// `beside`: what answers preflights and OPTIONS of the operation; null: nothing does.
Result<Chain> chain(Handler& handler, const Build& build, Reach reach = Reach::operations, Handler* beside = nullptr);

}  // namespace plimsoll::server
