#pragma once

#include "plimsoll/exchange/part.hpp"

#include <vector>

namespace plimsoll::server {

/// Which exchanges a policy belongs to: only those of an operation, or also those that no operation answers (404, 405,
/// preflights, `/docs`, health).
enum class Reach : std::uint8_t { operations, everything };

struct Row {
  const Part* part;
  Reach reach;
  std::string_view why_here;
};
std::span<const Row> rows();

/// One operation's chain: the links of those policies that have something to do for it, in the written order.
struct Chain {
  std::vector<std::unique_ptr<Policy>> policies;
  std::vector<Link> links;
  Importance importance = Importance::first;
};
/// `reach` everything: only the rows that reach everything (for what answers beside the operations).
Result<Chain> chain(Handler& handler, const Build& build, Reach reach = Reach::operations);

}  // namespace plimsoll::server
