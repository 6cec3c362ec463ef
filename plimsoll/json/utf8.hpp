#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll::json {

/// Whether all of `text` is UTF-8 (RFC 3629).
bool valid_utf8(std::string_view text);
/// Bytes of the character at the start of `text`, 1 to 4; 0 when it is not UTF-8.
std::size_t utf8_length(std::string_view text);
/// Characters (code points) in a text known to be UTF-8.
std::size_t utf8_count(std::string_view text);
/// Appends a code point.
void append_utf8(std::string& out, std::uint32_t code);

}  // namespace plimsoll::json
