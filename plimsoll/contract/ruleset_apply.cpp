#include "plimsoll/contract/resolved.hpp"
#include "plimsoll/contract/ruleset_rule.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <set>
#include <unordered_map>

namespace plimsoll::contract::ruleset {

using json::Type;
using json::Value;

namespace {

/// Replaces `{{name}}` of a message; what is put in is not looked at again.
std::string filled(std::string_view message, std::span<const std::pair<std::string_view, std::string>> values) {
  std::string made;
  while (!message.empty()) {
    const auto open = message.find("{{"), close = message.find("}}", open);
    if (open == message.npos || close == message.npos) break;
    made += message.substr(0, open);
    auto name = message.substr(open + 2, close - open - 2);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    for (const auto& [known, value] : values)
      if (known == name) made += value;
    message.remove_prefix(close + 2);
  }
  return made.append(message);
}

/// Applies rules to a contract, as its author wrote it.
class Applying {
 public:
  explicit Applying(const Contract& contract) : contract_(contract), root_(*contract.root) {
    places_.emplace(&root_, Place{});
    place(root_);
  }

  void apply(const Rule& rule) {
    if (!rule.enabled || !in_formats(rule.formats, root_)) return;
    auto& view = rule.resolved ? resolved_ : as_written_;
    using enum Resolved::References;
    if (!view) view = std::make_unique<Resolved>(contract_, rule.resolved ? replaced : kept);
    view_ = view.get();
    for (const auto& given : rule.given) {
      if (!in_formats(given.formats, root_)) continue;
      const auto nodes = given.path.select(view->root());
      if (!nodes) {
        leave_out(rule, nodes.error());
        continue;
      }
      for (const auto& node : *nodes)
        for (const auto& then : rule.thens) {
          if (!given.keys)
            look(rule, then, *node.value);
          else if (node.key.data())
            look_at_key(rule, then, *node.value, node.key);
        }
    }
  }
  std::vector<Finding> findings() && { return std::move(findings_); }

 private:
  /// Where a value of the contract stands.
  struct Place {
    const Value* parent = nullptr;
    std::string_view name{};
    std::size_t index = 0;
    json::Position key{};
  };
  void place(const Value& value) {
    std::size_t index = 0;
    for (const auto& item : value.array()) {
      places_.emplace(&item, Place{.parent = &value, .index = index++});
      place(item);
    }
    for (const auto& member : value.object()) {
      places_.emplace(&member.value, Place{.parent = &value, .name = member.key, .key = member.at});
      place(member.value);
    }
  }
  std::string pointer_to(const Value& value) const {
    const auto found = places_.find(&value);
    if (found == places_.end() || !found->second.parent) return {};
    auto pointer = pointer_to(*found->second.parent);
    if (found->second.name.data())
      json::append_token(pointer, found->second.name);
    else
      json::append_token(pointer, found->second.index);
    return pointer;
  }

  void look_at_key(const Rule& rule, const Then& then, const Value& value, std::string_view key) {
    const auto name = Value::of(key);
    faults_.clear();
    then.function({contract_, &name}, faults_);
    for (const auto& fault : faults_) add(rule, value, fault.sentence, {.key = key});
  }

  void look(const Rule& rule, const Then& then, const Value& target) {
    const bool has_parts = target.is(Type::object) || target.is(Type::array);
    if (then.field.empty() || !has_parts) return call(rule, then, &target, target, {});
    if (then.field == "@key") {
      for (const auto& member : target.object()) look_at_key(rule, then, member.value, member.key);
    } else if (then.path) {
      const auto nodes = then.path->select(const_cast<Value&>(target));
      if (!nodes) return leave_out(rule, nodes.error());
      for (const auto& node : *nodes) call(rule, then, node.value, *node.value, {});
      if (nodes->empty()) call(rule, then, nullptr, target, {});
    } else if (const auto* whole = target.find(then.field)) {
      call(rule, then, whole, *whole, {});
    } else {
      follow(rule, then, target);
    }
  }
  void follow(const Rule& rule, const Then& then, const Value& target) {
    const Value* value = &target;
    const std::span<const std::string> names = then.names;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto* next = part(*value, names[i]);
      if (!next) return call(rule, then, nullptr, *value, names.subspan(i));
      value = next;
    }
    call(rule, then, value, *value, {});
  }
  static const Value* part(const Value& value, const std::string& name) {
    if (!value.is(Type::array)) return value.find(name);
    std::size_t index = 0;
    const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool whole = problem == std::errc{} && end == name.data() + name.size();
    return whole && index < value.array().size() ? &value.array()[index] : nullptr;
  }

  /// `value` is what is looked at, null where it is missing; `nearest` is what there is of the way to it.
  void call(const Rule& rule, const Then& then, const Value* value, const Value& nearest,
            std::span<const std::string> missing) {
    faults_.clear();
    then.function({contract_, value}, faults_);
    for (const auto& fault : faults_) {
      const auto& at = fault.at ? *fault.at : nearest;
      add(rule, at, fault.sentence, {.named = fault.key, .missing = missing, .is_there = value != nullptr});
    }
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

  struct Meant {
    std::string_view key{};  ///< the name itself was looked at
    bool named = false;      ///< the place of the name is meant
    std::span<const std::string> missing{};
    bool is_there = true;
  };
  void add(const Rule& rule, const Value& value, const std::string& sentence, const Meant& meant) {
    const auto* origin = view_->origin(&value);
    // What a reference says of its own is where its reader looks for what is missing in its target.
    if (const auto* own = meant.missing.empty() ? nullptr : origin->find(meant.missing[0])) origin = own;
    const auto& at = *origin;
    const auto found = places_.find(&at);
    const auto place = found == places_.end() ? Place{} : found->second;
    const auto pointer = pointer_to(at);
    const auto name = place.name.data() ? std::string(place.name) : place.parent ? std::to_string(place.index) : "";
    auto property = place.parent && !place.name.data() && !meant.missing.empty() ? "[" + name + "]" : name;
    for (const auto& each : meant.missing) property += (property.empty() ? "" : ".") + each;
    const auto subject = !meant.missing.empty() ? "\"" + meant.missing.back() + "\" "
                         : !place.parent        ? "it "
                         : place.name.data()    ? "\"" + name + "\" "
                                                : "item " + name + " ";
    // A sentence that begins with a value names it already.
    const auto error = sentence.starts_with('"') ? sentence : subject + sentence;
    const auto shown = meant.key.data()      ? std::string(meant.key)
                       : !meant.is_there     ? std::string()
                       : at.is(Type::string) ? std::string(at.string())
                                             : json::to_string(at);
    const std::pair<std::string_view, std::string> values[] = {{"error", error},
                                                               {"description", rule.description},
                                                               {"property", property},
                                                               {"path", "#" + pointer},
                                                               {"value", shown}};
    auto message = rule.message.empty() ? error : filled(rule.message, values);
    if (!said_.emplace(rule.name, pointer, message).second) return;
    auto remedy = rule.description.empty() ? "The ruleset requires it." : rule.description;
    if (!rule.documentation.empty()) remedy += " See " + rule.documentation;
    const bool key = meant.key.data() || meant.named;
    findings_.push_back({.rule = rule.name,
                         .severity = rule.severity,
                         .file = at.source() < contract_.files.size() ? contract_.files[at.source()] : contract_.file,
                         .at = key && place.key.line ? place.key : at.position(),
                         .pointer = pointer,
                         .message = std::move(message),
                         .remedy = std::move(remedy)});
  }

  const Contract& contract_;
  const Value& root_;
  std::unique_ptr<Resolved> resolved_, as_written_;
  const Resolved* view_ = nullptr;  ///< the one of the rule that is applied
  std::unordered_map<const Value*, Place> places_;
  std::vector<Fault> faults_;
  std::set<std::tuple<std::string, std::string, std::string>> said_;
  std::vector<Finding> findings_;
};

/// One alternative of a pattern without braces.
bool matches(std::string_view pattern, std::string_view path) {
  while (!pattern.empty()) {
    if (pattern.starts_with("**/")) {
      const auto rest = pattern.substr(3);
      for (auto from = path;;) {
        if (matches(rest, from)) return true;
        const auto slash = from.find('/');
        if (slash == from.npos) return false;
        from.remove_prefix(slash + 1);
      }
    }
    if (pattern == "**") return true;
    if (pattern[0] == '*') {
      for (std::size_t i = 0;; ++i) {
        if (matches(pattern.substr(1), path.substr(i))) return true;
        if (i == path.size() || path[i] == '/') return false;
      }
    }
    if (path.empty()) return false;
    std::size_t size = 1;
    if (pattern[0] == '[' && pattern.find(']', 2) != pattern.npos) {
      size = pattern.find(']', 2) + 1;
      auto set = pattern.substr(1, size - 2);
      const bool not_these = set.starts_with('!') || set.starts_with('^');
      if (not_these) set.remove_prefix(1);
      bool in = false;
      for (std::size_t i = 0; i < set.size(); ++i) {
        const bool range = i + 2 < set.size() && set[i + 1] == '-';
        in |= range ? path[0] >= set[i] && path[0] <= set[i + 2] : path[0] == set[i];
        if (range) i += 2;
      }
      if (in == not_these || path[0] == '/') return false;
    } else if (pattern[0] == '?' ? path[0] == '/' : pattern[0] != path[0]) {
      return false;
    }
    pattern.remove_prefix(size);
    path.remove_prefix(1);
  }
  return path.empty();
}

constexpr std::size_t kMostAlternatives = 100;
void alternatives(std::string_view pattern, std::vector<std::string>& out) {
  const auto open = pattern.find('{'), close = pattern.find('}', open);
  if (open == pattern.npos || close == pattern.npos || out.size() >= kMostAlternatives) {
    out.emplace_back(pattern);
    return;
  }
  auto list = pattern.substr(open + 1, close - open - 1);
  for (;;) {
    const auto comma = list.find(',');
    alternatives(std::string(pattern.substr(0, open)) + std::string(list.substr(0, comma)) +
                     std::string(pattern.substr(close + 1)),
                 out);
    if (comma == list.npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

bool names_file(std::string_view pattern, std::string_view path) {
  if (pattern.starts_with("./")) pattern.remove_prefix(2);
  std::vector<std::string> each;
  alternatives(pattern, each);
  return std::ranges::any_of(each, [&](const std::string& one) {
    const auto name = path.rfind('/');
    return matches(one, one.contains('/') || name == path.npos ? path : path.substr(name + 1));
  });
}

bool in_formats(const std::vector<std::string>& formats, const Value& root) {
  if (formats.empty()) return true;
  const auto version = text_of(root.find("openapi")).substr(0, 3);
  return std::ranges::any_of(formats, [&](std::string format) {
    std::ranges::replace(format, '_', '.');
    return format == "oas3" || format == "oas" + version;
  });
}

std::vector<Finding> apply(const std::vector<const Rule*>& rules, const Contract& contract) {
  Applying applying{contract};
  for (const auto* rule : rules) applying.apply(*rule);
  return std::move(applying).findings();
}

}  // namespace plimsoll::contract::ruleset
