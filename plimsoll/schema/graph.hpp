#pragma once

#include "plimsoll/json/value.hpp"
#include "plimsoll/schema/format.hpp"
#include "plimsoll/schema/regex.hpp"
#include "plimsoll/schema/validator.hpp"

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace plimsoll::schema {

/// The keywords that a compiled schema knows, in the order in which they are looked at.
enum class Word : std::uint8_t {
  ref,
  dynamic_ref,
  type,
  constant,
  enumeration,
  multiple_of,
  maximum,
  exclusive_maximum,
  minimum,
  exclusive_minimum,
  max_length,
  min_length,
  format,
  pattern,
  max_items,
  min_items,
  max_properties,
  min_properties,
  required,
  dependent_required,
  property_names,
  properties,
  pattern_properties,
  additional_properties,
  prefix_items,
  items,
  contains,
  max_contains,
  min_contains,
  unique_items,
  all_of,
  any_of,
  one_of,
  negation,
  condition,
  consequence,
  alternative,
  dependent_schemas,
  unevaluated_items,
  unevaluated_properties,
  misplaced,  ///< `readOnly` in a request, `writeOnly` in a response
  // Those that assert nothing but hold schemas.
  definitions,
  content_schema,
  none
};

using NodeId = std::uint32_t;
inline constexpr NodeId kNoNode = 0xFFFFFFFF;

/// From a keyword to a subschema: under which member name it stands, where it stands under one. For `$dynamicRef`, the
/// name of the anchor that is looked for; empty: as `$ref`.
struct Edge {
  NodeId node = kNoNode;
  std::string_view name{};
};

/// A keyword of a schema object, its value checked.
struct Keyword {
  Word word = Word::none;
  std::uint8_t types = 0;         ///< `type`: a bit for each json::Type, and kInteger
  std::uint32_t first_regex = 0;  ///< `pattern`, `patternProperties`: one for each edge
  const json::Value* value = nullptr;
  std::string_view name{};                       ///< as it is written
  std::uint32_t first_edge = 0, edge_count = 0;  ///< subschemas
  Format format = nullptr;
};

inline constexpr std::uint8_t kInteger = 1 << 6;  ///< numbers that are integers only
constexpr std::uint8_t bit(json::Type type) { return static_cast<std::uint8_t>(1 << static_cast<int>(type)); }

/// A schema: an object's keywords, or a boolean.
struct Node {
  const json::Value* value = nullptr;
  std::uint32_t resource = 0;
  std::uint32_t first_keyword = 0, keyword_count = 0;
  NodeId parent = kNoNode;  ///< the schema in which it stands, where it was reached through it
  std::string_view word{};  ///< the parent's keyword
  std::string_view name{};  ///< and the member below it,
  std::int32_t index = -1;  ///< or the item
  /// Where it was reached otherwise: its pointer, with the URI of another document before. Null where that is empty.
  std::unique_ptr<const std::string> location{};
};

/// A schema resource: what one `$id` (or a document) identifies.
struct Resource {
  std::string uri;  ///< absolute, without fragment
  const json::Value* root = nullptr;
  std::map<std::string_view, const json::Value*> anchors{}, dynamic_anchors{};
};

/// For each name that `$dynamicRef` looks for, the outermost resource passed so far that marks it.
using DynamicScope = std::vector<std::uint32_t>;
inline constexpr std::uint32_t kUnbound = 0xFFFFFFFF;

/// Schemas and how they refer to each other: what a validator is made from, and what explains its failures.
struct Graph {
  std::vector<Node> nodes;  ///< the first is the schema itself
  std::vector<Keyword> keywords;
  std::vector<Edge> edges;
  std::vector<Regex> regexes;
  std::vector<Resource> resources;
  CompileOptions::Direction direction = CompileOptions::Direction::none;

  std::span<const Keyword> of(const Node& node) const {
    return {keywords.data() + node.first_keyword, node.keyword_count};
  }
  std::span<const Edge> of(const Keyword& keyword) const {
    return {edges.data() + keyword.first_edge, keyword.edge_count};
  }
  const Keyword* find(NodeId node, Word word) const;
  /// Where a schema stands: a JSON pointer, after the URI of its document where that is not the first.
  std::string location(NodeId node) const;

  /// Whether a name of `required` may be missing all the same: its property is `readOnly` and this a request, or
  /// `writeOnly` and this a response.
  bool exempt(NodeId node, std::string_view property, int depth = 0) const;

  DynamicScope outermost() const { return DynamicScope(dynamic_names.size(), kUnbound); }
  /// The scope within a schema that is entered from `scope`.
  DynamicScope entered(const DynamicScope& scope, NodeId node) const;
  /// The schema behind an edge, `$dynamicRef` resolved.
  NodeId target(const Keyword& keyword, const Edge& edge, const DynamicScope& scope) const;

  /// `$dynamicRef`: by resource, the schema that its `$dynamicAnchor` of a name marks.
  std::map<std::pair<std::uint32_t, std::string_view>, NodeId> dynamic_targets{};
  std::vector<std::string_view> dynamic_names{};  ///< that some `$dynamicRef` looks for
};

/// Reads a schema and all that it refers to.
Result<Graph> read_graph(const json::Value& schema, const CompileOptions& options);

}  // namespace plimsoll::schema
