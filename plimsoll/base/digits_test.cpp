#include "plimsoll/base/digits.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>

namespace plimsoll {
namespace {

template <class T>
std::string text_of(T number) {
  char text[kMostDigits + 1] = {};
  text[kMostDigits] = '!';
  const std::string made{text, put_digits(text, number)};
  EXPECT_EQ(text[kMostDigits], '!');
  return made;
}

TEST(Digits, AreThoseOfEveryLengthAndSign) {
  for (std::uint64_t power = 1; power != 0 && power <= 10'000'000'000'000'000'000u; power *= 10) {
    for (const auto number : {power - 1, power, power + 1}) {
      EXPECT_EQ(text_of(number), std::to_string(number));
      const auto negative = -static_cast<std::int64_t>(number >> 1);
      EXPECT_EQ(text_of(negative), std::to_string(negative));
    }
    if (power == 10'000'000'000'000'000'000u) break;
  }
  EXPECT_EQ(text_of(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(text_of(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 100'000; ++i) {
    const auto number = random() >> (random() % 64);
    ASSERT_EQ(text_of(number), std::to_string(number));
  }
}

}  // namespace
}  // namespace plimsoll
