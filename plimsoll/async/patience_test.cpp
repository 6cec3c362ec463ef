#include "plimsoll/async/patience.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace plimsoll {
namespace {

constexpr Problem kBusy{"busy", 503, "Busy", "", true};
constexpr Problem kWrong{"wrong", 500, "Wrong", ""};

struct MovedClock final : Clock {
  Nanoseconds now = 7 * kSecond;
  Nanoseconds steady() const override { return now; }
  Nanoseconds wall() const override { return now; }
};

class PatienceTest : public testing::Test {
 protected:
  MovedClock clock;
  int attempts = 0, told = 0;
  Patience::Hooks hooks{.rest =
                            [this](Nanoseconds span) {
                              clock.now += span;
                              return true;
                            },
                        .told = [this](const Error&, Nanoseconds) { ++told; }};
};

TEST_F(PatienceTest, AFaultOfTheEnvironmentIsTriedAgainUntilItPasses) {
  Patience patience{30 * kSecond, hooks, clock};
  auto done = patience.retry([&]() -> Result<int> {
    if (++attempts < 5) return fail(kBusy);
    return 5;
  });
  EXPECT_EQ(done, 5);
  EXPECT_FALSE(patience.spent());
}

TEST_F(PatienceTest, TheSpanIsKeptAndReported) {
  Patience patience{30 * kSecond, hooks, clock};
  const auto begun = clock.now;
  auto done = patience.retry([&]() -> Result<> { return ++attempts, fail(kBusy); });
  EXPECT_FALSE(done);
  EXPECT_TRUE(patience.spent());
  EXPECT_EQ(clock.now - begun, 30 * kSecond);
  EXPECT_EQ(told, 6) << "every five seconds";
  // The span is that of the whole start, not of each thing it waits for.
  attempts = 0;
  EXPECT_FALSE(patience.retry([&]() -> Result<> { return ++attempts, fail(kBusy); }));
  EXPECT_EQ(attempts, 1);
}

TEST_F(PatienceTest, AnErrorOfTheUserIsNotTriedAgain) {
  Patience patience{30 * kSecond, hooks, clock};
  EXPECT_FALSE(patience.retry([&]() -> Result<> { return ++attempts, fail(kWrong); }));
  EXPECT_EQ(attempts, 1);
  EXPECT_FALSE(patience.spent());
}

TEST_F(PatienceTest, AProcessThatIsToldToEndTriesNoMore) {
  hooks.rest = [](Nanoseconds) { return false; };
  Patience patience{30 * kSecond, hooks, clock};
  EXPECT_FALSE(patience.retry([&]() -> Result<> { return ++attempts, fail(kBusy); }));
  EXPECT_EQ(attempts, 1);
  EXPECT_FALSE(patience.spent());
}

TEST_F(PatienceTest, IsFoundByItsOwnThreadWhileItExists) {
  EXPECT_EQ(Patience::current(), nullptr);
  {
    Patience patience{kSecond, hooks, clock};
    EXPECT_EQ(Patience::current(), &patience);
  }
  EXPECT_EQ(Patience::current(), nullptr);
}

}  // namespace
}  // namespace plimsoll
