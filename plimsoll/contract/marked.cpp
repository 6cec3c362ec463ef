#include "plimsoll/contract/marked.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/walk.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <compare>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

constexpr std::size_t kMostPlaces = 20'000;     ///< combinations of schemas that one value may have
constexpr std::size_t kMostFollowed = 200'000;  ///< schemas looked at, again in each combination
constexpr std::size_t kMostParts = 2'000;       ///< schemas that apply to one place

bool says(const Value& schema, std::string_view keyword) {
  const auto* value = schema.find(keyword);
  return value && value->is(Type::boolean) && value->boolean();
}

/// The schemas that apply to a place. `all` apply together, of a `choice` one or more; a `leaf` is a schema with its
/// references and combinations still to be followed, an `own` one whose own keywords alone are meant.
struct Tree {
  enum class Kind : std::uint8_t { none, leaf, own, all, choice } kind = Kind::none;
  const Value* schema = nullptr;
  std::vector<Tree> parts{};

  std::strong_ordering operator<=>(const Tree& other) const {
    if (const auto order = kind <=> other.kind; order != 0) return order;
    if (const auto order = schema <=> other.schema; order != 0) return order;
    return std::lexicographical_compare_three_way(parts.begin(), parts.end(), other.parts.begin(), other.parts.end());
  }
  bool operator==(const Tree& other) const { return (*this <=> other) == 0; }
};

/// Flat, sorted and without repetition, so that equal sets of schemas are equal trees and recursion ends.
Tree combined(Tree::Kind kind, std::vector<Tree> parts) {
  std::vector<Tree> flat;
  for (auto& part : parts) {
    if (part.kind == kind)
      std::ranges::move(part.parts, std::back_inserter(flat));
    else if (kind == Tree::Kind::choice || part.kind != Tree::Kind::none)
      flat.push_back(std::move(part));
  }
  std::ranges::sort(flat);
  const auto repeated = std::ranges::unique(flat);
  flat.erase(repeated.begin(), repeated.end());
  if (flat.empty()) return {};
  if (flat.size() == 1) return std::move(flat[0]);
  return {.kind = kind, .parts = std::move(flat)};
}

/// Only null satisfies it: it describes no member, and a value that is null has nothing to hide.
bool is_null_only(const Value& schema) {
  if (const auto* type = schema.find("type")) return type->is(Type::string) && type->string() == "null";
  if (const auto* one = schema.find("const")) return one->is(Type::null);
  if (const auto* words = schema.find("enum")) return words->array().size() == 1 && words->array()[0].is(Type::null);
  return false;
}

std::size_t size_of(const Tree& tree) {
  std::size_t size = 1;
  for (const auto& part : tree.parts) size += size_of(part);
  return size;
}

}  // namespace

const MarkedPlace* MarkedPlace::member(std::string_view name) const {
  const auto found =
      std::ranges::lower_bound(members, name, {}, [](auto& member) { return std::string_view(member.first); });
  return found != members.end() && found->first == name ? found->second : other;
}

/// Walks schema and instance together: each set of schemas that applies to some value is one place.
class MarkedBuilder {
 public:
  MarkedBuilder(Marked& made, const Value& root, Mark mark)
      : made_(made), root_(root), mark_(kMarkNames[static_cast<std::size_t>(mark)]) {}

  void build(const Value& schema) {
    if (!reaches(schema)) return;
    std::vector<std::pair<Tree, std::string>> open;
    const auto first = place({.kind = Tree::Kind::leaf, .schema = &schema}, "", open);
    while (!open.empty()) {
      auto [tree, pointer] = std::move(open.back());
      open.pop_back();
      describe(*known_.at(tree), expanded(tree), pointer, open);
      if (made_.places_.size() <= kMostPlaces) continue;
      undecided(&schema, "", "the schemas combine in too many ways");
      break;
    }
    find_below();
    if (first->any()) made_.place_ = first;
  }

 private:
  enum class State : std::uint8_t { undeclared, plain, perhaps, marked, undecided };

  /// Whether a mark stands anywhere in a schema or in what it refers to.
  bool reaches(const Value& schema) {
    std::unordered_set<const Value*> seen;
    std::vector<const Value*> open{&schema};
    while (!open.empty()) {
      const auto* value = open.back();
      open.pop_back();
      if (!seen.insert(value).second) continue;
      if (says(*value, mark_)) return true;
      if (value->find("$ref"))
        if (const auto* target = referred(*value)) open.push_back(target);
      if (value->find("$dynamicRef"))
        if (const auto* target = named(*value->find("$dynamicRef"))) open.push_back(target);
      for (const auto& member : value->object())
        if (!member.value.is(Type::string)) open.push_back(&member.value);
      for (const auto& item : value->array()) open.push_back(&item);
    }
    return false;
  }

  /// The schema behind `#name`, which is `$anchor` or `$dynamicAnchor` of exactly one schema of the document.
  const Value* named(const Value& reference) {
    if (!reference.is(Type::string) || !reference.string().starts_with('#')) return nullptr;
    if (!anchors_) {
      anchors_.emplace();
      std::vector<const Value*> open{&root_};
      while (!open.empty()) {
        const auto* value = open.back();
        open.pop_back();
        for (std::string_view keyword : {"$anchor", "$dynamicAnchor"})
          if (const auto* name = value->find(keyword); name && name->is(Type::string)) {
            const auto [known, fresh] = anchors_->emplace(name->string(), value);
            if (!fresh && known->second != value) known->second = nullptr;
          }
        for (const auto& member : value->object()) open.push_back(&member.value);
        for (const auto& item : value->array()) open.push_back(&item);
      }
    }
    const auto found = anchors_->find(reference.string().substr(1));
    return found == anchors_->end() ? nullptr : found->second;
  }

  /// One step: what stands there may refer on, and say something beside.
  const Value* referred(const Value& schema) {
    const auto& reference = *schema.find("$ref");
    if (!reference.is(Type::string) || !reference.string().starts_with('#')) return nullptr;
    const auto text = reference.string().substr(1);
    if (!text.empty() && text[0] != '/') return named(reference);
    std::string pointer;
    return append_decoded(pointer, text) ? json::resolve(root_, pointer) : nullptr;
  }

  Tree choice_of(const Value& list, std::vector<const Value*>& active) {
    std::vector<Tree> branches;
    for (const auto& branch : list.array()) {
      if (branch.is(Type::boolean) && !branch.boolean()) continue;
      if (is_null_only(branch)) continue;
      if (const auto* target = branch.find("$ref") ? referred(branch) : nullptr; target && is_null_only(*target))
        continue;
      branches.push_back(followed(branch, active));
    }
    return combined(Tree::Kind::choice, std::move(branches));
  }

  /// A schema with all that applies to the same value.
  Tree followed(const Value& schema, std::vector<const Value*>& active) {
    if (!schema.is(Type::object)) return schema.is(Type::boolean) && schema.boolean() ? own(schema) : Tree{};
    if (std::ranges::find(active, &schema) != active.end()) return {};
    if (++followed_ > kMostFollowed) {
      undecided(&schema, pointer_, "the schemas combine in too many ways");
      return {};
    }
    active.push_back(&schema);
    std::vector<Tree> parts{own(schema)};
    for (std::string_view keyword : {"$ref", "$dynamicRef"}) {
      const auto* reference = schema.find(keyword);
      if (!reference) continue;
      if (const auto* target = keyword == "$ref" ? referred(schema) : named(*reference))
        parts.push_back(followed(*target, active));
      else
        undecided(reference, pointer_, "`" + std::string(keyword) + "` cannot be followed here");
    }
    if (const auto* list = schema.find("allOf"))
      for (const auto& part : list->array()) parts.push_back(followed(part, active));
    for (std::string_view keyword : {"anyOf", "oneOf"})
      if (const auto* list = schema.find(keyword)) parts.push_back(choice_of(*list, active));
    if (schema.find("if")) {
      const auto branch = [&](std::string_view keyword) {
        const auto* found = schema.find(keyword);
        return found ? followed(*found, active) : Tree{};
      };
      parts.push_back(combined(Tree::Kind::choice, [&] {
        std::vector<Tree> branches;
        branches.push_back(branch("then"));
        branches.push_back(branch("else"));
        return branches;
      }()));
    }
    if (const auto* dependent = schema.find("dependentSchemas"))
      for (const auto& member : dependent->object()) {
        std::vector<Tree> branches;
        branches.push_back(followed(member.value, active));
        branches.emplace_back();
        parts.push_back(combined(Tree::Kind::choice, std::move(branches)));
      }
    active.pop_back();
    return combined(Tree::Kind::all, std::move(parts));
  }
  static Tree own(const Value& schema) { return {.kind = Tree::Kind::own, .schema = &schema}; }

  Tree expanded(const Tree& tree) {
    if (tree.kind == Tree::Kind::leaf) {
      std::vector<const Value*> active;
      return followed(*tree.schema, active);
    }
    std::vector<Tree> parts;
    for (const auto& part : tree.parts) parts.push_back(expanded(part));
    return tree.kind == Tree::Kind::none ? Tree{} : combined(tree.kind, std::move(parts));
  }

  State state_of(const Tree& tree) const {
    switch (tree.kind) {
      case Tree::Kind::own: return says(*tree.schema, mark_) ? State::marked : State::plain;
      case Tree::Kind::all:
      case Tree::Kind::choice: break;
      default: return State::undeclared;
    }
    bool seen[5] = {};
    for (const auto& part : tree.parts) seen[static_cast<std::size_t>(state_of(part))] = true;
    const auto has = [&](State state) { return seen[static_cast<std::size_t>(state)]; };
    if (tree.kind == Tree::Kind::all) {
      if (has(State::marked)) return State::marked;
      if (has(State::undecided) || (has(State::perhaps) && has(State::plain))) return State::undecided;
      return has(State::perhaps) ? State::perhaps : has(State::plain) ? State::plain : State::undeclared;
    }
    const bool mark = has(State::marked) || has(State::perhaps);
    if (has(State::undecided) || (mark && has(State::plain))) return State::undecided;
    if (mark) return has(State::undeclared) || has(State::perhaps) ? State::perhaps : State::marked;
    return has(State::plain) ? State::plain : State::undeclared;
  }

  const Value* marking(const Tree& tree) const {
    if (tree.kind == Tree::Kind::own) return says(*tree.schema, mark_) ? tree.schema->find(mark_) : nullptr;
    for (const auto& part : tree.parts)
      if (const auto* found = marking(part)) return found;
    return nullptr;
  }

  /// What applies below: `step` gives the schemas that one schema's own keywords have for it.
  template <class Step>
  static Tree below(const Tree& tree, const Step& step) {
    if (tree.kind == Tree::Kind::own) {
      std::vector<Tree> parts;
      if (tree.schema->is(Type::object))
        for (const auto* schema : step(*tree.schema)) parts.push_back({.kind = Tree::Kind::leaf, .schema = schema});
      return combined(Tree::Kind::all, std::move(parts));
    }
    std::vector<Tree> parts;
    for (const auto& part : tree.parts) parts.push_back(below(part, step));
    return tree.kind == Tree::Kind::none ? Tree{} : combined(tree.kind, std::move(parts));
  }

  void each_own(const Tree& tree, auto&& look) const {
    if (tree.kind == Tree::Kind::own) look(*tree.schema);
    for (const auto& part : tree.parts) each_own(part, look);
  }

  using Schemas = std::vector<const Value*>;

  MarkedPlace* place(Tree tree, std::string pointer, std::vector<std::pair<Tree, std::string>>& open) {
    if (tree.kind == Tree::Kind::none) return nullptr;
    auto& known = known_[tree];
    if (known) return known;
    known = made_.places_.emplace_back(std::make_unique<MarkedPlace>()).get();
    open.emplace_back(std::move(tree), std::move(pointer));
    return known;
  }

  void describe(MarkedPlace& place, const Tree& tree, const std::string& pointer,
                std::vector<std::pair<Tree, std::string>>& open) {
    pointer_ = pointer;
    if (size_of(tree) > kMostParts) return undecided(tree.schema, pointer, "too many schemas apply to one value");
    switch (state_of(tree)) {
      case State::marked:
      case State::perhaps: place.marked = true; return;
      case State::undecided:
        place.marked = true;
        return undecided(marking(tree), pointer,
                         "one alternative marks it `" + std::string(mark_) + "`, and another does not");
      default: break;
    }
    std::set<std::string_view> names;
    std::size_t prefix = 0;
    each_own(tree, [&](const Value& schema) {
      if (const auto* properties = schema.find("properties"))
        for (const auto& member : properties->object()) names.insert(member.key);
      if (const auto* items = prefix_of(schema)) prefix = std::max(prefix, items->array().size());
      for (std::string_view keyword : {"patternProperties", "unevaluatedProperties", "unevaluatedItems", "contains"})
        if (const auto* found = schema.find(keyword); found && !found->is(Type::boolean) && reaches(*found))
          undecided(found, pointer, "`" + std::string(mark_) + "` stands below `" + std::string(keyword) + "`");
    });
    for (const auto name : names) {
      auto inner = pointer;
      json::append_token(inner, name);
      auto* found = this->place(below(tree, [&](const Value& schema) { return of_member(schema, name); }), inner, open);
      place.members.emplace_back(name, found);
    }
    place.other = this->place(below(tree, [](const Value& schema) { return of_others(schema); }), pointer + "/*", open);
    for (std::size_t i = 0; i < prefix; ++i)
      place.prefix.push_back(this->place(below(tree, [&](const Value& schema) { return of_item(schema, i); }),
                                         pointer + "/" + std::to_string(i), open));
    place.items =
        this->place(below(tree, [&](const Value& schema) { return of_item(schema, prefix); }), pointer + "/*", open);
  }

  static Schemas of_member(const Value& schema, std::string_view name) {
    const auto* properties = schema.find("properties");
    if (const auto* found = properties ? properties->find(name) : nullptr) return {found};
    return of_others(schema);
  }
  static Schemas of_others(const Value& schema) {
    const auto* found = schema.find("additionalProperties");
    return found && found->is(Type::object) ? Schemas{found} : Schemas{};
  }
  static const Value* prefix_of(const Value& schema) {
    const auto* items = schema.find("prefixItems");
    if (!items) items = schema.find("items");
    return items && items->is(Type::array) ? items : nullptr;
  }
  static Schemas of_item(const Value& schema, std::size_t index) {
    const auto* prefix = prefix_of(schema);
    if (prefix && index < prefix->array().size()) return {&prefix->array()[index]};
    const auto* rest = schema.find("items");
    if (rest && rest->is(Type::array)) rest = schema.find("additionalItems");
    return rest && rest->is(Type::object) ? Schemas{rest} : Schemas{};
  }

  /// Passes on upward what is marked, and takes away the ways to places without a mark.
  void find_below() {
    const auto marked = [](const MarkedPlace* place) { return place && place->any(); };
    for (bool more = true; more;) {
      more = false;
      for (auto at = made_.places_.rbegin(); at != made_.places_.rend(); ++at) {
        auto& place = **at;
        if (place.below || place.marked) continue;
        place.below = marked(place.other) || marked(place.items) || std::ranges::any_of(place.prefix, marked) ||
                      std::ranges::any_of(place.members, [&](auto& member) { return marked(member.second); });
        more |= place.below;
      }
    }
    const auto drop = [&](const MarkedPlace*& place) {
      if (place && !place->any()) place = nullptr;
    };
    for (auto& place : made_.places_) {
      drop(place->other);
      drop(place->items);
      for (auto& item : place->prefix) drop(item);
      for (auto& member : place->members) drop(member.second);
      if (!place->other) std::erase_if(place->members, [](auto& member) { return !member.second; });
    }
  }

  void undecided(const Value* at, const std::string& member, std::string what) {
    if (!made_.undecided_) made_.undecided_ = Marked::Undecided{at, member, std::move(what)};
  }

  Marked& made_;
  const Value& root_;
  const std::string_view mark_;
  std::string pointer_;  ///< of the value that is being described
  std::size_t followed_ = 0;
  std::map<Tree, MarkedPlace*> known_;
  std::optional<std::map<std::string_view, const Value*>> anchors_;
};

Marked::Marked(const Value& root, const Value& schema, Mark mark) { MarkedBuilder{*this, root, mark}.build(schema); }
Marked::Marked(Marked&&) noexcept = default;
Marked& Marked::operator=(Marked&&) noexcept = default;
Marked::~Marked() = default;

bool has_mark(const Value& document, Mark mark) {
  return json::any_value(document,
                         [&](const Value& value) { return says(value, kMarkNames[static_cast<std::size_t>(mark)]); });
}

bool has_marked(const MarkedPlace& place, const Value& value) {
  if (place.marked) return true;
  if (!place.below) return false;
  if (value.is(Type::object))
    return std::ranges::any_of(value.object(), [&](const json::Member& member) {
      const auto* inner = place.member(member.key);
      return inner && has_marked(*inner, member.value);
    });
  for (std::size_t i = 0; i < value.array().size(); ++i)
    if (const auto* inner = place.item(i); inner && has_marked(*inner, value.array()[i])) return true;
  return false;
}

namespace {

std::optional<Value> of_object(const MarkedPlace& place, const Value* sent, const Value* stored, Arena& arena,
                               Misfit misfit) {
  std::unordered_map<std::string_view, const Value*> before;
  if (stored)
    for (const auto& member : stored->object()) before.emplace(member.key, &member.value);
  const std::size_t count = (sent ? sent->object().size() : 0) + before.size();
  auto* made = arena.array<json::Member>(count);
  std::size_t size = 0;
  const auto put = [&](std::string_view key, const Value* value, const Value* old) {
    const auto* inner = place.member(key);
    const auto kept = inner   ? keep_marked(*inner, value, old, arena, misfit)
                      : value ? std::optional(*value)
                              : std::nullopt;
    if (kept) ::new (&made[size++]) json::Member{key, *kept};
  };
  std::unordered_set<std::string_view> said;
  if (sent)
    for (const auto& member : sent->object()) {
      const auto found = before.find(member.key);
      put(member.key, &member.value, found == before.end() ? nullptr : found->second);
      if (stored) said.insert(member.key);
    }
  if (stored)
    for (const auto& member : stored->object())
      if (!said.contains(member.key)) put(member.key, nullptr, &member.value);
  if (!sent && size == 0) return std::nullopt;
  return Value::object({made, size});
}

/// One text for equal values, whatever the order of their members.
void append_sorted(std::string& out, const Value& value) {
  if (value.is(Type::object)) {
    std::vector<const json::Member*> members;
    for (const auto& member : value.object()) members.push_back(&member);
    std::ranges::sort(members, {}, [](auto* member) { return member->key; });
    out += '{';
    for (const auto* member : members) {
      json::append_string(out, member->key);
      out += ':';
      append_sorted(out, member->value);
      out += ',';
    }
    out += '}';
  } else if (value.is(Type::array)) {
    out += '[';
    for (const auto& item : value.array()) {
      append_sorted(out, item);
      out += ',';
    }
    out += ']';
  } else {
    out += json::to_string(value);
  }
}

Value of_array(const MarkedPlace& place, const Value& sent, const Value* stored, Arena& arena, Misfit misfit) {
  const auto items = sent.array();
  const auto before = stored ? stored->array() : std::span<const Value>{};
  const auto plain = [&](const Value& item) {
    const auto left = place.items ? without_marked(*place.items, item, arena) : std::optional(item);
    std::string text;
    if (left) append_sorted(text, *left);
    return text;
  };
  std::unordered_map<std::string, std::vector<const Value*>> unchanged;  // the last of a list is taken first
  if (place.items)
    for (std::size_t i = before.size(); i-- > place.prefix.size();) unchanged[plain(before[i])].push_back(&before[i]);
  auto* made = arena.array<Value>(items.size());
  std::size_t size = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const auto* inner = place.item(i);
    std::optional<Value> kept;
    if (!inner) {
      kept = items[i];
    } else if (i < place.prefix.size()) {
      kept = keep_marked(*inner, &items[i], i < before.size() ? &before[i] : nullptr, arena, misfit);
    } else if (auto found = unchanged.find(plain(items[i])); found != unchanged.end() && !found->second.empty()) {
      kept = *found->second.back();
      found->second.pop_back();
    } else {
      kept = without_marked(*inner, items[i], arena);
    }
    if (kept) ::new (&made[size++]) Value(*kept);
  }
  return Value::array({made, size});
}

}  // namespace

std::optional<Value> keep_marked(const MarkedPlace& place, const Value* sent, const Value* stored, Arena& arena,
                                 Misfit misfit) {
  if (place.marked) return stored ? std::optional(*stored) : std::nullopt;
  if (!place.below) return sent ? std::optional(*sent) : std::nullopt;
  const auto* before = stored && stored->is(Type::object) ? stored : nullptr;
  if (sent && sent->is(Type::object)) return of_object(place, sent, before, arena, misfit);
  if (before && (!sent || misfit == Misfit::dropped))
    if (auto kept = of_object(place, nullptr, before, arena, misfit)) return kept;
  if (sent && sent->is(Type::array) && place.items &&
      place.items->marked)  // what its items are is not for clients to say
    return stored && stored->is(Type::array) ? *stored : Value::array({});
  if (sent && sent->is(Type::array))
    return of_array(place, *sent, stored && stored->is(Type::array) ? stored : nullptr, arena, misfit);
  return sent ? std::optional(*sent) : std::nullopt;
}

}  // namespace plimsoll::contract
