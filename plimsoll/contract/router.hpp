#pragma once

#include "plimsoll/base/fingerprint.hpp"
#include "plimsoll/contract/contract.hpp"

#include <array>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::contract {

/// Templates of paths as a trie of segments. A match costs the same however many operations there are: all literal
/// segments stand in one hash table keyed by where one comes from, and templates are tried behind literals. What begins
/// all paths alike is passed over at once.
///
/// A literal segment goes before one that is partly a template (`{Sid}.json`, more literal characters first), and that
/// before one that is wholly one. Segments are compared percent-decoded, but an encoded slash never parts them. Empty
/// segments and dot segments, encoded or not, match no template.
class Router {
 public:
  enum class Refusal : std::uint8_t { malformed, duplicate_name, adjacent, ambiguous, too_many };
  Router();
  /// Adds `GET /orders/{id}`; `names` receives the template's parameters in order. Templates that differ only in their
  /// names share one place; the second of one method there is ambiguous.
  std::expected<void, Refusal> add(std::string_view method, std::string_view path, const Operation* operation,
                                   std::vector<std::string>& names);
  /// Once all are added.
  void finish();
  Match match(std::string_view method, std::string_view path) const;

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::size_t kMethods = 9;
  /// A segment that is partly literal: `report-{year}.{format}`.
  struct Partial {
    std::string before, after;         ///< literal at its beginning and end
    std::vector<std::string> between;  ///< literals between parameters
    std::size_t literal = 0;           ///< characters
    std::uint32_t child = kNone;
  };
  struct Node {
    std::string prefix;            ///< literal segments behind which there is no choice, each with its slash; or none
    std::uint32_t behind = kNone;  ///< where the prefix leads
    std::uint32_t whole = kNone;   ///< behind `{name}`
    std::uint32_t literals = 0;    ///< literal segments that may come here
    bool ends = false, branches = false;
    std::vector<Partial> partials;
    std::array<const Operation*, kMethods> operations{};
    std::string allow;
    std::vector<std::pair<std::string, const Operation*>> others;  ///< of methods that have no place of their own
  };
  struct Literal {
    std::uint32_t from = kNone, to = kNone;
    std::uint64_t hash = 0;
    Fingerprint print{};
    std::string text;
  };
  /// A place where another way could be taken: the templates of a node from `next` on, the last of them the whole one.
  struct Choice {
    std::uint32_t node, next, count;
    const char *at, *end;
  };
  struct Search;
  static const Operation* other(const Node& node, std::string_view method);
  std::uint32_t literal_child(std::uint32_t from, std::string_view segment) const;
  std::uint32_t add_literal(std::uint32_t from, std::string_view segment);
  std::uint32_t add_partial(std::uint32_t from, Partial partial);
  void insert(std::vector<Literal>& table, Literal entry) const;
  std::uint32_t new_node();
  void find_prefixes();
  std::uint32_t walk(std::string_view path, Match& match) const;
  std::uint32_t take(const Choice& choice, Search& search) const;

  std::vector<Node> nodes_;
  std::vector<Literal> literals_;  ///< open addressing; the size is a power of two
  std::size_t mask_ = 0;           ///< their number less one
  std::size_t used_ = 0;
};

}  // namespace plimsoll::contract
