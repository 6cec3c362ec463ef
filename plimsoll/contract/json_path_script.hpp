#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/steps.hpp"
#include "plimsoll/contract/json_path.hpp"
#include "plimsoll/schema/regex.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::contract::json_path {

/// A filter as rulesets write it: an expression of JavaScript over `@` (the value), `@property` (its name or index) and
/// `$`. It knows members, `!`, `&&`, `||`, comparisons, literals, expressions, and the methods match, test, includes,
/// indexOf, startsWith, endsWith, toLowerCase and toUpperCase. The member of a value that is not there is `undefined`.
struct Script {
  enum class Op : std::uint8_t {
    literal,
    undefined,
    current,
    property,
    root,
    regex,
    member,
    any,
    all,
    negate,
    equal,
    unequal,
    identical,
    different,
    less,
    at_most,
    more,
    at_least,
    match,
    includes,
    index_of,
    starts_with,
    ends_with,
    lower,
    upper
  } op = Op::undefined;
  std::vector<Script> parts{};
  json::Value literal{};  ///< also the name of a member
  std::optional<schema::Regex> regex{};
};

/// Reads an expression from the front of `text`, up to what cannot belong to it. The error says what is wrong before
/// the rest of `text`. Texts of literals are kept in `literals`.
std::optional<std::string> read_script(std::string_view& text, Arena& literals, Script& into);

/// Evaluates scripts over one document.
class ScriptEvaluation {
 public:
  ScriptEvaluation(const json::Value& root, Steps& steps) : root_(root), steps_(steps) {}
  /// Whether the filter selects a node.
  bool holds(const Script& script, const JsonPath::Node& current);
  bool gave_up_expression = false;  ///< one backtracked without end, and counts as no match

 private:
  using Result = std::optional<json::Value>;  ///< nothing: undefined
  Result value(const Script& script, const JsonPath::Node& current);
  Result member(const Result& of, const json::Value& name);
  Result method(const Script& script, const JsonPath::Node& current);

  const json::Value& root_;
  Steps& steps_;
  Arena made_{1024};
};

/// `text` as a regular expression of JavaScript with these flags (of which `g`, `m`, `s`, `u` and `y` change nothing
/// here); escapes of characters that need none are read as JavaScript reads them without the flag `u`.
std::expected<schema::Regex, std::string> script_regex(std::string_view text, std::string_view flags);

/// The length of a text as JavaScript counts it.
std::size_t utf16_count(std::string_view text);

/// Whether JavaScript takes the value as true; nothing is undefined.
bool is_truthy(const json::Value* value);

}  // namespace plimsoll::contract::json_path
