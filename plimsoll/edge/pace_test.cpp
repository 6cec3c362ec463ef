#include "plimsoll/edge/pace.hpp"

#include <gtest/gtest.h>

namespace plimsoll::edge {
namespace {

TEST(Pace, JudgesAWindowByWhatHasMovedInIt) {
  Pace pace{500, kBodyWindow};
  EXPECT_EQ(pace.patience(), 5 * kSecond);
  EXPECT_TRUE(pace.waited(4 * kSecond));
  EXPECT_EQ(pace.patience(), kSecond);
  pace.moved(2500);
  EXPECT_TRUE(pace.waited(kSecond));
  pace.moved(2499);
  EXPECT_FALSE(pace.waited(5 * kSecond));
}

TEST(Pace, WhatMovedBeforeDoesNotBuyALaterPause) {
  Pace pace{500, kBodyWindow};
  pace.moved(1'000'000);
  EXPECT_TRUE(pace.waited(5 * kSecond));
  EXPECT_FALSE(pace.waited(5 * kSecond));
}

}  // namespace
}  // namespace plimsoll::edge
