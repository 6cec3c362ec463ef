#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/json/value.hpp"

#include <expected>
#include <string>
#include <string_view>

namespace plimsoll::json {

/// The value of a plain scalar by the core schema of YAML 1.2 (section 10.3.2): null, boolean, number, or else text,
/// which is copied into `arena`. What JSON cannot say (`.inf`, `.nan`) is refused with a message.
std::expected<Value, std::string> plain_scalar(std::string_view text, Arena& arena);

/// The value of a scalar under a tag such as `tag:yaml.org,2002:int`; refused with a message where it does not fit it,
/// or the tag is none of the core schema's.
std::expected<Value, std::string> tagged_scalar(std::string_view tag, std::string_view text, Arena& arena);

}  // namespace plimsoll::json
