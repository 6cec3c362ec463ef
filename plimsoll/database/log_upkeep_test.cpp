#include "plimsoll/database/log_upkeep.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {
namespace {

using namespace std::chrono_literals;

constexpr LogUpkeep::Instant kNow{1h};

TEST(LogUpkeepTest, AShortLogIsLeftAlone) {
  LogUpkeep upkeep{100};
  EXPECT_FALSE(upkeep.committed(99, kNow).restart);
  EXPECT_TRUE(upkeep.committed(100, kNow).restart);
}

constexpr LogUpkeep::Step kGentle{.restart = true};

TEST(LogUpkeepTest, AnAttemptThatFailedIsNotRepeatedAtEveryCommit) {
  LogUpkeep upkeep{100};
  ASSERT_TRUE(upkeep.committed(100, kNow).restart);
  EXPECT_FALSE(upkeep.attempted(kGentle, false, 100, kNow));
  EXPECT_FALSE(upkeep.committed(101, kNow).restart);
  EXPECT_TRUE(upkeep.committed(112, kNow).restart);       // it has grown by an eighth
  EXPECT_TRUE(upkeep.committed(101, kNow + 1s).restart);  // or time has passed
  EXPECT_FALSE(upkeep.attempted(kGentle, true, 101, kNow));
  EXPECT_TRUE(upkeep.committed(100, kNow).restart);
}

TEST(LogUpkeepTest, AMomentThatDoesNotComeIsMade) {
  LogUpkeep upkeep{100};
  EXPECT_FALSE(upkeep.committed(299, kNow).hold_back);
  EXPECT_TRUE(upkeep.committed(300, kNow).hold_back);
  EXPECT_FALSE(upkeep.committed(499, kNow).end_reads);
  EXPECT_TRUE(upkeep.committed(500, kNow).end_reads);
  EXPECT_LT(upkeep.committed(100, kNow).patience, upkeep.committed(500, kNow).patience);
}

TEST(LogUpkeepTest, AReaderOfSomebodyElseIsReportedNowAndThenAndOursAreNotEndedForIt) {
  LogUpkeep upkeep{100};
  const auto step = upkeep.committed(500, kNow);
  ASSERT_TRUE(step.end_reads);
  EXPECT_TRUE(upkeep.attempted(step, false, 500, kNow));
  EXPECT_FALSE(upkeep.committed(900, kNow).restart);
  const auto later = upkeep.committed(900, kNow + 1s);
  EXPECT_TRUE(later.restart);
  EXPECT_FALSE(later.end_reads || later.hold_back);
  EXPECT_EQ(later.patience, 0ms);
  EXPECT_FALSE(upkeep.attempted(later, false, 900, kNow + 1s));
  EXPECT_TRUE(upkeep.committed(900, kNow + LogUpkeep::kReport).end_reads);
}

}  // namespace
}  // namespace plimsoll::database
