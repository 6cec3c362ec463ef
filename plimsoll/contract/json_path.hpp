#pragma once

#include "plimsoll/base/steps.hpp"
#include "plimsoll/json/value.hpp"

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::contract {

/// A JSONPath query (RFC 9535), with the functions `length`, `count`, `match`, `search` and `value`. Expressions are
/// I-Regexp (RFC 9485). Names after a dot may also hold `-`, as in `$.x-internal`, which the RFC wants in brackets.
class JsonPath {
 public:
  /// What was selected, and where it stands: `parent` is null for the root.
  struct Node {
    json::Value* value;
    json::Value* parent;
    std::string_view key{};  ///< in an object
    std::size_t index = 0;   ///< in an array
    std::size_t depth = 0;
  };
  using Nodes = std::vector<Node>;
  /// `script`: as Spectral rulesets write paths. Filters are expressions of JavaScript (json_path::Script), names in
  /// brackets need no quotes, `^` leads to the parent, and a value that is reached on several ways is selected once.
  enum class Syntax : std::uint8_t { rfc9535, script };
  /// What one query may cost: kNodeCost for each node of a list, about 1 for each comparison.
  static constexpr std::uint64_t kMostWork = 8'000'000, kNodeCost = 4;

  /// The error says what is wrong, and before which text.
  static std::expected<JsonPath, std::string> parse(std::string_view text, Syntax syntax = Syntax::rfc9535);
  /// The nodes in the order of the document, a node as often as it is selected; an error where that costs more than
  /// `steps`, or where an expression goes beyond its own limit.
  std::expected<Nodes, std::string> select(json::Value& root, Steps& steps) const;
  std::expected<Nodes, std::string> select(json::Value& root) const {
    Steps steps{kMostWork};
    return select(root, steps);
  }

  JsonPath(JsonPath&&) noexcept;
  ~JsonPath();

 private:
  struct Program;
  explicit JsonPath(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

}  // namespace plimsoll::contract
