#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll {

/// Lower case hexadecimal.
std::string to_hex(std::string_view bytes);
/// The sixteen digits of a word, the most significant first, without a loop.
inline void put_hex(std::uint64_t word, char* to) {
  using Digits = unsigned char __attribute__((vector_size(16)));
  const std::uint64_t in_order[] = {std::endian::native == std::endian::little ? std::byteswap(word) : word, 0};
  Digits bytes;
  std::memcpy(&bytes, in_order, sizeof bytes);
  const Digits high = bytes >> 4, low = bytes & 15;
  const Digits value = __builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const auto letter = reinterpret_cast<Digits>(value > 9);  // all ones where it is one
  const Digits digits = value + '0' + (letter & ('a' - '0' - 10));
  std::memcpy(to, &digits, sizeof digits);
}
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
