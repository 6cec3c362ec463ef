#pragma once

#include "plimsoll/json/value.hpp"

#include <string>

namespace plimsoll::json {

/// The value a JSON pointer (RFC 6901) leads to, or null. `pointer` is empty or starts with `/`; it is not
/// percent-encoded.
const Value* resolve(const Value& root, std::string_view pointer);
Value* resolve(Value& root, std::string_view pointer);

/// Appends `/name`, with `~` and `/` escaped.
void append_token(std::string& pointer, std::string_view name);
void append_token(std::string& pointer, std::size_t index);
/// The same of a name that a client chose and may have made as long as a body: beyond 1,000 bytes it is told as `…`,
/// because what is told is sent and logged.
void append_told_token(std::string& pointer, std::string_view name);
/// A reference token as the name it stands for; nothing when a `~` is followed by neither 0 nor 1.
std::optional<std::string> unescape_token(std::string_view token);

}  // namespace plimsoll::json
