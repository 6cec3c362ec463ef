#include "plimsoll/contract/ruleset.hpp"

#include "plimsoll/base/read_file.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/ruleset_oas.hpp"
#include "plimsoll/contract/ruleset_rule.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/yaml.hpp"

#include <algorithm>
#include <deque>
#include <filesystem>

namespace plimsoll::contract {

using ruleset::Rule;
using ruleset::text_of;

namespace {

namespace fs = std::filesystem;
using json::Type;
using json::Value;
using Severity = LintRule::Severity;

constexpr std::string_view kBuiltIn = "spectral:oas";
constexpr int kDeepest = 8;  ///< rulesets that extend each other, aliases that name each other

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

/// Rules of `spectral:oas` that a contract keeps or is refused, or that are about other formats: whatever is said of
/// them changes nothing.
bool is_settled(std::string_view name) {
  constexpr std::string_view kByLoader[] = {"operation-operationId-unique", "operation-parameters", "path-params",
                                            "oas3-operation-security-defined"};
  return std::ranges::find(kByLoader, name) != std::end(kByLoader) || name.starts_with("oas2-");
}

/// What a ruleset says of a rule that is known: whether it counts, and how much where it says so.
struct Verdict {
  bool enabled = true;
  std::optional<Severity> severity{};
};
std::optional<Verdict> verdict_of(const Value& value) {
  constexpr std::pair<std::string_view, Severity> kNames[] = {
      {"error", Severity::error}, {"warn", Severity::warning}, {"info", Severity::info}, {"hint", Severity::info}};
  if (value.is(Type::boolean)) return Verdict{.enabled = value.boolean()};
  if (const auto number = value.is(Type::number) ? value.integer() : std::nullopt;
      number && *number >= -1 && *number < 4)
    return *number < 0 ? Verdict{.enabled = false} : Verdict{.severity = kNames[*number].second};
  if (!value.is(Type::string)) return std::nullopt;
  if (value.string() == "off") return Verdict{.enabled = false};
  for (const auto& [name, severity] : kNames)
    if (name == value.string()) return Verdict{.severity = severity};
  return std::nullopt;
}

/// The rule of ours with that name, or the one that asks for the same; empty: none.
std::string_view built_in_rule(std::string_view name) {
  for (const auto& rule : lint_rules())
    if (rule.id == name) return rule.id;
  for (const auto& [theirs, ours] : kCounterparts)
    if (theirs == name) return ours;
  return {};
}

std::vector<std::string> texts_of(const Value* value) {
  std::vector<std::string> texts;
  if (value && value->is(Type::string)) texts.push_back(text_of(value));
  if (value)
    for (const auto& each : value->array()) texts.push_back(text_of(&each));
  return texts;
}

/// `contact.email`, `servers[0].url`, `a["b.c"]` as names.
std::vector<std::string> names_of(std::string_view field) {
  std::vector<std::string> names;
  while (!field.empty()) {
    if (field[0] == '.') field.remove_prefix(1);
    if (field.starts_with('[')) {
      const auto close = field.find(']');
      auto name = field.substr(1, close == field.npos ? close : close - 1);
      if (name.size() > 1 && (name[0] == '"' || name[0] == '\'') && name.back() == name[0])
        name = name.substr(1, name.size() - 2);
      names.emplace_back(name);
      field.remove_prefix(close == field.npos ? field.size() : close + 1);
    } else {
      const auto end = std::min(field.find_first_of(".["), field.size());
      names.emplace_back(field.substr(0, end));
      field.remove_prefix(end);
    }
  }
  return names;
}

}  // namespace

/// What has been read, and where it stands.
struct Ruleset::Rules {
  struct File {
    std::string name, text;
  };
  /// What an alias stands for: paths, and for which formats.
  struct Target {
    std::vector<std::string> given, formats;
  };
  /// A verdict about what stands below a pointer of some files.
  struct Exception {
    std::string rule, folder, pattern, pointer;
    Verdict verdict;
  };

  Arena arena;
  std::deque<File> files;
  std::string contract;                                  ///< the file that is linted; empty: not known
  std::map<std::string, Verdict, std::less<>> built_in;  ///< by our names
  bool with_built_in = true;
  std::map<std::string, Rule, std::less<>> own;
  std::map<std::string, std::vector<Target>, std::less<>> aliases;
  std::vector<Exception> exceptions;
  std::vector<Finding> unread;

  /// The verdict of the exception with the longest pointer that is about a finding; null: there is none.
  const Verdict* exception(const Finding& finding) const {
    const Exception* closest = nullptr;
    for (const auto& each : exceptions) {
      if (each.rule != finding.rule && built_in_rule(each.rule) != finding.rule) continue;
      if (!finding.pointer.starts_with(each.pointer) ||
          (finding.pointer.size() > each.pointer.size() && finding.pointer[each.pointer.size()] != '/'))
        continue;
      if (!ruleset::names_file(each.pattern, relative(finding.file, each.folder))) continue;
      if (!closest || each.pointer.size() >= closest->pointer.size()) closest = &each;
    }
    return closest ? &closest->verdict : nullptr;
  }
  static std::string relative(const std::string& file, const std::string& folder) {
    std::error_code ignored;
    return fs::relative(file, folder.empty() ? "." : folder, ignored).generic_string();
  }
};

namespace {

/// Which rules of a ruleset that is extended are enabled.
enum class Choice : std::uint8_t { recommended, all, off };

/// Reads a ruleset, and those that it extends, into `rules`.
template <class Rules>
class Reading {
 public:
  explicit Reading(Rules& rules) : rules_(rules) {}

  /// Nothing, or why the file is no ruleset.
  std::optional<Complaint> file(const std::string& name, Choice choice, int depth) {
    auto& file = rules_.files.emplace_back(typename Rules::File{name, {}});
    auto text = read_file(name);
    if (!text)
      return Complaint{.code = std::string(load_error::kFileUnreadable.code),
                       .file = name,
                       .what = "the ruleset cannot be read: " + text.error().message(),
                       .remedy = std::string(load_error::kFileUnreadable.remedy)};
    file.text = std::move(*text);
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
    if (!root.is(Type::object) || !(root.find("rules") || root.find("extends") || root.find("overrides")))
      return wrong(root.position(), "a ruleset is an object with `rules`, `extends` or `overrides`",
                   "Name a Spectral ruleset in YAML or JSON, such as .spectral.yaml.");
    const auto before = std::exchange(file_, name);
    const auto formats_before = std::exchange(formats_, {});
    body(root, choice, depth);
    if (const auto* overrides = root.find("overrides"))
      for (const auto& each : overrides->array()) override_(each, choice, depth);
    formats_ = formats_before;
    file_ = before;
    return std::nullopt;
  }

 private:
  static constexpr std::string_view kRead[] = {"extends", "aliases",   "formats",          "rules",
                                               "files",   "overrides", "documentationUrl", "description"};
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

  void body(const Value& root, Choice choice, int depth) {
    if (const auto* extends = root.find("extends")) this->extends(*extends, depth);
    if (const auto* aliases = root.find("aliases")) this->aliases(*aliases);
    if (const auto* formats = root.find("formats")) formats_ = texts_of(formats);
    for (const auto& member : root.object())
      if (std::ranges::find(kRead, member.key) == std::end(kRead))
        unread(member, "`" + std::string(member.key) + "` of a ruleset is not read");
    if (const auto* declared = root.find("rules"))
      for (const auto& member : declared->object()) rule(member, choice);
  }

  /// What a ruleset says for some files only, or for places in them.
  void override_(const Value& value, Choice choice, int depth) {
    const auto folder = fs::path(file_).parent_path().string();
    bool here = false;
    for (const auto& each : texts_of(value.find("files"))) {
      const auto mark = each.find('#');
      const auto pattern = each.substr(0, mark);
      if (mark == each.npos)
        here |= !rules_.contract.empty() && ruleset::names_file(pattern, Rules::relative(rules_.contract, folder));
      else
        exceptions(value, folder, pattern, each.substr(mark + 1));
    }
    if (here) body(value, choice, depth);
  }
  void exceptions(const Value& value, const std::string& folder, const std::string& pattern, std::string pointer) {
    const auto* rules = value.find("rules");
    if (!rules) return unread(value, "an override of places needs `rules`");
    if (pointer == "/") pointer.clear();
    for (const auto& member : rules->object()) {
      const auto verdict = verdict_of(member.value);
      if (!verdict)
        unread(member, "an override of places says severities only, and " + std::string(member.key) + " is none");
      else
        rules_.exceptions.push_back({std::string(member.key), folder, pattern, pointer, *verdict});
    }
  }

  void extends(const Value& value, int depth) {
    const auto one = [&](const Value& from) {
      const auto name = text_of(from.is(Type::array) && !from.array().empty() ? &from.array()[0] : &from);
      const auto word = from.is(Type::array) && from.array().size() > 1 ? text_of(&from.array()[1]) : "recommended";
      const auto choice = word == "off" ? Choice::off : word == "all" ? Choice::all : Choice::recommended;
      const auto path = (fs::path(file_).parent_path() / name).string();
      std::error_code ignored;
      if (name == kBuiltIn) {
        rules_.with_built_in = choice != Choice::off;
        oas(choice, depth);
      } else if (name.starts_with("spectral:") || name.contains("://") ||
                 (!name.contains('.') && !fs::exists(path, ignored))) {
        unread(from, "\"" + name + "\" is not read: a ruleset extends files and spectral:oas");
      } else if (depth >= kDeepest) {
        unread(from, "rulesets extend each other more than " + std::to_string(kDeepest) + " deep");
      } else if (auto failed = file(path, choice, depth + 1)) {
        unread(from, "\"" + name + "\" is not read: " + failed->what);
      }
    };
    // A list of rulesets, each a name or a pair of name and choice.
    if (value.is(Type::array))
      for (const auto& each : value.array()) one(each);
    else
      one(value);
  }

  /// The rules of `spectral:oas` that are not rules of ours already.
  void oas(Choice choice, int depth) {
    const auto parsed = json::parse_yaml(ruleset::kOasRules, rules_.arena);
    if (!parsed) return;  // a test reads it
    const auto formats = std::exchange(formats_, {});
    auto aliases = std::exchange(rules_.aliases, {});
    body(rules_.arena.template make<Value>(*parsed), choice, depth);
    rules_.aliases = std::move(aliases);
    formats_ = formats;
  }

  void aliases(const Value& all) {
    for (const auto& member : all.object()) {
      std::vector<typename Rules::Target> targets;
      if (const auto* list = member.value.find("targets"))
        for (const auto& each : list->array())
          targets.push_back({texts_of(each.find("given")), texts_of(each.find("formats"))});
      else if (auto given = texts_of(&member.value); !given.empty())
        targets.push_back({std::move(given), {}});
      if (targets.empty()) unread(member, "the alias `" + std::string(member.key) + "` is no list of paths");
      rules_.aliases[std::string(member.key)] = std::move(targets);
    }
  }

  void rule(const json::Member& member, Choice choice) {
    const auto name = std::string(member.key);
    if (!member.value.is(Type::object)) return severity(member, name);
    Rule made{.name = name,
              .description = text_of(member.value.find("description")),
              .message = text_of(member.value.find("message")),
              .documentation = text_of(member.value.find("documentationUrl"))};
    const auto is_false = [&](std::string_view key) {
      const auto* value = member.value.find(key);
      return value && value->is(Type::boolean) && !value->boolean();
    };
    made.enabled = choice == Choice::all || (choice == Choice::recommended && !is_false("recommended"));
    made.resolved = !is_false("resolved");
    if (const auto* given = member.value.find("severity")) {
      const auto verdict = verdict_of(*given);
      if (!verdict) return unread(*given, "the severity of the rule " + name + " is not read");
      made.enabled &= verdict->enabled;
      made.severity = verdict->severity.value_or(made.severity);
    }
    made.formats = member.value.find("formats") ? texts_of(member.value.find("formats")) : formats_;
    const auto *given = member.value.find("given"), *then = member.value.find("then");
    if (!given || !then) return unread(member, "the rule " + name + " has no `given` or no `then`");
    if (!paths(made, *given) || !checks(made, *then)) return;
    rules_.own.insert_or_assign(name, std::move(made));
  }

  /// A rule that is known already, and only how much it counts.
  void severity(const json::Member& member, const std::string& name) {
    const auto verdict = verdict_of(member.value);
    if (!verdict) return unread(member, "the severity of the rule " + name + " is not read");
    if (const auto own = rules_.own.find(name); own != rules_.own.end()) {
      own->second.enabled = verdict->enabled;
      own->second.severity = verdict->severity.value_or(own->second.severity);
    } else if (const auto ours = built_in_rule(name); !ours.empty()) {
      rules_.built_in[std::string(ours)] = *verdict;
    } else if (verdict->enabled && !is_settled(name)) {
      unread(member, "there is no rule " + name + " here");
    }
  }

  bool paths(Rule& made, const Value& given) {
    const auto one = [&](const Value& from) { return path(made, from, text_of(&from), {}, 0); };
    if (given.is(Type::string)) return one(given);
    if (given.array().empty()) return refuse(given, made, "`given` names no path");
    return std::ranges::all_of(given.array(), one);
  }
  /// A path, or `#Alias` with more behind it.
  bool path(Rule& made, const Value& at, std::string text, const std::vector<std::string>& formats, int depth) {
    if (text.starts_with('#')) {
      if (depth >= kDeepest) return refuse(at, made, "its aliases name each other too deeply");
      const auto end = std::min(text.find_first_of(".[~^", 1), text.size());
      const auto alias = rules_.aliases.find(std::string_view(text).substr(1, end - 1));
      if (alias == rules_.aliases.end()) return refuse(at, made, "there is no alias " + text.substr(0, end));
      for (const auto& target : alias->second)
        for (const auto& each : target.given)
          if (!path(made, at, each + text.substr(end), target.formats.empty() ? formats : target.formats, depth + 1))
            return false;
      return true;
    }
    while (text.ends_with(' ')) text.pop_back();
    const auto written = text;
    const bool keys = text.ends_with('~');
    if (keys) text.pop_back();
    auto read = JsonPath::parse(text, JsonPath::Syntax::script);
    if (!read) return refuse(at, made, "`given: " + written + "` is not read: " + read.error());
    made.given.push_back({std::move(*read), keys, formats});
    return true;
  }

  bool checks(Rule& made, const Value& then) {
    const auto one = [&](const Value& from) {
      auto function = ruleset::function_of(from);
      if (!function) return refuse(from, made, function.error());
      ruleset::Then check{.field = text_of(from.find("field")), .function = std::move(*function)};
      if (check.field == "$" || check.field.starts_with("$.") || check.field.starts_with("$[")) {
        auto path = JsonPath::parse(check.field, JsonPath::Syntax::script);
        if (!path) return refuse(from, made, "`field: " + check.field + "` is not read: " + path.error());
        check.path.emplace(std::move(*path));
      } else {
        check.names = names_of(check.field);
      }
      made.thens.push_back(std::move(check));
      return true;
    };
    if (then.is(Type::object)) return one(then);
    if (then.array().empty()) return refuse(then, made, "`then` names no function");
    return std::ranges::all_of(then.array(), one);
  }
  bool refuse(const Value& at, const Rule& rule, const std::string& why) {
    unread(at, "the rule " + rule.name + " is left out: " + why);
    return false;
  }

  Rules& rules_;
  std::string file_;
  std::vector<std::string> formats_;  ///< of rules that name none
};

}  // namespace

std::expected<Ruleset, Complaints> Ruleset::read(const std::string& file, const std::string& contract) {
  auto rules = std::make_unique<Rules>();
  rules->contract = contract;
  if (auto failed = Reading<Rules>{*rules}.file(file, Choice::recommended, 0))
    return std::unexpected(Complaints{std::move(*failed)});
  return Ruleset{std::move(rules)};
}

std::vector<Finding> Ruleset::lint(const Contract& contract) const {
  auto findings = contract::lint(contract);
  std::erase_if(findings, [&](Finding& finding) {
    const bool ours = std::ranges::any_of(lint_rules(), [&](auto& rule) { return rule.id == finding.rule; });
    if (!ours) return false;  // of the loader: it is served so, whatever a ruleset says
    const auto said = rules_->built_in.find(finding.rule);
    if (said == rules_->built_in.end()) return !rules_->with_built_in;
    finding.severity = said->second.severity.value_or(finding.severity);
    return !said->second.enabled;
  });
  std::vector<const Rule*> own;
  for (const auto& [name, rule] : rules_->own) own.push_back(&rule);
  for (auto& finding : ruleset::apply(own, contract)) findings.push_back(std::move(finding));
  std::erase_if(findings, [&](Finding& finding) {
    const auto* verdict = rules_->exception(finding);
    if (verdict) finding.severity = verdict->severity.value_or(finding.severity);
    return verdict && !verdict->enabled;
  });
  std::ranges::sort(findings, {}, [&](const Finding& f) {
    return std::tuple(f.file != contract.file, f.file, f.at.line, f.at.column, f.rule, f.pointer, f.message);
  });
  findings.insert(findings.begin(), rules_->unread.begin(), rules_->unread.end());
  return findings;
}

bool Ruleset::is_whole() const { return rules_->unread.empty(); }

Ruleset::Ruleset(std::unique_ptr<Rules> rules) : rules_(std::move(rules)) {}
Ruleset::Ruleset(Ruleset&&) noexcept = default;
Ruleset::~Ruleset() = default;

}  // namespace plimsoll::contract
