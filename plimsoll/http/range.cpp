#include "plimsoll/http/range.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/http/characters.hpp"

#include <algorithm>
#include <optional>

namespace plimsoll::http {
namespace {

/// A number of any length: what no representation has is the largest there is.
std::optional<std::uint64_t> number(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
  }
  return value;
}

}  // namespace

ByteRange byte_range(std::string_view field, std::uint64_t size) {
  const ByteRange whole;
  constexpr std::string_view kUnit = "bytes=";
  auto text = trimmed(field);
  if (text.size() < kUnit.size() || !same_as_lower(text.substr(0, kUnit.size()), kUnit)) return whole;
  text = trimmed(text.substr(kUnit.size()));
  const auto dash = text.find('-');
  if (dash == text.npos || text.contains(',')) return whole;
  const auto from = trimmed(text.substr(0, dash)), to = trimmed(text.substr(dash + 1));
  const auto first = number(from), last = number(to);
  if (from.empty()) {  // the last so many
    if (!last) return whole;
    if (*last == 0) return {.kind = ByteRange::Kind::unsatisfiable};
    if (size == 0) return whole;
    const auto length = std::min(*last, size);
    return {.kind = ByteRange::Kind::part, .first = size - length, .length = length};
  }
  if (!first || (!to.empty() && !last) || (last && *last < *first)) return whole;
  if (*first == 0 && size == 0) return whole;
  if (*first >= size) return {.kind = ByteRange::Kind::unsatisfiable};
  return {.kind = ByteRange::Kind::part,
          .first = *first,
          .length = std::min(last.value_or(size - 1), size - 1) - *first + 1};
}

}  // namespace plimsoll::http
