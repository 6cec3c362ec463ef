#include "plimsoll/policy/expiry_clock.hpp"

#include <gtest/gtest.h>

namespace plimsoll::policy {
namespace {

constexpr Nanoseconds kHour = 3600 * kSecond, kDay = 24 * kHour;

struct SetClock final : Clock {
  Nanoseconds passed = 0, set = 1'000 * kDay;
  Nanoseconds steady() const override { return passed; }
  Nanoseconds wall() const override { return set + passed; }
};

TEST(ExpiryClock, IsTheWallClockWhereThatIsNotSet) {
  SetClock clock;
  ExpiryClock expiry(clock);
  expiry.keeps(kDay);
  for (; clock.passed < 3 * kDay; clock.passed += kHour) EXPECT_EQ(expiry.now(), clock.wall());
}

TEST(ExpiryClock, StaysBehindAClockThatIsSetForwardForAsLongAsRecordsAreKept) {
  SetClock clock;
  ExpiryClock expiry(clock);
  expiry.keeps(kHour);
  expiry.keeps(kDay);
  const auto recorded = clock.wall();
  clock.set += 2 * kDay;
  clock.passed += 2 * kSecond;
  EXPECT_EQ(expiry.now(), recorded + 2 * kSecond);
  clock.set += kDay;  // and once more
  clock.passed += kHour;
  EXPECT_EQ(expiry.now(), recorded + kHour + 2 * kSecond);
  clock.passed += kDay;
  EXPECT_EQ(expiry.now(), clock.wall());
}

TEST(ExpiryClock, FollowsAClockThatIsSetBack) {
  SetClock clock;
  ExpiryClock expiry(clock);
  expiry.keeps(kDay);
  clock.set += 2 * kDay;
  EXPECT_EQ(expiry.now(), clock.wall() - 2 * kDay);
  clock.set -= 2 * kDay;
  EXPECT_EQ(expiry.now(), clock.wall());
  clock.set -= 2 * kDay;
  EXPECT_EQ(expiry.now(), clock.wall());
}

}  // namespace
}  // namespace plimsoll::policy
