#include "plimsoll/database/decimal.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace plimsoll::database {
namespace {

bool digits_only(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

struct Plain {
  bool negative = false, number = false;
  std::string_view whole, fraction;  // without leading and trailing zeros
};

/// Where the digits that begin at `at` end.
std::size_t end_of_digits(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at;
}

/// Reads a decimal without exponent. Indexes compare decimals all the time: each character is looked at once.
Plain read(std::string_view text) {
  Plain plain;
  std::size_t begin = 0;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    plain.negative = text[0] == '-';
    begin = 1;
  }
  const auto point = end_of_digits(text, begin);
  const bool pointed = point < text.size() && text[point] == '.';
  const auto after = point + (pointed ? 1 : 0);
  auto end = end_of_digits(text, after);
  plain.number = end == text.size() && (point > begin || end > after);
  while (begin < point && text[begin] == '0') ++begin;
  while (end > after && text[end - 1] == '0') --end;
  plain.whole = {text.data() + begin, point - begin};
  plain.fraction = {text.data() + after, end - after};
  if (plain.whole.empty() && plain.fraction.empty()) plain.negative = false;
  return plain;
}

int sign(int order) { return order < 0 ? -1 : order > 0; }

int magnitude(const Plain& a, const Plain& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() < b.whole.size() ? -1 : 1;
  if (const int order = a.whole.compare(b.whole)) return sign(order);
  return sign(a.fraction.compare(b.fraction));
}

}  // namespace

int compare_decimals(std::string_view a_text, std::string_view b_text) {
  const auto a = read(a_text), b = read(b_text);
  if (!a.number || !b.number) {
    if (a.number != b.number) return a.number ? -1 : 1;
    return sign(a_text.compare(b_text));
  }
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  return a.negative ? magnitude(b, a) : magnitude(a, b);
}

std::optional<std::string> canonical_decimal(std::string_view text, std::size_t digits) {
  long exponent = 0;
  if (const auto e = text.find_first_of("eE"); e != text.npos) {
    auto power = text.substr(e + 1);
    if (power.starts_with('+')) power.remove_prefix(1);
    const auto read = std::from_chars(power.data(), power.data() + power.size(), exponent);
    if (read.ec != std::errc{} || read.ptr != power.data() + power.size()) return std::nullopt;
    if (std::abs(exponent) > static_cast<long>(digits)) return std::nullopt;
    text = text.substr(0, e);
  }
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const auto point = text.find('.');
  std::string whole{text.substr(0, point)};
  std::string fraction{point == text.npos ? std::string_view{} : text.substr(point + 1)};
  if (whole.empty() || !digits_only(whole) || !digits_only(fraction) || (point != text.npos && fraction.empty()))
    return std::nullopt;
  for (; exponent > 0; --exponent) {
    whole += fraction.empty() ? '0' : fraction[0];
    if (!fraction.empty()) fraction.erase(0, 1);
  }
  for (; exponent < 0; ++exponent) {
    fraction.insert(0, 1, whole.empty() ? '0' : whole.back());
    if (!whole.empty()) whole.pop_back();
  }
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size()));
  if (whole.size() + fraction.size() > digits) return std::nullopt;
  const bool zero = whole.empty() && fraction.find_first_not_of('0') == fraction.npos;
  if (whole.empty()) whole = "0";
  std::string out = negative && !zero ? "-" : "";
  out += whole;
  if (!fraction.empty()) out += '.' + fraction;
  return out;
}

std::optional<std::string> decimal_of(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return canonical_decimal({text, end});
}

}  // namespace plimsoll::database
