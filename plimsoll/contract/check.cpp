#include "plimsoll/contract/compiled.hpp"

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

void check(const Value& value, Kind kind, const Trail& trail, Report& report) {
  if (kind == Kind::schema) return;  // the schema compiler's
  if (!value.is(Type::object)) {
    if (trail.step.key.data() || trail.step.index >= 0)  // of a map or list; a field has been looked at already
      report.add(load_error::kWrongType, &value, trail.pointer(), std::string(name_of(kind)) + " must be an object");
    return;
  }
  if (!fields_of(kind).empty()) check_fields(value, kind, trail, report);
  for_each_child(value, kind, [&](const Value& child, Kind of, const Step& step) {
    const Trail here{&trail, step};
    check(child, of, here, report);
  });
}

}  // namespace

void check_structure(const Value& root, Report& report) { check(root, Kind::document, {}, report); }

}  // namespace plimsoll::contract
