#include "plimsoll/schema/graph.hpp"

#include "plimsoll/json/pointer.hpp"
#include "plimsoll/schema/keywords.hpp"

#include <algorithm>

namespace plimsoll::schema {

const Keyword* Graph::find(NodeId node, Word word) const {
  for (const auto& keyword : of(nodes[node]))
    if (keyword.word == word) return &keyword;
  return nullptr;
}

std::string Graph::location(NodeId id) const {
  const auto& node = nodes[id];
  if (node.parent == kNoNode) return node.location ? *node.location : std::string();
  auto text = location(node.parent);
  json::append_token(text, node.word);
  if (node.name.data()) json::append_token(text, node.name);
  if (node.index >= 0) json::append_token(text, static_cast<std::size_t>(node.index));
  return text;
}

DynamicScope Graph::entered(const DynamicScope& scope, NodeId node) const {
  auto changed = scope;
  for (std::size_t i = 0; i < changed.size(); ++i)
    if (changed[i] == kUnbound && dynamic_targets.contains({nodes[node].resource, dynamic_names[i]}))
      changed[i] = nodes[node].resource;
  return changed;
}

NodeId Graph::target(const Keyword& keyword, const Edge& edge, const DynamicScope& scope) const {
  if (keyword.word != Word::dynamic_ref || edge.name.empty()) return edge.node;
  const auto index = std::ranges::find(dynamic_names, edge.name) - dynamic_names.begin();
  const auto resource = scope[static_cast<std::size_t>(index)];
  return resource == kUnbound ? edge.node : dynamic_targets.at({resource, edge.name});
}

bool Graph::exempt(NodeId id, std::string_view property, int depth) const {
  constexpr int kDeepest = 16;  // a property is declared near by; references that go round end here
  if (direction == CompileOptions::Direction::none || depth > kDeepest) return false;
  // Of an `allOf` the parts are one schema: what one requires, another may declare.
  if (depth == 0)
    while (nodes[id].parent != kNoNode && nodes[id].word == "allOf") id = nodes[id].parent;
  const std::string_view mark = direction == CompileOptions::Direction::request ? "readOnly" : "writeOnly";
  const auto marked = [&](NodeId of_property) {
    for (int step = 0; step < kDeepest; ++step) {
      const auto* found = nodes[of_property].value->find(mark);
      if (found && found->is(json::Type::boolean) && found->boolean()) return true;
      const auto* reference = find(of_property, Word::ref);
      if (!reference) return false;
      of_property = of(*reference)[0].node;
    }
    return false;
  };
  for (const auto& keyword : of(nodes[id])) {
    if (keyword.word == Word::properties) {
      for (const auto& edge : of(keyword))
        if (edge.name == property && marked(edge.node)) return true;
    } else if (keyword.word == Word::ref || keyword.word == Word::all_of) {
      for (const auto& edge : of(keyword))
        if (exempt(edge.node, property, depth + 1)) return true;
    }
  }
  return false;
}

}  // namespace plimsoll::schema
