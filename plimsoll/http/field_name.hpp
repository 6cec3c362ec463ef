#pragma once

#include "plimsoll/http/message.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
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

/// A few names of fields, in lower case, that are looked for in any spelling that `same_variable` takes for one. Each
/// begins and ends with a letter or a digit. Nearly all names are none of them, which one bit of 64 says.
template <std::size_t N>
class FieldNames {
 public:
  consteval FieldNames(const std::string_view (&names)[N]) {
    for (std::size_t i = 0; i < N; ++i) {
      if (variable_letter(names[i].front()) == '-' || variable_letter(names[i].back()) == '-') throw "see above";
      names_[i] = names[i];
      marks_ |= mark(names[i]);
    }
  }
  constexpr bool has(std::string_view name) const {
    return !name.empty() && (marks_ & mark(name)) != 0 &&
           std::ranges::any_of(names_, [&](auto each) { return each == name || same_variable(each, name); });
  }

 private:
  /// Of the length and both ends, whatever their case. The factors keep names that are often there apart from those
  /// that are looked for.
  static constexpr std::uint64_t mark(std::string_view name) {
    const auto letter = [](char c) { return static_cast<unsigned char>(c) | 32u; };
    return std::uint64_t{1} << ((name.size() * 5 + letter(name.front()) + letter(name.back()) * 62) & 63);
  }
  std::string_view names_[N];
  std::uint64_t marks_ = 0;
};

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
