#pragma once

#include "plimsoll/json/value.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::handler::mocking {

/// A type that can be sent for one that was declared: of a range (`image/*`) one within it.
std::string concrete(std::string_view declared);

/// The value as a body of that media type. Nothing where it cannot be one: an object is no XML and no image.
std::optional<std::string> written(const json::Value& value, std::string_view media_type);

/// The value in a header (style `simple`; OpenAPI 3.1.1, section 4.8.21), or as the JSON text that `content` asks for.
/// What no header can hold is left out.
std::string header_text(const json::Value& value, bool explode, bool json);

}  // namespace plimsoll::handler::mocking
