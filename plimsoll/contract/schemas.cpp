#include "plimsoll/contract/schemas.hpp"

namespace plimsoll::contract {

using json::Value;

std::shared_ptr<const schema::Validator> Schemas::compile(const Value& schema, const Trail& at, Direction direction) {
  auto compiled = made_.validator(schema, direction);
  if (compiled) return std::move(*compiled);
  // What is compiled is what a reference leads to; from the reference on, the places have their whole pointer.
  const auto again = made_.compile(schema, direction);
  complain(schema, at.pointer(), (again ? compiled.error() : again.error()).detail);
  return nullptr;
}

void Schemas::complain(const Value& schema, const std::string& pointer, const std::string& detail) {
  refused_.insert(&target(schema));
  const auto& place = made_.resolve(schema);
  if (!told_.insert(&place).second) return;
  if (!dereference(*made_.root, schema)) return;  // broken-reference has been said
  auto [position, what] = place_in_text(detail);
  Value keyword = place;
  if (position.line) keyword.set_position(position);
  if (report_.said_at(keyword)) return;  // that it is no schema, or its reference cannot be resolved
  report_.add(load_error::kInvalidSchema, &keyword, pointer, "the schema cannot be compiled: " + what);
}

const Value& Schemas::target(const Value& schema) const {
  const bool reference = schema.is(json::Type::object) && schema.object().size() == 1 && schema.find("$ref");
  return reference ? made_.resolve(schema) : schema;
}

void Schemas::later(const Value& schema, const Trail& at) {
  if (listed_.insert(&target(schema)).second) unchecked_.push_back({&schema, at.pointer()});
}

void Schemas::check() {
  check_each(unchecked_);
  unchecked_.clear();
}

void Schemas::check_each(std::span<const Unchecked> part) {
  if (part.empty() || check(part)) return;
  if (part.size() > 1) {
    check_each(part.first(part.size() / 2));
    check_each(part.subspan(part.size() / 2));
  } else if (const auto compiled = made_.compile(*part[0].schema, Direction::response); !compiled) {
    complain(*part[0].schema, part[0].pointer, compiled.error().detail);
  }
}

/// All of them in one: what many of them lead to is read once.
bool Schemas::check(std::span<const Unchecked> part) const {
  Arena arena;
  Value list = Value::array({});
  for (const auto& each : part) list.push(arena, *each.schema);
  Value all = Value::object({});
  all.set(arena, "anyOf", list);
  return made_.compile(all, Direction::response).has_value();
}

void Schemas::compile_all(const Value& value, Kind kind, const Trail& at) {
  if (kind == Kind::schema) {
    if (value.is(json::Type::object) || value.is(json::Type::boolean)) later(value, at);
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
