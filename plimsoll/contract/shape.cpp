#include "plimsoll/contract/shape.hpp"

#include "plimsoll/base/percent.hpp"
#include "plimsoll/json/utf8.hpp"

#include <charconv>
#include <cmath>
#include <cstring>

namespace plimsoll::contract {
namespace {

using json::Type;
using json::Value;

constexpr int kDeepest = 8;
/// Schemas behind one shape. What lies beyond may be anything: a schema that refers to itself has as many as there are
/// ways through it.
constexpr std::size_t kMostSchemas = 5'000;

std::uint8_t type_bit(std::string_view name) {
  if (name == "string") return ValueShape::text;
  if (name == "integer") return ValueShape::integer;
  if (name == "number") return ValueShape::number | ValueShape::integer;
  if (name == "boolean") return ValueShape::boolean;
  if (name == "null") return ValueShape::null;
  if (name == "array") return ValueShape::array;
  if (name == "object") return ValueShape::object;
  return 0;
}

std::uint8_t type_of(const Value& value) {
  switch (value.type()) {
    case Type::null: return ValueShape::null;
    case Type::boolean: return ValueShape::boolean;
    case Type::number: return value.integer() ? ValueShape::integer | ValueShape::number : ValueShape::number;
    case Type::string: return ValueShape::text;
    case Type::array: return ValueShape::array;
    case Type::object: return ValueShape::object;
  }
  return 0;
}

std::shared_ptr<const ValueShape> derive_shared(const Contract&, const Value&, int depth, std::size_t& left);

void absorb(ValueShape& into, const ValueShape& part) {
  if (!into.items) into.items = part.items;
  if (!into.additional) into.additional = part.additional;
  into.open |= part.open;
  for (auto& [name, shape] : part.properties)
    if (!into.declares(name)) into.properties.emplace_back(name, shape);
}

ValueShape derive(const Contract& contract, const Value& given, int depth, std::size_t& left) {
  ValueShape shape;
  const auto& schema = contract.resolve(given);
  if (!schema.is(Type::object) || depth > kDeepest || left == 0) return shape;
  --left;
  if (const auto* type = schema.find("type")) {
    std::uint8_t types = 0;
    if (type->is(Type::string)) types = type_bit(type->string());
    for (auto& name : type->array())
      if (name.is(Type::string)) types |= type_bit(name.string());
    if (const auto* nullable = schema.find("nullable"); nullable && nullable->is(Type::boolean) && nullable->boolean())
      types |= ValueShape::null;
    if (types) shape.types = types;
  }
  if (const auto* values = schema.find("enum"); values && values->is(Type::array)) {
    std::uint8_t types = 0;
    for (auto& value : values->array()) types |= type_of(value);
    shape.types &= types;
  }
  if (const auto* value = schema.find("const")) shape.types &= type_of(*value);
  if (const auto* properties = schema.find("properties"))
    for (auto& member : properties->object())
      shape.properties.emplace_back(member.key, derive_shared(contract, member.value, depth + 1, left));
  if (const auto* items = schema.find("items"); items && items->is(Type::object))
    shape.items = derive_shared(contract, *items, depth + 1, left);
  if (const auto* more = schema.find("additionalProperties")) {
    shape.open = !more->is(Type::boolean) || more->boolean();
    if (more->is(Type::object)) shape.additional = derive_shared(contract, *more, depth + 1, left);
  }
  if (const auto* parts = schema.find("allOf"))
    for (auto& part : parts->array()) {
      const auto other = derive(contract, part, depth + 1, left);
      shape.types &= other.types;
      absorb(shape, other);
    }
  for (const auto* keyword : {"anyOf", "oneOf"})
    if (const auto* parts = schema.find(keyword); parts && !parts->array().empty()) {
      std::uint8_t types = 0;
      for (auto& part : parts->array()) {
        const auto other = derive(contract, part, depth + 1, left);
        types |= other.types;
        absorb(shape, other);
      }
      shape.types &= types;
    }
  return shape;
}

std::shared_ptr<const ValueShape> derive_shared(const Contract& contract, const Value& schema, int depth,
                                                std::size_t& left) {
  return std::make_shared<const ValueShape>(derive(contract, schema, depth, left));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The whole part of a JSON number at the start of `text`; its length, or 0.
std::size_t whole(std::string_view text) {
  std::size_t at = text.starts_with('-');
  if (at == text.size() || !is_digit(text[at])) return 0;
  if (text[at] == '0') return at + 1;
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

}  // namespace

ValueShape shape_of(const Contract& contract, const Value& schema) {
  auto left = kMostSchemas;
  return derive(contract, schema, 0, left);
}

std::optional<std::string_view> decode(std::string_view raw, Arena& arena, bool plus) {
  const bool encoded = raw.contains('%');
  if (encoded || (plus && raw.contains('+'))) {
    auto* out = arena.array<char>(raw.size());
    std::size_t size = 0;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == '%') {
        if (i + 2 >= raw.size()) return std::nullopt;
        const int high = hex_value(raw[i + 1]), low = hex_value(raw[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        out[size++] = static_cast<char>(high * 16 + low);
        i += 2;
      } else {
        out[size++] = plus && raw[i] == '+' ? ' ' : raw[i];
      }
    }
    raw = {out, size};
  }
  if (!json::valid_utf8(raw)) return std::nullopt;
  return raw;
}

std::optional<Value> read_integer(std::string_view text) {
  if (text.empty() || whole(text) != text.size()) return std::nullopt;
  std::int64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{}) return std::nullopt;
  return Value::number(text);
}

std::optional<Value> read_number(std::string_view text) {
  auto at = whole(text);
  if (at == 0) return std::nullopt;
  if (at < text.size() && text[at] == '.') {
    const auto from = ++at;
    while (at < text.size() && is_digit(text[at])) ++at;
    if (at == from) return std::nullopt;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const auto from = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    if (at == from || at - from > 4) return std::nullopt;
  }
  double value = 0;
  if (at != text.size()) return std::nullopt;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc{} || !std::isfinite(value)) return std::nullopt;
  return Value::number(text);
}

std::optional<Value> read_boolean(std::string_view text) {
  if (text == "true") return Value::of(true);
  if (text == "false") return Value::of(false);
  return std::nullopt;
}

std::expected<Value, std::string_view> coerce(std::string_view text, const ValueShape* shape) {
  if (!shape || shape->may(ValueShape::text)) return Value::of(text);
  if (shape->may(ValueShape::integer))
    if (auto value = read_integer(text)) return *value;
  if (shape->may(ValueShape::number))
    if (auto value = read_number(text)) return *value;
  if (shape->may(ValueShape::boolean))
    if (auto value = read_boolean(text)) return *value;
  if (shape->types == ValueShape::null && text.empty()) return Value{};
  if (shape->may(ValueShape::number)) return std::unexpected("must be a number");
  if (shape->may(ValueShape::integer)) return std::unexpected("must be a whole number of at most 64 bits");
  if (shape->may(ValueShape::boolean)) return std::unexpected("must be true or false");
  return std::unexpected("must not be a plain value");
}

std::vector<Value> alternatives(std::string_view text, const ValueShape& shape) {
  std::vector<Value> found;
  if (shape.may(ValueShape::integer) || shape.may(ValueShape::number))
    if (auto value = shape.may(ValueShape::number) ? read_number(text) : read_integer(text)) found.push_back(*value);
  if (shape.may(ValueShape::boolean))
    if (auto value = read_boolean(text)) found.push_back(*value);
  return found;
}

}  // namespace plimsoll::contract
