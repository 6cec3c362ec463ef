#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/contract/json_path.hpp"
#include "plimsoll/contract/lint.hpp"

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <vector>

// The rules of a ruleset as they are applied: what reading makes, and what applying takes.

namespace plimsoll::contract::ruleset {

/// Something that a function found.
struct Fault {
  std::string sentence;             ///< what must be: "must be present"
  const json::Value* at = nullptr;  ///< below the value that was looked at; null: that value itself
  bool key = false;                 ///< the name of `at` is meant
};

/// What a function looks at.
struct Subject {
  const Contract& contract;
  const json::Value* value;  ///< null: there is none
};
using Function = std::function<void(const Subject&, std::vector<Fault>&)>;

/// The function that `then` names, with its options; or why it is not read.
std::expected<Function, std::string> function_of(const json::Value& then);

struct Given {
  JsonPath path;
  bool keys;                         ///< with `~` at the end: the names of what is selected
  std::vector<std::string> formats;  ///< of the alias it comes from; empty: any
};

struct Then {
  std::string field;               ///< empty: the value itself; `@key`: its names; else a path below it
  std::vector<std::string> names;  ///< of a field `contact.email` or `servers[0].url`
  std::optional<JsonPath> path;    ///< where `field` is a path
  Function function;
};

struct Rule {
  std::string name, description, message, documentation;
  LintRule::Severity severity = LintRule::Severity::warning;
  bool enabled = true, resolved = true;
  std::vector<Given> given;
  std::vector<Then> thens;
  std::vector<std::string> formats;  ///< empty: any
};

/// Findings of the rules that are enabled, each once.
std::vector<Finding> apply(const std::vector<const Rule*>& rules, const Contract& contract);

/// Whether a version of OpenAPI is among formats such as `oas3` and `oas3_1`; any where there are none.
bool in_formats(const std::vector<std::string>& formats, const json::Value& root);

/// Whether a path, relative to the folder of the ruleset, is named by a pattern: `*` and `?` within a name, `**` over
/// folders, `[a-z]`, `{a,b}`. A pattern without a slash is about the last name.
bool names_file(std::string_view pattern, std::string_view path);

std::string text_of(const json::Value* value);

}  // namespace plimsoll::contract::ruleset
