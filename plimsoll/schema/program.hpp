#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/steps.hpp"
#include "plimsoll/schema/graph.hpp"
#include "plimsoll/schema/property_table.hpp"
#include "plimsoll/schema/verdicts.hpp"

namespace plimsoll::schema {

struct Instruction;

/// What a run carries: the program, its budget, and which members or items of the present instance have been evaluated
/// (one bit each), where a schema above asks for it.
struct Run {
  const Instruction* code = nullptr;
  Steps steps;
  std::uint64_t remember_below = 0;  ///< with fewer steps left, verdicts are remembered
  std::uint64_t* marks = nullptr;
  std::size_t words = 0;
  std::unique_ptr<Verdicts> verdicts{};

  /// A run that costs less never allocates for its verdicts.
  static constexpr std::uint64_t kRememberAfter = 4096;
  Run(const Instruction* code, Steps steps)
      : code(code), steps(steps), remember_below(steps.left() > kRememberAfter ? steps.left() - kRememberAfter : 0) {}
};

/// An operation checks one thing and goes on with the next instruction. A schema becomes one sequence for each type of
/// instance, in which only what can matter for that type stands.
using Operation = bool (*)(const Instruction* at, const json::Value& instance, Run& run);

struct Instruction {
  static constexpr std::uint32_t kNowhere = 0xFFFFFFFF;
  Operation operation = nullptr;
  union {
    const void* plan = nullptr;  ///< what the operation works with, in the program's arena
    std::int64_t integer;
  };
  std::uint32_t target = kNowhere;  ///< another sequence
  std::uint32_t least = 0;
};

struct Program {
  std::vector<Instruction> code;
  Entries root{};
  bool searches = false;  ///< holds a regular expression, whose search may be given up
  Arena arena{512};
  Graph graph;
};

// What operations work with.

struct PatternPlan {
  const Regex* regex;
  Entries entries;
};
struct ObjectPlan {
  PropertyTable table;
  std::uint32_t required = 0;   ///< how many of the slots are
  std::span<const Slot> few{};  ///< the slots in a row, when they are few
  std::span<PatternPlan> patterns{};
  Entries additional{};
  bool has_additional = false;
  bool collects = false;
};
struct ItemsPlan {
  std::span<Entries> prefix{};
  Entries rest{};
  bool has_rest = false, collects = false;
};
struct ContainsPlan {
  Entries entries{};
  std::uint64_t least = 1, most = ~std::uint64_t{0};
  bool collects = false;
};
struct RangePlan {
  std::uint64_t least = 0, most = ~std::uint64_t{0};
};
struct BoundPlan {
  std::int64_t integer;
  bool has_integer;
  double nearest;
  const json::Value* exact;
};
struct StringsPlan {
  PropertyTable table;
};
struct ValuesPlan {
  std::span<const json::Value* const> values;
};
struct IntegersPlan {
  std::span<const std::int64_t> values;
};
/// Sequences tried on the same instance.
struct BranchPlan {
  std::span<std::uint32_t> targets{};
  std::uint32_t passed = 0;  ///< branches that are known to pass (`oneOf`)
  bool collects = false;
};
struct ConditionPlan {
  std::uint32_t condition, consequence, alternative;
  bool collects = false;
};
struct DependencyPlan {
  struct Dependency {
    std::string_view name;
    std::span<const std::string_view> required;
    std::uint32_t target;  ///< or kPass
  };
  std::span<Dependency> dependencies{};
  bool collects = false;
};
struct UnevaluatedPlan {
  std::uint32_t body;  ///< collects
  Entries rest;
  bool collects = false;
};

/// Makes the program; the graph moves into it.
Result<std::unique_ptr<const Program>> generate(Graph graph);

/// A keyword that failed, and what failed below it.
struct Unit {
  std::string instance;  ///< JSON pointer
  std::string path;      ///< the way taken through the schemas, references included
  std::string location;  ///< where the keyword stands
  std::string keyword;
  std::string message;  ///< empty: only what is below says something
  std::vector<Unit> below{};
  std::string missing{};  ///< a member that must be there and is not
};

/// Why an instance is invalid: at most `cap` failures that say something. Fewer, or none, when the steps are spent.
std::vector<Unit> explain(const Program& program, const json::Value& instance, Steps& steps, std::size_t cap);

}  // namespace plimsoll::schema
