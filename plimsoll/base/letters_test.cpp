#include "plimsoll/base/letters.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

std::string all_characters() {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  return all;
}

TEST(Letters, OnlyThoseOfAsciiAreLowered) {
  const auto all = all_characters();
  const auto made = lowered(all);
  ASSERT_EQ(made.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    EXPECT_EQ(made[i], i >= 'A' && i <= 'Z' ? static_cast<char>(i - 'A' + 'a') : all[i]) << i;
}

TEST(Letters, CharactersAreEqualWhenTheyDifferInTheCaseOfALetterAtMost) {
  for (const char a : all_characters())
    for (const char b : all_characters()) {
      const std::string_view x(&a, 1), y(&b, 1);
      EXPECT_EQ(equal_ignoring_case(x, y), lowered(x) == lowered(y)) << int(a) << ' ' << int(b);
      EXPECT_EQ(same_as_lower(x, lowered(y)), lowered(x) == lowered(y)) << int(a) << ' ' << int(b);
    }
  EXPECT_FALSE(equal_ignoring_case("host", "hosts"));
  EXPECT_FALSE(same_as_lower("host", "hosts"));
  EXPECT_TRUE(equal_ignoring_case("", ""));
}

}  // namespace
}  // namespace plimsoll
