#pragma once

#include <string>
#include <string_view>

namespace plimsoll::contract {

/// The value of a hexadecimal digit, or -1.
constexpr int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
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

}  // namespace plimsoll::contract
