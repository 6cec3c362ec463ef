#include "plimsoll/contract/compiled.hpp"
#include "plimsoll/contract/sanitize.hpp"
#include "plimsoll/schema/format.hpp"
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

/// Is one a slip of the other: near, and neither of them short. Capitals are a slip in any name, and so is any letter
/// of a method, with which an operation would be lost.
std::string_view slip(std::string_view name, Kind kind, int minor) {
  std::vector<std::string_view> names;
  for (auto& field : fields_of(kind))
    if (field.since <= minor) names.push_back(field.name);
  const auto near = config::nearest(name, names);
  const auto most = name.size() >= 4 ? name.size() : kind == Kind::path_item ? 1 : 0;
  return !near.empty() && config::distance(name, near) <= most ? near : std::string_view{};
}

constexpr std::string_view kExtension = "x-plimsoll";

/// A slip in `x-plimsoll` itself, with which all that stands under it would be lost.
bool means_extension(std::string_view key) {
  if (key == kExtension || key.size() + 2 < kExtension.size() || key.size() > kExtension.size() + 2) return false;
  // Two slips spoil at most four of five pairs of letters: most names are told from it at a glance.
  constexpr std::string_view kPairs[] = {"x-", "pl", "im", "so", "ll"};
  const auto plain = [](char c) { return c == '_' ? '-' : static_cast<char>(c | 0x20); };
  const bool alike = std::ranges::any_of(kPairs, [&](std::string_view pair) {
    for (std::size_t i = 1; i < key.size(); ++i)
      if (plain(key[i - 1]) == pair[0] && plain(key[i]) == pair[1]) return true;
    return false;
  });
  return alike && config::distance(key, kExtension) <= 2;
}

/// Is it of `paths`, also by reference, and of no callback? Of anything else nothing is served.
bool is_served(const Trail& trail) {
  std::string_view top;
  for (const auto* at = &trail; at->up; at = at->up) {
    top = at->step.field;
    if (top == "callbacks") return false;
  }
  return top.empty() || top == "paths" || top == "components";
}

/// A schema says only what is done to texts; everything else belongs to a scope.
void check_of_schema(const json::Member& extension, const Trail& here, Report& report) {
  const auto pointer = here.pointer();
  if (!extension.value.is(Type::object) || !extension.value.find("sanitize"))
    return report.add(load_error::kMisplacedExtension, extension, pointer);
  for (auto& member : extension.value.object()) {
    if (member.key != "sanitize") {
      report.add(load_error::kMisplacedExtension, member, pointer + "/" + std::string(member.key),
                 "of the keys of `x-plimsoll` only `sanitize` has an effect in a schema");
    } else if (auto read = read_sanitizing(member.value, {}); !read) {
      auto error = std::move(read).error();
      report.add(load_error::kWrongType, &member.value, pointer + "/sanitize", error.detail);
    }
  }
}

void check_extensions(const Value& value, Kind kind, const Trail& trail, Report& report) {
  const auto look = [&](const Value& object, const Trail& at, bool may) {
    for (auto& member : object.object()) {
      const Trail here{&at, {member.key}};
      if (means_extension(member.key))
        report.add(load_error::kMisspeltField, member, here.pointer(),
                   "there is no \"" + std::string(member.key) + "\"; did you mean \"x-plimsoll\"?");
      else if (member.key == kExtension && kind == Kind::schema && &object == &value)
        check_of_schema(member, here, report);
      else if (member.key == kExtension && !may)
        report.add(load_error::kMisplacedExtension, member, here.pointer());
    }
  };
  const bool scope = kind == Kind::document || kind == Kind::path_item || kind == Kind::operation;
  look(value, trail, scope && is_served(trail));
  for (auto& field : fields_of(kind))
    if (const auto* entries = field.shape == Shape::map ? value.find(field.name) : nullptr;
        entries && extends(kind, field.name, kExtension))
      look(*entries, Trail{&trail, {field.name}}, false);
}

void check_fields(const Value& value, Kind kind, const Trail& trail, int minor, Report& report) {
  const auto fields = fields_of(kind);
  std::vector<std::string_view> meant;  ///< fields that are there under another name
  if (referable(kind) && value.find("$ref") && kind != Kind::path_item) return;
  for (auto& member : value.object()) {
    if (member.key.starts_with("x-") || means_extension(member.key)) continue;
    const auto field = std::ranges::find(fields, member.key, &FieldSpec::name);
    const Trail here{&trail, {member.key}};
    if (field != fields.end() && field->since > minor) {
      report.add(
          load_error::kUnknownField, member, here.pointer(),
          std::string(name_of(kind)) + " has the field \"" + std::string(member.key) + "\" only from OpenAPI 3." +
              std::to_string(field->since) + " on",
          "Write `openapi: 3." + std::to_string(field->since) + ".0` if it is meant: until then it has no effect.");
    } else if (field == fields.end()) {
      if (const auto near = slip(member.key, kind, minor);
          !near.empty() && (!value.find(near) || config::distance(member.key, near) == 0)) {
        meant.push_back(near);
        report.lost(Trail{&trail, {near}}.pointer());
        report.add(load_error::kMisspeltField, member, here.pointer(),
                   std::string(name_of(kind)) + " has no field \"" + std::string(member.key) + "\"; did you mean \"" +
                       std::string(near) + "\"?");
      } else
        report.add(load_error::kUnknownField, member, here.pointer(),
                   std::string(name_of(kind)) + " has no field \"" + std::string(member.key) + "\"");
    } else if (!fits(member.value, *field)) {
      report.add(load_error::kWrongType, &member.value, here.pointer(),
                 "`" + std::string(member.key) + "` must be " + std::string(expected(field->shape)));
    }
  }
  for (auto& field : fields)
    if (field.required && !value.find(field.name) && !contains(meant, field.name))
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
    const auto meant =
        schema::meant_keyword(member.key, openapi30 ? schema::Edition::openapi30 : schema::Edition::draft2020_12);
    if (!meant.name.empty() && !schema.find(meant.name))
      report.add(meant.decides ? load_error::kMisspeltField : load_error::kUnknownField, member, here.pointer(),
                 "a schema has no keyword \"" + std::string(member.key) + "\"; did you mean \"" +
                     std::string(meant.name) + "\"?");
    if (member.key != "format" || !member.value.is(Type::string)) continue;
    if (const auto near = schema::meant_format(member.value.string()); !near.empty())
      report.add(load_error::kUnknownFormat, &member.value, here.pointer(),
                 "there is no format \"" + std::string(member.value.string()) + "\"; did you mean \"" +
                     std::string(near) + "\"?");
  }
}

/// What can give a schema properties that its own `properties` do not name.
bool may_have_others(const Value& schema) {
  for (const auto keyword : {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties",
                             "dependentSchemas", "dependencies"})
    if (schema.find(keyword)) return true;
  const auto* more = schema.find("additionalProperties");
  return more && !(more->is(Type::boolean) && !more->boolean());
}

std::string without_digits(std::string_view name) {
  std::string kept;
  for (const char c : name)
    if (c < '0' || c > '9') kept += c;
  return kept;
}

/// Does any schema of the document declare this property?
bool declares(const Value& value, std::string_view name) {
  if (value.is(Type::array))
    return std::ranges::any_of(value.array(), [&](auto& item) { return declares(item, name); });
  if (!value.is(Type::object)) return false;
  const auto* properties = value.find("properties");
  if (properties && properties->is(Type::object) && properties->find(name)) return true;
  return std::ranges::any_of(value.object(), [&](auto& member) { return declares(member.value, name); });
}

/// Names in `required` that are no property: of a whole schema, since a part of one may speak of the properties of
/// another part.
void check_required(const Value& root, const Value& schema, const Trail& trail, Report& report) {
  constexpr std::string_view kParts[] = {"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"};
  const auto* required = schema.find("required");
  const auto* properties = schema.find("properties");
  if (!required || !properties || !properties->is(Type::object) || contains(kParts, trail.step.field) ||
      may_have_others(schema))
    return;
  std::int64_t index = 0;
  for (auto& name : required->array()) {
    const Trail here{&trail, {"required", {}, index++}};
    if (!name.is(Type::string) || properties->find(name.string())) continue;
    // A name that is near to a property which is not required is a slip; any other may be given by a part elsewhere.
    std::vector<std::string_view> names;
    for (auto& member : properties->object())
      if (std::ranges::none_of(required->array(),
                               [&](auto& other) { return other.is(Type::string) && other.string() == member.key; }))
        names.push_back(member.key);
    auto near = config::nearest(name.string(), names);
    // Two letters are near to any other two. `line2` beside `line1` is no slip: another part may declare it.
    constexpr std::size_t kTellable = 3;
    if (name.string().size() < kTellable || without_digits(near) == without_digits(name.string())) near = {};
    // Of a schema with a name, which may be a part of another by reference, only a slip is told; a property of another
    // schema is none.
    if (trail.step.field == "schemas" && (near.empty() || declares(root, name.string()))) continue;
    report.add(near.empty() ? load_error::kUnnamedRequired : load_error::kUndeclaredRequired, &name, here.pointer(),
               "`required` names \"" + std::string(name.string()) + "\", which is not a property of the schema" +
                   (near.empty() ? "" : "; did you mean \"" + std::string(near) + "\"?"));
  }
}

void check(const Value& root, const Value& value, Kind kind, const Trail& trail, int minor, Report& report) {
  if (kind == Kind::schema) {
    if (!value.is(Type::object)) {
      if (!value.is(Type::boolean) && (trail.step.key.data() || trail.step.index >= 0))
        report.add(load_error::kWrongType, &value, trail.pointer(), "a schema must be an object, or true or false");
      return;
    }
    check_keywords(value, minor == 0, trail, report);
    check_required(root, value, trail, report);
    check_extensions(value, kind, trail, report);
    if (const auto* discriminator = value.find("discriminator")) {
      const Trail here{&trail, {"discriminator"}};
      if (discriminator->is(Type::object))
        check_fields(*discriminator, Kind::discriminator, here, minor, report);
      else
        report.add(load_error::kWrongType, discriminator, here.pointer(), "`discriminator` must be an object");
    }
  }
  if (!value.is(Type::object)) {
    if (trail.step.key.data() || trail.step.index >= 0)  // of a map or list; a field has been looked at already
      report.add(load_error::kWrongType, &value, trail.pointer(), std::string(name_of(kind)) + " must be an object");
    return;
  }
  if (kind != Kind::schema && kind != Kind::any) check_extensions(value, kind, trail, report);
  if (!fields_of(kind).empty()) check_fields(value, kind, trail, minor, report);
  if (minor >= 1) check_rules(root, value, kind, trail, minor, report);
  for_each_child(value, kind, [&](const Value& child, Kind of, const Step& step) {
    const Trail here{&trail, step};
    check(root, child, of, here, minor, report);
  });
}

}  // namespace

void check_structure(const Value& root, int minor, Report& report) {
  check(root, root, Kind::document, {}, minor, report);
}

}  // namespace plimsoll::contract
