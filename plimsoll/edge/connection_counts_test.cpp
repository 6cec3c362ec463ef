#include "plimsoll/edge/connection_counts.hpp"

#include <gtest/gtest.h>

namespace plimsoll::edge {
namespace {

TEST(ConnectionCounts, CountsInAllAndOfEachAddress) {
  ConnectionCounts connection_counts;
  EXPECT_FALSE(connection_counts.enter("192.0.2.1", 3, 2));
  EXPECT_FALSE(connection_counts.enter("192.0.2.1", 3, 2));
  EXPECT_EQ(connection_counts.enter("192.0.2.1", 3, 2), Rejection::address);
  EXPECT_FALSE(connection_counts.enter("192.0.2.2", 3, 2));
  EXPECT_EQ(connection_counts.enter("192.0.2.3", 3, 2), Rejection::connections);
  EXPECT_EQ(connection_counts.all(), 3);
  connection_counts.leave("192.0.2.1");
  EXPECT_FALSE(connection_counts.enter("192.0.2.1", 3, 2));
}

TEST(ConnectionCounts, OneIpv6NetworkIsOneAddress) {
  ConnectionCounts connection_counts;
  EXPECT_FALSE(connection_counts.enter("2001:db8::1", 9, 1));
  EXPECT_EQ(connection_counts.enter("2001:db8::2", 9, 1), Rejection::address);
  EXPECT_FALSE(connection_counts.enter("2001:db8:0:1::2", 9, 1));
}

TEST(ConnectionCounts, UnixPeersAreOnlyCountedInAll) {
  ConnectionCounts connection_counts;
  EXPECT_FALSE(connection_counts.enter("unix", 2, 1));
  EXPECT_FALSE(connection_counts.enter("unix", 2, 1));
  EXPECT_EQ(connection_counts.enter("unix", 2, 1), Rejection::connections);
}

}  // namespace
}  // namespace plimsoll::edge
