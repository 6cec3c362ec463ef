#include "plimsoll/handler/mock/constraints.hpp"

#include <algorithm>

namespace plimsoll::handler::mocking {
namespace {

using json::Type;
using json::Value;

unsigned bit_of(std::string_view type) {
  constexpr std::string_view names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
  for (unsigned i = 0; i < 7; ++i)
    if (names[i] == type) return i == 3 ? kNumber | kInteger : 1u << i;
  return 0;
}

void at_least(std::size_t& bound, const Value& value) {
  if (const auto n = value.integer(); n && *n >= 0) bound = std::max(bound, static_cast<std::size_t>(*n));
}
void at_most(std::size_t& bound, const Value& value) {
  if (const auto n = value.integer(); n && *n >= 0) bound = std::min(bound, static_cast<std::size_t>(*n));
}

bool numeric(Constraints& constraints, const Value& schema, std::string_view key, const Value& value) {
  const auto low = [&](double bound, bool open) {
    if (bound > constraints.least || (bound == constraints.least && open))
      constraints.least = bound, constraints.above = open;
  };
  const auto high = [&](double bound, bool open) {
    if (bound < constraints.most || (bound == constraints.most && open))
      constraints.most = bound, constraints.below = open;
  };
  const auto open = [&](std::string_view name) {
    const auto* flag = schema.find(name);
    return flag && flag->is(Type::boolean) && flag->boolean();  // OpenAPI 3.0
  };
  if (key == "minimum" && value.is(Type::number))
    low(value.number(), open("exclusiveMinimum"));
  else if (key == "maximum" && value.is(Type::number))
    high(value.number(), open("exclusiveMaximum"));
  else if (key == "exclusiveMinimum" && value.is(Type::number))
    low(value.number(), true);
  else if (key == "exclusiveMaximum" && value.is(Type::number))
    high(value.number(), true);
  else if (key == "multipleOf" && value.is(Type::number))
    constraints.multiples.push_back(&value);
  else
    return false;
  if ((key == "minimum" || key == "maximum") && !open(key == "minimum" ? "exclusiveMinimum" : "exclusiveMaximum"))
    constraints.bound = &value;
  constraints.hinted |= kInteger | kNumber;
  return true;
}
/// What is simple to stay away from: types and names. For the rest of `not` there is the next attempt.
void negated(Constraints& constraints, const Value& schema) {
  if (!schema.is(Type::object) || schema.object().size() != 1) return;
  if (const auto* type = schema.find("type")) {
    const auto exclude = [&](const Value& name) {
      if (name.is(Type::string))
        constraints.types &= ~(name.string() == "number" ? kNumber | kInteger : bit_of(name.string()));
    };
    exclude(*type);
    for (auto& name : type->array()) exclude(name);
    constraints.hinted &= constraints.types;
  }
  if (const auto* names = schema.find("required"); names && names->array().size() == 1)
    if (const auto& name = names->array()[0]; name.is(Type::string)) constraints.forbidden.insert(name.string());
}
bool textual(Constraints& constraints, std::string_view key, const Value& value) {
  if (key == "minLength")
    at_least(constraints.min_length, value);
  else if (key == "maxLength")
    at_most(constraints.max_length, value);
  else if (key == "pattern" && value.is(Type::string))
    constraints.patterns.push_back(value.string());
  else if (key == "format" && value.is(Type::string))
    constraints.format = value.string();
  else
    return false;
  constraints.hinted |= kString;
  return true;
}
bool listed(Constraints& constraints, std::string_view key, const Value& value) {
  if (key == "minItems")
    at_least(constraints.min_items, value);
  else if (key == "maxItems")
    at_most(constraints.max_items, value);
  else if (key == "items" && !value.is(Type::array))
    constraints.items.push_back(&value);
  else if (key == "prefixItems")
    constraints.prefixes.push_back(value.array());
  else if (key == "contains")
    constraints.contains.push_back(&value);
  else if (key == "minContains")
    constraints.min_contains = static_cast<std::size_t>(value.integer().value_or(1));
  else if (key == "uniqueItems")
    constraints.unique |= value.is(Type::boolean) && value.boolean();
  else if (key == "unevaluatedItems")
    constraints.items.push_back(&value);
  else
    return false;
  constraints.hinted |= kArray;
  return true;
}
void member(Constraints& constraints, std::string_view key, const Value& value) {
  if (key == "properties") {
    for (auto& [name, schema, at] : value.object()) constraints.property(name).push_back(&schema);
  } else if (key == "required") {
    for (auto& name : value.array())
      if (name.is(Type::string)) constraints.required.insert(name.string());
  } else if (key == "additionalProperties" || key == "unevaluatedProperties") {
    if (value.is(Type::boolean))
      constraints.closed |= !value.boolean();
    else
      constraints.additional.push_back(&value);
  } else if (key == "patternProperties") {
    for (auto& [name, schema, at] : value.object()) constraints.pattern_properties.emplace_back(name, &schema);
  } else if (key == "propertyNames") {
    constraints.names.push_back(&value);
  } else if (key == "minProperties") {
    at_least(constraints.min_members, value);
  } else if (key == "maxProperties") {
    at_most(constraints.max_members, value);
  } else if (key == "dependentRequired") {
    constraints.dependents.push_back(&value);
  } else if (key == "dependentSchemas") {
    constraints.dependent_schemas.push_back(&value);
  } else {
    return;
  }
  constraints.hinted |= kObject;
}

}  // namespace

void ConstraintReader::absorb(Constraints& constraints, const Value& given, int depth) {
  if (depth > kDeepestSchema) {
    constraints.never = true;
    return;
  }
  if (given.is(Type::boolean)) {
    constraints.never |= !given.boolean();
    return;
  }
  if (!given.is(Type::object)) return;
  if (const auto* ref = given.find("$ref")) {
    const auto& target = contract_.resolve(given);
    if (&target == &given)
      constraints.never = true;
    else
      absorb(constraints, target, depth + 1);
    (void)ref;
  }
  bool nullable = false;
  for (auto& [key, value, at] : given.object()) {
    if (key == "nullable") nullable = value.is(Type::boolean) && value.boolean();
  }
  for (auto& [key, value, at] : given.object()) keyword(constraints, given, key, value, nullable, depth);
}

void ConstraintReader::keyword(Constraints& constraints, const Value& schema, std::string_view key, const Value& value,
                               bool nullable, int depth) {
  if (key == "type") {
    unsigned types = nullable ? kNull : 0;
    if (value.is(Type::string)) types |= bit_of(value.string());
    for (auto& name : value.array())
      if (name.is(Type::string)) types |= bit_of(name.string());
    constraints.types &= types;
  } else if (key == "enum" || key == "const") {
    std::vector<const Value*> candidates;
    if (key == "const")
      candidates.push_back(&value);
    else
      for (auto& item : value.array()) candidates.push_back(&item);
    if (constraints.has_values)
      std::erase_if(candidates, [&](const Value* c) {
        return std::ranges::none_of(constraints.values, [&](const Value* k) { return json::equal(*c, *k); });
      });
    constraints.values = std::move(candidates);
    constraints.has_values = true;
  } else if (key == "example") {
    if (!constraints.example) constraints.example = &value;
  } else if (key == "examples") {
    if (!constraints.example && !value.array().empty()) constraints.example = &value.array()[0];
  } else if (key == "default") {
    if (!constraints.example) constraints.example = &value;
  } else if (key == "not") {
    negated(constraints, value);
  } else if (key == "allOf") {
    for (auto& part : value.array()) absorb(constraints, part, depth + 1);
  } else if (key == "anyOf" || key == "oneOf") {
    if (!value.array().empty()) branch(constraints, schema, value.array()[random_.below(value.array().size())], depth);
  } else if (key == "if") {
    const auto* then = schema.find("then");
    const auto* otherwise = schema.find("else");
    if (random_.one_in(2)) {
      absorb(constraints, value, depth + 1);
      if (then) absorb(constraints, *then, depth + 1);
    } else if (otherwise) {
      absorb(constraints, *otherwise, depth + 1);
    }
  } else if (!numeric(constraints, schema, key, value) && !textual(constraints, key, value) &&
             !listed(constraints, key, value)) {
    member(constraints, key, value);
  }
}

/// A branch of a choice; a discriminator's property is given the name that chooses it.
void ConstraintReader::branch(Constraints& constraints, const Value& schema, const Value& chosen, int depth) {
  absorb(constraints, chosen, depth + 1);
  const auto* property = schema.at("discriminator", "propertyName");
  const auto* ref = chosen.find("$ref");
  if (!property || !ref || !property->is(Type::string) || !ref->is(Type::string)) return;
  auto name = ref->string().substr(ref->string().rfind('/') + 1);
  if (const auto* mapping = schema.at("discriminator", "mapping"))
    for (auto& [word, target, at] : mapping->object())
      if (target.is(Type::string) && (target.string() == ref->string() || target.string() == name)) {
        name = word;
        break;
      }
  auto& value = arena_.make<Value>(Value::object({}));
  auto& candidates = arena_.make<Value>(Value::array({}));
  candidates.push(arena_, Value::of(name));
  value.set(arena_, "enum", candidates);
  constraints.property(property->string()).push_back(&value);
  constraints.required.insert(property->string());
}

}  // namespace plimsoll::handler::mocking
