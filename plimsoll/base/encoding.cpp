#include "plimsoll/base/encoding.hpp"

#include <array>
#include <cstdint>

namespace plimsoll {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kNone = 0xff;

using Reverse = std::array<std::uint8_t, 256>;
constexpr Reverse reverse(std::string_view alphabet) {
  Reverse made{};
  made.fill(kNone);
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    made[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return made;
}
constexpr Reverse kFromStandard = reverse(kStandard), kFromUrl = reverse(kUrl);

constexpr std::uint8_t nibble(char c) {
  if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
  return kNone;
}

std::string encode(std::string_view bytes, std::string_view alphabet, bool padded) {
  std::string out;
  out.resize_and_overwrite((bytes.size() + 2) / 3 * 4, [&](char* begin, std::size_t) {
    auto* at = begin;
    const auto octet = [&](std::size_t i) { return std::uint32_t{static_cast<std::uint8_t>(bytes[i])}; };
    const auto put = [&](std::uint32_t bits, int characters) {  // of 24 bits the first
      for (int shift = 18; characters-- > 0; shift -= 6) *at++ = alphabet[(bits >> shift) & 63];
    };
    std::size_t i = 0;
    for (; i + 3 <= bytes.size(); i += 3) put(octet(i) << 16 | octet(i + 1) << 8 | octet(i + 2), 4);
    if (const auto left = bytes.size() - i; left > 0) {
      put(octet(i) << 16 | (left > 1 ? octet(i + 1) << 8 : 0), static_cast<int>(left) + 1);
      while (padded && (at - begin) % 4 != 0) *at++ = '=';
    }
    return static_cast<std::size_t>(at - begin);
  });
  return out;
}

// `text` without padding.
std::optional<std::size_t> decode(std::string_view text, const Reverse& from, char* out) noexcept {
  if (text.size() % 4 == 1) return std::nullopt;
  std::uint32_t bits = 0;
  int held = 0;
  std::size_t size = 0;
  for (const char c : text) {
    const auto six = from[static_cast<unsigned char>(c)];
    if (six == kNone) return std::nullopt;
    bits = (bits << 6) | six;
    if ((held += 6) >= 8) out[size++] = static_cast<char>(bits >> (held -= 8));
  }
  if (bits & ((1u << held) - 1)) return std::nullopt;  // another spelling of the same bytes
  return size;
}

std::optional<std::string> decode(std::string_view text, const Reverse& from) {
  std::string out(text.size() * 3 / 4, '\0');
  if (!decode(text, from, out.data())) return std::nullopt;
  return out;
}

}  // namespace

std::string to_hex(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out += kHex[static_cast<std::uint8_t>(c) >> 4];
    out += kHex[static_cast<std::uint8_t>(c) & 15];
  }
  return out;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const auto high = nibble(text[i]), low = nibble(text[i + 1]);
    if (high == kNone || low == kNone) return std::nullopt;
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

std::string to_base64(std::string_view bytes) { return encode(bytes, kStandard, true); }

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode(text, kFromStandard);
}

std::string to_base64url(std::string_view bytes) { return encode(bytes, kUrl, false); }

std::optional<std::string> from_base64url(std::string_view text) { return decode(text, kFromUrl); }

std::optional<std::size_t> from_base64url(std::string_view text, char* out) noexcept {
  return decode(text, kFromUrl, out);
}

}  // namespace plimsoll
