#include "plimsoll/json/number.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/schema/graph.hpp"
#include "plimsoll/schema/keywords.hpp"
#include "plimsoll/schema/metaschema.hpp"
#include "plimsoll/schema/uri.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <optional>
#include <set>

namespace plimsoll::schema {
namespace {

using json::Type;
using json::Value;

constexpr std::size_t kMostNodes = 200'000;
constexpr std::uint8_t kAllVocabularies = kCore | kApplicator | kUnevaluated | kValidation | kFormat | kContent;

struct Invalid {
  std::string message;
};

struct Dialect {
  Edition edition = Edition::draft2020_12;
  std::uint8_t vocabularies = kAllVocabularies;
  bool operator==(const Dialect&) const = default;
};

/// Whether this build was told to pass over a keyword: PLIMSOLL_BLIND names one, so that a test of the compiler can be
/// seen to notice. Builds for tests only.
bool blind_to([[maybe_unused]] std::string_view keyword) {
#ifdef PLIMSOLL_BLINDNESS
  static const char* const word = std::getenv("PLIMSOLL_BLIND");
  return word && keyword == word;
#else
  return false;
#endif
}

/// The value of a keyword that is looked at.
const Value* find_keyword(const Value& schema, std::string_view keyword) {
  return blind_to(keyword) ? nullptr : schema.find(keyword);
}

std::uint8_t type_bits(std::string_view name) {
  constexpr std::pair<std::string_view, std::uint8_t> kNames[] = {
      {"null", bit(Type::null)},     {"boolean", bit(Type::boolean)}, {"number", bit(Type::number)},
      {"string", bit(Type::string)}, {"array", bit(Type::array)},     {"object", bit(Type::object)},
      {"integer", kInteger}};
  for (const auto& [known, bits] : kNames)
    if (known == name) return bits;
  return 0;
}

class Reader {
 public:
  Reader(const Value& schema, const CompileOptions& options) : options_(options) {
    graph_.direction = options.direction;
    Dialect dialect{options.dialect == CompileOptions::Dialect::openapi30 ? Edition::openapi30 : Edition::draft2020_12,
                    kAllVocabularies};
    const auto* document = options.document ? options.document : &schema;
    const auto* named =
        options.dialect == CompileOptions::Dialect::openapi31 ? document->find("jsonSchemaDialect") : nullptr;
    if (named && named->is(Type::string)) dialect = read_dialect(named->string(), "jsonSchemaDialect");
    const auto home = add_resource(std::string(split_fragment(options.base_uri).first), document, dialect);
    index(schema, home);
    request(schema, resource_of(schema, home), std::string(options.pointer));
  }

  Graph run() {
    do {
      while (!pending_.empty()) {
        const auto id = pending_.front();
        pending_.pop_front();
        read(id);
      }
      request_dynamic_targets();
    } while (!pending_.empty());
    // It stays as long as what is made of it, to explain failures.
    graph_.nodes.shrink_to_fit();
    graph_.keywords.shrink_to_fit();
    graph_.edges.shrink_to_fit();
    graph_.regexes.shrink_to_fit();
    return std::move(graph_);
  }

 private:
  // --- errors ---

  [[noreturn]] void stop(NodeId id, std::string_view keyword, std::string_view message) const {
    auto place = graph_.location(id);
    if (!keyword.empty()) json::append_token(place, keyword);
    const auto& value = *graph_.nodes[id].value;
    const auto* at = value.find(keyword);
    const auto position = (at ? *at : value).position();
    std::string text;
    if (position.line)
      text = "line " + std::to_string(position.line) + ", column " + std::to_string(position.column) + ": ";
    throw Invalid{text + (place.empty() ? "the schema" : place) + ": " + std::string(message)};
  }

  // --- resources ---

  std::uint32_t add_resource(std::string uri, const Value* root, Dialect dialect) {
    const auto id = static_cast<std::uint32_t>(graph_.resources.size());
    graph_.resources.push_back({uri, root});
    dialects_.push_back(dialect);
    by_uri_.try_emplace(std::move(uri), id);
    roots_.try_emplace(root, id);
    return id;
  }

  std::uint32_t resource_of(const Value& value, std::uint32_t around) const {
    const auto found = roots_.find(&value);
    return found == roots_.end() ? around : found->second;
  }

  /// Finds the identifiers in a schema and in the schemas below it.
  void index(const Value& schema, std::uint32_t resource) {
    if (!schema.is(Type::object) || !indexed_.insert(&schema).second) return;
    resource = enter(schema, resource);
    const auto edition = dialects_[resource].edition;
    const auto anchor = [&](std::string_view keyword, bool dynamic) {
      const auto* name = find_keyword(schema, keyword);
      if (!name || !name->is(Type::string)) return;
      auto& of = graph_.resources[resource];
      of.anchors.try_emplace(name->string(), &schema);
      if (dynamic) of.dynamic_anchors.try_emplace(name->string(), &schema);
    };
    if (const auto* id = find_keyword(schema, "$id"); edition == Edition::draft7 && id && id->is(Type::string))
      if (id->string().starts_with('#'))
        graph_.resources[resource].anchors.try_emplace(id->string().substr(1), &schema);
    if (edition != Edition::openapi30) {
      anchor("$anchor", false);
      if (edition == Edition::draft2020_12) anchor("$dynamicAnchor", true);
    }
    for (const auto& member : schema.object())
      if (const auto* rule = find_rule(member.key, edition); rule && !blind_to(member.key))
        index_below(*rule, member.value, resource);
  }

  void index_below(const KeywordRule& rule, const Value& value, std::uint32_t resource) {
    switch (rule.shape) {
      case Shape::schema:
      case Shape::tuple:
      case Shape::schemas:
        index(value, resource);
        for (const auto& item : value.array()) index(item, resource);
        return;
      case Shape::schema_map:
      case Shape::pattern_map:
      case Shape::dependency_map:
        for (const auto& member : value.object()) index(member.value, resource);
        return;
      default: return;
    }
  }

  /// A schema with an `$id` is a resource of its own; one with a `$schema` speaks that dialect.
  std::uint32_t enter(const Value& schema, std::uint32_t resource) {
    if (dialects_[resource].edition == Edition::openapi30) return resource;
    const auto *id = find_keyword(schema, "$id"), *dialect = schema.find("$schema");
    const bool root = graph_.resources[resource].root == &schema;
    if (id && id->is(Type::string) && !id->string().starts_with('#')) {
      const auto uri = std::string(split_fragment(resolve_uri(graph_.resources[resource].uri, id->string())).first);
      if (root) {
        graph_.resources[resource].uri = uri;
        by_uri_.try_emplace(uri, resource);
      } else {
        resource = add_resource(uri, &schema, dialects_[resource]);
      }
    }
    if (dialect && dialect->is(Type::string)) {
      const auto named = read_dialect(dialect->string());
      if (graph_.resources[resource].root == &schema)
        dialects_[resource] = named;
      else if (named != dialects_[resource])
        throw Invalid{"$schema: the dialect " + std::string(dialect->string()) +
                      " is another than the document's, which needs an `$id` beside it"};
    }
    return resource;
  }

  /// `keyword` names it: `$schema`, or of an OpenAPI document `jsonSchemaDialect`.
  Dialect read_dialect(std::string_view uri, std::string_view keyword = "$schema") {
    uri = split_fragment(uri).first;
    if (uri == "https://json-schema.org/draft/2020-12/schema" ||
        uri.starts_with("https://spec.openapis.org/oas/3.1/") || uri.starts_with("https://spec.openapis.org/oas/3.2/"))
      return {};
    if (uri == "https://json-schema.org/draft/2019-09/schema") return {Edition::draft2019_09, kAllVocabularies};
    if (uri == "http://json-schema.org/draft-07/schema" || uri == "http://json-schema.org/draft-06/schema")
      return {Edition::draft7, kAllVocabularies};
    const auto* metaschema = fetch(uri);
    if (!metaschema) throw Invalid{std::string(keyword) + ": the dialect " + std::string(uri) + " is not known"};
    const auto* vocabularies = metaschema->find("$vocabulary");
    if (!vocabularies || !vocabularies->is(Type::object)) return {};
    Dialect dialect{Edition::draft2020_12, kCore};
    constexpr std::string_view kBase = "https://json-schema.org/draft/2020-12/vocab/";
    constexpr std::pair<std::string_view, int> kKnown[] = {{"core", kCore},
                                                           {"applicator", kApplicator},
                                                           {"unevaluated", kUnevaluated},
                                                           {"validation", kValidation},
                                                           {"format-annotation", kFormat},
                                                           {"format-assertion", kFormat | kFormatAssertion},
                                                           {"content", kContent},
                                                           {"meta-data", 0}};
    for (const auto& [name, needed, at] : vocabularies->object()) {
      const auto* known = std::end(kKnown);
      if (name.starts_with(kBase))
        known = std::ranges::find(kKnown, name.substr(kBase.size()), &std::pair<std::string_view, int>::first);
      if (known != std::end(kKnown))
        dialect.vocabularies |= static_cast<std::uint8_t>(known->second);
      else if (needed.is(Type::boolean) && needed.boolean())
        throw Invalid{std::string(keyword) + ": the dialect " + std::string(uri) + " needs the vocabulary " +
                      std::string(name) + ", which is not known"};
    }
    return dialect;
  }

  const Value* fetch(std::string_view uri) const {
    if (const auto* known = find_metaschema(uri)) return known;
    return options_.resolve ? (*options_.resolve)(uri) : nullptr;
  }

  std::optional<std::uint32_t> find_resource(const std::string& uri) {
    if (const auto found = by_uri_.find(uri); found != by_uri_.end()) return found->second;
    index_components();
    if (const auto found = by_uri_.find(uri); found != by_uri_.end()) return found->second;
    const auto* value = fetch(uri);
    if (!value) return std::nullopt;
    const auto home = dialects_.front().edition;
    const auto resource = add_resource(uri, value, {home, kAllVocabularies});
    index(*value, resource);
    return resource;
  }

  /// Identifiers elsewhere in an OpenAPI document, looked for only when a reference needs them.
  void index_components() {
    if (std::exchange(components_indexed_, true) || !options_.document) return;
    if (dialects_.front().edition == Edition::openapi30) return;
    const auto* schemas = options_.document->at("components", "schemas");
    if (!schemas) return;
    for (const auto& member : schemas->object()) index(member.value, 0);
  }

  // --- nodes ---

  NodeId request(const Value& value, std::uint32_t resource, std::string location) {
    const auto [found, fresh] = ids_.try_emplace(&value, static_cast<NodeId>(graph_.nodes.size()));
    if (!fresh) return found->second;
    if (graph_.nodes.size() >= kMostNodes) throw Invalid{"the schema and what it refers to are too large"};
    graph_.nodes.push_back({.value = &value, .resource = resource});
    if (!location.empty()) graph_.nodes.back().location = std::make_unique<const std::string>(std::move(location));
    pending_.push_back(found->second);
    return found->second;
  }

  NodeId child(NodeId parent, const Value& value, std::string_view word, std::string_view name = {},
               std::int32_t index = -1) {
    const auto id = request(value, resource_of(value, graph_.nodes[parent].resource), {});
    auto& node = graph_.nodes[id];
    if (node.parent == kNoNode && !node.location && id != 0) {
      node.parent = parent;
      node.word = word;
      node.name = name;
      node.index = index;
    }
    return id;
  }

  /// The schema that a reference leads to. `anchor` receives the name when a plain name was followed.
  NodeId follow(NodeId from, std::string_view keyword, std::string_view reference, std::string_view* anchor = nullptr,
                std::uint32_t* anchor_resource = nullptr) {
    const auto absolute = resolve_uri(graph_.resources[graph_.nodes[from].resource].uri, reference);
    const auto [uri, encoded] = split_fragment(absolute);
    std::optional<std::uint32_t> resource;
    if (reference.empty() || reference.starts_with('#'))
      resource = graph_.nodes[from].resource;
    else
      resource = find_resource(std::string(uri));
    if (!resource) stop(from, keyword, "nothing is known under " + std::string(uri));
    const auto fragment = percent_decode(encoded);
    if (!fragment) stop(from, keyword, "the fragment is not well-formed");
    if (!fragment->empty() && fragment->front() != '/') {
      if (!graph_.resources[*resource].anchors.contains(*fragment)) index_components();  // which may add resources
      const auto& anchors = graph_.resources[*resource].anchors;
      const auto found = anchors.find(*fragment);
      if (found == anchors.end()) stop(from, keyword, "there is no anchor " + *fragment);
      if (anchor) *anchor = found->first, *anchor_resource = *resource;
      return request(*found->second, resource_of(*found->second, *resource),
                     absolute_location(*resource, "#" + *fragment));
    }
    return follow_pointer(from, keyword, *resource, *fragment);
  }

  NodeId follow_pointer(NodeId from, std::string_view keyword, std::uint32_t resource, std::string_view pointer) {
    const auto location = absolute_location(resource, pointer);
    const auto* at = graph_.resources[resource].root;
    for (auto rest = pointer; at && !rest.empty();) {
      const auto token = rest.substr(0, rest.find('/', 1));
      at = json::resolve(*at, token);
      rest.remove_prefix(token.size());
      if (at) resource = resource_of(*at, resource);
    }
    if (!at) stop(from, keyword, "there is nothing at " + location);
    index(*at, resource);
    return request(*at, resource_of(*at, resource), location);
  }

  std::string absolute_location(std::uint32_t resource, std::string_view rest) const {
    if (resource == 0) return std::string(rest);
    return graph_.resources[resource].uri + (rest.starts_with('#') ? "" : "#") + std::string(rest);
  }

  /// Every schema that a `$dynamicRef` could reach is read, whichever turns out to be outermost.
  void request_dynamic_targets() {
    for (const auto name : graph_.dynamic_names)
      for (std::uint32_t r = 0; r < graph_.resources.size(); ++r) {
        const auto found = graph_.resources[r].dynamic_anchors.find(name);
        if (found == graph_.resources[r].dynamic_anchors.end()) continue;
        const auto id = request(*found->second, r, absolute_location(r, "#" + std::string(name)));
        graph_.dynamic_targets[{r, name}] = id;
      }
  }

  // --- keywords ---

  void read(NodeId id) {
    const auto& value = *graph_.nodes[id].value;
    if (value.is(Type::boolean)) return;
    if (!value.is(Type::object)) stop(id, {}, "a schema is an object or a boolean");
    const auto dialect = dialects_[graph_.nodes[id].resource];
    const auto* reference = value.find("$ref");
    const bool alone = reference && (dialect.edition == Edition::openapi30 || dialect.edition == Edition::draft7);
    if (dialect.edition == Edition::draft2019_09 && value.find("$recursiveRef"))
      stop(id, "$recursiveRef", "is not known; 2020-12 has $dynamicRef");
    std::vector<Keyword> found;
    for (const auto& member : value.object()) {
      if (alone && member.key != "$ref") continue;
      const auto* rule = find_rule(member.key, dialect.edition);
      if (!rule || !(dialect.vocabularies & rule->vocabulary) || blind_to(member.key)) continue;
      if (dialect.edition == Edition::openapi30 && !rule->openapi30) refuse_in_openapi30(id, *rule);
      if (auto keyword = read_keyword(id, *rule, member.value, dialect); keyword.word != Word::none)
        found.push_back(keyword);
      if (rule->word == Word::format) integer_range(member.value, found);
    }
    if (misplaced(value)) found.push_back({.word = Word::misplaced, .value = &value, .name = misplaced_name()});
    std::ranges::sort(found, {}, &Keyword::word);
    auto& node = graph_.nodes[id];
    node.first_keyword = static_cast<std::uint32_t>(graph_.keywords.size());
    node.keyword_count = static_cast<std::uint32_t>(found.size());
    graph_.keywords.insert(graph_.keywords.end(), found.begin(), found.end());
  }

  /// In OpenAPI `int32` and `int64` are formats of numbers (3.1, section 4.4; 3.0, section 4.4): integers in a range.
  void integer_range(const Value& format, std::vector<Keyword>& found) const {
    if (!options_.assert_formats || options_.dialect == CompileOptions::Dialect::draft2020_12) return;
    static const struct {
      std::string_view name;
      Value least, most;
    } kRanges[] = {{"int32", Value::number("-2147483648"), Value::number("2147483647")},
                   {"int64", Value::number("-9223372036854775808"), Value::number("9223372036854775807")}};
    for (const auto& range : kRanges) {
      if (!format.is(Type::string) || format.string() != range.name) continue;
      found.push_back({.word = Word::minimum, .value = &range.least, .name = "format"});
      found.push_back({.word = Word::maximum, .value = &range.most, .name = "format"});
    }
  }

  std::string_view misplaced_name() const {
    return options_.direction == CompileOptions::Direction::request ? "readOnly" : "writeOnly";
  }
  bool misplaced(const Value& schema) const {
    if (!options_.refuse_misplaced || options_.direction == CompileOptions::Direction::none) return false;
    const auto* found = schema.find(misplaced_name());
    return found && found->is(Type::boolean) && found->boolean();
  }

  void refuse_in_openapi30(NodeId id, const KeywordRule& rule) const {
    if (rule.word == Word::definitions) return;
    stop(id, rule.name, "OpenAPI 3.0 has no such keyword; 3.1 has");
  }

  Keyword read_keyword(NodeId id, const KeywordRule& rule, const Value& value, Dialect dialect) {
    Keyword keyword{.word = rule.word, .value = &value, .name = rule.name};
    const bool openapi30 = dialect.edition == Edition::openapi30;
    switch (rule.shape) {
      case Shape::schema:
        if (rule.name == "additionalItems" && !has_tuple(id)) return {};
        edges(keyword, {{child(id, value, rule.name)}});
        break;
      case Shape::tuple:
        if (value.is(Type::array) && dialect.edition != Edition::draft2020_12 && !openapi30) {
          keyword.word = Word::prefix_items;
          schemas(keyword, id);
        } else {
          edges(keyword, {{child(id, value, rule.name)}});
        }
        break;
      case Shape::schemas:
        if (!value.is(Type::array) || value.array().empty())
          stop(id, rule.name, "must be a list of at least one schema");
        schemas(keyword, id);
        break;
      case Shape::schema_map: schema_map(keyword, id); break;
      case Shape::pattern_map:
        schema_map(keyword, id);
        keyword.first_regex = static_cast<std::uint32_t>(graph_.regexes.size());
        for (const auto& member : value.object()) regex(id, rule.name, member.key);
        break;
      case Shape::dependency_map: return dependencies(keyword, id);
      case Shape::reference: reference(keyword, id); break;
      case Shape::any: break;
      case Shape::list:
        if (!value.is(Type::array)) stop(id, rule.name, "must be a list of values");
        break;
      case Shape::type: type(keyword, id, openapi30); break;
      case Shape::number:
        if (openapi30 && value.is(Type::boolean)) return exclusive_bound(keyword, id);
        if (!value.is(Type::number)) stop(id, rule.name, "must be a number");
        break;
      case Shape::divisor: divisor(keyword, id); break;
      case Shape::count:
        if (!value.is(Type::number) || !json::is_integer(value) || value.number() < 0)
          stop(id, rule.name, "must be an integer that is not negative");
        break;
      case Shape::boolean:
        if (!value.is(Type::boolean)) stop(id, rule.name, "must be true or false");
        if (!value.boolean()) return {};
        break;
      case Shape::pattern:
        if (!value.is(Type::string)) stop(id, rule.name, "must be a regular expression");
        keyword.first_regex = static_cast<std::uint32_t>(graph_.regexes.size());
        regex(id, rule.name, value.string());
        break;
      case Shape::format: return format(keyword, id, dialect);
      case Shape::names: names(id, rule.name, value); break;
      case Shape::name_map:
        if (!value.is(Type::object)) stop(id, rule.name, "must be an object of lists of names");
        for (const auto& member : value.object()) names(id, rule.name, member.value);
        break;
    }
    return keyword;
  }

  void edges(Keyword& keyword, std::span<const Edge> found) {
    keyword.first_edge = static_cast<std::uint32_t>(graph_.edges.size());
    keyword.edge_count = static_cast<std::uint32_t>(found.size());
    graph_.edges.insert(graph_.edges.end(), found.begin(), found.end());
  }
  void edges(Keyword& keyword, std::initializer_list<Edge> found) {
    edges(keyword, std::span(found.begin(), found.size()));
  }

  bool has_tuple(NodeId id) const {
    const auto* items = graph_.nodes[id].value->find("items");
    return items && items->is(Type::array);
  }

  void schemas(Keyword& keyword, NodeId id) {
    std::vector<Edge> found;
    for (const auto& item : keyword.value->array())
      found.push_back({child(id, item, keyword.name, {}, static_cast<std::int32_t>(found.size()))});
    edges(keyword, found);
  }

  void schema_map(Keyword& keyword, NodeId id) {
    if (!keyword.value->is(Type::object)) stop(id, keyword.name, "must be an object of schemas");
    std::vector<Edge> found;
    for (const auto& member : keyword.value->object()) {
      const auto name = member.key.data() ? member.key : std::string_view("");
      if (keyword.word != Word::definitions) found.push_back({child(id, member.value, keyword.name, name), name});
    }
    edges(keyword, found);
  }

  Keyword dependencies(Keyword keyword, NodeId id) {
    if (!keyword.value->is(Type::object)) stop(id, keyword.name, "must be an object");
    std::vector<Edge> found;
    for (const auto& member : keyword.value->object()) {
      if (member.value.is(Type::array)) {
        names(id, keyword.name, member.value);
        found.push_back({kNoNode, member.key});
      } else {
        found.push_back({child(id, member.value, keyword.name, member.key), member.key});
      }
    }
    edges(keyword, found);
    return keyword;
  }

  void reference(Keyword& keyword, NodeId id) {
    if (!keyword.value->is(Type::string)) stop(id, keyword.name, "must be a URI reference");
    std::string_view anchor;
    std::uint32_t resource = 0;
    const auto target = follow(id, keyword.name, keyword.value->string(), &anchor, &resource);
    edges(keyword, {{target}});
    if (keyword.word != Word::dynamic_ref) return;
    if (anchor.empty() || !graph_.resources[resource].dynamic_anchors.contains(anchor)) return;
    graph_.edges[keyword.first_edge].name = anchor;
    if (std::ranges::find(graph_.dynamic_names, anchor) == graph_.dynamic_names.end())
      graph_.dynamic_names.push_back(anchor);
  }

  void type(Keyword& keyword, NodeId id, bool openapi30) {
    const auto add = [&](const Value& name) {
      const auto bits = name.is(Type::string) ? type_bits(name.string()) : std::uint8_t{0};
      if (!bits) stop(id, keyword.name, "must name a type: null, boolean, integer, number, string, array or object");
      keyword.types |= bits;
    };
    if (keyword.value->is(Type::array)) {
      if (openapi30) stop(id, keyword.name, "OpenAPI 3.0 takes one type; 3.1 takes a list");
      if (keyword.value->array().empty()) stop(id, keyword.name, "the list is empty");
      for (const auto& name : keyword.value->array()) add(name);
    } else {
      add(*keyword.value);
    }
    const auto* nullable = openapi30 ? graph_.nodes[id].value->find("nullable") : nullptr;
    if (nullable && nullable->is(Type::boolean) && nullable->boolean()) keyword.types |= bit(Type::null);
    if (keyword.types & bit(Type::number)) keyword.types &= static_cast<std::uint8_t>(~kInteger);
  }

  /// OpenAPI 3.0: `exclusiveMinimum: true` makes `minimum` exclusive.
  Keyword exclusive_bound(Keyword keyword, NodeId id) const {
    if (!keyword.value->boolean()) return {};
    const auto* bound = graph_.nodes[id].value->find(keyword.word == Word::exclusive_minimum ? "minimum" : "maximum");
    if (!bound) return {};
    if (!bound->is(Type::number)) stop(id, keyword.name, "its bound must be a number");
    keyword.value = bound;
    return keyword;
  }

  void divisor(const Keyword& keyword, NodeId id) const {
    if (!keyword.value->is(Type::number)) stop(id, keyword.name, "must be a number");
    const json::Decimal divisor(keyword.value->number_text());
    if (divisor.zero() || divisor.negative()) stop(id, keyword.name, "must be greater than 0");
    if (divisor.count() > json::kMostDivisorDigits) stop(id, keyword.name, "has more digits than can be divided by");
  }

  Keyword format(Keyword keyword, NodeId id, Dialect dialect) const {
    if (!keyword.value->is(Type::string)) stop(id, keyword.name, "must be the name of a format");
    if (!options_.assert_formats && !(dialect.vocabularies & kFormatAssertion)) return {};
    keyword.format = find_format(keyword.value->string());
    if (!keyword.format) return {};
    return keyword;
  }

  void names(NodeId id, std::string_view keyword, const Value& list) const {
    bool good = list.is(Type::array);
    for (const auto& name : list.array()) good = good && name.is(Type::string);
    if (!good) stop(id, keyword, "must be a list of names");
  }

  void regex(NodeId id, std::string_view keyword, std::string_view pattern) {
    auto made = Regex::compile(pattern);
    if (!made) stop(id, keyword, "\"" + std::string(pattern) + "\": " + made.error().detail);
    graph_.regexes.push_back(std::move(*made));
  }

  const CompileOptions& options_;
  Graph graph_;
  std::vector<Dialect> dialects_;  // of each resource
  std::map<std::string, std::uint32_t> by_uri_;
  std::unordered_map<const Value*, std::uint32_t> roots_;
  std::unordered_map<const Value*, NodeId> ids_;
  std::set<const Value*> indexed_;
  std::deque<NodeId> pending_;
  bool components_indexed_ = false;
};

}  // namespace

Result<Graph> read_graph(const json::Value& schema, const CompileOptions& options) try {
  return Reader(schema, options).run();
} catch (const Invalid& invalid) { return fail(kInvalidSchema, invalid.message); }

}  // namespace plimsoll::schema
