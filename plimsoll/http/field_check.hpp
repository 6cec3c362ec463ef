#pragma once

#include "plimsoll/http/characters.hpp"

#include <cstring>
#include <string_view>

namespace plimsoll::http {

/// How a field name is written: `lower` is a token without upper-case letters, as HTTP/2 wants it.
enum class NameForm : unsigned char { wrong, token, lower };

namespace field_check {

inline NameForm slow_form(std::string_view name) {
  auto form = name.empty() ? NameForm::wrong : NameForm::lower;
  for (const char c : name) {
    if (!is(characters::kToken, c)) return NameForm::wrong;
    if (c >= 'A' && c <= 'Z') form = NameForm::token;
  }
  return form;
}

#if defined(__SSE2__)
/// Of four bytes or more, the 16 that begin at `at`; of a shorter rest, 16 of which each is one of `text`, all of the
/// rest among them.
inline __m128i block(std::string_view text, std::size_t at) {
  const auto* data = text.data();
  const auto size = text.size();
  if (at + 16 <= size) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + at));
  if (size >= 16) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + size - 16));
  if (size >= 8)
    return _mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(data)),
                              _mm_loadl_epi64(reinterpret_cast<const __m128i*>(data + size - 8)));
  int first = 0, last = 0;
  std::memcpy(&first, data, 4);
  std::memcpy(&last, data + size - 4, 4);
  return _mm_set_epi32(last, first, last, first);
}
#endif

}  // namespace field_check

inline NameForm form_of(std::string_view name) {
#if defined(__SSE2__)
  if (name.size() >= 4) {
    const auto within = [](__m128i bytes, char low, char high) {  // of bytes below 0x80; others are negative
      return _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8(static_cast<char>(low - 1))),
                           _mm_cmplt_epi8(bytes, _mm_set1_epi8(static_cast<char>(high + 1))));
    };
    for (std::size_t at = 0; at < name.size(); at += 16) {
      const auto bytes = field_check::block(name, at);
      // Nearly all names are letters, digits and hyphens; others are looked at one by one.
      const auto usual = _mm_or_si128(_mm_or_si128(within(bytes, 'a', 'z'), within(bytes, '0', '9')),
                                      _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
      if (_mm_movemask_epi8(usual) != 0xffff) return field_check::slow_form(name);
    }
    return NameForm::lower;
  }
#endif
  return field_check::slow_form(name);
}

/// Without control characters other than the tab: it stays one field line.
inline bool is_one_line(std::string_view value) {
#if defined(__SSE2__)
  if (value.size() >= 4) {
    const auto tab = _mm_set1_epi8('\t'), del = _mm_set1_epi8(0x7f), last = _mm_set1_epi8(0x1f);
    auto wrong = _mm_setzero_si128();
    for (std::size_t at = 0; at < value.size(); at += 16) {
      const auto bytes = field_check::block(value, at);
      const auto low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last), bytes);
      wrong = _mm_or_si128(wrong,
                           _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), low), _mm_cmpeq_epi8(bytes, del)));
    }
    return _mm_movemask_epi8(wrong) == 0;
  }
#endif
  return find_control(value.data(), 0, value.size()) == value.size();
}

}  // namespace plimsoll::http
