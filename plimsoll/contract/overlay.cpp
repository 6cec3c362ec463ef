#include "plimsoll/contract/overlay.hpp"

#include "plimsoll/config/options.hpp"
#include "plimsoll/contract/json_path.hpp"

#include <map>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

constexpr std::size_t kMostCopies = 2'000'000;  // values, of all actions together

/// The fields of an overlay's objects (Overlay 1.1.0, section 4.4), with the type of each; `null` stands for any.
struct Field {
  std::string_view name;
  Type type;
  bool required = false, since_1_1 = false;
};
constexpr Field kOverlay[] = {{"overlay", Type::string, true},
                              {"info", Type::object, true},
                              {"extends", Type::string},
                              {"actions", Type::array, true}};
constexpr Field kInfo[] = {
    {"title", Type::string, true}, {"version", Type::string, true}, {"description", Type::string}};
constexpr Field kAction[] = {{"target", Type::string, true},
                             {"description", Type::string},
                             {"update", Type::null},
                             {"remove", Type::boolean},
                             {"copy", Type::string, false, true}};

std::string_view name_of(Type type) {
  switch (type) {
    case Type::string: return "text";
    case Type::boolean: return "true or false";
    case Type::array: return "a list";
    case Type::object: return "an object";
    default: return "a value";
  }
}

/// `1.0.` or `1.1.` and a number.
bool is_version(std::string_view text) {
  if (!text.starts_with("1.0.") && !text.starts_with("1.1.")) return false;
  text.remove_prefix(4);
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

class Checker {
 public:
  Checker(const Value& overlay, Report& report) : overlay_(overlay), report_(report) {}

  /// Whether the actions can be applied. All that is wrong is said, not only the first.
  bool run() {
    if (!overlay_.is(Type::object)) {
      wrong(&overlay_, "", "an overlay is an object");
      return false;
    }
    const auto* version = overlay_.find("overlay");
    if (!version || !version->is(Type::string) || !is_version(version->string())) {
      wrong(version ? version : &overlay_, version ? "/overlay" : "",
            "the file does not begin with `overlay: 1.1.0` or `overlay: 1.0.0`");
      return false;
    }
    new_ = version->string().starts_with("1.1");
    check(overlay_, kOverlay, "", "an overlay");
    if (const auto* info = overlay_.find("info"); info && info->is(Type::object))
      check(*info, kInfo, "/info", "`info`");
    if (const auto* actions = overlay_.find("actions"); actions && actions->is(Type::array)) check_actions(*actions);
    return good_;
  }
  bool is_1_1() const { return new_; }

 private:
  void wrong(const Value* at, std::string pointer, std::string what) {
    good_ = false;
    report_.add(load_error::kInvalidOverlay, at, std::move(pointer), std::move(what));
  }

  void check(const Value& object, std::span<const Field> fields, const std::string& pointer, std::string_view name) {
    for (auto& member : object.object()) {
      if (member.key.starts_with("x-")) continue;
      const auto field = std::ranges::find(fields, member.key, &Field::name);
      Value key = member.value;
      if (member.at.line) key.set_position(member.at);
      const auto here = pointer + "/" + std::string(member.key);
      if (field == fields.end()) {
        std::vector<std::string_view> names;
        for (auto& known : fields) names.push_back(known.name);
        const auto near = config::nearest(member.key, names);
        wrong(&key, here,
              std::string(name) + " has no field \"" + std::string(member.key) + "\"" +
                  (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"));
      } else if (field->since_1_1 && !new_) {
        wrong(&key, here, "`" + std::string(member.key) + "` needs `overlay: 1.1.0`");
      } else if (field->type != Type::null && !member.value.is(field->type)) {
        wrong(&member.value, here, "`" + std::string(member.key) + "` must be " + std::string(name_of(field->type)));
      }
    }
    for (auto& field : fields)
      if (field.required && !object.find(field.name))
        wrong(&object, pointer, std::string(name) + " needs `" + std::string(field.name) + "`, and there is none");
  }

  void check_actions(const Value& actions) {
    if (actions.array().empty()) wrong(&actions, "/actions", "an overlay needs at least one action");
    std::multimap<std::string_view, const Value*> known;
    std::size_t index = 0;
    for (auto& action : actions.array()) {
      const auto pointer = "/actions/" + std::to_string(index++);
      if (!action.is(Type::object)) {
        wrong(&action, pointer, "an action must be an object");
        continue;
      }
      check(action, kAction, pointer, "an action");
      const auto* target = action.find("target");
      if (!target || !target->is(Type::string)) continue;
      const auto [from, to] = known.equal_range(target->string());
      for (auto same = from; same != to; ++same)
        if (json::equal(*same->second, action)) {
          wrong(&action, pointer,
                "the action appears twice: it is that of line " + std::to_string(same->second->position().line));
          break;
        }
      known.emplace(target->string(), &action);
      if (new_ && action.find("update") && action.find("copy"))
        wrong(&action, pointer, "the action has both `update` and `copy`; make two actions of it");
    }
  }

  const Value& overlay_;
  Report& report_;
  bool good_ = true, new_ = false;
};

/// What can be merged with what.
enum class Sort : std::uint8_t { object, list, plain };
Sort sort_of(const Value& value) {
  return value.is(Type::object) ? Sort::object : value.is(Type::array) ? Sort::list : Sort::plain;
}
std::string_view name_of(Sort sort) {
  return sort == Sort::object ? "an object" : sort == Sort::list ? "a list" : "a plain value";
}

std::size_t count(const Value& value) {
  std::size_t n = 1;
  for (auto& item : value.array()) n += count(item);
  for (auto& member : value.object()) n += count(member.value);
  return n;
}

class Applier {
 public:
  Applier(Value& root, bool strict, Arena& arena, Report& report)
      : root_(root), strict_(strict), arena_(arena), report_(report) {}

  void apply(const Value& action, const std::string& pointer) {
    const auto *target = action.find("target"), *update = action.find("update"), *copy = action.find("copy"),
               *removal = action.find("remove");
    const bool removes = removal && removal->boolean();
    auto nodes = select(*target, pointer + "/target");
    if (!nodes) return;
    if (!update && !copy && !removes) {
      report_.add(load_error::kActionWithoutEffect, &action, pointer);
    } else if (nodes->empty()) {
      report_.add(load_error::kTargetMatchesNothing, target, pointer + "/target",
                  "the target \"" + std::string(target->string()) + "\" matches nothing");
    } else if (removes) {  // Overlay 1.1.0, section 4.4.3: `remove` wins over `update` and `copy`
      remove(*nodes);
    } else if (update) {
      merge_all(*nodes, *update, pointer + "/update", *target);
    } else if (auto source = select(*copy, pointer + "/copy"); source && source->size() != 1) {
      report_.add(load_error::kInvalidTarget, copy, pointer + "/copy",
                  "\"" + std::string(copy->string()) + "\" must select one value to copy, and selects " +
                      std::to_string(source->size()));
    } else if (source) {
      const Value copied = source->front().value->clone(arena_);
      merge_all(*nodes, copied, pointer + "/copy", *copy);
    }
  }

 private:
  /// Each node once, deeper ones first, and of one list the later first: nothing moves that is still to be looked at.
  std::optional<JsonPath::Nodes> select(const Value& path, const std::string& pointer) {
    const auto parsed = JsonPath::parse(path.string());
    if (!parsed) {
      report_.add(load_error::kInvalidTarget, &path, pointer, "the path is not understood: " + parsed.error());
      return std::nullopt;
    }
    auto selected = parsed->select(root_);
    if (!selected) {
      report_.add(load_error::kInvalidTarget, &path, pointer, "the path cannot be followed: " + selected.error());
      return std::nullopt;
    }
    std::ranges::sort(*selected, [](auto& a, auto& b) {
      return std::tuple(a.depth, a.parent, a.index, a.value) > std::tuple(b.depth, b.parent, b.index, b.value);
    });
    const auto repeated = std::ranges::unique(*selected, {}, &JsonPath::Node::value);
    selected->erase(repeated.begin(), repeated.end());
    return std::move(*selected);
  }

  static void remove(const JsonPath::Nodes& nodes) {
    for (auto& node : nodes) {
      if (!node.parent) continue;
      if (node.parent->is(Type::object)) {
        node.parent->remove(node.key);
        continue;
      }
      auto items = node.parent->array();
      std::copy(items.begin() + static_cast<std::ptrdiff_t>(node.index) + 1, items.end(),
                items.begin() + static_cast<std::ptrdiff_t>(node.index));
      Value shorter = Value::array(items.first(items.size() - 1));
      shorter.set_position(node.parent->position());
      shorter.set_source(node.parent->source());
      *node.parent = shorter;
    }
  }

  void merge_all(const JsonPath::Nodes& nodes, const Value& value, const std::string& pointer, const Value& place) {
    const auto sort = sort_of(*nodes.front().value);
    for (auto& node : nodes)
      if (strict_ && sort_of(*node.value) != sort) {
        report_.add(load_error::kIncompatibleUpdate, &place, pointer,
                    "the target selects both " + std::string(name_of(sort)) + " and " +
                        std::string(name_of(sort_of(*node.value))));
        return;
      }
    copied_ += count(value) * nodes.size();
    if (copied_ > kMostCopies) {
      report_.add(load_error::kDocumentTooLarge, &place, pointer, "the actions of the overlay copy too much");
      return;
    }
    for (auto& node : nodes) {
      if (node.value->is(Type::array) && !value.is(Type::array))
        node.value->push(arena_, value.clone(arena_));
      else if (!merge(*node.value, value, pointer, place))
        return;
    }
  }

  /// False after a complaint. Overlay 1.0 does not say what becomes of values that do not fit: there the new one wins.
  bool merge(Value& into, const Value& value, const std::string& pointer, const Value& place) {
    if (into.is(Type::object) && value.is(Type::object)) {
      for (auto& member : value.object()) {
        auto below = pointer;
        json::append_token(below, member.key);
        if (auto* known = into.find(member.key); !known)
          into.set(arena_, member.key, member.value.clone(arena_));
        else if (!merge(*known, member.value, below, place))
          return false;
      }
    } else if (into.is(Type::array) && value.is(Type::array)) {
      for (auto& item : value.array()) into.push(arena_, item.clone(arena_));
    } else if (strict_ && sort_of(into) != sort_of(value)) {
      report_.add(
          load_error::kIncompatibleUpdate, value.position().line ? &value : &place, pointer,
          std::string(name_of(sort_of(value))) + " cannot be merged into " + std::string(name_of(sort_of(into))));
      return false;
    } else {
      into = value.clone(arena_);
    }
    return true;
  }

  Value& root_;
  bool strict_;
  Arena& arena_;
  Report& report_;
  std::size_t copied_ = 0;
};

}  // namespace

void apply_overlay(Sources& sources, std::size_t index, Arena& arena, Report& report) {
  const auto& overlay = sources[index].root;
  Checker checker{overlay, report};
  if (!checker.run()) return;
  Applier applier{sources[0].root, checker.is_1_1(), arena, report};
  std::size_t at = 0;
  for (auto& action : overlay.find("actions")->array()) applier.apply(action, "/actions/" + std::to_string(at++));
}

}  // namespace plimsoll::contract
