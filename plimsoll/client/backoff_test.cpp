#include "plimsoll/client/backoff.hpp"

#include <gtest/gtest.h>

#include <random>

namespace plimsoll::client {
namespace {

TEST(Backoff, IsRandomUpToABoundThatDoublesToTheCap) {
  std::mt19937_64 random(1);
  Nanoseconds most[8]{};
  for (std::uint32_t attempt = 0; attempt < 8; ++attempt)
    for (int i = 0; i < 20'000; ++i) {
      const auto span = backoff(50 * kMillisecond, kSecond, attempt, random());
      ASSERT_GE(span, 0);
      most[attempt] = std::max(most[attempt], span);
    }
  const Nanoseconds bounds[] = {50, 100, 200, 400, 800, 1000, 1000, 1000};
  for (int i = 0; i < 8; ++i) {
    EXPECT_LE(most[i], bounds[i] * kMillisecond);
    EXPECT_GE(most[i], bounds[i] * kMillisecond * 99 / 100) << "all of the range is used";
  }
  EXPECT_EQ(backoff(50 * kMillisecond, kSecond, 0, 0), 0) << "full jitter begins at nothing";
  EXPECT_LE(backoff(kSecond, kSecond, 0xFFFF'FFFF, ~0ull), kSecond);
  EXPECT_EQ(backoff(0, kSecond, 3, 12345), 0);
}

TEST(RetryAfter, IsReadInBothForms) {
  // RFC 9110, section 10.2.3
  constexpr Nanoseconds kNow = 946'684'790 * kSecond;  // 1999-12-31T23:59:50Z
  EXPECT_EQ(retry_after("120", kNow), 120 * kSecond);
  EXPECT_EQ(retry_after("0", kNow), 0);
  EXPECT_EQ(retry_after("Fri, 31 Dec 1999 23:59:59 GMT", kNow), 9 * kSecond);
  EXPECT_EQ(retry_after("Fri, 31 Dec 1999 23:59:59 GMT", kNow + kSecond / 2), 8 * kSecond + kSecond / 2);
  EXPECT_EQ(retry_after("Friday, 31-Dec-99 23:59:59 GMT", kNow), 9 * kSecond) << "the obsolete forms too";
  EXPECT_EQ(retry_after("Fri Dec 31 23:59:59 1999", kNow), 9 * kSecond);
  EXPECT_EQ(retry_after("Fri, 31 Dec 1999 23:59:40 GMT", kNow), 0) << "a date that has passed is now";
  EXPECT_EQ(retry_after("99999999999999999999999", kNow), 86'400 * kSecond) << "no more than a day";
  EXPECT_EQ(retry_after("Fri, 31 Dec 2999 23:59:59 GMT", kNow), 86'400 * kSecond);
  for (const auto* none : {"", "-1", "1.5", "soon", "12 s", "Fri, 31 Foo 1999 23:59:59 GMT"})
    EXPECT_EQ(retry_after(none, kNow), std::nullopt) << none;
}

}  // namespace
}  // namespace plimsoll::client
