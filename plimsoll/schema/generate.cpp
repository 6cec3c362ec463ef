#include "plimsoll/json/number.hpp"
#include "plimsoll/schema/operations.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <tuple>

namespace plimsoll::schema {
namespace {

using json::Type;
using json::Value;

constexpr std::uint8_t kAllTypes = 63;
constexpr int kTypes = 6;
constexpr std::size_t kMostInstructions = 2'000'000, kMostNested = 500, kInlined = 4;

struct TooMuch {
  std::string message;
};

/// One instruction, whose form is chosen when it is known whether it comes last.
struct Draft {
  Instruction instruction;
  const OperationPair* pair;
};

/// A schema made into sequences, one for each type.
struct Block {
  enum class State : std::uint8_t { waiting, open, done } state = State::waiting;
  NodeId node;
  std::uint32_t scope;
  bool collects;
  std::uint8_t fails = 0;  ///< types that nothing of it can pass
  std::vector<Draft> code[kTypes];

  bool fails_on(int type) const { return fails >> type & 1; }
  bool passes(int type) const { return !fails_on(type) && code[type].empty(); }
};

// Schemas are made once for each dynamic scope in which they are reached (there are few), so that `$dynamicRef` leaves
// nothing to look up at run time.

class Generator {
 public:
  explicit Generator(Program& program) : program_(program), graph_(program.graph), arena_(program.arena) {
    scopes_.push_back(graph_.outermost());
    scope_ids_[scopes_[0]] = 0;
  }

  void run() {
    const auto root = block(0, entered(0, 0), false);
    for (std::size_t next = 0; next < blocks_.size(); ++next)
      if (blocks_[next].state == Block::State::waiting) make(static_cast<std::uint32_t>(next));
    mark_recursion();
    link(root);
  }

 private:
  // --- blocks ---

  std::uint32_t entered(std::uint32_t scope, NodeId node) {
    if (graph_.dynamic_names.empty()) return 0;
    auto changed = graph_.entered(scopes_[scope], node);
    const auto [found, fresh] = scope_ids_.try_emplace(changed, static_cast<std::uint32_t>(scopes_.size()));
    if (fresh) scopes_.push_back(std::move(changed));
    return found->second;
  }

  std::uint32_t block(NodeId node, std::uint32_t scope, bool collects) {
    const auto key = std::tuple(node, scope, collects);
    const auto [found, fresh] = block_ids_.try_emplace(key, static_cast<std::uint32_t>(blocks_.size()));
    if (fresh) blocks_.push_back({.node = node, .scope = scope, .collects = collects});
    return found->second;
  }

  /// The schema behind an edge, for the same instance or for a part of it.
  NodeId target(const Keyword& keyword, const Edge& edge, std::uint32_t scope) const {
    return graph_.target(keyword, edge, scopes_[scope]);
  }

  /// A part of the instance: made later, so that recursive schemas need nothing special. Keywords of one `way` never
  /// speak of the same part.
  Entries child(NodeId node, std::uint32_t scope, std::uint32_t way = kParts) {
    const auto id = block(node, entered(scope, node), false);
    uses_.push_back({current_, id, way, true});
    return {{id}};
  }

  /// The same instance: made now, because what it can pass decides what becomes of the keyword.
  std::uint32_t same(NodeId node, std::uint32_t scope, bool collects, std::uint32_t way) {
    const auto id = block(node, entered(scope, node), collects);
    uses_.push_back({current_, id, way, false});
    if (blocks_[id].state == Block::State::open)
      throw TooMuch{place(node) + ": the schema refers to itself without going deeper into the instance"};
    if (blocks_[id].state == Block::State::waiting) make(id);
    return id;
  }

  std::string place(NodeId node) const {
    const auto text = graph_.location(node);
    return text.empty() ? "the schema" : text;
  }

  void make(std::uint32_t id) {
    if (++nested_ > kMostNested) throw TooMuch{place(blocks_[id].node) + ": schemas are nested too deeply"};
    blocks_[id].state = Block::State::open;
    const auto before = std::exchange(current_, id);
    const auto& node = graph_.nodes[blocks_[id].node];
    if (node.value->is(Type::boolean)) {
      if (!node.value->boolean()) refuse(kAllTypes);
    } else {
      const auto keywords = graph_.of(node);
      const bool arrays = has(keywords, Word::unevaluated_items), objects = has(keywords, Word::unevaluated_properties);
      for (const auto& keyword : keywords) emit(keyword, arrays, objects);
      if (arrays || objects) emit_unevaluated(id, keywords);
    }
    current_ = before;
    auto& made = blocks_[id];
    made.state = Block::State::done;
    for (int type = 0; type < kTypes; ++type) {
      if (made.fails_on(type)) made.code[type].clear();
      instructions_ += made.code[type].size();
    }
    if (instructions_ > kMostInstructions) throw TooMuch{"the schema becomes too large a program"};
    --nested_;
  }

  static bool has(std::span<const Keyword> keywords, Word word) {
    return std::ranges::find(keywords, word, &Keyword::word) != keywords.end();
  }

  // --- emitting ---

  Block& now() { return blocks_[current_]; }
  void refuse(std::uint8_t types) { now().fails |= types; }
  bool matters(int type) { return !now().fails_on(type); }

  template <class Plan>
  const Plan* keep(const Plan& plan) {
    return ::new (arena_.take(sizeof(Plan))) Plan(plan);
  }
  template <class Item>
  std::span<Item> keep(const std::vector<Item>& items) {
    auto* kept = arena_.array<Item>(items.size());
    std::uninitialized_copy(items.begin(), items.end(), kept);
    return {kept, items.size()};
  }

  void put(int type, const OperationPair& pair, Instruction instruction) {
    if (matters(type)) now().code[type].push_back({instruction, &pair});
  }
  void put(Type type, const OperationPair& pair, const void* plan = nullptr) {
    put(static_cast<int>(type), pair, {.plan = plan});
  }
  template <class Plan>
  void put_plan(Type type, const OperationPair& pair, const Plan& plan) {
    if (matters(static_cast<int>(type))) put(type, pair, keep(plan));
  }

  void emit(const Keyword& keyword, bool arrays_apart, bool objects_apart) {
    const auto& value = *keyword.value;
    const bool collects = now().collects;
    switch (keyword.word) {
      case Word::ref:
      case Word::dynamic_ref:
      case Word::all_of:
        for (const auto& edge : graph_.of(keyword))
          emit_all(target(keyword, edge, now().scope), arrays_apart, objects_apart);
        return;
      case Word::type: return emit_type(keyword.types);
      case Word::constant: return emit_values({&value});
      case Word::enumeration: return emit_enumeration(value);
      case Word::multiple_of: return put_plan(Type::number, kMultipleOf, json::Divisor(value));
      case Word::minimum: return emit_bound(kMinimum, value);
      case Word::maximum: return emit_bound(kMaximum, value);
      case Word::exclusive_minimum: return emit_bound(kExclusiveMinimum, value);
      case Word::exclusive_maximum: return emit_bound(kExclusiveMaximum, value);
      case Word::min_length: return put_plan(Type::string, kLength, RangePlan{.least = count(value)});
      case Word::max_length: return put_plan(Type::string, kLength, RangePlan{.most = count(value)});
      case Word::min_items: return put_plan(Type::array, kItemCount, RangePlan{.least = count(value)});
      case Word::max_items: return put_plan(Type::array, kItemCount, RangePlan{.most = count(value)});
      case Word::min_properties: return put_plan(Type::object, kMemberCount, RangePlan{.least = count(value)});
      case Word::max_properties: return put_plan(Type::object, kMemberCount, RangePlan{.most = count(value)});
      case Word::pattern:
        program_.searches = true;
        return put(Type::string, kPattern, &graph_.regexes[keyword.first_regex]);
      case Word::format:
        return put(static_cast<int>(Type::string), kFormatted,
                   {.integer = reinterpret_cast<std::intptr_t>(keyword.format)});
      case Word::unique_items: return put(Type::array, kUnique);
      case Word::contains: return emit_contains(keyword, collects || arrays_apart);
      case Word::prefix_items:
      case Word::items: return emit_items(keyword, collects || arrays_apart);
      case Word::required:
      case Word::properties:
      case Word::pattern_properties:
      case Word::additional_properties: return emit_object(keyword, collects || objects_apart);
      case Word::property_names:
        return put_plan(Type::object, kPropertyNames, later(child(graph_.of(keyword)[0].node, now().scope)));
      case Word::dependent_required:
      case Word::dependent_schemas: return emit_dependencies(keyword, collects || objects_apart);
      case Word::any_of:
      case Word::one_of: return emit_branches(keyword, arrays_apart, objects_apart);
      case Word::negation: return emit_negation(keyword);
      case Word::condition: return emit_condition(keyword, arrays_apart, objects_apart);
      case Word::misplaced: return refuse(kAllTypes);
      default: return;
    }
  }

  static std::uint64_t count(const Value& value) {
    if (const auto integer = value.integer()) return static_cast<std::uint64_t>(*integer);
    return ~std::uint64_t{0} - 1;  // more than there can be
  }

  void emit_type(std::uint8_t types) {
    const std::uint8_t allowed = types & kInteger ? types | bit(Type::number) : types;
    refuse(static_cast<std::uint8_t>(kAllTypes & ~allowed));
    if (types & kInteger) put(Type::number, kIntegerOnly);
  }

  void emit_bound(const OperationPair& pair, const Value& value) {
    const auto integer = value.integer();
    put_plan(Type::number, pair, BoundPlan{integer.value_or(0), integer.has_value(), value.number(), &value});
  }

  void emit_enumeration(const Value& list) {
    std::vector<const Value*> values;
    for (const auto& value : list.array()) values.push_back(&value);
    emit_values(values);
  }

  void emit_values(const std::vector<const Value*>& values) {
    std::vector<const Value*> of_type[kTypes];
    for (const auto* value : values) of_type[static_cast<int>(value->type())].push_back(value);
    for (int type = 0; type < kTypes; ++type) {
      if (of_type[type].empty())
        refuse(static_cast<std::uint8_t>(1 << type));
      else
        emit_values(static_cast<Type>(type), of_type[type]);
    }
  }

  void emit_values(Type type, const std::vector<const Value*>& values) {
    if (type == Type::null) return;
    if (type == Type::boolean) {
      const bool yes = std::ranges::any_of(values, &Value::boolean);
      const bool no = !std::ranges::all_of(values, &Value::boolean);
      if (!yes || !no) put(type, yes ? kTrue : kFalse);
    } else if (type == Type::string) {
      if (values.size() == 1) return put(type, kOneString, values[0]);
      Slots slots;
      for (const auto* value : values) slots[value->string()];
      put_plan(type, kStrings, StringsPlan{table(slots.all)});
    } else if (type == Type::number &&
               std::ranges::all_of(values, [](const Value* v) { return v->integer().has_value(); })) {
      std::vector<std::int64_t> integers;
      for (const auto* value : values) integers.push_back(*value->integer());
      put_plan(type, kIntegers, IntegersPlan{keep(integers)});
    } else {
      put_plan(type, kValues, ValuesPlan{keep(values)});
    }
  }

  // --- names ---

  /// Names as a table will hold them, each once.
  struct Slots {
    std::vector<Slot> all;
    std::map<std::string_view, std::size_t> places;

    Slot& operator[](std::string_view name) {
      const auto [found, fresh] = places.try_emplace(name, all.size());
      if (fresh) all.push_back({.name = Fingerprint::of(name), .text = name.data()});
      return all[found->second];
    }
  };

  /// Looks for a multiplier that keeps the names apart.
  PropertyTable table(const std::vector<Slot>& slots) {
    const auto size = std::bit_ceil(std::max<std::size_t>(2, 2 * slots.size()));
    PropertyTable made{.mask = static_cast<std::uint32_t>(size - 1),
                       .shift = static_cast<std::uint32_t>(64 - std::countr_zero(size)),
                       .count = static_cast<std::uint32_t>(slots.size())};
    made.slots = arena_.array<Slot>(size);
    std::size_t best = ~std::size_t{0};
    std::uint64_t chosen = 0, multiplier = 0x9E3779B97F4A7C15ull;
    const int tries = slots.size() <= 64 ? 16 : 2;
    for (int attempt = 0; attempt < tries && best > 0; ++attempt, multiplier = multiplier * 0xD1342543DE82EF95ull | 1) {
      const auto collisions = fill(made, slots, multiplier);
      if (collisions < best) best = collisions, chosen = multiplier;
    }
    fill(made, slots, chosen);
    return made;
  }

  static std::size_t fill(PropertyTable& made, const std::vector<Slot>& slots, std::uint64_t multiplier) {
    std::size_t collisions = 0;
    made.multiplier = multiplier;
    for (std::size_t i = 0; i <= made.mask; ++i) ::new (&made.slots[i]) Slot;
    auto* before = &made.first;
    for (const auto& slot : slots) {
      auto at = static_cast<std::uint32_t>(slot.name.hash(multiplier) >> made.shift);
      for (; made.slots[at].name.size != Slot::kEmpty; at = (at + 1) & made.mask) ++collisions;
      made.slots[at] = slot;
      *std::exchange(before, &made.slots[at].next) = at;
    }
    *before = made.first;
    return collisions;
  }

  /// `properties`, `required` and their neighbours are one pass over the members; the first of them emits it.
  void emit_object(const Keyword& keyword, bool collects) {
    const auto all = keywords_of_current();
    const auto first = std::ranges::find_if(all, [](const Keyword& k) {
      return k.word == Word::required || k.word == Word::properties || k.word == Word::pattern_properties ||
             k.word == Word::additional_properties;
    });
    if (&*first != &keyword || !matters(static_cast<int>(Type::object))) return;
    Slots slots;
    std::vector<PatternPlan> patterns;
    ObjectPlan plan{.collects = collects};
    const auto scope = now().scope;
    const auto anything = always();
    if (const auto* properties = neighbour(Word::properties))
      for (const auto& edge : graph_.of(*properties)) {
        auto& found = slots[edge.name];
        found.declared = true;
        found.entries = child(edge.node, scope);
      }
    for (const auto& k : all) {
      if (k.word == Word::required) {
        for (const auto& name : k.value->array()) {
          if (graph_.exempt(now().node, name.string())) continue;
          auto& found = slots[name.string()];
          if (!found.declared) found.entries = anything;
          if (!found.required) ++plan.required;
          found.required = true;
        }
      } else if (k.word == Word::pattern_properties) {
        program_.searches = true;
        for (std::uint32_t i = 0; i < k.edge_count; ++i)
          patterns.push_back({&graph_.regexes[k.first_regex + i], child(graph_.of(k)[i].node, scope, another_way())});
      } else if (k.word == Word::additional_properties) {
        plan.has_additional = true;
        plan.additional = child(graph_.of(k)[0].node, scope);
      }
    }
    constexpr std::size_t kFew = 3;
    const bool few = slots.all.size() <= kFew && patterns.empty() && !plan.has_additional && !collects;
    if (few)
      plan.few = keep(slots.all);
    else
      plan.table = table(slots.all);
    plan.patterns = keep(patterns);
    auto* kept = const_cast<ObjectPlan*>(keep(plan));
    if (few) {
      for (auto& s : plan.few) fix(const_cast<Slot&>(s).entries);
    } else {
      for (std::size_t i = 0; i <= kept->table.mask; ++i)
        if (kept->table.slots[i].name.size != Slot::kEmpty) fix(kept->table.slots[i].entries);
    }
    for (auto& pattern : kept->patterns) fix(pattern.entries);
    if (kept->has_additional) fix(kept->additional);
    const bool plain = kept->patterns.empty() && !collects;
    put(Type::object, few ? kObjectFew : plain ? kObjectPlain : kObject, kept);
  }

  std::span<const Keyword> keywords_of_current() { return graph_.of(graph_.nodes[now().node]); }
  const Keyword* neighbour(Word word) { return graph_.find(now().node, word); }

  // Entries name a block until the program is linked.
  static constexpr std::uint32_t kAlways = 0xFFFFFFFE;
  static Entries always() { return {{kAlways}}; }
  void fix(Entries& entries) { entries_.push_back(&entries); }
  struct Later {
    Entries entries;
  };
  static Later later(Entries entries) { return {entries}; }
  void put_plan(Type type, const OperationPair& pair, const Later& later) {
    auto* kept = const_cast<Entries*>(keep(later.entries));
    fix(*kept);
    put(type, pair, kept);
  }

  // --- arrays ---

  void emit_items(const Keyword& keyword, bool collects) {
    const auto *prefix = neighbour(Word::prefix_items), *items = neighbour(Word::items);
    if (&keyword != (prefix ? prefix : items) || !matters(static_cast<int>(Type::array))) return;
    ItemsPlan plan{.collects = collects};
    if (prefix) {
      std::vector<Entries> entries;
      for (const auto& edge : graph_.of(*prefix)) entries.push_back(child(edge.node, now().scope));
      plan.prefix = keep(entries);
      for (auto& entry : plan.prefix) fix(entry);
    }
    if (items) plan.has_rest = true, plan.rest = child(graph_.of(*items)[0].node, now().scope);
    auto* kept = const_cast<ItemsPlan*>(keep(plan));
    if (items) fix(kept->rest);
    put(Type::array, kItems, kept);
  }

  void emit_contains(const Keyword& keyword, bool collects) {
    ContainsPlan plan{.entries = child(graph_.of(keyword)[0].node, now().scope, another_way()), .collects = collects};
    if (const auto* least = neighbour(Word::min_contains)) plan.least = count(*least->value);
    if (const auto* most = neighbour(Word::max_contains)) plan.most = count(*most->value);
    auto* kept = const_cast<ContainsPlan*>(keep(plan));
    fix(kept->entries);
    put(Type::array, kContains, kept);
  }

  // --- several schemas for one instance ---

  /// Whether what a subschema evaluates is asked for, by the type of the instance.
  bool collects_on(int type, bool arrays_apart, bool objects_apart) {
    if (type == static_cast<int>(Type::array)) return now().collects || arrays_apart;
    if (type == static_cast<int>(Type::object)) return now().collects || objects_apart;
    return false;
  }

  struct Both {
    std::uint32_t plain, collecting;
  };
  /// A subschema for the same instance, in the forms that are needed.
  Both forms(NodeId node, bool arrays_apart, bool objects_apart) {
    const auto scope = now().scope;
    const bool some = now().collects || arrays_apart || objects_apart;
    const auto way = another_way();  // one of the forms is taken
    const auto plain = same(node, scope, false, way);
    return {plain, some ? same(node, scope, true, way) : plain};
  }
  std::uint32_t form(const Both& both, int type, bool arrays_apart, bool objects_apart) {
    return collects_on(type, arrays_apart, objects_apart) ? both.collecting : both.plain;
  }

  void emit_all(NodeId node, bool arrays_apart, bool objects_apart) {
    const auto both = forms(node, arrays_apart, objects_apart);
    for (int type = 0; type < kTypes; ++type) append(form(both, type, arrays_apart, objects_apart), type);
  }

  /// What a block says of a type becomes part of the present one: written out when short, called when long.
  void append(std::uint32_t id, int type) {
    const auto& other = blocks_[id];
    if (other.fails_on(type)) return refuse(static_cast<std::uint8_t>(1 << type));
    if (!matters(type)) return;
    if (other.code[type].size() > kInlined) return put(type, kCall, {.target = sequence(id, type)});
    auto& code = now().code[type];
    code.insert(code.end(), other.code[type].begin(), other.code[type].end());
  }

  static std::uint32_t sequence(std::uint32_t block, int type) {
    return block * kTypes + static_cast<std::uint32_t>(type);
  }

  void emit_branches(const Keyword& keyword, bool arrays_apart, bool objects_apart) {
    std::vector<Both> branches;
    for (const auto& edge : graph_.of(keyword)) branches.push_back(forms(edge.node, arrays_apart, objects_apart));
    for (int type = 0; type < kTypes; ++type) {
      const bool collects = collects_on(type, arrays_apart, objects_apart);
      std::vector<std::uint32_t> open;
      std::uint32_t passed = 0;
      for (const auto& both : branches) {
        const auto id = form(both, type, arrays_apart, objects_apart);
        if (blocks_[id].passes(type))
          ++passed;
        else if (!blocks_[id].fails_on(type))
          open.push_back(id);
      }
      emit_branches(keyword.word == Word::one_of, type, open, passed, collects);
    }
  }

  void emit_branches(bool one, int type, const std::vector<std::uint32_t>& open, std::uint32_t passed, bool collects) {
    if (!matters(type)) return;
    if (one ? passed > 1 || (passed == 0 && open.empty()) : passed == 0 && open.empty())
      return refuse(static_cast<std::uint8_t>(1 << type));
    if (open.empty() || (!one && passed > 0 && !collects)) return;
    if (open.size() == 1 && passed == 0) return append(open[0], type);
    std::vector<std::uint32_t> targets;
    for (const auto id : open) targets.push_back(sequence(id, type));
    // Where a branch is known to pass, the others of an `anyOf` only say what they evaluate.
    if (!one && passed > 0) targets.push_back(kPass);
    auto* kept = const_cast<BranchPlan*>(keep(BranchPlan{keep(targets), passed, collects}));
    for (std::size_t i = 0; i < open.size(); ++i) targets_.push_back(&kept->targets[i]);
    put(type, one ? kOneOf : kAnyOf, {.plan = kept});
  }

  void emit_negation(const Keyword& keyword) {
    const auto id = same(graph_.of(keyword)[0].node, now().scope, false, another_way());
    for (int type = 0; type < kTypes; ++type) {
      if (blocks_[id].passes(type))
        refuse(static_cast<std::uint8_t>(1 << type));
      else if (!blocks_[id].fails_on(type))
        put(type, kNegation, {.target = sequence(id, type)});
    }
  }

  void emit_condition(const Keyword& keyword, bool arrays_apart, bool objects_apart) {
    const auto condition = forms(graph_.of(keyword)[0].node, arrays_apart, objects_apart);
    const auto branch = [&](Word word) -> std::optional<Both> {
      const auto* found = neighbour(word);
      if (!found) return std::nullopt;
      return forms(graph_.of(*found)[0].node, arrays_apart, objects_apart);
    };
    const auto yes = branch(Word::consequence), no = branch(Word::alternative);
    for (int type = 0; type < kTypes; ++type) {
      if (!matters(type)) continue;
      const bool collects = collects_on(type, arrays_apart, objects_apart);
      const auto id = form(condition, type, arrays_apart, objects_apart);
      const auto chosen = [&](const std::optional<Both>& both) -> std::optional<std::uint32_t> {
        if (!both) return std::nullopt;
        return form(*both, type, arrays_apart, objects_apart);
      };
      const auto then_id = chosen(yes), else_id = chosen(no);
      if (blocks_[id].passes(type) || blocks_[id].fails_on(type)) {
        const auto next = blocks_[id].passes(type) ? then_id : else_id;
        if (next) append(*next, type);
        continue;
      }
      if (!collects && !then_id && !else_id) continue;
      auto* kept = const_cast<ConditionPlan*>(
          keep(ConditionPlan{sequence(id, type), outcome(then_id, type), outcome(else_id, type), collects}));
      targets_.push_back(&kept->condition);
      for (auto* target : {&kept->consequence, &kept->alternative})
        if (*target != kPass) targets_.push_back(target);
      put(type, kCondition, {.plan = kept});
    }
  }

  std::uint32_t outcome(std::optional<std::uint32_t> id, int type) {
    if (!id || blocks_[*id].passes(type)) return kPass;
    return sequence(*id, type);
  }

  void emit_dependencies(const Keyword& keyword, bool collects) {
    constexpr int kObjectType = static_cast<int>(Type::object);
    std::vector<DependencyPlan::Dependency> all;
    std::vector<std::size_t> open;
    const auto names = [&](const Value& list) {
      std::vector<std::string_view> kept;
      for (const auto& name : list.array()) kept.push_back(name.string());
      return keep(kept);
    };
    if (keyword.word == Word::dependent_required) {
      for (const auto& member : keyword.value->object()) all.push_back({member.key, names(member.value), kPass});
    } else {
      for (const auto& edge : graph_.of(keyword)) {
        if (edge.node == kNoNode) {
          all.push_back({edge.name, names(*keyword.value->find(edge.name)), kPass});
          continue;
        }
        const auto target = outcome(same(edge.node, now().scope, collects, another_way()), kObjectType);
        if (target != kPass) open.push_back(all.size());
        all.push_back({edge.name, {}, target});
      }
    }
    auto* kept = const_cast<DependencyPlan*>(keep(DependencyPlan{keep(all), collects}));
    for (const auto i : open) targets_.push_back(&kept->dependencies[i].target);
    put(Type::object, kDependencies, kept);
  }

  /// Everything so far becomes the body that collects; what it leaves is checked by the keyword's schema.
  void emit_unevaluated(std::uint32_t id, std::span<const Keyword> keywords) {
    for (const auto& keyword : keywords) {
      if (keyword.word != Word::unevaluated_items && keyword.word != Word::unevaluated_properties) continue;
      const auto type = static_cast<int>(keyword.word == Word::unevaluated_items ? Type::array : Type::object);
      if (!matters(type)) continue;
      const auto rest = child(graph_.of(keyword)[0].node, now().scope, another_way());
      UnevaluatedPlan plan{.body = kPass, .rest = rest, .collects = now().collects};
      if (!blocks_[id].code[type].empty()) {
        const auto body = static_cast<std::uint32_t>(blocks_.size());
        blocks_.push_back({.state = Block::State::done, .node = blocks_[id].node, .scope = blocks_[id].scope});
        blocks_[body].code[type] = std::move(blocks_[id].code[type]);
        blocks_[id].code[type].clear();
        plan.body = sequence(body, type);
      }
      auto* kept = const_cast<UnevaluatedPlan*>(keep(plan));
      fix(kept->rest);
      if (kept->body != kPass) targets_.push_back(&kept->body);
      put(type, kUnevaluated, {.plan = kept});
    }
  }

  // --- recursion ---

  /// From one block to another that it runs, for the same instance or for a part of it. Along two ways the same part
  /// may be judged twice.
  struct Use {
    std::uint32_t from, to, way;
    bool part;
  };
  static constexpr std::uint32_t kParts = 0;
  std::uint32_t another_way() { return ++ways_; }

  /// Blocks that reach each other are a circle. Where one of its blocks goes on in two ways, what is below is judged
  /// twice at each turn: the blocks at which a turn begins then remember their verdicts.
  void mark_recursion() {
    const auto circles = find_circles();
    std::vector<std::uint32_t> way(blocks_.size(), kNone);
    std::vector<bool> doubles(blocks_.size());  // by circle
    for (const auto& use : uses_) {
      if (circles[use.from] != circles[use.to]) continue;
      if (way[use.from] != kNone && way[use.from] != use.way) doubles[circles[use.from]] = true;
      way[use.from] = use.way;
    }
    std::vector<bool> marked(blocks_.size());
    for (const auto& use : uses_) {
      if (!use.part || circles[use.from] != circles[use.to] || !doubles[circles[use.to]]) continue;
      if (marked[use.to]) continue;
      marked[use.to] = true;
      for (const auto type : {Type::array, Type::object}) {
        auto& code = blocks_[use.to].code[static_cast<int>(type)];
        if (!code.empty()) code.insert(code.begin(), Draft{{}, &kRecursion});
      }
    }
  }

  /// For each block a number that it shares with the blocks of its circle (Tarjan, Depth-first search and linear graph
  /// algorithms, 1972).
  std::vector<std::uint32_t> find_circles() const {
    const auto count = static_cast<std::uint32_t>(blocks_.size());
    std::vector<std::uint32_t> first(count + 1), next(uses_.size());
    for (const auto& use : uses_) ++first[use.from + 1];
    for (std::uint32_t i = 0; i < count; ++i) first[i + 1] += first[i];
    auto place = first;
    for (const auto& use : uses_) next[place[use.from]++] = use.to;

    std::vector<std::uint32_t> circle(count, kNone), order(count, kNone), lowest(count), open, at(first);
    std::vector<std::uint32_t> path;
    std::uint32_t seen = 0;
    for (std::uint32_t root = 0; root < count; ++root) {
      if (order[root] != kNone) continue;
      path.push_back(root);
      while (!path.empty()) {
        const auto block = path.back();
        if (order[block] == kNone) {
          order[block] = lowest[block] = seen++;
          open.push_back(block);
        }
        if (at[block] < first[block + 1]) {
          const auto to = next[at[block]++];
          if (order[to] == kNone)
            path.push_back(to);
          else if (circle[to] == kNone)
            lowest[block] = std::min(lowest[block], order[to]);
          continue;
        }
        path.pop_back();
        if (!path.empty()) lowest[path.back()] = std::min(lowest[path.back()], lowest[block]);
        if (lowest[block] != order[block]) continue;
        for (std::uint32_t member = kNone; member != block; open.pop_back()) circle[member = open.back()] = block;
      }
    }
    return circle;
  }

  // --- linking ---

  void link(std::uint32_t root) {
    auto& code = program_.code;
    code.push_back({.operation = fail_operation});
    code.push_back({.operation = pass_operation});
    std::vector<std::uint32_t> start(blocks_.size() * kTypes);
    for (std::uint32_t id = 0; id < blocks_.size(); ++id)
      for (int type = 0; type < kTypes; ++type) start[sequence(id, type)] = place(code, blocks_[id], type);
    for (auto& instruction : code)
      if (instruction.target != Instruction::kNowhere) instruction.target = start[instruction.target];
    for (auto* target : targets_) *target = start[*target];
    const auto resolve = [&](Entries& entries) {
      const auto id = entries.at[0];
      for (int type = 0; type < kTypes; ++type) entries.at[type] = id == kAlways ? kPass : start[sequence(id, type)];
    };
    for (auto* entries : entries_) resolve(*entries);
    program_.root.at[0] = root;
    resolve(program_.root);
    code.shrink_to_fit();
  }

  static std::uint32_t place(std::vector<Instruction>& code, const Block& block, int type) {
    if (block.fails_on(type)) return kFail;
    if (block.code[type].empty()) return kPass;
    const auto start = static_cast<std::uint32_t>(code.size());
    for (std::size_t i = 0; i < block.code[type].size(); ++i) {
      auto [instruction, pair] = block.code[type][i];
      instruction.operation = i + 1 == block.code[type].size() ? pair->last : pair->more;
      code.push_back(instruction);
    }
    return start;
  }

  Program& program_;
  const Graph& graph_;
  Arena& arena_;
  std::deque<Block> blocks_;
  std::map<std::tuple<NodeId, std::uint32_t, bool>, std::uint32_t> block_ids_;
  std::vector<DynamicScope> scopes_;
  std::map<DynamicScope, std::uint32_t> scope_ids_;
  std::vector<Entries*> entries_;
  std::vector<std::uint32_t*> targets_;
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  std::vector<Use> uses_;
  std::uint32_t current_ = 0, ways_ = kParts;
  std::size_t nested_ = 0, instructions_ = 0;
};

}  // namespace

Result<std::unique_ptr<const Program>> generate(Graph graph) try {
  auto program = std::make_unique<Program>();
  program->graph = std::move(graph);
  Generator(*program).run();
  return program;
} catch (const TooMuch& error) { return fail(kInvalidSchema, error.message); }

}  // namespace plimsoll::schema
