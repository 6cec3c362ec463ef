#include "plimsoll/database/instant.hpp"

namespace plimsoll::database {
namespace {

/// What is left has the order of the instants as text: no `Z`, no zeros at the end of a fraction.
std::string_view significant(std::string_view text) {
  if (!text.ends_with('Z')) return text;
  text.remove_suffix(1);
  constexpr std::size_t kPoint = 19;  // behind `2026-01-01T00:00:00`
  if (text.size() <= kPoint || text[kPoint] != '.') return text;
  text = text.substr(0, text.find_last_not_of('0') + 1);
  if (text.size() == kPoint + 1) text.remove_suffix(1);
  return text;
}

}  // namespace

int compare_instants(std::string_view a, std::string_view b) {
  const int order = significant(a).compare(significant(b));
  return order < 0 ? -1 : order > 0;
}

}  // namespace plimsoll::database
