#include "plimsoll/schema/keywords.hpp"

#include "plimsoll/base/letters.hpp"

#include <algorithm>
#include <span>

namespace plimsoll::schema {
namespace {

constexpr KeywordRule kRules[] = {
    {"$ref", Word::ref, Shape::reference, kCore, true},
    {"$dynamicRef", Word::dynamic_ref, Shape::reference, kCore, false},
    {"$defs", Word::definitions, Shape::schema_map, kCore, false},
    {"definitions", Word::definitions, Shape::schema_map, kCore, false},
    {"type", Word::type, Shape::type, kValidation, true},
    {"const", Word::constant, Shape::any, kValidation, false},
    {"enum", Word::enumeration, Shape::list, kValidation, true},
    {"multipleOf", Word::multiple_of, Shape::divisor, kValidation, true},
    {"maximum", Word::maximum, Shape::number, kValidation, true},
    {"exclusiveMaximum", Word::exclusive_maximum, Shape::number, kValidation, true},
    {"minimum", Word::minimum, Shape::number, kValidation, true},
    {"exclusiveMinimum", Word::exclusive_minimum, Shape::number, kValidation, true},
    {"maxLength", Word::max_length, Shape::count, kValidation, true},
    {"minLength", Word::min_length, Shape::count, kValidation, true},
    {"pattern", Word::pattern, Shape::pattern, kValidation, true},
    {"format", Word::format, Shape::format, kFormat, true},
    {"maxItems", Word::max_items, Shape::count, kValidation, true},
    {"minItems", Word::min_items, Shape::count, kValidation, true},
    {"uniqueItems", Word::unique_items, Shape::boolean, kValidation, true},
    {"maxContains", Word::max_contains, Shape::count, kValidation, false},
    {"minContains", Word::min_contains, Shape::count, kValidation, false},
    {"maxProperties", Word::max_properties, Shape::count, kValidation, true},
    {"minProperties", Word::min_properties, Shape::count, kValidation, true},
    {"required", Word::required, Shape::names, kValidation, true},
    {"dependentRequired", Word::dependent_required, Shape::name_map, kValidation, false},
    {"properties", Word::properties, Shape::schema_map, kApplicator, true},
    {"patternProperties", Word::pattern_properties, Shape::pattern_map, kApplicator, false},
    {"additionalProperties", Word::additional_properties, Shape::schema, kApplicator, true},
    {"propertyNames", Word::property_names, Shape::schema, kApplicator, false},
    {"prefixItems", Word::prefix_items, Shape::schemas, kApplicator, false},
    {"items", Word::items, Shape::tuple, kApplicator, true},
    {"contains", Word::contains, Shape::schema, kApplicator, false},
    {"allOf", Word::all_of, Shape::schemas, kApplicator, true},
    {"anyOf", Word::any_of, Shape::schemas, kApplicator, true},
    {"oneOf", Word::one_of, Shape::schemas, kApplicator, true},
    {"not", Word::negation, Shape::schema, kApplicator, true},
    {"if", Word::condition, Shape::schema, kApplicator, false},
    {"then", Word::consequence, Shape::schema, kApplicator, false},
    {"else", Word::alternative, Shape::schema, kApplicator, false},
    {"dependentSchemas", Word::dependent_schemas, Shape::schema_map, kApplicator, false},
    {"dependencies", Word::dependent_schemas, Shape::dependency_map, kApplicator, false},
    {"unevaluatedItems", Word::unevaluated_items, Shape::schema, kUnevaluated, false},
    {"unevaluatedProperties", Word::unevaluated_properties, Shape::schema, kUnevaluated, false},
    {"contentSchema", Word::content_schema, Shape::schema, kContent, false},
};

/// Keywords without a rule that others than the validator read: what is accepted, stored or shown depends on them.
constexpr std::string_view kRead[] = {"default",       "readOnly",        "writeOnly",       "nullable",
                                      "discriminator", "contentEncoding", "contentMediaType"};
/// Those that are for people.
constexpr std::string_view kRemarks[] = {"title", "description", "deprecated", "examples", "example", "externalDocs"};
/// Those that are told from misspelt ones, and are near to names that others give their annotations.
constexpr std::string_view kNames[] = {"$id",      "$schema",     "$anchor", "$dynamicAnchor",
                                       "$comment", "$vocabulary", "xml",     "additionalItems"};

constexpr KeywordRule kAdditionalItems{"additionalItems", Word::items, Shape::schema, kApplicator, false};

const std::unordered_map<std::string_view, const KeywordRule*>& index() {
  static const auto made = [] {
    std::unordered_map<std::string_view, const KeywordRule*> rules;
    for (const auto& rule : kRules) rules[rule.name] = &rule;
    return rules;
  }();
  return made;
}

bool known_in(const KeywordRule& rule, Edition edition) {
  if (edition != Edition::draft7 && edition != Edition::draft2019_09) return true;
  switch (rule.word) {
    case Word::prefix_items:
    case Word::dynamic_ref: return false;
    case Word::unevaluated_items:
    case Word::unevaluated_properties:
    case Word::dependent_required:
    case Word::max_contains:
    case Word::min_contains: return edition == Edition::draft2019_09;
    case Word::dependent_schemas: return edition == Edition::draft2019_09 || rule.shape == Shape::dependency_map;
    default: return true;
  }
}

}  // namespace

bool slipped(std::string_view written, std::string_view meant) {
  const auto same = [](char a, char b) { return lower(a) == lower(b); };
  const auto apart = std::ranges::mismatch(written, meant, same);
  const std::string_view left(apart.in1, written.end()), right(apart.in2, meant.end());
  const auto equal = [&](std::string_view a, std::string_view b) { return std::ranges::equal(a, b, same); };
  if (left.empty() && right.empty()) return true;
  if (left.size() > 1 && right.size() > 1 && same(left[0], right[1]) && same(left[1], right[0]) &&
      equal(left.substr(2), right.substr(2)))
    return true;
  if (meant.size() < 4) return false;  // `note` is not `not`
  if ((!left.empty() && equal(left.substr(1), right)) || (!right.empty() && equal(left, right.substr(1)))) return true;
  // `href` is not `$ref`
  return meant.size() > 4 && !left.empty() && !right.empty() && equal(left.substr(1), right.substr(1));
}

const KeywordRule* find_rule(std::string_view name, Edition edition) {
  const auto found = index().find(name);
  if (found != index().end()) return known_in(*found->second, edition) ? found->second : nullptr;
  const bool earlier = edition == Edition::draft7 || edition == Edition::draft2019_09;
  return earlier && name == kAdditionalItems.name ? &kAdditionalItems : nullptr;
}

MeantKeyword meant_keyword(std::string_view name, Edition edition) {
  if (index().contains(name)) return {};
  for (const auto known : {std::span<const std::string_view>(kRead), {kRemarks}, {kNames}})
    if (std::ranges::find(known, name) != known.end()) return {};
  const auto is = [&](std::string_view keyword) { return slipped(name, keyword); };
  const auto rule = std::ranges::find_if(kRules, is, &KeywordRule::name);
  if (rule != std::end(kRules)) return {rule->name, true};
  if (const auto* read = std::ranges::find_if(kRead, is);
      read != std::end(kRead) && (*read != "nullable" || edition == Edition::openapi30))
    return {*read, true};
  if (const auto* remark = std::ranges::find_if(kRemarks, is); remark != std::end(kRemarks)) return {*remark, false};
  return {};
}

}  // namespace plimsoll::schema
