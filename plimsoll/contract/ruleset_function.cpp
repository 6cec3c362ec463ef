#include "plimsoll/base/percent.hpp"
#include "plimsoll/contract/example_validator.hpp"
#include "plimsoll/contract/json_path_script.hpp"
#include "plimsoll/contract/ruleset_rule.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/utf8.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/schema/validator.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

namespace plimsoll::contract::ruleset {

using json::Type;
using json::Value;

namespace {

using Faults = std::vector<Fault>;
using Made = std::expected<Function, std::string>;

bool is_true(const Value* value) { return value && value->is(Type::boolean) && value->boolean(); }
bool is_scalar(const Value& value) { return !value.is(Type::object) && !value.is(Type::array); }

/// A function that says one sentence of values for which `good` is false.
template <class Good>
Function unless(Good good, std::string sentence) {
  return [good = std::move(good), sentence = std::move(sentence)](const Subject& subject, Faults& faults) {
    if (!good(subject.value)) faults.push_back({.sentence = sentence});
  };
}

Made truthy(const Value&) { return unless(json_path::is_truthy, "must be present and not empty"); }
Made falsy(const Value&) {
  return unless([](const Value* value) { return !json_path::is_truthy(value); }, "must be absent or empty");
}
Made defined(const Value&) {
  return unless([](const Value* value) { return value != nullptr; }, "must be present");
}
Made undefined(const Value&) {
  return unless([](const Value* value) { return value == nullptr; }, "must be absent");
}

/// `a`, or `/a/i`.
std::expected<std::shared_ptr<schema::Regex>, std::string> regex_of(std::string_view text) {
  std::string_view flags;
  if (const auto end = text.rfind('/');
      text.starts_with('/') && end > 1 &&
      std::ranges::all_of(text.substr(end + 1), [](char c) { return c >= 'a' && c <= 'z'; })) {
    flags = text.substr(end + 1);
    text = text.substr(1, end - 1);
  }
  auto made = json_path::script_regex(text, flags);
  if (!made) return std::unexpected(std::move(made).error());
  return std::make_shared<schema::Regex>(std::move(*made));
}

Made pattern(const Value& options) {
  std::shared_ptr<schema::Regex> match, none;
  for (const auto& [key, into] : {std::pair{"match", &match}, std::pair{"notMatch", &none}})
    if (const auto* text = options.find(key)) {
      if (!text->is(Type::string)) return std::unexpected("`" + std::string(key) + "` of `pattern` is no text");
      auto made = regex_of(text->string());
      if (!made) return std::unexpected(std::move(made).error());
      *into = std::move(*made);
    }
  if (!match && !none) return std::unexpected("`pattern` needs `match` or `notMatch`");
  return [match, none, must = text_of(options.find("match")), never = text_of(options.find("notMatch"))](
             const Subject& subject, Faults& faults) {
    if (!subject.value || !subject.value->is(Type::string)) return;
    const auto text = subject.value->string();
    if (match && !match->search(text)) faults.push_back({.sentence = "must match the pattern " + must});
    if (none && none->search(text)) faults.push_back({.sentence = "must not match the pattern " + never});
  };
}

Made length(const Value& options) {
  const auto bound = [&](std::string_view key) -> std::optional<Value> {
    const auto* value = options.find(key);
    return value && value->is(Type::number) ? std::optional(*value) : std::nullopt;
  };
  const auto least = bound("min"), most = bound("max");
  if (!least && !most) return std::unexpected("`length` needs `min` or `max`, numbers");
  return [least, most](const Subject& subject, Faults& faults) {
    if (!subject.value) return;
    const auto& value = *subject.value;
    double size = 0;
    if (value.is(Type::string))
      size = static_cast<double>(json_path::utf16_count(value.string()));
    else if (value.is(Type::array))
      size = static_cast<double>(value.array().size());
    else if (value.is(Type::object))
      size = static_cast<double>(value.object().size());
    else if (value.is(Type::number))
      size = value.number();
    else
      return;
    if (least && size < least->number())
      faults.push_back({.sentence = "must not be shorter than " + std::string(least->number_text())});
    if (most && size > most->number())
      faults.push_back({.sentence = "must not be longer than " + std::string(most->number_text())});
  };
}

Made enumeration(const Value& options) {
  const auto* values = options.find("values");
  if (!values || !values->is(Type::array)) return std::unexpected("`enumeration` needs `values`");
  std::string all;
  for (const auto& each : values->array()) all += (all.empty() ? "" : ", ") + json::to_string(each);
  return unless(
      [values](const Value* value) {
        return !value || !is_scalar(*value) ||
               std::ranges::any_of(values->array(), [&](const Value& each) { return json::equal(each, *value); });
      },
      "must be one of " + all);
}

/// Words, each of which begins as `first` says and goes on as `next` says.
Made casing(const Value& options) {
  const auto type = text_of(options.find("type"));
  const std::string digits = is_true(options.find("disallowDigits")) ? "" : "0-9";
  const auto small = "[a-z" + digits + "]", large = "[A-Z" + digits + "]";
  const auto humps = small + "*(?:[A-Z](?:" + small + "+|$))*";  // of two capitals only the last may end the name
  const std::pair<std::string_view, std::string> kinds[] = {{"flat", "[a-z]" + small + "*"},
                                                            {"camel", "[a-z]" + humps},
                                                            {"pascal", "[A-Z](?:" + humps + ")"},
                                                            {"kebab", "[a-z]" + small + "*(?:-" + small + "+)*"},
                                                            {"cobol", "[A-Z]" + large + "*(?:-" + large + "+)*"},
                                                            {"snake", "[a-z]" + small + "*(?:_" + small + "+)*"},
                                                            {"macro", "[A-Z]" + large + "*(?:_" + large + "+)*"}};
  const auto* const kind = std::ranges::find(kinds, type, [](const auto& each) { return each.first; });
  if (kind == std::end(kinds))
    return std::unexpected("`casing` needs `type`: flat, camel, pascal, kebab, cobol, snake or macro");
  auto expression = kind->second;
  std::string alone;  // the separator by itself is a name where it may lead
  if (const auto* separator = options.find("separator")) {
    const auto mark = text_of(separator->find("char"));
    if (json::utf8_count(mark) != 1) return std::unexpected("`separator` of `casing` needs `char`, one character");
    const bool leading = is_true(separator->find("allowLeading"));
    const auto escaped = std::string_view("^$\\.*+?()[]{}|/").contains(mark[0]) ? "\\" + mark : mark;
    expression = (leading ? "(?:" + escaped + ")?" : "") + expression + "(?:" + escaped + expression + ")*";
    if (leading) alone = mark;
  }
  auto made = regex_of("^" + expression + "$");
  if (!made) return std::unexpected(std::move(made).error());
  return unless(
      [regex = std::move(*made), alone](const Value* value) {
        if (!value || !value->is(Type::string)) return true;
        const auto text = value->string();
        return text.empty() || text == alone || regex->search(text);
      },
      "must be " + type + " case");
}

/// `or` and `xor`: how many of the properties there must be.
Made properties(const Value& options, bool one) {
  std::vector<std::string> names;
  if (const auto* list = options.find("properties"))
    for (const auto& each : list->array()) names.push_back(text_of(&each));
  if (names.empty())
    return std::unexpected(std::string(one ? "`xor`" : "`or`") + " needs `properties`, names of members");
  std::string all;
  for (const auto& name : names) all += (all.empty() ? "\"" : ", \"") + name + "\"";
  return unless(
      [names, one](const Value* value) {
        if (!value || !value->is(Type::object) || names.size() < 2) return true;
        const auto count = std::ranges::count_if(names, [&](auto& name) { return value->find(name) != nullptr; });
        return one ? count == 1 : count > 0;
      },
      (one ? "must have exactly one of " : "must have one of ") + all);
}
Made exactly_one(const Value& options) { return properties(options, true); }
Made at_least_one(const Value& options) { return properties(options, false); }

Made by_schema(const Value& options) {
  const auto* schema = options.find("schema");
  if (!schema) return std::unexpected("`schema` needs `schema`");
  const std::size_t most = is_true(options.find("allErrors")) ? 100 : 1;
  using Compiled = std::map<const Contract*, Result<std::shared_ptr<const schema::Validator>>>;
  return [schema, most, compiled = std::make_shared<Compiled>()](const Subject& subject, Faults& faults) {
    if (!subject.value) return faults.push_back({.sentence = "must be present"});
    auto known = compiled->find(&subject.contract);
    if (known == compiled->end())
      known = compiled->emplace(&subject.contract, example_validator(subject.contract, *schema)).first;
    if (!known->second) return faults.push_back({.sentence = "cannot be checked: " + known->second.error().detail});
    for (const auto& failure : (*known->second)->validate(*subject.value, most))
      faults.push_back({.sentence = failure.message, .at = json::resolve(*subject.value, failure.instance)});
  };
}

/// Below zero, zero, or above: as `alphabetical` orders, numbers by value where both are.
int order(const Value& a, const Value& b) {
  const auto number = [](const Value& value) -> std::optional<double> {
    if (value.is(Type::number)) return value.number();
    double made = 0;
    const auto text = value.string();
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), made);
    if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return made;
  };
  if (const auto x = number(a), y = number(b); x && y) return *x < *y ? -1 : *x > *y;
  if (!a.is(Type::string) || !b.is(Type::string)) return 0;
  // As dictionaries do: letters regardless of case, and lower case first among equals.
  const auto folded = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const auto x = a.string(), y = b.string();
  if (const auto by_letter =
          std::lexicographical_compare_three_way(x.begin(), x.end(), y.begin(), y.end(),
                                                 [&](char p, char q) {
                                                   const auto rank = [&](char c) {  // punctuation, digits, letters
                                                     const auto low = static_cast<unsigned char>(folded(c));
                                                     return (low >= '0' && low <= '9')                  ? 256 + low
                                                            : (low >= 'a' && low <= 'z') || low >= 0x80 ? 512 + low
                                                                                                        : low;
                                                   };
                                                   return rank(p) <=> rank(q);
                                                 });
      by_letter != 0)
    return by_letter < 0 ? -1 : 1;
  return x > y ? -1 : x < y;
}

Made alphabetical(const Value& options) {
  return [by = text_of(options.find("keyedBy"))](const Subject& subject, Faults& faults) {
    if (!subject.value || is_scalar(*subject.value)) return;
    const bool list = subject.value->is(Type::array);
    std::vector<std::pair<Value, const Value*>> items;  // what is ordered, and where it stands
    for (const auto& each : subject.value->array()) items.emplace_back(each, &each);
    for (const auto& member : subject.value->object()) items.emplace_back(Value::of(member.key), &member.value);
    if (items.size() < 2) return;
    if (!by.empty())
      for (auto& [item, at] : items) {
        const auto* key = at->find(by);
        if (!list || !key) return faults.push_back({.sentence = "must hold objects with \"" + by + "\" only"});
        item = *key;
      }
    for (const auto& [item, at] : items)
      if (!item.is(Type::string) && !item.is(Type::number))
        return faults.push_back({.sentence = "must hold texts and numbers only"});
    for (std::size_t i = 0; i + 1 < items.size(); ++i)
      if (order(items[i].first, items[i + 1].first) > 0)
        return faults.push_back({.sentence = json::to_string(items[i].first) + " must be placed after " +
                                             json::to_string(items[i + 1].first),
                                 .at = by.empty() ? items[i].second : nullptr,
                                 .key = !list});
  };
}

Made typed_enum(const Value&) {
  return [](const Subject& subject, Faults& faults) {
    if (!subject.value || !subject.value->is(Type::object)) return;
    const auto *type = subject.value->find("type"), *values = subject.value->find("enum");
    if (!type || !values || !values->is(Type::array)) return;
    const auto is = [](const Value& value, std::string_view name) {
      if (name == "integer") return value.is(Type::number) && value.integer().has_value();
      constexpr std::pair<std::string_view, Type> kTypes[] = {{"null", Type::null},     {"boolean", Type::boolean},
                                                              {"number", Type::number}, {"string", Type::string},
                                                              {"array", Type::array},   {"object", Type::object}};
      return std::ranges::any_of(kTypes, [&](auto& each) { return each.first == name && value.is(each.second); });
    };
    const bool nullable = is_true(subject.value->find("nullable")) || is_true(subject.value->find("x-nullable"));
    for (const auto& each : values->array()) {
      if (nullable && each.is(Type::null)) continue;
      const bool fits = type->is(Type::string)
                            ? is(each, type->string())
                            : std::ranges::any_of(type->array(), [&](auto& one) { return is(each, text_of(&one)); });
      if (!fits) faults.push_back({.sentence = "must be of the type that is declared", .at = &each});
    }
  };
}

void collect(const Value& value, std::set<std::string, std::less<>>& used) {
  if (const auto* ref = value.find("$ref"); ref && ref->is(Type::string)) {
    std::string decoded;
    append_decoded(decoded, ref->string());
    used.insert(decoded);
  }
  for (const auto& item : value.array()) collect(item, used);
  for (const auto& member : value.object()) collect(member.value, used);
}

Made unreferenced(const Value& options) {
  auto location = text_of(options.find("reusableObjectsLocation"));
  if (!location.starts_with('#'))
    return std::unexpected(
        "`unreferencedReusableObject` needs `reusableObjectsLocation`, a pointer that begins with #");
  return [location = std::move(location)](const Subject& subject, Faults& faults) {
    if (!subject.value || !subject.value->is(Type::object)) return;
    std::set<std::string, std::less<>> used;
    collect(*subject.contract.root, used);
    for (const auto& member : subject.value->object()) {
      auto pointer = location;
      json::append_token(pointer, member.key);
      const auto below = pointer + "/";
      const auto at = used.lower_bound(below);
      if (!used.contains(pointer) && (at == used.end() || !at->starts_with(below)))
        faults.push_back({.sentence = "is referred to by nothing", .at = &member.value, .key = true});
    }
  };
}

constexpr std::pair<std::string_view, Made (*)(const Value&)> kFunctions[] = {
    {"alphabetical", alphabetical},
    {"casing", casing},
    {"defined", defined},
    {"enumeration", enumeration},
    {"falsy", falsy},
    {"length", length},
    {"or", at_least_one},
    {"pattern", pattern},
    {"schema", by_schema},
    {"truthy", truthy},
    {"typedEnum", typed_enum},
    {"undefined", undefined},
    {"unreferencedReusableObject", unreferenced},
    {"xor", exactly_one}};

}  // namespace

std::string text_of(const Value* value) {
  return value && value->is(Type::string) ? std::string(value->string()) : std::string{};
}

std::expected<Function, std::string> function_of(const Value& then) {
  static const Value none = Value::object({});
  const auto name = text_of(then.find("function"));
  const auto* given = then.find("functionOptions");
  for (const auto& [known, make] : kFunctions)
    if (known == name) return make(given ? *given : none);
  return std::unexpected(name.empty() ? "a rule has `then` with a `function`"
                                      : "the function `" + name + "` is not read");
}

}  // namespace plimsoll::contract::ruleset
