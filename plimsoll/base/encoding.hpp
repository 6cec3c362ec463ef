#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll {

/// Lower case hexadecimal.
std::string to_hex(std::string_view bytes);
/// Both cases; nullopt when it is not hexadecimal or of odd length.
std::optional<std::string> from_hex(std::string_view text);

/// Base64 with padding (RFC 4648, section 4).
std::string to_base64(std::string_view bytes);
/// Strict: right length and padding, no white space, and the unused bits are zero, so that each value has one spelling.
std::optional<std::string> from_base64(std::string_view text);

/// Base64url without padding (RFC 4648, section 5, as RFC 7515 uses it).
std::string to_base64url(std::string_view bytes);
/// Strict: no padding, no white space, the unused bits are zero.
std::optional<std::string> from_base64url(std::string_view text);
/// The same into a buffer of at least `text.size() * 3 / 4` bytes; gives the number of bytes.
std::optional<std::size_t> from_base64url(std::string_view text, char* out) noexcept;

}  // namespace plimsoll
