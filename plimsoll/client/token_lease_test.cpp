#include "plimsoll/client/token_lease.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

namespace plimsoll::client {
namespace {

using enum TokenLease::Advice;

constexpr Nanoseconds kStart = 1'000'000 * kSecond, kHour = 3600 * kSecond;

TEST(TokenLease, ATokenIsRenewedBeforeItsEndAndNotUsedAtIt) {
  TokenLease lease;
  EXPECT_EQ(lease.look(kStart), fetch);
  EXPECT_EQ(lease.fetched(kStart, kHour), 1u);
  EXPECT_EQ(lease.look(kStart + kHour - 61 * kSecond), use);
  EXPECT_EQ(lease.look(kStart + kHour - 60 * kSecond), renew);
  EXPECT_EQ(lease.look(kStart + kHour - 6 * kSecond), renew);
  EXPECT_EQ(lease.look(kStart + kHour - 5 * kSecond), fetch);
  EXPECT_EQ(lease.fetched(kStart + kHour, 10 * kSecond), 2u) << "a short life is renewed a fifth before its end";
  EXPECT_EQ(lease.look(kStart + kHour + 7 * kSecond), use);
  EXPECT_EQ(lease.look(kStart + kHour + 8 * kSecond), renew);
}

TEST(TokenLease, AfterAFailureThereIsAWaitThatGrows) {
  TokenLease lease;
  auto now = kStart;
  for (const int wait : {1, 2, 4, 8, 16, 30, 30, 30}) {
    EXPECT_EQ(lease.look(now), fetch);
    lease.failed(now);
    EXPECT_EQ(lease.look(now + wait * kSecond - 1), refuse) << wait;
    now += wait * kSecond;
  }
  lease.fetched(now, kHour);
  EXPECT_EQ(lease.look(now), use);
  now += kHour - 60 * kSecond;
  lease.failed(now);
  EXPECT_EQ(lease.look(now), use) << "a renewal that fails costs nobody the token that is good";
  EXPECT_EQ(lease.look(now + kSecond), renew);
}

TEST(TokenLease, A401FetchesOnceAnew) {
  TokenLease lease;
  const auto first = lease.fetched(kStart, kHour);
  EXPECT_TRUE(lease.rejected(first, kStart + kSecond));
  EXPECT_EQ(lease.look(kStart + kSecond), fetch);
  EXPECT_TRUE(lease.rejected(first, kStart + kSecond)) << "others with the same token wait for the same fetch";
  const auto second = lease.fetched(kStart + 2 * kSecond, kHour);
  EXPECT_TRUE(lease.rejected(first, kStart + 3 * kSecond)) << "there is another token already";
  EXPECT_EQ(lease.look(kStart + 3 * kSecond), use);
  EXPECT_FALSE(lease.rejected(second, kStart + 30 * kSecond)) << "the service takes none: that is the answer";
  EXPECT_EQ(lease.look(kStart + 30 * kSecond), use);
  EXPECT_TRUE(lease.rejected(second, kStart + 31 * kSecond));
}

/// Whatever happens in whatever order: no token is used at its end, a fetch that failed is not repeated at once, and a
/// service that rejects every token costs one fetch in 30 s.
TEST(TokenLease, HoldsWhateverComes) {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", first);
  for (unsigned i = 0; i < 500; ++i) {
    std::mt19937_64 random(first + i);
    TokenLease lease;
    auto now = kStart;
    Nanoseconds end = 0, failed_at = -kHour, anew_at = -kHour;
    std::uint64_t number = 0;
    for (int step = 0; step < 400; ++step) {
      now += static_cast<Nanoseconds>(random() % (random() % 4 ? 2 * kSecond : 200 * kSecond));
      const auto advice = lease.look(now);
      if (advice == use || advice == renew) {
        ASSERT_GT(number, 0u);
        ASSERT_LT(now, end) << "seed " << first + i;
      }
      if (advice == fetch || advice == renew) {
        ASSERT_GE(now - failed_at, kSecond) << "seed " << first + i;
        if (random() % 3 == 0) {
          lease.failed(now);
          failed_at = now;
          ASSERT_LE(lease.fetch_at() - now, 30 * kSecond);
        } else {
          const auto life = static_cast<Nanoseconds>(random() % 600) * kSecond;
          const auto made = lease.fetched(now, life);
          ASSERT_EQ(made, number + 1);
          number = made, end = now + life;
        }
      } else if (advice == use && random() % 4 == 0) {
        if (lease.rejected(number, now)) {
          ASSERT_GE(now - anew_at, 30 * kSecond) << "seed " << first + i;
          anew_at = now;
        }
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll::client
