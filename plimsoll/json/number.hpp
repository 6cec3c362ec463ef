#pragma once

#include "plimsoll/json/value.hpp"

#include <compare>

namespace plimsoll::json {

/// The text of a JSON number taken apart without rounding: sign × d₁.d₂d₃… × 10^magnitude. A view into the text.
class Decimal {
 public:
  /// `text` must be a JSON number whose exponent is within ±kExponentLimit.
  explicit Decimal(std::string_view text);

  bool negative() const { return negative_; }
  bool zero() const { return count_ == 0; }
  /// Power of ten of the first significant digit.
  std::int64_t magnitude() const { return magnitude_; }
  /// Significant digits: from the first to the last that is not 0.
  std::size_t count() const { return count_; }
  /// Power of ten of the last significant digit.
  std::int64_t lowest() const { return magnitude_ - static_cast<std::int64_t>(count_) + 1; }
  bool integer() const { return zero() || lowest() >= 0; }

  /// Calls `take(int digit)` for each significant digit, the first first.
  template <class F>
  void digits(F&& take) const {
    const char* at = first_;
    for (std::size_t left = count_; left > 0; ++at)
      if (*at != '.') take(*at - '0'), --left;
  }
  friend std::strong_ordering operator<=>(const Decimal&, const Decimal&);
  friend bool operator==(const Decimal& a, const Decimal& b) { return (a <=> b) == std::strong_ordering::equal; }

 private:
  bool negative_ = false;
  const char* first_ = nullptr;
  std::size_t count_ = 0;
  std::int64_t magnitude_ = 0;
};

/// Exponents beyond are refused by the parser, so that arithmetic on powers of ten cannot overflow.
inline constexpr std::int64_t kExponentLimit = 999'999'999;

/// Whether a number is mathematically an integer, of whatever size.
inline bool is_integer(const Value& number) { return number.integer() || Decimal(number.number_text()).integer(); }
/// The exact order of two numbers.
std::strong_ordering compare(const Value& a, const Value& b);

/// What `multipleOf` holds numbers against, taken apart once: greater than 0, of at most kMostDivisorDigits significant
/// digits.
class Divisor {
 public:
  /// A view into the text of `value`.
  explicit Divisor(const Value& value);
  /// Whether `number` divided by this is an integer; exactly.
  bool divides(const Value& number) const {
    if (const auto integer = number.integer(); integer && step_ > 0) return step_ == 1 || *integer % step_ == 0;
    return divides(Decimal(number.number_text()));
  }

 private:
  bool divides(const Decimal& number) const;
  Decimal decimal_;
  std::int64_t step_ = 0;  ///< the least integer that is a multiple; 0: beyond 64 bits
};
inline constexpr std::size_t kMostDivisorDigits = 37;
/// The same for once.
inline bool is_multiple(const Value& number, const Value& divisor) { return Divisor(divisor).divides(number); }

}  // namespace plimsoll::json
