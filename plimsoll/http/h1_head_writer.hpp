#pragma once

#include "plimsoll/base/copy.hpp"
#include "plimsoll/base/digits.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <cstring>
#include <string_view>

namespace plimsoll::h1 {

/// Writes the head of a message into memory that has room for it.
struct HeadWriter {
  char* at;
  void put(std::string_view text) {
    if (text.empty()) return;
    std::memcpy(at, text.data(), text.size());
    at += text.size();
  }
  void number(std::uint64_t value) { at = put_digits(at, value); }
  /// A line, begun by the end of the one before. Written first and looked at on the way: what would not be one field
  /// line is not taken (false), and the next one is written over it.
  bool field(const Header& field) {
    auto* to = at;
    *to++ = '\r', *to++ = '\n';
    if (!copy_unless(bytes16::outside_lower_case_names, field.name, to)) {
      if (!is_token(field.name)) return false;
      std::memcpy(to, field.name.data(), field.name.size());  // a name with capitals: perhaps only begun
    }
    if (field.name.empty()) return false;
    to += field.name.size();
    *to++ = ':', *to++ = ' ';
    if (!copy_unless(bytes16::line_breaking, field.value, to)) return false;
    at = to + field.value.size();
    return true;
  }
};

}  // namespace plimsoll::h1
