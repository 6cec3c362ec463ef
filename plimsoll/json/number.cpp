#include "plimsoll/json/number.hpp"

#include <algorithm>
#include <limits>

namespace plimsoll::json {

Decimal::Decimal(std::string_view text) {
  const char *at = text.data(), *const end = at + text.size();
  if (at != end && *at == '-') negative_ = true, ++at;
  const char *point = nullptr, *last = nullptr;
  for (; at != end && *at != 'e' && *at != 'E'; ++at) {
    if (*at == '.')
      point = at;
    else if (*at != '0') {
      if (!first_) first_ = at;
      last = at;
    }
  }
  const char* const mantissa_end = at;
  if (!first_) {
    negative_ = false;
    return;
  }
  std::int64_t exponent = 0;
  if (at != end) {
    ++at;
    const bool down = *at == '-';
    if (*at == '-' || *at == '+') ++at;
    for (; at != end; ++at)
      if (exponent <= kExponentLimit) exponent = exponent * 10 + (*at - '0');
    if (down) exponent = -exponent;
  }
  const char* const whole_end = point ? point : mantissa_end;
  count_ = static_cast<std::size_t>(last - first_ + 1) - (point && first_ < point && point < last ? 1 : 0);
  magnitude_ = exponent + (first_ < whole_end ? whole_end - first_ - 1 : -(first_ - whole_end));
}

std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
  const auto sign = [](const Decimal& d) { return d.zero() ? 0 : d.negative() ? -1 : 1; };
  if (const auto order = sign(a) <=> sign(b); order != 0 || a.zero()) return order;
  auto order = a.magnitude_ <=> b.magnitude_;
  const char *p = a.first_, *q = b.first_;
  for (std::size_t i = 0; order == 0 && i < std::max(a.count_, b.count_); ++i) {
    const auto digit = [](const char*& at, std::size_t i, std::size_t count) {
      if (i >= count) return '0';
      if (*at == '.') ++at;
      return *at++;
    };
    order = digit(p, i, a.count_) <=> digit(q, i, b.count_);
  }
  return a.negative_ ? 0 <=> order : order;
}

std::strong_ordering compare(const Value& a, const Value& b) {
  const auto x = a.integer(), y = b.integer();
  if (x && y) return *x <=> *y;
  return Decimal(a.number_text()) <=> Decimal(b.number_text());
}

namespace {

/// The digits of `number` without the twos and fives that 10^`tens` has too.
unsigned __int128 reduced(const Decimal& number, std::int64_t tens) {
  unsigned __int128 size = 0;
  number.digits([&](int digit) { size = size * 10 + static_cast<unsigned>(digit); });
  for (auto twos = tens; twos > 0 && size % 2 == 0; --twos) size /= 2;
  for (auto fives = tens; fives > 0 && size % 5 == 0; --fives) size /= 5;
  return size;
}

}  // namespace

Divisor::Divisor(const Value& value) : decimal_(value.number_text()) {
  constexpr auto kMost = static_cast<unsigned __int128>(std::numeric_limits<std::int64_t>::max());
  auto size = reduced(decimal_, -decimal_.lowest());
  for (auto tens = decimal_.lowest(); tens > 0 && size <= kMost; --tens) size *= 10;
  if (size <= kMost) step_ = static_cast<std::int64_t>(size);
}

bool Divisor::divides(const Decimal& number) const {
  if (number.zero()) return true;
  // Both as integers times powers of ten: V·10^a over D·10^b. V does not end in 0, so that no power of ten divides it;
  // the tens on top cancel twos and fives below.
  const auto tens = number.lowest() - decimal_.lowest();
  if (tens < 0) return false;
  const auto size = reduced(decimal_, tens);
  if (size == 1) return true;
  unsigned __int128 rest = 0;
  number.digits([&](int digit) { rest = (rest * 10 + static_cast<unsigned>(digit)) % size; });
  return rest == 0;
}

}  // namespace plimsoll::json
