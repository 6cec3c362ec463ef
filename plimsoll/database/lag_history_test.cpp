#include "plimsoll/database/lag_history.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {
namespace {

TEST(LagHistory, IsTheAgeOfWhatTheReplicaHas) {
  LagHistory history;
  EXPECT_LT(history.lag(10, 0), 0) << "nothing is known of the primary";
  history.primary_at(100, 1 * kSecond);
  history.primary_at(200, 2 * kSecond);
  history.primary_at(300, 3 * kSecond);
  EXPECT_EQ(history.lag(300, 3 * kSecond), 0);
  EXPECT_EQ(history.lag(450, 3 * kSecond), 0) << "it has more than was seen of the primary";
  EXPECT_EQ(history.lag(299, 3 * kSecond), 1 * kSecond);
  EXPECT_EQ(history.lag(100, 4 * kSecond), 3 * kSecond);
  EXPECT_LT(history.lag(99, 4 * kSecond), 0) << "older than anything that is remembered";
}

TEST(LagHistory, IsZeroWhereNothingIsWritten) {
  LagHistory history;
  for (int i = 0; i <= 10'000; ++i) history.primary_at(100, i * kSecond);
  EXPECT_EQ(history.lag(100, 10'000 * kSecond), 0);
}

TEST(LagHistory, GrowsWhileThePrimaryIsNotSeen) {
  LagHistory history;
  history.primary_at(100, kSecond);
  EXPECT_EQ(history.lag(100, 9 * kSecond), 8 * kSecond);
}

TEST(LagHistory, NeverSaysLessThanIsSoAndStaysSmall) {
  LagHistory history;
  constexpr int kSamples = 100'000;
  for (int i = 1; i <= kSamples; ++i) {
    history.primary_at(static_cast<Position>(i) * 10, i * kSecond);
    if (i % 997 != 0) continue;
    for (const int behind : {0, 1, 7, 50, 400, 5'000}) {
      if (behind >= i) continue;
      const auto lag = history.lag(static_cast<Position>(i - behind) * 10, i * kSecond);
      EXPECT_GE(lag, behind * kSecond) << i;
      EXPECT_LE(lag, behind * kSecond * 21 / 20) << i;
    }
  }
  EXPECT_LE(history.size(), 2'048u);
}

TEST(LagHistory, APrimaryThatHasLessIsAnotherOne) {
  LagHistory history;
  history.primary_at(100, 1 * kSecond);
  history.primary_at(200, 2 * kSecond);
  history.primary_at(150, 3 * kSecond);
  EXPECT_EQ(history.lag(150, 3 * kSecond), 0);
  EXPECT_EQ(history.lag(200, 3 * kSecond), 0);
  EXPECT_EQ(history.lag(120, 3 * kSecond), 2 * kSecond);
}

}  // namespace
}  // namespace plimsoll::database
