#include "plimsoll/contract/overlay.hpp"

#include "plimsoll/contract/json_path.hpp"

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

void merge(Value& into, const Value& update, Arena& arena) {
  if (into.is(Type::object) && update.is(Type::object)) {
    for (auto& member : update.object()) {
      if (auto* known = into.find(member.key))
        merge(*known, member.value, arena);
      else
        into.set(arena, member.key, member.value.clone(arena));
    }
  } else if (into.is(Type::array) && update.is(Type::array)) {
    for (auto& item : update.array()) into.push(arena, item.clone(arena));
  } else {
    into = update.clone(arena);
  }
}

void remove(std::vector<JsonPath::Node>& nodes) {
  // Deeper ones first, and of one list the later first: nothing moves that is still to be looked at.
  std::ranges::sort(nodes, [](auto& a, auto& b) {
    return std::tuple(a.depth, a.parent, a.index) > std::tuple(b.depth, b.parent, b.index);
  });
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    auto& node = nodes[i];
    if (!node.parent) continue;
    if (i > 0 && nodes[i - 1].parent == node.parent && nodes[i - 1].index == node.index && node.parent->is(Type::array))
      continue;
    if (node.parent->is(Type::object)) {
      node.parent->remove(node.key);
    } else if (node.index < node.parent->array().size()) {
      auto items = node.parent->array();
      std::copy(items.begin() + static_cast<std::ptrdiff_t>(node.index) + 1, items.end(),
                items.begin() + static_cast<std::ptrdiff_t>(node.index));
      Value shorter = Value::array(items.first(items.size() - 1));
      shorter.set_position(node.parent->position());
      shorter.set_source(node.parent->source());
      *node.parent = shorter;
    }
  }
}

void apply(Value& root, const Value& action, const std::string& pointer, Arena& arena, Report& report) {
  const auto* target = action.find("target");
  const auto* update = action.find("update");
  const auto* removal = action.find("remove");
  if (!target || !target->is(Type::string)) {
    report.add(load_error::kInvalidOverlay, &action, pointer, "the action has no `target`");
    return;
  }
  const bool removes = removal && removal->is(Type::boolean) && removal->boolean();
  if (!update && !removes) {
    report.add(load_error::kInvalidOverlay, &action, pointer, "the action has neither `update` nor `remove: true`");
    return;
  }
  const auto path = JsonPath::parse(target->string());
  if (!path) {
    report.add(load_error::kInvalidTarget, target, pointer + "/target",
               "the target is not understood: " + path.error());
    return;
  }
  auto selected = path->select(root);
  if (!selected) {
    report.add(load_error::kInvalidTarget, target, pointer + "/target",
               "the target cannot be followed: " + selected.error());
    return;
  }
  auto& nodes = *selected;
  if (nodes.empty()) {
    report.add(load_error::kTargetMatchesNothing, target, pointer + "/target",
               "the target \"" + std::string(target->string()) + "\" matches nothing");
    return;
  }
  if (removes) {  // OpenAPI Overlay 1.0.0, section 4.4.3: remove wins over update
    remove(nodes);
    return;
  }
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {  // below before above: members may move
    if (node->value->is(Type::array) && !update->is(Type::array))
      node->value->push(arena, update->clone(arena));
    else
      merge(*node->value, *update, arena);
  }
}

}  // namespace

void apply_overlay(Sources& sources, std::size_t index, Arena& arena, Report& report) {
  const auto& overlay = sources[index].root;
  const auto* version = overlay.find("overlay");
  if (!version || !version->is(Type::string) || !version->string().starts_with("1.0")) {
    report.add(load_error::kInvalidOverlay, version ? version : &overlay, version ? "/overlay" : "",
               "the file does not begin with `overlay: 1.0.0`");
    return;
  }
  const auto* actions = overlay.find("actions");
  if (!actions || !actions->is(Type::array)) {
    report.add(load_error::kInvalidOverlay, actions ? actions : &overlay, actions ? "/actions" : "",
               "the overlay has no list of `actions`");
    return;
  }
  std::size_t at = 0;
  for (auto& action : actions->array())
    apply(sources[0].root, action, "/actions/" + std::to_string(at++), arena, report);
}

}  // namespace plimsoll::contract
