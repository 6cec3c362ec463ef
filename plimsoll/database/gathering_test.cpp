#include "plimsoll/database/gathering.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {
namespace {

using namespace std::chrono_literals;

TEST(GatheringTest, WhoeverIsAloneWaitsForNobody) {
  Gathering gathering{2ms};
  EXPECT_EQ(gathering.enough(), 1u);
  gathering.committed(1, 0, 1ms);
  EXPECT_EQ(gathering.enough(), 1u);
}

TEST(GatheringTest, TwoHalvesBecomeOne) {
  Gathering gathering{2ms};
  gathering.committed(10, 10, 1ms);
  EXPECT_EQ(gathering.enough(), 20u);
  gathering.committed(20, 0, 1ms);
  EXPECT_EQ(gathering.enough(), 20u);
}

TEST(GatheringTest, ThoseWhoLeaveAreWaitedForOnce) {
  Gathering gathering{2ms};
  gathering.committed(1, 1, 1ms);
  EXPECT_EQ(gathering.enough(), 2u);
  gathering.committed(1, 0, 1ms);
  EXPECT_EQ(gathering.enough(), 1u);
}

TEST(GatheringTest, NeverLongerThanACommitTakesNorThanAllowed) {
  Gathering gathering{2ms};
  gathering.committed(5, 5, 300us);
  EXPECT_EQ(gathering.patience(), 300us);
  gathering.committed(5, 5, 20ms);
  EXPECT_EQ(gathering.patience(), 2ms);
}

TEST(GatheringTest, AFullGroupWaitsForNoMore) {
  Gathering gathering{2ms};
  gathering.committed(500, 500, 1ms);
  EXPECT_EQ(gathering.enough(), Gathering::kWorthwhile);
}

}  // namespace
}  // namespace plimsoll::database
