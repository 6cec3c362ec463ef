#include "plimsoll/json/number.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/utf8.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/schema/format.hpp"
#include "plimsoll/schema/operations.hpp"

#include <algorithm>
#include <map>
#include <optional>

// Says why an instance is invalid. It walks the schemas themselves, not the program made for speed, in which what can
// no longer matter is left out: the slow way is taken only when the fast one has said no.
//
// Where several schemas are tried on one instance, each is first assessed: how many failures, without a word. Then only
// the closest is explained. What was assessed is remembered, so that each schema judges each part of the instance once,
// however deep one stands within the other.

namespace plimsoll::schema {
namespace {

using json::Type;
using json::Value;

/// The way into the instance, on the stack; it becomes text only where something fails.
struct Place {
  const Place* above = nullptr;
  std::string_view name{};
  std::size_t index = 0;
  bool in_array = false;

  /// Names may be as long as the instance, and each of many failures repeats them: what is beyond is left out.
  static constexpr std::size_t kLongest = 4'000;

  void append(std::string& pointer) const {
    if (!above) return;
    above->append(pointer);
    if (pointer.size() + name.size() > kLongest) {
      if (!pointer.ends_with("…")) pointer += "/…";
      return;
    }
    if (in_array)
      json::append_token(pointer, index);
    else
      json::append_token(pointer, name);
  }
};

/// Which members or items a schema has evaluated.
using Evaluated = std::vector<bool>;

std::string shortened(std::string text) {
  constexpr std::size_t kLongest = 100;
  if (text.size() <= kLongest) return text;
  auto end = kLongest;
  while (end > 0 && (text[end] & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

std::string quoted(std::string_view name) {
  std::string out;
  json::append_string(out, name);
  return shortened(std::move(out));
}

std::string type_names(std::uint8_t types) {
  constexpr std::pair<std::uint8_t, std::string_view> kNames[] = {
      {bit(Type::null), "null"},       {bit(Type::boolean), "a boolean"}, {kInteger, "an integer"},
      {bit(Type::number), "a number"}, {bit(Type::string), "a string"},   {bit(Type::array), "an array"},
      {bit(Type::object), "an object"}};
  std::vector<std::string_view> found;
  for (const auto& [bits, name] : kNames)
    if (types & bits) found.push_back(name);
  std::string out;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0) out += i + 1 == found.size() ? " or " : ", ";
    out += found[i];
  }
  return out;
}

std::string plural(const Value& count, std::string_view one, std::string_view many) {
  return std::string(count.number_text()) + ' ' + std::string(count.integer() == 1 ? one : many);
}

std::size_t leaves(const std::vector<Unit>& units) {
  std::size_t count = 0;
  for (const auto& unit : units) count += (unit.message.empty() ? 0 : 1) + leaves(unit.below);
  return count;
}

class Explainer {
 public:
  Explainer(const Graph& graph, Steps& steps, std::size_t cap) : graph_(graph), steps_(steps), cap_(cap) {}

  std::vector<Unit> run(const Value& instance) {
    std::vector<Unit> units;
    Evaluated evaluated;
    const Place root;
    check(0, graph_.entered(graph_.outermost(), 0), instance, root, evaluated, units);
    return units;
  }

 private:
  struct Here {
    NodeId node;
    const DynamicScope& scope;
    const Value& value;
    const Place& place;
    Evaluated& evaluated;
    std::vector<Unit>& units;
  };

  /// What a schema says of an instance, without a word why.
  struct Assessment {
    std::uint32_t failures = 0;
    bool other_type = false;  ///< the instance is not of its type
    bool other_kind = false;  ///< a property with `const` or `enum`, by which it is told from others, has another value
    Evaluated evaluated{};

    /// The lower, the more likely it was meant.
    std::uint64_t distance() const { return failures + (other_type ? 100'000u : 0u) + (other_kind ? 1'000u : 0u); }
  };
  struct Assessing {
    const Value* value;
    const Place* place;
    Assessment& made;
  };

  bool full() const { return failures_ >= cap_ || steps_.exhausted(); }

  Unit unit(const Here& here, std::string_view keyword, std::string message) const {
    Unit made{.path = path_,
              .location = graph_.location(here.node),
              .keyword = std::string(keyword),
              .message = std::move(message)};
    here.place.append(made.instance);
    if (!keyword.empty()) {
      json::append_token(made.path, keyword);
      json::append_token(made.location, keyword);
    }
    return made;
  }

  bool fail(const Here& here, std::string_view keyword, std::string message) {
    ++failures_;
    if (assessing_) {
      if (&here.value == assessing_->value)
        assessing_->made.other_type |= keyword == "type";
      else if (here.place.above == assessing_->place && !here.place.in_array)
        assessing_->made.other_kind |= keyword == "const" || keyword == "enum";
      if (here.units.empty())
        here.units.emplace_back();  // who adds to the last failure finds one, though it is not told
      return false;
    }
    here.units.push_back(unit(here, keyword, std::move(message)));
    return false;
  }

  bool lacks(const Here& here, const Keyword& keyword, std::string_view name, const std::string& why) {
    fail(here, keyword.name, "must have the property " + quoted(name) + why);
    here.units.back().missing = name;
    return false;
  }

  bool check(NodeId node, const DynamicScope& scope, const Value& value, const Place& place, Evaluated& evaluated,
             std::vector<Unit>& units) {
    evaluated.assign(value.is(Type::object) ? value.object().size() : value.array().size(), false);
    const Here here{node, scope, value, place, evaluated, units};
    const auto& schema = graph_.nodes[node];
    if (!steps_.spend(1 + (schema.keyword_count + evaluated.size()) / kNamesAStep)) return false;
    if (schema.value->is(Type::boolean)) return schema.value->boolean() || refuse(here);
    bool valid = true;
    for (const auto& keyword : graph_.of(schema)) {
      if (full()) return false;
      valid = check(here, keyword) && valid;
    }
    return valid;
  }

  /// `false`: nothing is allowed here.
  bool refuse(const Here& here) {
    ++failures_;
    if (assessing_) return false;
    auto made = unit(here, {}, "must not be there");
    made.keyword = graph_.nodes[here.node].word;
    here.units.push_back(std::move(made));
    return false;
  }

  /// A subschema; what fails below it is gathered under the keyword.
  bool below(const Here& here, const Keyword& keyword, const Edge& edge, const Value& value, const Place& place,
             Evaluated& evaluated, std::vector<Unit>& found) {
    const auto target = graph_.target(keyword, edge, here.scope);
    const auto length = path_.size();
    json::append_token(path_, keyword.name);
    const auto& node = graph_.nodes[target];
    if (keyword.word != Word::ref && keyword.word != Word::dynamic_ref) {
      if (node.name.data()) json::append_token(path_, node.name);
      if (node.index >= 0) json::append_token(path_, static_cast<std::size_t>(node.index));
    }
    const bool valid = check(target, graph_.entered(here.scope, target), value, place, evaluated, found);
    path_.resize(length);
    return valid;
  }

  /// The same for a part of the instance, where nobody asks what was evaluated.
  void part(const Here& here, const Keyword& keyword, const Edge& edge, const Value& value, const Place& place,
            std::vector<Unit>& found) {
    Evaluated ignored;
    if (!value.is(Type::object) && !value.is(Type::array)) {
      below(here, keyword, edge, value, place, ignored, found);
      return;
    }
    const auto schema = name_of(graph_.target(keyword, edge, here.scope), here.scope);
    if (const auto known = parts_.find(schema, value); known == 0 || (assessing_ && known != Verdicts::kUnknown)) {
      failures_ += known;
      return;
    }
    const auto before = failures_;
    below(here, keyword, edge, value, place, ignored, found);
    if (!full()) parts_.add(schema, value, static_cast<std::uint32_t>(failures_ - before));
  }

  /// `before`: the failures when the keyword was begun.
  bool gather(const Here& here, const Keyword& keyword, std::vector<Unit> found, std::size_t before) {
    if (failures_ == before && found.empty()) return true;
    if (assessing_ || found.empty()) return false;
    auto made = unit(here, keyword.name, {});
    made.below = std::move(found);
    here.units.push_back(std::move(made));
    return false;
  }

  /// A schema in a dynamic scope, as a number.
  std::uint64_t name_of(NodeId node, const DynamicScope& scope) {
    if (scope.empty()) return node;
    return node + graph_.nodes.size() * scopes_.try_emplace(scope, scopes_.size()).first->second;
  }

  /// What a subschema says of a value. The reference holds until the next call.
  const Assessment& assess(const Here& here, const Keyword& keyword, const Edge& edge, const Value& value) {
    const auto schema = name_of(graph_.target(keyword, edge, here.scope), here.scope);
    const bool large = value.is(Type::object) || value.is(Type::array);
    if (large)
      if (const auto known = assessments_.find({&value, schema}); known != assessments_.end()) return known->second;
    Assessment made;
    Assessing now{&value, &here.place, made};
    std::vector<Unit> none;
    const auto before = std::exchange(failures_, 0);
    auto* const outer = std::exchange(assessing_, &now);
    below(here, keyword, edge, value, here.place, made.evaluated, none);
    made.failures = static_cast<std::uint32_t>(std::exchange(failures_, before));
    if (steps_.exhausted()) ++made.failures;  // not known to be valid
    assessing_ = outer;
    if (large && assessments_.size() < kMostAssessments) return assessments_[{&value, schema}] = std::move(made);
    return passing_ = std::move(made);
  }
  /// Whether a subschema takes a value, without a word why.
  bool takes(const Here& here, const Keyword& keyword, const Edge& edge, const Value& value, Evaluated& evaluated) {
    const auto& made = assess(here, keyword, edge, value);
    evaluated = made.evaluated;
    return made.failures == 0;
  }

  static void add(Evaluated& to, const Evaluated& from) {
    for (std::size_t i = 0; i < from.size() && i < to.size(); ++i)
      if (from[i]) to[i] = true;
  }

  bool check(const Here& here, const Keyword& keyword) {
    switch (here.value.type()) {
      case Type::number:
        if (keyword.word >= Word::multiple_of && keyword.word <= Word::exclusive_minimum) return number(here, keyword);
        break;
      case Type::string:
        if (keyword.word >= Word::max_length && keyword.word <= Word::pattern) return string(here, keyword);
        break;
      case Type::array:
        if (auto done = array(here, keyword)) return *done;
        break;
      case Type::object:
        if (auto done = object(here, keyword)) return *done;
        break;
      default: break;
    }
    return any(here, keyword);
  }

  bool any(const Here& here, const Keyword& keyword) {
    const auto& value = here.value;
    switch (keyword.word) {
      case Word::type: {
        const bool fits = (keyword.types & bit(value.type())) ||
                          (value.is(Type::number) && (keyword.types & kInteger) && json::is_integer(value));
        return fits || fail(here, keyword.name, "must be " + type_names(keyword.types));
      }
      case Word::constant:
        return json::equal(value, *keyword.value) ||
               fail(here, keyword.name, "must be " + shortened(json::to_string(*keyword.value)));
      case Word::enumeration: return enumeration(here, keyword);
      case Word::ref:
      case Word::dynamic_ref:
      case Word::all_of: return all_of(here, keyword);
      case Word::any_of: return any_of(here, keyword);
      case Word::one_of: return one_of(here, keyword);
      case Word::negation: {
        Evaluated ignored;
        return !takes(here, keyword, graph_.of(keyword)[0], value, ignored) ||
               fail(here, keyword.name, "must not match the schema under not");
      }
      case Word::condition: return condition(here, keyword);
      case Word::misplaced:
        return fail(here, keyword.name,
                    keyword.name == "readOnly" ? "is read-only: it may not be sent in a request"
                                               : "is write-only: it may not be sent in a response");
      default: return true;
    }
  }

  bool enumeration(const Here& here, const Keyword& keyword) {
    for (const auto& value : keyword.value->array())
      if (json::equal(value, here.value)) return true;
    std::string list;
    constexpr std::size_t kShown = 10;
    const auto values = keyword.value->array();
    for (std::size_t i = 0; i < values.size() && i < kShown; ++i)
      list += (i > 0 ? ", " : "") + shortened(json::to_string(values[i]));
    if (values.size() > kShown) list += ", … (" + std::to_string(values.size()) + " in all)";
    return fail(here, keyword.name, "must be one of " + list);
  }

  bool number(const Here& here, const Keyword& keyword) {
    const auto& bound = *keyword.value;
    const std::string text(bound.number_text());
    if (keyword.word == Word::multiple_of)
      return json::is_multiple(here.value, bound) || fail(here, keyword.name, "must be a multiple of " + text);
    const auto order = json::compare(here.value, bound);
    switch (keyword.word) {
      case Word::minimum: return order >= 0 || fail(here, keyword.name, "must be at least " + text);
      case Word::maximum: return order <= 0 || fail(here, keyword.name, "must be at most " + text);
      case Word::exclusive_minimum: return order > 0 || fail(here, keyword.name, "must be greater than " + text);
      default: return order < 0 || fail(here, keyword.name, "must be less than " + text);
    }
  }

  /// `size` against the number of a keyword, which may be greater than any integer of ours.
  static int order(std::size_t size, const Value& bound) {
    const auto integer = bound.integer();
    if (!integer) return -1;
    const auto limit = static_cast<std::uint64_t>(*integer);
    return size < limit ? -1 : size > limit;
  }

  bool string(const Here& here, const Keyword& keyword) {
    const auto text = here.value.string();
    switch (keyword.word) {
      case Word::min_length:
        return order(json::utf8_count(text), *keyword.value) >= 0 ||
               fail(here, keyword.name,
                    "must be at least " + plural(*keyword.value, "character", "characters") + " long");
      case Word::max_length:
        return order(json::utf8_count(text), *keyword.value) <= 0 ||
               fail(here, keyword.name,
                    "must be at most " + plural(*keyword.value, "character", "characters") + " long");
      case Word::format:
        return keyword.format(text) ||
               fail(here, keyword.name, "must be " + std::string(form_of(keyword.value->string())));
      default:
        return graph_.regexes[keyword.first_regex].search(text, steps_) || steps_.exhausted() ||
               fail(here, keyword.name, "must match the pattern " + shortened(std::string(keyword.value->string())));
    }
  }

  // --- arrays ---

  std::optional<bool> array(const Here& here, const Keyword& keyword) {
    const auto items = here.value.array();
    switch (keyword.word) {
      case Word::min_items:
        return order(items.size(), *keyword.value) >= 0 ||
               fail(here, keyword.name, "must have at least " + plural(*keyword.value, "item", "items"));
      case Word::max_items:
        return order(items.size(), *keyword.value) <= 0 ||
               fail(here, keyword.name, "must have at most " + plural(*keyword.value, "item", "items"));
      case Word::unique_items:
        return is_unique(items, steps_) || steps_.exhausted() ||
               fail(here, keyword.name, "must not hold the same item twice");
      case Word::prefix_items: {
        std::vector<Unit> found;
        const auto before = failures_;
        for (std::size_t i = 0; i < items.size() && i < keyword.edge_count && !full(); ++i)
          item(here, keyword, graph_.of(keyword)[i], i, found);
        return gather(here, keyword, std::move(found), before);
      }
      case Word::items: {
        std::vector<Unit> found;
        const auto before = failures_;
        const auto* prefix = graph_.find(here.node, Word::prefix_items);
        for (std::size_t i = prefix ? prefix->edge_count : 0; i < items.size() && !full(); ++i)
          item(here, keyword, graph_.of(keyword)[0], i, found);
        return gather(here, keyword, std::move(found), before);
      }
      case Word::contains: return contains(here, keyword);
      case Word::unevaluated_items: {
        std::vector<Unit> found;
        const auto before = failures_;
        for (std::size_t i = 0; i < items.size() && !full(); ++i)
          if (!here.evaluated[i]) item(here, keyword, graph_.of(keyword)[0], i, found);
        return gather(here, keyword, std::move(found), before);
      }
      default: return std::nullopt;
    }
  }

  void item(const Here& here, const Keyword& keyword, const Edge& edge, std::size_t i, std::vector<Unit>& found) {
    const Place place{&here.place, {}, i, true};
    part(here, keyword, edge, here.value.array()[i], place, found);
    here.evaluated[i] = true;
  }

  bool contains(const Here& here, const Keyword& keyword) {
    const auto items = here.value.array();
    std::size_t count = 0;
    for (std::size_t i = 0; i < items.size() && !full(); ++i) {
      Evaluated ignored;
      if (!takes(here, keyword, graph_.of(keyword)[0], items[i], ignored)) continue;
      here.evaluated[i] = true;
      ++count;
    }
    if (full()) return false;
    const auto *least = graph_.find(here.node, Word::min_contains), *most = graph_.find(here.node, Word::max_contains);
    bool valid = true;
    if (!least && count == 0)
      valid = fail(here, keyword.name, "must hold an item that matches the schema under contains");
    if (least && order(count, *least->value) < 0)
      valid = fail(
          here, least->name,
          "must hold at least " + plural(*least->value, "item", "items") + " that match the schema under contains");
    if (most && order(count, *most->value) > 0)
      valid =
          fail(here, most->name,
               "must hold at most " + plural(*most->value, "item", "items") + " that match the schema under contains");
    return valid;
  }

  // --- objects ---

  std::optional<bool> object(const Here& here, const Keyword& keyword) {
    const auto members = here.value.object();
    switch (keyword.word) {
      case Word::min_properties:
        return order(members.size(), *keyword.value) >= 0 ||
               fail(here, keyword.name, "must have at least " + plural(*keyword.value, "property", "properties"));
      case Word::max_properties:
        return order(members.size(), *keyword.value) <= 0 ||
               fail(here, keyword.name, "must have at most " + plural(*keyword.value, "property", "properties"));
      case Word::required: {
        bool valid = true;
        for (const auto& name : keyword.value->array())
          if (!full() && looks_for_names(here) && !here.value.find(name.string()) &&
              !graph_.exempt(here.node, name.string()))
            valid = lacks(here, keyword, name.string(), {});
        return valid;
      }
      case Word::dependent_required: {
        bool valid = true;
        for (const auto& member : keyword.value->object())
          valid = dependent(here, keyword, member.key, member.value) && valid;
        return valid;
      }
      case Word::dependent_schemas: return dependent_schemas(here, keyword);
      case Word::property_names: return property_names(here, keyword);
      case Word::properties: {
        std::vector<Unit> found;
        const auto before = failures_;
        // Of what is only counted, scalars first: by them one schema is told from another.
        for (const bool scalars : {true, false})
          for (const auto& edge : graph_.of(keyword)) {
            if (full() || !looks_for_names(here)) break;
            for (std::size_t i = 0; i < members.size(); ++i)
              if (members[i].key == edge.name && (assessing_ ? is_scalar(members[i].value) == scalars : scalars))
                member(here, keyword, edge, i, found);
          }
        return gather(here, keyword, std::move(found), before);
      }
      case Word::pattern_properties: {
        std::vector<Unit> found;
        const auto before = failures_;
        for (std::uint32_t e = 0; e < keyword.edge_count; ++e)
          for (std::size_t i = 0; i < members.size() && !full(); ++i)
            if (graph_.regexes[keyword.first_regex + e].search(members[i].key, steps_))
              member(here, keyword, graph_.of(keyword)[e], i, found);
        return gather(here, keyword, std::move(found), before);
      }
      case Word::additional_properties: {
        std::vector<Unit> found;
        const auto before = failures_;
        for (std::size_t i = 0; i < members.size() && !full(); ++i)
          if (!declared(here.node, members[i].key)) member(here, keyword, graph_.of(keyword)[0], i, found);
        return gather(here, keyword, std::move(found), before);
      }
      case Word::unevaluated_properties: {
        std::vector<Unit> found;
        const auto before = failures_;
        for (std::size_t i = 0; i < members.size() && !full(); ++i)
          if (!here.evaluated[i]) member(here, keyword, graph_.of(keyword)[0], i, found);
        return gather(here, keyword, std::move(found), before);
      }
      default: return std::nullopt;
    }
  }

  static bool is_scalar(const Value& value) { return !value.is(Type::object) && !value.is(Type::array); }

  void member(const Here& here, const Keyword& keyword, const Edge& edge, std::size_t i, std::vector<Unit>& found) {
    if (full()) return;
    const auto& entry = here.value.object()[i];
    const Place place{&here.place, entry.key, 0, false};
    part(here, keyword, edge, entry.value, place, found);
    here.evaluated[i] = true;
  }

  /// What it costs to hold one name against those of an object.
  bool looks_for_names(const Here& here) { return steps_.spend(here.value.object().size() / kNamesAStep); }

  /// Whether `properties` or `patternProperties` speak of a name.
  bool declared(NodeId node, std::string_view name) {
    for (const auto& keyword : graph_.of(graph_.nodes[node])) {
      steps_.spend(keyword.edge_count / kNamesAStep);
      if (keyword.word == Word::properties &&
          std::ranges::any_of(graph_.of(keyword), [&](const Edge& edge) { return edge.name == name; }))
        return true;
      if (keyword.word != Word::pattern_properties) continue;
      for (std::uint32_t e = 0; e < keyword.edge_count; ++e)
        if (graph_.regexes[keyword.first_regex + e].search(name, steps_)) return true;
    }
    return false;
  }

  bool property_names(const Here& here, const Keyword& keyword) {
    std::vector<Unit> found;
    const auto before = failures_;
    for (const auto& member : here.value.object()) {
      if (full()) break;
      const Place place{&here.place, member.key, 0, false};
      Evaluated ignored;
      below(here, keyword, graph_.of(keyword)[0], Value::of(member.key), place, ignored, found);
    }
    return gather(here, keyword, std::move(found), before);
  }

  bool dependent(const Here& here, const Keyword& keyword, std::string_view name, const Value& required) {
    if (full() || !looks_for_names(here) || !here.value.find(name)) return true;
    bool valid = true;
    for (const auto& other : required.array())
      if (!full() && looks_for_names(here) && !here.value.find(other.string()))
        valid = lacks(here, keyword, other.string(), " because it has " + quoted(name));
    return valid;
  }

  bool dependent_schemas(const Here& here, const Keyword& keyword) {
    std::vector<Unit> found;
    const auto before = failures_;
    bool valid = true;
    for (const auto& edge : graph_.of(keyword)) {
      if (full()) break;
      if (edge.node == kNoNode) {
        valid = dependent(here, keyword, edge.name, *keyword.value->find(edge.name)) && valid;
        continue;
      }
      if (!looks_for_names(here) || !here.value.find(edge.name)) continue;
      Evaluated evaluated;
      if (below(here, keyword, edge, here.value, here.place, evaluated, found)) add(here.evaluated, evaluated);
    }
    return gather(here, keyword, std::move(found), before) && valid;
  }

  // --- several schemas for one instance ---

  bool all_of(const Here& here, const Keyword& keyword) {
    std::vector<Unit> found;
    const auto before = failures_;
    for (const auto& edge : graph_.of(keyword)) {
      if (full()) break;
      Evaluated evaluated;
      if (below(here, keyword, edge, here.value, here.place, evaluated, found)) add(here.evaluated, evaluated);
    }
    return gather(here, keyword, std::move(found), before);
  }

  bool any_of(const Here& here, const Keyword& keyword) {
    bool valid = false;
    for (const auto& edge : graph_.of(keyword)) {
      Evaluated evaluated;
      if (takes(here, keyword, edge, here.value, evaluated)) add(here.evaluated, evaluated), valid = true;
    }
    if (valid || steps_.exhausted()) return valid;
    fail(here, keyword.name, "must match at least one of the schemas under anyOf");
    closest(here, keyword);
    return false;
  }

  bool one_of(const Here& here, const Keyword& keyword) {
    std::size_t count = 0;
    std::string which;
    for (std::size_t i = 0; i < keyword.edge_count; ++i) {
      Evaluated evaluated;
      if (!takes(here, keyword, graph_.of(keyword)[i], here.value, evaluated)) continue;
      add(here.evaluated, evaluated);
      which += (count++ > 0 ? ", " : "") + std::to_string(i);
    }
    if (count == 1) return true;
    if (steps_.exhausted()) return false;
    if (count > 1)
      return fail(here, keyword.name, "must match only one of the schemas under oneOf, but matches those at " + which);
    fail(here, keyword.name, "must match one of the schemas under oneOf");
    closest(here, keyword);
    return false;
  }

  /// Of the schemas that all fail, what the closest says: most likely it was meant. Where all others are of another
  /// type or kind, only it can have been meant, and what it says is all there is to say.
  void closest(const Here& here, const Keyword& keyword) {
    if (!here.value.is(Type::object) && !here.value.is(Type::array)) return alternatives(here, keyword);
    if (discriminated(here, keyword)) return;
    const Edge* best = nullptr;
    std::uint64_t least = ~std::uint64_t{0};
    std::size_t likely = 0;
    for (const auto& edge : graph_.of(keyword)) {
      const auto& made = assess(here, keyword, edge, here.value);
      if (!made.other_type && !made.other_kind) ++likely;
      if (made.distance() >= least) continue;
      least = made.distance();
      best = &edge;
    }
    if (!best || steps_.exhausted()) return;
    const bool only = likely == 1 && keyword.edge_count > 1;
    if (only) --failures_;
    tell(here, keyword, *best);
    if (only && !assessing_ && !here.units.back().below.empty()) here.units.back().message.clear();
  }

  /// What a schema says becomes part of what its keyword says.
  void tell(const Here& here, const Keyword& keyword, const Edge& edge) {
    if (assessing_) {
      const auto& made = assess(here, keyword, edge, here.value);
      failures_ += made.failures;
      if (&here.value != assessing_->value) return;
      assessing_->made.other_type |= made.other_type;
      assessing_->made.other_kind |= made.other_kind;
      return;
    }
    std::vector<Unit> found;
    Evaluated ignored;
    below(here, keyword, edge, here.value, here.place, ignored, found);
    here.units.back().below = std::move(found);
  }

  /// OpenAPI's `discriminator` says which schema was meant (3.1, section 4.8.25): then what that one says. It is a
  /// hint, and never changes what is valid.
  bool discriminated(const Here& here, const Keyword& keyword) {
    const auto text = [](const Value* value) {
      return value && value->is(Type::string) ? value->string() : std::string_view();
    };
    const auto* discriminator = graph_.nodes[here.node].value->find("discriminator");
    if (!discriminator) return false;
    const auto property = text(discriminator->find("propertyName"));
    const auto* named = here.value.find(property);
    // Of OpenAPI 3.2: what is meant where the property is absent, or names no schema.
    const auto standard = text(discriminator->find("defaultMapping"));
    if (property.empty() || (standard.empty() && !named) || (named && !named->is(Type::string))) return false;
    std::string nowhere;
    auto& message = assessing_ ? nowhere : here.units.back().message;
    const auto choose = [&](std::string_view wanted, const std::string& why) {
      for (const auto& edge : graph_.of(keyword)) {
        const auto reference = text(graph_.nodes[edge.node].value->find("$ref"));
        if (reference != wanted && reference != "#/components/schemas/" + std::string(wanted)) continue;
        message += why;
        tell(here, keyword, edge);
        return true;
      }
      return false;
    };
    if (named) {
      const auto mapped = text(discriminator->at("mapping", named->string()));
      if (choose(mapped.empty() ? named->string() : mapped,
                 ": " + quoted(property) + " chooses " + quoted(named->string())))
        return true;
    }
    if (!standard.empty()) {
      const auto why = named ? " chooses none of them: " + quoted(named->string()) : std::string(" is absent");
      if (choose(standard, ": " + quoted(property) + why + ", so that " + quoted(standard) + " is meant")) return true;
    }
    if (!named) return false;
    message += ", and " + quoted(property) + " chooses none of them: " + quoted(named->string());
    return true;
  }

  /// For a scalar what each schema says is short enough for one sentence.
  void alternatives(const Here& here, const Keyword& keyword) {
    if (assessing_) return;
    constexpr std::size_t kShown = 4;
    auto& message = here.units.back().message;
    const auto before = failures_;
    const char* separator = ": ";
    for (std::size_t i = 0; i < keyword.edge_count && i < kShown; ++i) {
      std::vector<Unit> found;
      Evaluated ignored;
      failures_ = 0;
      below(here, keyword, graph_.of(keyword)[i], here.value, here.place, ignored, found);
      if (const auto* leaf = first_leaf(found)) { message += std::exchange(separator, "; or ") + leaf->message; }
    }
    failures_ = before;
  }

  static const Unit* first_leaf(const std::vector<Unit>& units) {
    for (const auto& unit : units) {
      if (!unit.message.empty()) return &unit;
      if (const auto* below = first_leaf(unit.below)) return below;
    }
    return nullptr;
  }

  bool condition(const Here& here, const Keyword& keyword) {
    Evaluated evaluated;
    const bool holds = takes(here, keyword, graph_.of(keyword)[0], here.value, evaluated);
    if (holds) add(here.evaluated, evaluated);
    const auto* next = graph_.find(here.node, holds ? Word::consequence : Word::alternative);
    return !next || all_of(here, *next);
  }

  static constexpr std::size_t kNamesAStep = 8;  // that are compared
  static constexpr std::size_t kMostAssessments = std::size_t{1} << 16;

  const Graph& graph_;
  Steps& steps_;
  std::size_t cap_;
  std::size_t failures_ = 0;
  Assessing* assessing_ = nullptr;  // null: what fails is put into words
  std::map<std::pair<const Value*, std::uint64_t>, Assessment> assessments_;
  Assessment passing_;
  Verdicts parts_;
  std::map<DynamicScope, std::uint64_t> scopes_;
  std::string path_;
};

}  // namespace

std::vector<Unit> explain(const Program& program, const Value& instance, Steps& steps, std::size_t cap) {
  auto units = Explainer(program.graph, steps, cap).run(instance);
  if (leaves(units) == 0 && steps.exhausted())
    units.push_back({.keyword = "too-complex", .message = "cannot be checked: it takes too many steps"});
  else if (leaves(units) == 0)  // a search that was given up refuses without an ordinary reason
    units.push_back(
        {.keyword = "pattern", .message = "cannot be checked: a regular expression takes too many steps on it"});
  return units;
}

}  // namespace plimsoll::schema
