#pragma once

#include "plimsoll/json/value.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace plimsoll::contract {

/// The objects of an OpenAPI document. `any`: a value this table says nothing more about.
enum class Kind : std::uint8_t {
  any,
  document,
  info,
  server,
  server_variable,
  components,
  path_item,
  operation,
  parameter,
  request_body,
  response,
  header,
  media_type,
  encoding,
  schema,
  example,
  link,
  callback,
  security_scheme,
  flows,
  flow,
  tag,
  external_docs,
  discriminator,
};

enum class Shape : std::uint8_t { text, flag, number, whole, object, list, map, anything };

/// One field of such an object: `list` and `map` hold values of `kind`, `object` is one.
struct FieldSpec {
  std::string_view name;
  Shape shape;
  Kind kind = Kind::any;
  bool required = false;
  int since = 0;  ///< the minor version of OpenAPI 3 that brought it
};

/// The fixed fields of an object (OpenAPI 3.0.4 and 3.1.1, section 4.8; 3.2.0, section 4), in one table for the
/// resolver of references, the check of the structure and the linter. Empty for schemas and callbacks, whose keys have
/// rules of their own.
std::span<const FieldSpec> fields_of(Kind kind);
/// The methods that have a field of their own in a path item; all others stand under `additionalOperations`.
inline constexpr std::string_view kMethodFields[] = {"get",  "put",   "post",  "delete", "options",
                                                     "head", "patch", "trace", "query"};

/// With its article: `an operation`.
std::string_view name_of(Kind kind);
/// May a `$ref` stand in the place of such an object?
bool referable(Kind kind);

/// The keywords of JSON Schema that hold schemas; `object`, `list` or `map` of them.
std::span<const FieldSpec> schema_keywords();

/// `paths` and `responses` may hold extensions among their entries.
inline bool extends(Kind kind, std::string_view field, std::string_view key) {
  return key.starts_with("x-") && ((kind == Kind::document && field == "paths") || field == "responses") &&
         kind != Kind::components;
}

/// A step of the way to a child: `field`, and of a map or list the entry.
struct Step {
  std::string_view field;
  std::string_view key{};  ///< of a map's entry
  std::int64_t index = -1;
};

/// Calls `visit(child, kind, step)` for each direct child that the table knows.
template <class V, class F>
void for_each_child(V& value, Kind kind, F&& visit) {
  if (!value.is(json::Type::object)) return;
  if (kind == Kind::callback) {
    for (auto& member : value.object())
      if (!member.key.starts_with("x-") && member.key != "$ref") visit(member.value, Kind::path_item, Step{member.key});
    return;
  }
  const auto fields = kind == Kind::schema ? schema_keywords() : fields_of(kind);
  if (fields.empty()) return;
  for (auto& member : value.object()) {
    for (const auto& field : fields) {
      if (field.name != member.key || field.kind == Kind::any) continue;
      if (field.shape == Shape::object) {
        visit(member.value, field.kind, Step{member.key});
      } else if (field.shape == Shape::list && member.value.is(json::Type::array)) {
        std::int64_t index = 0;
        for (auto& item : member.value.array()) visit(item, field.kind, Step{member.key, {}, index++});
      } else if (field.shape == Shape::map && member.value.is(json::Type::object)) {
        for (auto& entry : member.value.object())
          if (!extends(kind, field.name, entry.key)) visit(entry.value, field.kind, Step{member.key, entry.key});
      } else if (field.shape == Shape::anything && kind == Kind::schema) {  // `items`: a schema, in old drafts a list
        visit(member.value, field.kind, Step{member.key});
      }
      break;
    }
  }
}

}  // namespace plimsoll::contract
