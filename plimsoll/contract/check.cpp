#include "plimsoll/contract/compiled.hpp"
#include "plimsoll/schema/keywords.hpp"

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

std::string_view expected(Shape shape) {
  switch (shape) {
    case Shape::text: return "text";
    case Shape::flag: return "true or false";
    case Shape::number: return "a number";
    case Shape::whole: return "a whole number";
    case Shape::object:
    case Shape::map: return "an object";
    case Shape::list: return "a list";
    case Shape::anything: return "a value";
  }
  return "";
}

bool fits(const Value& value, const FieldSpec& field) {
  switch (field.shape) {
    case Shape::text: return value.is(Type::string);
    case Shape::flag: return value.is(Type::boolean);
    case Shape::number: return value.is(Type::number);
    case Shape::whole: return value.is(Type::number) && value.integer();
    case Shape::object: return value.is(Type::object) || (field.kind == Kind::schema && value.is(Type::boolean));
    case Shape::map: return value.is(Type::object);
    case Shape::list: return value.is(Type::array);
    case Shape::anything: return true;
  }
  return true;
}

/// Is one a slip of the other: near, and neither of them short.
std::string_view slip(std::string_view name, std::span<const FieldSpec> fields) {
  std::vector<std::string_view> names;
  for (auto& field : fields) names.push_back(field.name);
  const auto near = config::nearest(name, names);
  return name.size() < 4 ? std::string_view{} : near;
}

void check_fields(const Value& value, Kind kind, const Trail& trail, Report& report) {
  const auto fields = fields_of(kind);
  if (referable(kind) && value.find("$ref") && kind != Kind::path_item) return;
  for (auto& member : value.object()) {
    if (member.key.starts_with("x-")) continue;
    const auto field = std::ranges::find(fields, member.key, &FieldSpec::name);
    const Trail here{&trail, {member.key}};
    if (field == fields.end()) {
      if (const auto near = slip(member.key, fields); !near.empty() && !value.find(near))
        report.add(load_error::kMisspeltField, member, here.pointer(),
                   std::string(name_of(kind)) + " has no field \"" + std::string(member.key) + "\"; did you mean \"" +
                       std::string(near) + "\"?");
      else
        report.add(load_error::kUnknownField, member, here.pointer(),
                   std::string(name_of(kind)) + " has no field \"" + std::string(member.key) + "\"");
    } else if (!fits(member.value, *field)) {
      report.add(load_error::kWrongType, &member.value, here.pointer(),
                 "`" + std::string(member.key) + "` must be " + std::string(expected(field->shape)));
    }
  }
  for (auto& field : fields)
    if (field.required && !value.find(field.name))
      report.add(load_error::kMissingField, &value, trail.pointer(),
                 std::string(name_of(kind)) + " needs `" + std::string(field.name) + "`, and there is none");
}

/// What the schema compiler passes over without a word, because an unknown keyword is an annotation: names that are
/// near to those of keywords, and what is meant for another version.
void check_keywords(const Value& schema, bool openapi30, const Trail& trail, Report& report) {
  for (auto& member : schema.object()) {
    const Trail here{&trail, {member.key}};
    if (!openapi30 && member.key == "nullable" && member.value.is(Type::boolean) && member.value.boolean())
      report.add(load_error::kUnknownField, member, here.pointer(), "OpenAPI 3.1 has no `nullable`: null is refused",
                 "List the types: `type: [string, 'null']`.");
    if (member.key.starts_with("x-")) continue;
    if (const auto meant = schema::meant_keyword(member.key); !meant.empty() && !schema.find(meant))
      report.add(
          load_error::kMisspeltField, member, here.pointer(),
          "a schema has no keyword \"" + std::string(member.key) + "\"; did you mean \"" + std::string(meant) + "\"?");
  }
}

/// `discriminator` names a property, and what its values choose.
void check_discriminator(const Value& discriminator, const Trail& trail, Report& report) {
  const auto* property = discriminator.find("propertyName");
  const auto* mapping = discriminator.find("mapping");
  if (!discriminator.is(Type::object))
    report.add(load_error::kWrongType, &discriminator, trail.pointer(), "`discriminator` must be an object");
  else if (!property)
    report.add(load_error::kMissingField, &discriminator, trail.pointer(),
               "a discriminator needs `propertyName`, and there is none");
  else if (!property->is(Type::string))
    report.add(load_error::kWrongType, property, trail.pointer() + "/propertyName", "`propertyName` must be text");
  if (mapping && !mapping->is(Type::object))
    report.add(load_error::kWrongType, mapping, trail.pointer() + "/mapping", "`mapping` must be an object");
}

void check(const Value& value, Kind kind, const Trail& trail, bool openapi30, Report& report) {
  if (kind == Kind::schema) {
    if (!value.is(Type::object)) return;  // the schema compiler's
    check_keywords(value, openapi30, trail, report);
    if (const auto* discriminator = value.find("discriminator")) {
      const Trail here{&trail, {"discriminator"}};
      check_discriminator(*discriminator, here, report);
    }
  }
  if (!value.is(Type::object)) {
    if (trail.step.key.data() || trail.step.index >= 0)  // of a map or list; a field has been looked at already
      report.add(load_error::kWrongType, &value, trail.pointer(), std::string(name_of(kind)) + " must be an object");
    return;
  }
  if (!fields_of(kind).empty()) check_fields(value, kind, trail, report);
  for_each_child(value, kind, [&](const Value& child, Kind of, const Step& step) {
    const Trail here{&trail, step};
    check(child, of, here, openapi30, report);
  });
}

}  // namespace

void check_structure(const Value& root, bool openapi30, Report& report) {
  check(root, Kind::document, {}, openapi30, report);
}

}  // namespace plimsoll::contract
