#include "plimsoll/net/tls.hpp"

#include "plimsoll/net/tls_tickets.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace plimsoll::net {
namespace {

constexpr Nanoseconds kHour = 3600 * kSecond;

TEST(TicketKeys, AKeySealsForAThirdOfTheLifetime) {
  TicketKeys keys{12 * kHour};
  const auto first = keys.sealing(0);
  ASSERT_TRUE(first);
  EXPECT_EQ(keys.sealing(4 * kHour - 1)->name, first->name);
  EXPECT_NE(keys.sealing(4 * kHour)->name, first->name);
}

TEST(TicketKeys, AnOldKeyOpensUntilItsLastTicketHasEnded) {
  TicketKeys keys{12 * kHour};
  const auto first = keys.sealing(0);
  EXPECT_FALSE(keys.opening(first->name.data(), kHour)->renew);
  (void)keys.sealing(5 * kHour);
  const auto old = keys.opening(first->name.data(), 5 * kHour);
  ASSERT_TRUE(old);
  EXPECT_TRUE(old->renew);
  EXPECT_EQ(old->key.cipher, first->cipher);
  EXPECT_TRUE(keys.opening(first->name.data(), 16 * kHour - 1));
  EXPECT_FALSE(keys.opening(first->name.data(), 16 * kHour));
}

TEST(TicketKeys, AreFewHoweverLongItRuns) {
  TicketKeys keys{12 * kHour};
  for (int hour = 0; hour < 1000; ++hour) {
    ASSERT_TRUE(keys.sealing(hour * kHour));
    EXPECT_LE(keys.held(), 5u);
  }
}

TEST(Tls, SaysWhichFileCannotBeUsed) {
  const auto none = TlsContext::load({.certificates = {{"/nowhere/a.crt", "/nowhere/a.key"}}});
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().detail.find("/nowhere/a.crt"), std::string::npos) << none.error().detail;
  EXPECT_FALSE(TlsContext::load({}));
}

}  // namespace
}  // namespace plimsoll::net
