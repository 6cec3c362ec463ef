#pragma once

#include "plimsoll/json/value.hpp"

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::contract {

/// A JSONPath (RFC 9535) as overlays use it. Understood: `$`, `.name`, `['name']`, `[3]`, `[-1]`, `[1:3]`, `*`, several
/// selectors in one bracket, `..`, and filters `[?@.a.b == 'x' && !(@.c > 3)]` of comparisons, existence, `&&`, `||`,
/// `!` and parentheses, with paths of names and indexes from `@` or `$`. Functions (`length`, `match`, …) are refused.
class JsonPath {
 public:
  /// What was selected, and where it stands: `parent` is null for the root.
  struct Node {
    json::Value* value;
    json::Value* parent;
    std::string_view key;   ///< in an object
    std::size_t index = 0;  ///< in an array
    std::size_t depth = 0;
  };
  /// At most `kMost` nodes are selected, or looked at by `..`.
  static constexpr std::size_t kMost = 1'000'000;

  static std::expected<JsonPath, std::string> parse(std::string_view text);
  std::vector<Node> select(json::Value& root) const;

  JsonPath(JsonPath&&) noexcept;
  ~JsonPath();

 private:
  struct Program;
  explicit JsonPath(std::unique_ptr<Program> program);
  std::unique_ptr<Program> program_;
};

}  // namespace plimsoll::contract
