#pragma once

#include "plimsoll/http/message.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace plimsoll {

/// A letter of a field's name as servers see it that make variables of names, as CGI does (RFC 3875, section 4.1.18):
/// case is nothing, and whatever is neither letter nor digit is one character.
constexpr char variable_letter(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}
/// Whether such a server takes two names for one: `Transfer_Encoding` is `transfer-encoding`.
constexpr bool same_variable(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::ranges::equal(a, b, [](char x, char y) { return variable_letter(x) == variable_letter(y); });
}
/// The name as all of its spellings have it: in lower case, with `-` for what is neither letter nor digit.
inline std::string variable_name(std::string_view name) {
  std::string out(name);
  std::ranges::transform(out, out.begin(), variable_letter);
  return out;
}

/// Removes every field that a server may take for the one of that name.
inline void remove_alike(Headers& headers, std::string_view name) {
  const auto next = [&] {
    return std::ranges::find_if(headers, [&](const Header& field) { return same_variable(field.name, name); });
  };
  for (auto found = next(); found != headers.end(); found = next()) headers.remove(std::string_view(found->name));
}
/// Sets a field, and removes every other that a server may take for it.
inline void set_alone(Headers& headers, FieldText name, FieldText value) {
  remove_alike(headers, name.view());
  headers.add(name, value);
}

}  // namespace plimsoll
