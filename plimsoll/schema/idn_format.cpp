#include "plimsoll/base/letters.hpp"
#include "plimsoll/json/utf8.hpp"
#include "plimsoll/schema/format.hpp"

#include <idn2.h>
#include <algorithm>
#include <string>
#include <vector>

namespace plimsoll::schema {
namespace {

/// The dots of RFC 3490, section 3.1, as one.
std::vector<std::string> labels(std::string_view text) {
  std::vector<std::string> found(1);
  while (!text.empty()) {
    std::size_t dot = 0;
    for (const std::string_view form : {".", "\u3002", "\uFF0E", "\uFF61"})
      if (text.starts_with(form)) dot = form.size();
    if (dot > 0)
      found.emplace_back();
    else
      found.back() += text.front();
    text.remove_prefix(dot > 0 ? dot : 1);
  }
  return found;
}

bool is_ascii(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) >= 128; });
}

/// The label in both forms, or nothing when IDNA2008 does not take it.
struct Label {
  std::string unicode, ascii;
};

bool read_label(std::string_view text, Label& label) {
  const auto small = is_ascii(text) ? lowered(text) : std::string(text);
  if (small.starts_with("xn--")) {
    char* unicode = nullptr;
    if (idn2_to_unicode_8z8z(small.c_str(), &unicode, 0) != IDN2_OK) return false;
    label.unicode = unicode;
    idn2_free(unicode);
    if (is_ascii(label.unicode)) return false;
  } else {
    label.unicode = small;
  }
  std::uint8_t* ascii = nullptr;
  if (idn2_register_u8(reinterpret_cast<const std::uint8_t*>(label.unicode.c_str()), nullptr, &ascii, 0) != IDN2_OK)
    return false;
  label.ascii = reinterpret_cast<const char*>(ascii);
  idn2_free(ascii);
  return label.ascii.size() <= 63 && (!small.starts_with("xn--") || label.ascii == small);
}

/// Which directions the characters of a label have, as far as the rules below ask.
struct Directions {
  bool right_to_left = false, european_digits = false, arabic_digits = false;
};

/// By their blocks.
Directions directions(std::string_view text) {
  Directions found;
  for (std::size_t at = 0; at < text.size();) {
    const auto length = std::max<std::size_t>(1, json::utf8_length(text.substr(at)));
    std::uint32_t code = static_cast<unsigned char>(text[at]);
    if (length > 1) code &= 0xFFu >> (length + 1);
    for (std::size_t i = 1; i < length; ++i) code = code << 6 | (static_cast<unsigned char>(text[at + i]) & 0x3F);
    if ((code >= 0x590 && code <= 0x8FF) || (code >= 0xFB1D && code <= 0xFDFF) || (code >= 0xFE70 && code <= 0xFEFF) ||
        (code >= 0x10800 && code <= 0x10FFF) || (code >= 0x1E800 && code <= 0x1EFFF))
      found.right_to_left = true;
    if ((code >= '0' && code <= '9') || (code >= 0x6F0 && code <= 0x6F9)) found.european_digits = true;
    if (code >= 0x660 && code <= 0x669) found.arabic_digits = true;
    at += length;
  }
  return found;
}

}  // namespace

bool is_idna_label(std::string_view text) {
  Label label;
  return read_label(text, label);
}

bool is_idn_hostname(std::string_view text) {
  if (is_ascii(text) && !text.contains("xn--") && !text.contains("XN--")) return is_hostname(text);
  if (text.size() > 4 * 253) return false;
  std::size_t length = 0;
  bool right_to_left = false;
  std::vector<Label> all;
  for (const auto& part : labels(text)) {
    Label label;
    if (part.empty()) return false;
    if (is_ascii(part) && !part.starts_with("xn--")) {
      if (!is_hostname(part)) return false;
      label = {part, part};
    } else if (!read_label(part, label)) {
      return false;
    }
    length += label.ascii.size() + 1;
    const auto seen = directions(label.unicode);
    if (seen.right_to_left && seen.european_digits && seen.arabic_digits) return false;  // RFC 5893, section 2, rule 4
    right_to_left = right_to_left || seen.right_to_left;
    all.push_back(std::move(label));
  }
  // In a name with right-to-left labels the others begin with a letter (RFC 5893, section 2, rule 1).
  const auto begins_with_digit = [](const Label& label) {
    return label.unicode.front() >= '0' && label.unicode.front() <= '9';
  };
  return length - 1 <= 253 && !(right_to_left && std::ranges::any_of(all, begins_with_digit));
}

}  // namespace plimsoll::schema
