#include "plimsoll/contract/ruleset.hpp"

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/example_validator.hpp"
#include "plimsoll/contract/json_path.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/json/yaml.hpp"
#include "plimsoll/schema/regex.hpp"
#include "plimsoll/schema/validator.hpp"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <unordered_map>

namespace plimsoll::contract {
namespace {

namespace fs = std::filesystem;
using json::Type;
using json::Value;
using Severity = LintRule::Severity;

constexpr std::string_view kRulesetRule = "ruleset", kBuiltIn = "spectral:oas";
constexpr int kDeepest = 8;  ///< rulesets that extend each other

/// Rules of `spectral:oas`, and those of ours that ask for the same.
constexpr std::pair<std::string_view, std::string_view> kCounterparts[] = {
    {"operation-operationId", "operation-id"},
    {"operation-description", "operation-summary"},
    {"operation-success-response", "success-response"},
    {"operation-tag-defined", "tag-declared"},
    {"path-keys-no-trailing-slash", "path-slash"},
    {"oas3-unused-component", "component-used"},
    {"oas3-valid-media-example", "example-valid"},
    {"oas3-valid-schema-example", "example-valid"},
    {"oas3-schema", "schema-valid"},

};

/// The value that a rule looks at; null where there is none. What is wrong with it, or nothing.
using Function = std::function<std::optional<std::string>(const Contract&, const Value*)>;

struct Then {
  std::string field;  ///< empty: the value itself; `@key`: its keys; else names joined by dots
  Function function;
};

struct Rule {
  std::string name, description, message;
  std::optional<Severity> severity;              ///< nothing: off
  std::vector<std::pair<JsonPath, bool>> given;  ///< with `~`: the keys of what is selected
  std::vector<Then> thens;
  std::vector<std::string> formats;
};

std::string text_of(const Value* value) {
  return value && value->is(Type::string) ? std::string(value->string()) : std::string{};
}

/// What is not off, in our words; empty where the value is no severity.
std::optional<std::optional<Severity>> severity_of(const Value& value) {
  constexpr std::pair<std::string_view, Severity> kNames[] = {
      {"error", Severity::error}, {"warn", Severity::warning}, {"info", Severity::info}, {"hint", Severity::info}};
  if (value.is(Type::boolean)) return value.boolean() ? std::optional(Severity::warning) : std::nullopt;
  if (const auto number = value.is(Type::number) ? value.integer() : std::nullopt;
      number && *number >= -1 && *number < 4)
    return *number < 0 ? std::nullopt : std::optional(kNames[*number].second);
  if (!value.is(Type::string)) return std::nullopt;
  if (value.string() == "off") return std::optional<Severity>{};
  for (const auto& [name, severity] : kNames)
    if (name == value.string()) return std::optional(severity);
  return std::nullopt;
}

bool is_true(const Value* value) {
  if (!value || value->is(Type::null)) return false;
  if (value->is(Type::boolean)) return value->boolean();
  if (value->is(Type::string)) return !value->string().empty();
  if (value->is(Type::number)) return value->number_text() != "0";
  return true;
}

/// The functions that need no options.
std::optional<Function> plain(std::string_view name) {
  if (name == "truthy")
    return [](const Contract&, const Value* value) {
      return is_true(value) ? std::nullopt : std::optional<std::string>("must be present and not empty");
    };
  if (name == "falsy")
    return [](const Contract&, const Value* value) {
      return is_true(value) ? std::optional<std::string>("must be absent or empty") : std::nullopt;
    };
  if (name == "defined")
    return [](const Contract&, const Value* value) {
      return value ? std::nullopt : std::optional<std::string>("must be present");
    };
  if (name == "undefined")
    return [](const Contract&, const Value* value) {
      return value ? std::optional<std::string>("must be absent") : std::nullopt;
    };
  return std::nullopt;
}

/// `^a$`, or `/^a$/i` as Spectral takes it too; only the flag `u` changes nothing.
std::expected<std::shared_ptr<schema::Regex>, std::string> regex_of(const std::string& text) {
  auto pattern = text;
  if (const auto end = text.rfind('/'); text.starts_with('/') && end > 0) {
    if (const auto flags = text.substr(end + 1); !flags.empty() && flags != "u")
      return std::unexpected("the flags `" + flags + "` of a pattern are not read");
    pattern = text.substr(1, end - 1);
  }
  auto made = schema::Regex::compile(pattern);
  if (!made) return std::unexpected("the pattern cannot be read: " + made.error().detail);
  return std::make_shared<schema::Regex>(std::move(*made));
}

std::expected<Function, std::string> pattern(const Value& options) {
  std::shared_ptr<schema::Regex> match, none;
  for (const auto& [key, into] : {std::pair{"match", &match}, std::pair{"notMatch", &none}})
    if (const auto text = text_of(options.find(key)); !text.empty()) {
      auto made = regex_of(text);
      if (!made) return std::unexpected(std::move(made).error());
      *into = std::move(*made);
    }
  if (!match && !none) return std::unexpected("`pattern` needs `match` or `notMatch`");
  return [match, none, must = text_of(options.find("match")), never = text_of(options.find("notMatch"))](
             const Contract&, const Value* value) -> std::optional<std::string> {
    if (!value || !value->is(Type::string)) return std::nullopt;
    if (match && !match->search(value->string())) return "must match the pattern " + must;
    if (none && none->search(value->string())) return "must not match the pattern " + never;
    return std::nullopt;
  };
}

std::expected<Function, std::string> length(const Value& options) {
  const auto bound = [&](std::string_view key) -> std::optional<std::int64_t> {
    const auto* value = options.find(key);
    return value && value->is(Type::number) ? value->integer() : std::nullopt;
  };
  const auto least = bound("min"), most = bound("max");
  if (!least && !most) return std::unexpected("`length` needs `min` or `max`, whole numbers");
  return [least, most](const Contract&, const Value* value) -> std::optional<std::string> {
    if (!value) return std::nullopt;
    std::int64_t size = 0;
    if (value->is(Type::string))
      size =
          std::ranges::count_if(value->string(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
    else if (value->is(Type::array))
      size = static_cast<std::int64_t>(value->array().size());
    else if (value->is(Type::object))
      size = static_cast<std::int64_t>(value->object().size());
    else if (const auto number = value->is(Type::number) ? value->integer() : std::nullopt)
      size = *number;
    else
      return std::nullopt;
    if (least && size < *least) return "must not be shorter than " + std::to_string(*least);
    if (most && size > *most) return "must not be longer than " + std::to_string(*most);
    return std::nullopt;
  };
}

std::expected<Function, std::string> enumeration(const Value& options) {
  const auto* values = options.find("values");
  if (!values || !values->is(Type::array)) return std::unexpected("`enumeration` needs `values`");
  return [values](const Contract&, const Value* value) -> std::optional<std::string> {
    if (!value || value->is(Type::object) || value->is(Type::array)) return std::nullopt;
    const auto text = json::to_string(*value);
    std::string all;
    for (const auto& each : values->array()) {
      if (json::to_string(each) == text) return std::nullopt;
      all += (all.empty() ? "" : ", ") + json::to_string(each);
    }
    return "must be one of " + all;
  };
}

std::expected<Function, std::string> casing(const Value& options) {
  if (options.find("separator")) return std::unexpected("`separator` of `casing` is not read");
  const auto type = text_of(options.find("type"));
  const auto* without = options.find("disallowDigits");
  const std::string digits = without && without->is(Type::boolean) && without->boolean() ? "" : "0-9";
  const std::pair<std::string_view, std::string> kinds[] = {
      {"flat", "^[a-z][a-z" + digits + "]*$"},
      {"camel", "^[a-z][a-z" + digits + "]*(?:[A-Z" + digits + "][a-z" + digits + "]*)*$"},
      {"pascal", "^[A-Z][a-z" + digits + "]*(?:[A-Z" + digits + "][a-z" + digits + "]*)*$"},
      {"kebab", "^[a-z][a-z" + digits + "]*(?:-[a-z" + digits + "]+)*$"},
      {"cobol", "^[A-Z][A-Z" + digits + "]*(?:-[A-Z" + digits + "]+)*$"},
      {"snake", "^[a-z][a-z" + digits + "]*(?:_[a-z" + digits + "]+)*$"},
      {"macro", "^[A-Z][A-Z" + digits + "]*(?:_[A-Z" + digits + "]+)*$"}};
  for (const auto& [name, expression] : kinds)
    if (name == type) {
      auto made = regex_of(expression);
      if (!made) return std::unexpected(std::move(made).error());
      return [regex = std::move(*made), type](const Contract&, const Value* value) -> std::optional<std::string> {
        if (!value || !value->is(Type::string) || value->string().empty() || regex->search(value->string()))
          return std::nullopt;
        return "must be " + type + " case";
      };
    }
  return std::unexpected("`casing` needs `type`: flat, camel, pascal, kebab, cobol, snake or macro");
}

std::expected<Function, std::string> exactly_one(const Value& options) {
  std::vector<std::string> names;
  if (const auto* list = options.find("properties"))
    for (const auto& each : list->array()) names.push_back(text_of(&each));
  if (names.size() < 2) return std::unexpected("`xor` needs `properties`, two names or more");
  return [names](const Contract&, const Value* value) -> std::optional<std::string> {
    if (!value || !value->is(Type::object)) return std::nullopt;
    if (std::ranges::count_if(names, [&](auto& name) { return value->find(name) != nullptr; }) == 1)
      return std::nullopt;
    std::string all;
    for (const auto& name : names) all += (all.empty() ? "\"" : ", \"") + name + "\"";
    return "must have exactly one of " + all;
  };
}

std::expected<Function, std::string> by_schema(const Value& options) {
  const auto* schema = options.find("schema");
  if (!schema) return std::unexpected("`schema` needs `schema`");
  return [schema](const Contract& contract, const Value* value) -> std::optional<std::string> {
    if (!value) return std::nullopt;
    const auto validator = example_validator(contract, *schema);
    if (!validator) return "cannot be checked: " + validator.error().detail;
    const auto failures = (*validator)->validate(*value, 1);
    if (failures.empty()) return std::nullopt;
    return (failures[0].instance.empty() ? "" : failures[0].instance + " ") + failures[0].message;
  };
}

std::expected<Function, std::string> function_of(const Value& then) {
  static const Value none = Value::object({});
  const auto name = text_of(then.find("function"));
  const auto* given = then.find("functionOptions");
  const auto& options = given ? *given : none;
  if (auto made = plain(name)) return std::move(*made);
  if (name == "pattern") return pattern(options);
  if (name == "length") return length(options);
  if (name == "enumeration") return enumeration(options);
  if (name == "casing") return casing(options);
  if (name == "xor") return exactly_one(options);
  if (name == "schema") return by_schema(options);
  return std::unexpected(name.empty() ? "a rule has `then` with a `function`"
                                      : "the function `" + name + "` is not read");
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
  return text;
}

}  // namespace

/// What has been read, and where it stands.
struct Ruleset::Rules {
  struct File {
    std::string name, text;
  };
  Arena arena;
  std::deque<File> files;
  std::map<std::string, std::optional<Severity>, std::less<>> built_in;  ///< by our names
  bool with_built_in = true;
  std::map<std::string, Rule, std::less<>> own;
  std::map<std::string, std::vector<std::string>, std::less<>> aliases;
  std::vector<Finding> unread;
};

namespace {

/// Reads a ruleset, and those that it extends, into `rules`.
template <class Rules>
class Reading {
 public:
  explicit Reading(Rules& rules) : rules_(rules) {}

  /// Nothing, or why the file is no ruleset.
  std::optional<Complaint> file(const std::string& name, bool all, int depth) {
    auto& file = rules_.files.emplace_back(typename Rules::File{name, {}});
    std::ifstream in(name, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf()))
      return Complaint{.code = std::string(load_error::kFileUnreadable.code),
                       .file = name,
                       .what = "the ruleset cannot be read",
                       .remedy = std::string(load_error::kFileUnreadable.remedy)};
    file.text = std::move(text).str();
    const auto wrong = [&](json::Position at, std::string what, std::string remedy) {
      return Complaint{.code = std::string(load_error::kMalformedDocument.code),
                       .file = name,
                       .at = at,
                       .what = std::move(what),
                       .remedy = std::move(remedy)};
    };
    auto parsed = json::parse_yaml(file.text, rules_.arena);
    if (!parsed) {
      auto [at, what, source, remedy] = config::located(parsed.error().detail);
      return wrong(at, std::move(what), std::string(load_error::kMalformedDocument.remedy));
    }
    const auto& root = rules_.arena.template make<Value>(*parsed);
    if (!root.is(Type::object) || !(root.find("rules") || root.find("extends")))
      return wrong(root.position(), "a ruleset is an object with `rules` or `extends`",
                   "Name a Spectral ruleset in YAML or JSON, such as .spectral.yaml.");
    const auto before = std::exchange(file_, name);
    if (const auto* extends = root.find("extends")) this->extends(*extends, depth);
    if (const auto* aliases = root.find("aliases")) this->aliases(*aliases);
    for (const auto& member : root.object())
      if (member.key == "functions" || member.key == "functionsDir" || member.key == "overrides" ||
          member.key == "except")
        unread(member, "`" + std::string(member.key) + "` of a ruleset is not read");
    if (const auto* declared = root.find("rules"))
      for (const auto& member : declared->object()) rule(member, all);
    file_ = before;
    return std::nullopt;
  }

 private:
  void unread(const json::Member& at, std::string what) {
    rules_.unread.push_back({.rule = std::string(kRulesetRule),
                             .severity = Severity::warning,
                             .file = file_,
                             .at = at.at.line ? at.at : at.value.position(),
                             .pointer = {},
                             .message = std::move(what),
                             .remedy =
                                 "It is left out, and the rest of the ruleset is applied; docs/lint.md lists what is "
                                 "read."});
  }
  void unread(const Value& at, std::string what) { unread(json::Member{{}, at}, std::move(what)); }

  void extends(const Value& value, int depth) {
    const auto one = [&](const Value& from) {
      const auto name = text_of(from.is(Type::array) && !from.array().empty() ? &from.array()[0] : &from);
      const auto which = from.is(Type::array) && from.array().size() > 1 ? text_of(&from.array()[1]) : "recommended";
      if (name == kBuiltIn) {
        rules_.with_built_in = which != "off";
      } else if (name.starts_with("spectral:") || name.contains("://") || name.starts_with('@') ||
                 !name.contains('.')) {
        unread(from, "\"" + name + "\" is not read: a ruleset extends files and spectral:oas");
      } else if (depth >= kDeepest) {
        unread(from, "rulesets extend each other more than " + std::to_string(kDeepest) + " deep");
      } else if (auto failed = file((fs::path(file_).parent_path() / name).string(), which == "all", depth + 1)) {
        unread(from, "\"" + name + "\" is not read: " + failed->what);
      }
    };
    // A list of rulesets, each a name or a pair of name and choice.
    if (value.is(Type::array))
      for (const auto& each : value.array()) one(each);
    else
      one(value);
  }

  void aliases(const Value& all) {
    for (const auto& member : all.object()) {
      std::vector<std::string> paths;
      if (member.value.is(Type::string)) paths.push_back(text_of(&member.value));
      for (const auto& each : member.value.array()) paths.push_back(text_of(&each));
      if (paths.empty()) unread(member, "the alias `" + std::string(member.key) + "` is no list of paths");
      rules_.aliases[std::string(member.key)] = std::move(paths);
    }
  }

  void rule(const json::Member& member, bool all) {
    const auto name = std::string(member.key);
    if (!member.value.is(Type::object)) return severity(member, name);
    Rule made{.name = name,
              .description = text_of(member.value.find("description")),
              .message = text_of(member.value.find("message"))};
    made.severity = Severity::warning;
    if (const auto* given = member.value.find("severity")) {
      const auto read = severity_of(*given);
      if (!read) return unread(*given, "the severity of the rule " + name + " is not read");
      made.severity = *read;
    }
    if (const auto* recommended = member.value.find("recommended"); recommended && !is_true(recommended) && !all)
      made.severity = std::nullopt;
    if (const auto* formats = member.value.find("formats"))
      for (const auto& each : formats->array()) made.formats.push_back(text_of(&each));
    const auto *given = member.value.find("given"), *then = member.value.find("then");
    if (!given || !then) return unread(member, "the rule " + name + " has no `given` or no `then`");
    if (!paths(made, *given) || !checks(made, *then)) return;
    rules_.own.insert_or_assign(name, std::move(made));
  }

  /// A rule that is known already, and only how much it counts.
  void severity(const json::Member& member, const std::string& name) {
    const auto read = severity_of(member.value);
    if (!read) return unread(member, "the severity of the rule " + name + " is not read");
    if (const auto own = rules_.own.find(name); own != rules_.own.end()) {
      own->second.severity = *read;
      return;
    }
    std::string_view ours;
    for (const auto& rule : lint_rules())
      if (rule.id == name) ours = rule.id;
    for (const auto& [theirs, same] : kCounterparts)
      if (theirs == name) ours = same;
    if (!ours.empty())
      rules_.built_in[std::string(ours)] = *read;
    else if (*read)
      unread(member, "there is no rule " + name + " here");
  }

  bool paths(Rule& made, const Value& given) {
    std::vector<std::pair<std::string, const Value*>> texts;
    if (given.is(Type::string)) texts.emplace_back(given.string(), &given);
    for (const auto& each : given.array()) texts.emplace_back(text_of(&each), &each);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      auto [text, at] = texts[i];
      if (text.starts_with('#')) {
        const auto alias = rules_.aliases.find(text.substr(1));
        if (alias == rules_.aliases.end()) return refuse(*at, made, "there is no alias " + text);
        for (const auto& each : alias->second)
          if (!each.starts_with('#')) texts.emplace_back(each, at);
        continue;
      }
      const bool keys = text.ends_with('~');
      if (keys) text.pop_back();
      text = replaced(replaced(text, "===", "=="), "!==", "!=");
      auto path = JsonPath::parse(text);
      if (!path) return refuse(*at, made, "`given: " + texts[i].first + "` is not read: " + path.error());
      made.given.emplace_back(std::move(*path), keys);
    }
    return made.given.empty() ? refuse(given, made, "`given` names no path") : true;
  }

  bool checks(Rule& made, const Value& then) {
    const auto one = [&](const Value& from) {
      auto function = function_of(from);
      if (!function) return refuse(from, made, function.error());
      auto field = text_of(from.find("field"));
      if (field.starts_with('$') || field.contains('['))
        return refuse(from, made, "`field: " + field + "` is not read");
      made.thens.push_back({.field = std::move(field), .function = std::move(*function)});
      return true;
    };
    if (then.is(Type::object)) return one(then);
    return !then.array().empty() && std::ranges::all_of(then.array(), one);
  }
  bool refuse(const Value& at, const Rule& rule, const std::string& why) {
    unread(at, "the rule " + rule.name + " is left out: " + why);
    return false;
  }

  Rules& rules_;
  std::string file_;
};

/// Applies rules to a contract, as its author wrote it.
class Applying {
 public:
  explicit Applying(const Contract& contract) : contract_(contract), root_(*contract.root) { place(root_, {}); }

  void apply(const Rule& rule) {
    if (!rule.severity || !applies(rule)) return;
    for (const auto& [path, keys] : rule.given) {
      const auto nodes = path.select(const_cast<Value&>(root_));  // nothing is changed
      if (!nodes) {
        leave_out(rule, nodes.error());
        continue;
      }
      for (const auto& node : *nodes) {
        if (keys) {
          if (node.key.data()) check_key(rule, *node.value, node.key);
          continue;
        }
        const auto& target = contract_.resolve(*node.value);
        for (const auto& then : rule.thens) check(rule, then, target, node.key);
      }
    }
  }
  std::vector<Finding> findings() && { return std::move(findings_); }

 private:
  struct Found {
    std::string pointer;
    json::Position key;
  };
  void place(const Value& value, const std::string& pointer, json::Position key = {}) {
    if (!places_.try_emplace(&value, Found{pointer, key}).second) return;
    std::size_t index = 0;
    for (const auto& item : value.array()) {
      auto below = pointer;
      json::append_token(below, index++);
      place(item, below);
    }
    for (const auto& member : value.object()) {
      auto below = pointer;
      json::append_token(below, member.key);
      place(member.value, below, member.at);
    }
  }

  bool applies(const Rule& rule) const {
    if (rule.formats.empty()) return true;
    const auto version = text_of(root_.find("openapi")).substr(0, 3);
    return std::ranges::any_of(rule.formats, [&](const std::string& format) {
      return format == "oas3" || replaced(replaced(format, "oas", ""), "_", ".") == version;
    });
  }

  void check_key(const Rule& rule, const Value& value, std::string_view key) {
    const auto name = Value::of(key);
    for (const auto& then : rule.thens)
      if (const auto wrong = then.function(contract_, &name)) add(rule, value, key, *wrong, true, std::string(key));
  }

  void check(const Rule& rule, const Then& then, const Value& target, std::string_view property) {
    if (then.field == "@key") {
      for (const auto& member : target.object()) {
        const auto name = Value::of(member.key);
        if (const auto wrong = then.function(contract_, &name))
          add(rule, member.value, member.key, *wrong, true, std::string(member.key));
      }
      return;
    }
    const Value* value = &target;
    const Value* nearest = &target;  // of what is there
    std::string_view rest = then.field;
    while (value && !rest.empty()) {
      const auto name = rest.substr(0, rest.find('.'));
      rest.remove_prefix(std::min(rest.size(), name.size() + 1));
      value = value->is(Type::object) ? value->find(name) : nullptr;
      if (value) value = &contract_.resolve(*value), nearest = value;
      property = name;
    }
    if (const auto wrong = then.function(contract_, value))
      add(rule, *nearest, property, *wrong, false, value ? json::to_string(*value) : std::string{});
  }

  /// Of a rule whose path costs more than paths may.
  void leave_out(const Rule& rule, const std::string& why) {
    findings_.push_back({.rule = rule.name,
                         .severity = LintRule::Severity::warning,
                         .file = contract_.file,
                         .at = root_.position(),
                         .pointer = {},
                         .message = "the rule is left out: " + why,
                         .remedy = "Name its targets by a shorter path."});
  }

  void add(const Rule& rule, const Value& at, std::string_view property, const std::string& wrong, bool key,
           const std::string& value) {
    if (!at.position().line && root_.position().line) return;  // what follows from `x-plimsoll` stands in no file
    const auto found = places_.find(&at);
    const auto pointer = found == places_.end() ? std::string{} : found->second.pointer;
    const auto error = (property.empty() ? std::string("it ") : "\"" + std::string(property) + "\" ") + wrong;
    auto message = rule.message.empty() ? error : rule.message;
    message = replaced(message, "{{error}}", error);
    message = replaced(message, "{{description}}", rule.description);
    message = replaced(message, "{{property}}", property);
    message = replaced(message, "{{path}}", "#" + pointer);
    message = replaced(message, "{{value}}", value);
    Finding made{.rule = rule.name,
                 .severity = *rule.severity,
                 .file = at.source() < contract_.files.size() ? contract_.files[at.source()] : contract_.file,
                 .at = key && found != places_.end() && found->second.key.line ? found->second.key : at.position(),
                 .pointer = pointer,
                 .message = std::move(message),
                 .remedy = rule.description.empty() ? "The ruleset requires it." : rule.description};
    findings_.push_back(std::move(made));
  }

  const Contract& contract_;
  const Value& root_;
  std::unordered_map<const Value*, Found> places_;
  std::vector<Finding> findings_;
};

}  // namespace

std::expected<Ruleset, Complaints> Ruleset::read(const std::string& file) {
  auto rules = std::make_unique<Rules>();
  if (auto failed = Reading<Rules>{*rules}.file(file, false, 0)) return std::unexpected(Complaints{std::move(*failed)});
  return Ruleset{std::move(rules)};
}

std::vector<Finding> Ruleset::lint(const Contract& contract) const {
  auto findings = contract::lint(contract);
  std::erase_if(findings, [&](Finding& finding) {
    const bool ours = std::ranges::any_of(lint_rules(), [&](auto& rule) { return rule.id == finding.rule; });
    if (!ours) return false;  // of the loader: it is served so, whatever a ruleset says
    const auto said = rules_->built_in.find(finding.rule);
    if (said == rules_->built_in.end()) return !rules_->with_built_in;
    if (!said->second) return true;
    finding.severity = *said->second;
    return false;
  });
  Applying applying{contract};
  for (const auto& [name, rule] : rules_->own) applying.apply(rule);
  for (auto& finding : std::move(applying).findings()) findings.push_back(std::move(finding));
  std::ranges::sort(findings, {}, [&](const Finding& f) {
    return std::tuple(f.file != contract.file, f.file, f.at.line, f.at.column, f.rule, f.pointer, f.message);
  });
  findings.insert(findings.begin(), rules_->unread.begin(), rules_->unread.end());
  return findings;
}

Ruleset::Ruleset(std::unique_ptr<Rules> rules) : rules_(std::move(rules)) {}
Ruleset::Ruleset(Ruleset&&) noexcept = default;
Ruleset::~Ruleset() = default;

}  // namespace plimsoll::contract
