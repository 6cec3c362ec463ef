#pragma once

#include <algorithm>
#include <string>
#include <string_view>

// ASCII letters without regard to case, whatever the locale: names of fields, hosts, schemes, types of columns.

namespace plimsoll {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
/// A copy with A to Z as a to z; all other bytes stay as they are.
constexpr std::string lowered(std::string_view text) {
  std::string out(text);
  for (auto& c : out) c = lower(c);
  return out;
}
/// Equal without regard to the case of ASCII letters.
constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}
/// The same where `lowered` is lower case already.
constexpr bool same_as_lower(std::string_view text, std::string_view lowered) {
  if (text.size() != lowered.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (lower(text[i]) != lowered[i]) return false;
  return true;
}

}  // namespace plimsoll
