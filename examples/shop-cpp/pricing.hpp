#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shop {

/// `12.5` as 1250. Nothing when it is no amount, or has more than two places.
inline std::optional<std::int64_t> cents(std::string_view amount) {
  const auto point = amount.find('.');
  const auto whole = amount.substr(0, point);
  auto places = point == amount.npos ? std::string() : std::string(amount.substr(point + 1));
  if (whole.empty() || whole.size() > 12 || places.size() > 2 || (point != amount.npos && places.empty())) return {};
  places.resize(2, '0');
  const auto digits = std::string(whole) + places;
  if (digits.find_first_not_of("0123456789") != digits.npos) return {};
  std::int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

/// 1250 as `12.50`.
inline std::string amount(std::int64_t cents) {
  const auto places = std::to_string(cents % 100);
  return std::to_string(cents / 100) + (places.size() < 2 ? ".0" : ".") + places;
}

}  // namespace shop
