#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/handler/mock/random.hpp"

#include <cstdint>
#include <limits>
#include <set>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::handler::mocking {

using Schemas = std::vector<const json::Value*>;

/// How deep schemas are followed.
inline constexpr int kDeepestSchema = 24;

/// Types as bits; a number that is an integer is both.
enum : unsigned {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kNumber = 8,
  kString = 16,
  kArray = 32,
  kObject = 64,
  kAll = 127
};

/// What several schemas that must all hold ask of one value, taken together.
struct Constraints {
  unsigned types = kAll;
  bool never = false;
  std::vector<const json::Value*> values;  ///< of `enum` or `const`: the candidates
  bool has_values = false;
  const json::Value* example = nullptr;
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
  bool above = false, below = false;   ///< the bound itself is not allowed
  const json::Value* bound = nullptr;  ///< an inclusive one, as it is written: doubles end at 2^53
  Schemas multiples;
  std::size_t min_length = 0, max_length = SIZE_MAX, min_items = 0, max_items = SIZE_MAX, min_members = 0,
              max_members = SIZE_MAX;
  std::vector<std::string_view> patterns;
  std::string_view format;
  std::vector<std::span<const json::Value>> prefixes;
  Schemas items, contains, names, additional, unevaluated;
  std::size_t min_contains = 1;
  bool unique = false, closed = false;
  std::vector<std::pair<std::string_view, Schemas>> properties;
  std::vector<std::pair<std::string_view, const json::Value*>> pattern_properties;
  std::set<std::string_view> required, forbidden;
  std::vector<const json::Value*> dependents;  ///< objects of `dependentRequired`
  std::vector<const json::Value*> dependent_schemas;
  unsigned hinted = 0;  ///< types that keywords speak of, where no `type` is given

  Schemas& property(std::string_view name) {
    for (auto& [known, schemas] : properties)
      if (known == name) return schemas;
    return properties.emplace_back(name, Schemas{}).second;
  }
};

/// Reads schemas into what they ask. Where they leave a choice (`anyOf`, `oneOf`, `if`) one is taken at random.
class ConstraintReader {
 public:
  ConstraintReader(const contract::Contract& contract, Random& random, Arena& arena)
      : contract_(contract), random_(random), arena_(arena) {}
  void absorb(Constraints& constraints, const json::Value& schema) { absorb(constraints, schema, 0); }

 private:
  void absorb(Constraints& constraints, const json::Value& given, int depth);
  void keyword(Constraints& constraints, const json::Value& schema, std::string_view key, const json::Value& value,
               bool nullable, int depth);
  void branch(Constraints& constraints, const json::Value& schema, const json::Value& chosen, int depth);

  const contract::Contract& contract_;
  Random& random_;
  Arena& arena_;
};

}  // namespace plimsoll::handler::mocking
