#include "plimsoll/edge/census.hpp"

#include <gtest/gtest.h>

namespace plimsoll::edge {
namespace {

TEST(Census, CountsInAllAndOfEachAddress) {
  Census census;
  EXPECT_FALSE(census.enter("192.0.2.1", 3, 2));
  EXPECT_FALSE(census.enter("192.0.2.1", 3, 2));
  EXPECT_EQ(census.enter("192.0.2.1", 3, 2), Rejection::address);
  EXPECT_FALSE(census.enter("192.0.2.2", 3, 2));
  EXPECT_EQ(census.enter("192.0.2.3", 3, 2), Rejection::connections);
  EXPECT_EQ(census.all(), 3);
  census.leave("192.0.2.1");
  EXPECT_FALSE(census.enter("192.0.2.1", 3, 2));
}

TEST(Census, OneIpv6NetworkIsOneAddress) {
  Census census;
  EXPECT_FALSE(census.enter("2001:db8::1", 9, 1));
  EXPECT_EQ(census.enter("2001:db8::2", 9, 1), Rejection::address);
  EXPECT_FALSE(census.enter("2001:db8:0:1::2", 9, 1));
}

TEST(Census, UnixPeersAreOnlyCountedInAll) {
  Census census;
  EXPECT_FALSE(census.enter("unix", 2, 1));
  EXPECT_FALSE(census.enter("unix", 2, 1));
  EXPECT_EQ(census.enter("unix", 2, 1), Rejection::connections);
}

}  // namespace
}  // namespace plimsoll::edge
