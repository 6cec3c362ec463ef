#pragma once

#include "plimsoll/contract/contract.hpp"

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::contract {

/// What a schema lets a value be, as far as text must be read into it. Compiled from `type`, `enum`, `const`,
/// `nullable`, `properties` and `items`, through references, `allOf`, `anyOf` and `oneOf`.
struct ValueShape {
  enum : std::uint8_t { text = 1, integer = 2, number = 4, boolean = 8, null = 16, array = 32, object = 64, all = 127 };
  std::uint8_t types = all;                             ///< `number` without `integer` never stands alone
  std::shared_ptr<const ValueShape> items, additional;  ///< null: nothing is said
  std::vector<std::pair<std::string, std::shared_ptr<const ValueShape>>> properties;
  bool open = false;  ///< `additionalProperties` is there and not false

  bool may(std::uint8_t type) const { return types & type; }
  const ValueShape* property(std::string_view name) const {
    for (auto& [key, shape] : properties)
      if (key == name) return shape.get();
    return additional.get();
  }
  bool declares(std::string_view name) const {
    for (auto& [key, shape] : properties)
      if (key == name) return true;
    return false;
  }
};

ValueShape shape_of(const Contract& contract, const json::Value& schema);

/// Percent-decodes into the arena, or gives `raw` itself where there is nothing to decode. Nothing: a `%` that encodes
/// no byte, or bytes that are no UTF-8. With `plus`, `+` is a blank.
std::optional<std::string_view> decode(std::string_view raw, Arena& arena, bool plus);

/// Text as a value of one type, written as JSON writes it: whole numbers have digits only (`1e3`, `1.0` and `+1` are
/// none) and fit 64 bits, numbers fit a double, true and false are those words. Nothing is guessed.
std::optional<json::Value> read_integer(std::string_view text);
std::optional<json::Value> read_number(std::string_view text);
std::optional<json::Value> read_boolean(std::string_view text);

/// Text as a value of that shape. Where text is allowed it stays text (see alternatives). The error is a sentence.
std::expected<json::Value, std::string_view> coerce(std::string_view text, const ValueShape* shape);
/// Every other reading of the text that the shape allows, for when the first does not satisfy the schema.
std::vector<json::Value> alternatives(std::string_view text, const ValueShape& shape);

}  // namespace plimsoll::contract
