#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace plimsoll {

/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Letters, digits, `-`, `.`, `_` and `~` (RFC 3986, section 2.3).
constexpr bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

/// Appends `text` with everything but unreserved characters as `%XX`. `also`: an unreserved one that delimits where the
/// text stands.
inline void append_encoded(std::string& out, std::string_view text, char also = 0) {
  constexpr char digits[] = "0123456789ABCDEF";
  for (const char c : text) {
    if (is_unreserved(c) && c != also) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      ((out += '%') += digits[byte >> 4]) += digits[byte & 15];
    }
  }
}

/// Appends a name or a value of `application/x-www-form-urlencoded`, where a blank is `+`.
inline void append_form_encoded(std::string& out, std::string_view text) {
  for (auto rest = text;; out += '+') {
    const auto blank = std::min(rest.find(' '), rest.size());
    append_encoded(out, rest.substr(0, blank), '~');
    if (blank == rest.size()) return;
    rest.remove_prefix(blank + 1);
  }
}

/// Appends `text` percent-decoded (RFC 3986, section 2.1); with `plus`, `+` is a blank (HTML forms). False when a `%`
/// is not followed by two hexadecimal digits.
inline bool append_decoded(std::string& out, std::string_view text, bool plus = false) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return false;
      const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += plus && text[i] == '+' ? ' ' : text[i];
    }
  }
  return true;
}

}  // namespace plimsoll
