#pragma once

#include "plimsoll/json/value.hpp"

#include <string>
#include <string_view>

namespace plimsoll::contract {

/// The text of a field; empty when it is not there, or no text.
inline std::string text_of(const json::Value& object, std::string_view key) {
  const auto* value = object.find(key);
  return value && value->is(json::Type::string) ? std::string(value->string()) : std::string{};
}
/// Whether a field says true.
inline bool flag_of(const json::Value& object, std::string_view key, bool otherwise = false) {
  const auto* value = object.find(key);
  return value && value->is(json::Type::boolean) ? value->boolean() : otherwise;
}

}  // namespace plimsoll::contract
