#include "plimsoll/schema/operations.hpp"

#include "plimsoll/json/number.hpp"
#include "plimsoll/json/utf8.hpp"

#include <algorithm>

// Sequences run by tail calls: no stack grows and nothing is saved between operations.
#if defined(__clang__)
#define PLIMSOLL_TAIL_CALL [[clang::musttail]]
#else
#define PLIMSOLL_TAIL_CALL
#endif

namespace plimsoll::schema {
namespace {

using json::Type;
using json::Value;

constexpr std::size_t kNamesAStep = 8;  // that are compared

bool jump(std::uint32_t target, const Value& instance, Run& run) {
  const auto* at = run.code + target;
  return at->operation(at, instance, run);
}

bool enter(const Entries& entries, const Value& instance, Run& run) {
  const auto target = entries.at[static_cast<int>(instance.type())];
  return target <= kPass ? target == kPass : jump(target, instance, run);
}

/// A fresh set of marks, for an instance or for a branch that may fail; the set before comes back at the end.
class Marks {
 public:
  Marks(Run& run, std::size_t count) : run_(run), before_(run.marks), words_before_(run.words) {
    run.words = (count + 63) / 64;
    run.marks = run.words <= kNear ? near_ : new std::uint64_t[run.words];  // 1024 members and more cost an allocation
    std::fill_n(run.marks, run.words, 0);
  }
  /// A branch of the same instance.
  explicit Marks(Run& run) : Marks(run, run.words * 64) {}
  ~Marks() {
    if (run_.marks != near_) delete[] run_.marks;
    run_.marks = before_;
    run_.words = words_before_;
  }
  Marks(const Marks&) = delete;
  Marks& operator=(const Marks&) = delete;

  /// The branch was valid: what it evaluated counts.
  void keep() const {
    for (std::size_t i = 0; i < run_.words; ++i) before_[i] |= run_.marks[i];
  }

 private:
  static constexpr std::size_t kNear = 16;
  Run& run_;
  std::uint64_t* before_;
  std::size_t words_before_;
  std::uint64_t near_[kNear];
};

void mark(const Run& run, std::size_t index) { run.marks[index / 64] |= std::uint64_t{1} << index % 64; }
bool marked(const Run& run, std::size_t index) { return run.marks[index / 64] >> index % 64 & 1; }
void mark_all(const Run& run) { std::fill_n(run.marks, run.words, ~std::uint64_t{0}); }

/// A branch on the same instance, whose marks count only if it is valid.
bool attempt(std::uint32_t target, const Value& instance, Run& run, bool collects) {
  if (target <= kPass) return target == kPass;
  if (!collects || !run.marks) return jump(target, instance, run);
  const Marks marks(run);
  const bool valid = jump(target, instance, run);
  if (valid) marks.keep();
  return valid;
}

template <class Plan>
const Plan& plan(const Instruction* at) {
  return *static_cast<const Plan*>(at->plan);
}

template <class Check, bool kLast>
bool step(const Instruction* at, const Value& instance, Run& run) {
  if (!Check::holds(at, instance, run)) return false;
  if constexpr (kLast) {
    return true;
  } else {
    PLIMSOLL_TAIL_CALL return at[1].operation(at + 1, instance, run);
  }
}
template <class Check>
constexpr OperationPair kPair{step<Check, false>, step<Check, true>};

// --- numbers ---

struct IntegerOnly {
  static bool holds(const Instruction*, const Value& v, Run&) { return json::is_integer(v); }
};

// Rounding keeps the order: where the nearest doubles differ, the numbers differ the same way.
int compare_to_bound(const Value& v, const BoundPlan& bound) {
  if (const auto integer = v.integer(); integer && bound.has_integer)
    return *integer < bound.integer ? -1 : *integer > bound.integer;
  const double nearest = v.number();
  if (nearest < bound.nearest) return -1;
  if (nearest > bound.nearest) return 1;
  const auto order = json::compare(v, *bound.exact);
  return order < 0 ? -1 : order > 0;
}
struct Minimum {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    return compare_to_bound(v, plan<BoundPlan>(at)) >= 0;
  }
};
struct Maximum {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    return compare_to_bound(v, plan<BoundPlan>(at)) <= 0;
  }
};
struct ExclusiveMinimum {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    return compare_to_bound(v, plan<BoundPlan>(at)) > 0;
  }
};
struct ExclusiveMaximum {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    return compare_to_bound(v, plan<BoundPlan>(at)) < 0;
  }
};
struct MultipleOf {
  static bool holds(const Instruction* at, const Value& v, Run&) { return plan<json::Divisor>(at).divides(v); }
};

// --- strings ---

struct Length {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    const auto& range = plan<RangePlan>(at);
    const auto bytes = v.string().size();
    if ((bytes + 3) / 4 >= range.least && bytes <= range.most) return true;
    if (bytes < range.least) return false;
    const auto count = json::utf8_count(v.string());
    return count >= range.least && count <= range.most;
  }
};
struct Pattern {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    return plan<Regex>(at).search(v.string(), run.steps);
  }
};
struct Formatted {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    return reinterpret_cast<Format>(at->integer)(v.string());
  }
};
struct OneString {
  static bool holds(const Instruction* at, const Value& v, Run&) { return v.string() == plan<Value>(at).string(); }
};
struct Strings {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    return plan<StringsPlan>(at).table.find(v.string());
  }
};

// --- enumerations of other types ---

struct Integers {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    const auto integer = v.integer();
    if (!integer) return false;
    for (const auto value : plan<IntegersPlan>(at).values)
      if (value == *integer) return true;
    return false;
  }
};
struct Values {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    for (const auto* value : plan<ValuesPlan>(at).values)
      if (json::equal(*value, v)) return true;
    return false;
  }
};
struct True {
  static bool holds(const Instruction*, const Value& v, Run&) { return v.boolean(); }
};
struct False {
  static bool holds(const Instruction*, const Value& v, Run&) { return !v.boolean(); }
};

// --- arrays ---

struct ItemCount {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    const auto& range = plan<RangePlan>(at);
    return v.array().size() >= range.least && v.array().size() <= range.most;
  }
};
struct Items {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto& items = plan<ItemsPlan>(at);
    const auto array = v.array();
    if (!run.steps.spend(1 + array.size())) return false;
    const auto first = std::min(items.prefix.size(), array.size());
    for (std::size_t i = 0; i < first; ++i)
      if (!enter(items.prefix[i], array[i], run)) return false;
    if (items.has_rest)
      for (const auto& item : array.subspan(first))
        if (!enter(items.rest, item, run)) return false;
    if (items.collects && run.marks) {
      if (items.has_rest)
        mark_all(run);
      else
        for (std::size_t i = 0; i < first; ++i) mark(run, i);
    }
    return true;
  }
};
struct Contains {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto& contains = plan<ContainsPlan>(at);
    const auto array = v.array();
    if (!run.steps.spend(1 + array.size())) return false;
    const bool collects = contains.collects && run.marks;
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < array.size(); ++i) {
      if (!enter(contains.entries, array[i], run)) continue;
      if (++count > contains.most) return false;
      if (collects)
        mark(run, i);
      else if (count >= contains.least && contains.most == ~std::uint64_t{0})
        return true;
    }
    return count >= contains.least;
  }
};
struct Unique {
  static bool holds(const Instruction*, const Value& v, Run& run) { return is_unique(v.array(), run.steps); }
};

// --- objects ---

struct MemberCount {
  static bool holds(const Instruction* at, const Value& v, Run&) {
    const auto& range = plan<RangePlan>(at);
    return v.object().size() >= range.least && v.object().size() <= range.most;
  }
};
struct Object {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto& object = plan<ObjectPlan>(at);
    const auto members = v.object();
    if (members.size() < object.required || !run.steps.spend(1 + members.size())) return false;
    const bool collects = object.collects && run.marks;
    std::uint32_t required = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      const auto& [key, value, position] = members[i];
      bool evaluated = false;
      if (const auto* slot = object.table.find(key)) {
        required += slot->required;
        evaluated = slot->declared;
        if (!enter(slot->entries, value, run)) return false;
      }
      for (const auto& pattern : object.patterns)
        if (pattern.regex->search(key, run.steps)) {
          evaluated = true;
          if (!enter(pattern.entries, value, run)) return false;
        }
      if (!evaluated && object.has_additional) {
        evaluated = true;
        if (!enter(object.additional, value, run)) return false;
      }
      if (collects && evaluated) mark(run, i);
    }
    return required == object.required;
  }
};
/// Without patterns, and with nobody who asks which members were evaluated. Members mostly come in the order of the
/// schema: the name behind the last one is tried before it is looked for.
struct ObjectPlain {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto& object = plan<ObjectPlan>(at);
    const auto& table = object.table;
    const auto members = v.object();
    if (members.size() < object.required || !run.steps.spend(1 + members.size())) return false;
    std::uint32_t required = 0;
    const auto* slot = &table.slots[table.first];
    for (const auto& member : members) {
      const auto name = Fingerprint::of(member.key);
      const auto* found = slot->matches(name, member.key) ? slot : table.find(member.key, name);
      if (found) {
        slot = &table.slots[found->next];
        required += found->required;
        if (!enter(found->entries, member.value, run)) return false;
      }
      if ((!found || !found->declared) && object.has_additional && !enter(object.additional, member.value, run))
        return false;
    }
    return required == object.required;
  }
};
/// A handful of names, and nothing said of others: they are looked for in the instance.
struct ObjectFew {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto members = v.object();
    if (!run.steps.spend(1 + members.size())) return false;
    for (const auto& slot : plan<ObjectPlan>(at).few) {
      const Value* found = nullptr;
      for (const auto& member : members)
        if (member.key.size() == slot.name.size && std::memcmp(member.key.data(), slot.text, slot.name.size) == 0) {
          found = &member.value;
          break;
        }
      if (found ? !enter(slot.entries, *found, run) : slot.required) return false;
    }
    return true;
  }
};
struct PropertyNames {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto members = v.object();
    if (!run.steps.spend(1 + members.size())) return false;
    for (const auto& member : members)
      if (!enter(plan<Entries>(at), Value::of(member.key), run)) return false;
    return true;
  }
};
struct Dependencies {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto& all = plan<DependencyPlan>(at);
    for (const auto& dependency : all.dependencies) {
      if (!run.steps.spend(1 + v.object().size() * (1 + dependency.required.size()) / kNamesAStep)) return false;
      if (!v.find(dependency.name)) continue;
      for (const auto name : dependency.required)
        if (!v.find(name)) return false;
      if (!attempt(dependency.target, v, run, all.collects)) return false;
    }
    return true;
  }
};

// --- several schemas for one instance ---

struct Call {
  static bool holds(const Instruction* at, const Value& v, Run& run) { return jump(at->target, v, run); }
};
struct Negation {
  static bool holds(const Instruction* at, const Value& v, Run& run) { return !jump(at->target, v, run); }
};
struct AnyOf {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto& branches = plan<BranchPlan>(at);
    if (!run.steps.spend(branches.targets.size())) return false;
    const bool all = branches.collects && run.marks;
    bool valid = false;
    for (const auto target : branches.targets)
      if (attempt(target, v, run, branches.collects)) {
        if (!all) return true;
        valid = true;
      }
    return valid;
  }
};
struct OneOf {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto& branches = plan<BranchPlan>(at);
    if (!run.steps.spend(branches.targets.size())) return false;
    std::uint32_t passed = branches.passed;
    for (const auto target : branches.targets)
      if (attempt(target, v, run, branches.collects) && ++passed > 1) return false;
    return passed == 1;
  }
};
struct Condition {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto& condition = plan<ConditionPlan>(at);
    const auto next =
        attempt(condition.condition, v, run, condition.collects) ? condition.consequence : condition.alternative;
    return next <= kPass ? next == kPass : jump(next, v, run);
  }
};
struct Unevaluated {
  static bool holds(const Instruction* at, const Value& v, Run& run) {
    const auto& unevaluated = plan<UnevaluatedPlan>(at);
    const bool object = v.is(Type::object);
    const auto count = object ? v.object().size() : v.array().size();
    if (!run.steps.spend(1 + count)) return false;
    {
      const Marks marks(run, count);
      if (unevaluated.body <= kPass ? unevaluated.body == kFail : !jump(unevaluated.body, v, run)) return false;
      for (std::size_t i = 0; i < count; ++i)
        if (!marked(run, i) && !enter(unevaluated.rest, object ? v.object()[i].value : v.array()[i], run)) return false;
    }
    if (unevaluated.collects && run.marks) mark_all(run);
    return true;
  }
};

/// Stands before a sequence that can come to judge the same instance again and again: see Verdicts. Ordinary instances
/// end long before anything is remembered.
[[gnu::noinline]] bool judge_once(const Instruction* at, const Value& instance, Run& run) {
  constexpr std::uint64_t kCost = 2;
  if (!run.steps.spend(kCost)) return false;
  if (!run.verdicts) run.verdicts = std::make_unique<Verdicts>();
  const auto place = static_cast<std::uint64_t>(at - run.code);
  if (const auto known = run.verdicts->find(place, instance); known != Verdicts::kUnknown) return known == 0;
  const bool valid = at[1].operation(at + 1, instance, run);
  if (!run.steps.exhausted()) run.verdicts->add(place, instance, valid ? 0 : 1);
  return valid;
}
bool recursion(const Instruction* at, const Value& instance, Run& run) {
  if (run.steps.left() < run.remember_below) [[unlikely]]
    return judge_once(at, instance, run);
  PLIMSOLL_TAIL_CALL return at[1].operation(at + 1, instance, run);
}

}  // namespace

const OperationPair kIntegerOnly = kPair<IntegerOnly>, kMinimum = kPair<Minimum>, kMaximum = kPair<Maximum>,
                    kExclusiveMinimum = kPair<ExclusiveMinimum>, kExclusiveMaximum = kPair<ExclusiveMaximum>,
                    kMultipleOf = kPair<MultipleOf>, kLength = kPair<Length>, kPattern = kPair<Pattern>,
                    kFormatted = kPair<Formatted>, kOneString = kPair<OneString>, kStrings = kPair<Strings>,
                    kIntegers = kPair<Integers>, kValues = kPair<Values>, kTrue = kPair<True>, kFalse = kPair<False>,
                    kItemCount = kPair<ItemCount>, kItems = kPair<Items>, kContains = kPair<Contains>,
                    kUnique = kPair<Unique>, kMemberCount = kPair<MemberCount>, kObject = kPair<Object>,
                    kObjectPlain = kPair<ObjectPlain>, kObjectFew = kPair<ObjectFew>,
                    kPropertyNames = kPair<PropertyNames>, kDependencies = kPair<Dependencies>, kCall = kPair<Call>,
                    kNegation = kPair<Negation>, kAnyOf = kPair<AnyOf>, kOneOf = kPair<OneOf>,
                    kCondition = kPair<Condition>, kUnevaluated = kPair<Unevaluated>, kRecursion{recursion, recursion};

bool fail_operation(const Instruction*, const Value&, Run&) { return false; }
bool pass_operation(const Instruction*, const Value&, Run&) { return true; }

}  // namespace plimsoll::schema
