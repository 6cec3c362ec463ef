#include "plimsoll/contract/schemas.hpp"

namespace plimsoll::contract {

using json::Value;

std::shared_ptr<const schema::Validator> Schemas::compile(const Value& schema, const Trail& at, Direction direction) {
  auto compiled = made_.validator(schema, direction);
  if (compiled) return std::move(*compiled);
  const auto& place = made_.resolve(schema);
  if (!refused_.insert(&place).second) return nullptr;
  if (!dereference(*made_.root, schema)) return nullptr;  // broken-reference has been said
  auto [position, what] = place_in_text(compiled.error().detail);
  Value keyword = place;
  if (position.line) keyword.set_position(position);
  if (report_.said_at(keyword)) return nullptr;  // that it is no schema, or its reference leads nowhere
  report_.add(load_error::kInvalidSchema, &keyword, at.pointer(), "the schema cannot be compiled: " + what);
  return nullptr;
}

void Schemas::compile_all(const Value& value, Kind kind, const Trail& at) {
  if (kind == Kind::schema) {
    if (value.is(json::Type::object) || value.is(json::Type::boolean)) compile(value, at);
    return;
  }
  const auto& object = referable(kind) ? made_.resolve(value) : value;
  if (!object.is(json::Type::object) || !seen_.insert(&object).second) return;
  for_each_child(object, kind, [&](const Value& child, Kind of, const Step& step) {
    const Trail here{&at, step};
    compile_all(child, of, here);
  });
}

}  // namespace plimsoll::contract
