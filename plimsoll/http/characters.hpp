#pragma once

#include "plimsoll/base/letters.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace plimsoll {

/// Character classes of HTTP and URIs, a bit each.
namespace characters {

inline constexpr std::uint8_t kToken = 1;  ///< tchar (RFC 9110, section 5.6.2)
inline constexpr std::uint8_t kHost = 2;   ///< reg-name without `%` (RFC 3986, section 3.2.2), lenient to `_`
inline constexpr std::uint8_t kPath = 4;   ///< pchar, `/`, `%`; and `[ ] ^ |`, which browsers send as they are
inline constexpr std::uint8_t kQuery = 8;  ///< the same, `?`, and `{ } \ backquote`, which browsers send as they are
inline constexpr std::uint8_t kDigit = 16, kHex = 32;

consteval std::array<std::uint8_t, 256> make_table() {
  std::array<std::uint8_t, 256> table{};
  auto add = [&](std::string_view members, int mask) {
    for (unsigned char c : members) table[c] = static_cast<std::uint8_t>(table[c] | mask);
  };
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = kToken | kHost | kPath | kQuery;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = kToken | kHost | kPath | kQuery;
  add("0123456789", kToken | kHost | kPath | kQuery | kDigit | kHex);
  add("abcdefABCDEF", kHex);
  add("!#$%&'*+-.^_`|~", kToken);
  add("-._~!$&'()*+,;=", kHost | kPath | kQuery);
  add(":@/%[]^|", kPath | kQuery);
  add("?{}\\`", kQuery);
  return table;
}
inline constexpr auto kTable = make_table();

}  // namespace characters

constexpr bool is(std::uint8_t classes, char c) {
  return (characters::kTable[static_cast<unsigned char>(c)] & classes) != 0;
}
constexpr bool all_are(std::uint8_t classes, std::string_view text) {
  for (char c : text)
    if (!is(classes, c)) return false;
  return true;
}
constexpr bool is_token(std::string_view text) { return !text.empty() && all_are(characters::kToken, text); }

/// The first control character other than a tab (DEL included) at or after `at`; `end` when there is none. Lines of
/// HTTP end at one, and must not contain another.
inline std::size_t find_control(const char* data, std::size_t at, std::size_t end) {
#if defined(__SSE2__)
  const auto tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f), last = _mm_set1_epi8(0x1f);
  const auto found = [&](std::size_t from) {
    const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + from));
    const auto low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last), bytes);
    const auto wrong = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del));
    return static_cast<unsigned>(_mm_movemask_epi8(wrong));
  };
  for (; at + 16 <= end; at += 16)
    if (const auto mask = found(at)) return at + static_cast<std::size_t>(__builtin_ctz(mask));
  if (at < end && end >= 16) {  // the last few: with some before them, which are left out again
    const auto from = end - 16;
    const auto mask = found(from) >> (at - from);
    return mask ? at + static_cast<std::size_t>(__builtin_ctz(mask)) : end;
  }
#endif
  for (; at < end; ++at)
    if (const auto c = static_cast<unsigned char>(data[at]); (c < 0x20 && c != '\t') || c == 0x7f) return at;
  return end;
}

/// The first character at or after `at` that is no tchar; `end` when there is none. Names are nearly always of letters,
/// digits and dashes, and shorter than 16.
inline std::size_t find_not_token(const char* data, std::size_t at, std::size_t end) {
#if defined(__SSE2__)
  if (at + 16 <= end) {
    const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + at));
    const auto between = [](__m128i text, char low, char high) {
      return _mm_and_si128(_mm_cmpgt_epi8(text, _mm_set1_epi8(static_cast<char>(low - 1))),
                           _mm_cmplt_epi8(text, _mm_set1_epi8(static_cast<char>(high + 1))));
    };
    const auto letter = between(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 'z');
    const auto usual =
        _mm_or_si128(_mm_or_si128(letter, between(bytes, '0', '9')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
    at += static_cast<std::size_t>(__builtin_ctz(static_cast<unsigned>(~_mm_movemask_epi8(usual))));
  }
#endif
  while (at < end && is(characters::kToken, data[at])) ++at;
  return at;
}

/// What no part of a request line holds: blanks, controls, DEL.
constexpr bool ends_a_word(char c) { return static_cast<unsigned char>(c) <= ' ' || c == 127; }

/// Without blanks and tabs at both ends (OWS).
constexpr std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  const auto* begin = text.data();
  const auto* end = begin + text.size();
  while (begin != end && blank(*begin)) ++begin;
  while (begin != end && blank(end[-1])) --end;
  return {begin, static_cast<std::size_t>(end - begin)};
}

/// Calls `f` with each element of a list whose elements are parted by commas, without the blanks around it; not with
/// empty ones (RFC 9110, section 5.6.1).
template <class F>
void each_of(std::string_view list, F f) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    if (const auto one = trimmed(list.substr(0, comma)); !one.empty()) f(one);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
}

}  // namespace plimsoll
