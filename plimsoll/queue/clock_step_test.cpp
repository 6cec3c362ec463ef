#include "plimsoll/queue/clock_step.hpp"

#include <gtest/gtest.h>

namespace plimsoll::queue {
namespace {

constexpr Nanoseconds kHour = 3600 * kSecond, kGrace = 30 * kSecond;

TEST(ClockStep, AStepInEitherDirectionStopsTheJudgementForOneLease) {
  for (const auto by : {kHour, -kHour, 2 * kSecond}) {
    ClockStep step;
    EXPECT_EQ(step.look(kHour, 5 * kSecond, kGrace), 0);
    EXPECT_TRUE(step.settled(5 * kSecond));
    EXPECT_EQ(step.look(kHour + kSecond + by, 6 * kSecond, kGrace), by);
    EXPECT_FALSE(step.settled(6 * kSecond));
    EXPECT_EQ(step.look(kHour + 2 * kSecond + by, 7 * kSecond, kGrace), 0) << "the new time is the time from now on";
    EXPECT_FALSE(step.settled(35 * kSecond));
    EXPECT_TRUE(step.settled(36 * kSecond));
  }
}

TEST(ClockStep, AClockThatIsSteeredIsNoStep) {
  ClockStep step;
  for (Nanoseconds t = 0; t < kHour; t += kSecond) {
    EXPECT_EQ(step.look(t + t / 2000, t, kGrace), 0);
    EXPECT_TRUE(step.settled(t));
  }
}

}  // namespace
}  // namespace plimsoll::queue
