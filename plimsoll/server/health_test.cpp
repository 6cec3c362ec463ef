#include "plimsoll/server/health.hpp"

#include "plimsoll/async/loop.hpp"

#include <gtest/gtest.h>

namespace plimsoll::server {
namespace {

struct MovedClock final : Clock {
  Nanoseconds now = 100 * kSecond;
  Nanoseconds steady() const override { return now; }
  Nanoseconds wall() const override { return now; }
};

TEST(Health, ALoopThatDoesNotRunForTenSecondsIsStuckUntilItRunsAgain) {
  MovedClock clock;
  Health health{clock};
  Loop loop;
  health.watch({&loop});
  EXPECT_EQ(health.stuck(), 0) << "it is asked for a sign of life";
  clock.now += 10 * kSecond;
  EXPECT_EQ(health.stuck(), 0) << "a long piece of work is not the end";
  clock.now += kSecond;
  EXPECT_EQ(health.stuck(), 11 * kSecond);
  loop.run();  // what was posted, once however often it was asked
  EXPECT_EQ(health.stuck(), 0);
  loop.run();
  clock.now += 60 * kSecond;
  EXPECT_EQ(health.stuck(), 0) << "nobody has asked in the meantime";
  health.forget_loops();
  clock.now += 60 * kSecond;
  EXPECT_EQ(health.stuck(), 0);
  loop.run();
}

}  // namespace
}  // namespace plimsoll::server
