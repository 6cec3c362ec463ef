#include "plimsoll/policy/rate_limit/gcra.hpp"

#include <gtest/gtest.h>
#include <deque>
#include <random>

namespace plimsoll::policy {
namespace {

constexpr Rate kTenPerSecond{.limit = 10, .period = kSecond, .burst = 3};
constexpr Nanoseconds kStart = 3600 * kSecond;

TEST(Gcra, GrantsTheBurstThenRefusesAndSaysWhen) {
  Gcra bucket;
  for (int left = 2; left >= 0; --left) {
    const auto granted = bucket.take(kTenPerSecond, kStart);
    EXPECT_TRUE(granted.allowed);
    EXPECT_EQ(granted.remaining, left);
    EXPECT_EQ(granted.next_after, 100 * kMillisecond);
  }
  const auto refused = bucket.take(kTenPerSecond, kStart);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.remaining, 0);
  EXPECT_EQ(refused.retry_after, 100 * kMillisecond);
  EXPECT_EQ(refused.reset_after, 300 * kMillisecond);
}

TEST(Gcra, GrantsExactlyWhenItSaidItWould) {
  Gcra bucket;
  bucket.take(kTenPerSecond, kStart, 3);
  EXPECT_FALSE(bucket.take(kTenPerSecond, kStart + 100 * kMillisecond - 1).allowed);
  EXPECT_TRUE(bucket.take(kTenPerSecond, kStart + 100 * kMillisecond).allowed);
}

TEST(Gcra, RefusalsDoNotPostponeRecovery) {
  Gcra bucket;
  bucket.take(kTenPerSecond, kStart, 3);
  for (int i = 0; i < 1000; ++i) bucket.take(kTenPerSecond, kStart);
  EXPECT_TRUE(bucket.take(kTenPerSecond, kStart + 100 * kMillisecond).allowed);
}

TEST(Gcra, WhatWasGivenBackCanBeTakenAgain) {
  Gcra bucket;
  bucket.take(kTenPerSecond, kStart, 3);
  bucket.give_back(kTenPerSecond, 2);
  EXPECT_TRUE(bucket.take(kTenPerSecond, kStart, 2).allowed);
  EXPECT_FALSE(bucket.take(kTenPerSecond, kStart).allowed);
}

TEST(Gcra, ACostAboveTheBurstIsNeverGranted) {
  Gcra bucket;
  EXPECT_FALSE(bucket.take(kTenPerSecond, kStart, 4).allowed);
  EXPECT_TRUE(bucket.take(kTenPerSecond, kStart, 3).allowed);
}

TEST(Gcra, ARateThatDoesNotDivideItsPeriodNeverGrantsMore) {
  const Rate seven{.limit = 7, .period = kSecond, .burst = 7};
  Gcra bucket;
  int granted = 0;
  for (Nanoseconds now = 0; now < 100 * kSecond; now += kMillisecond)
    granted += bucket.take(seven, kStart + now).allowed;
  EXPECT_LE(granted, 7 + 700);
  EXPECT_GE(granted, 700);
}

TEST(Gcra, ALimitThatWasLoweredStillSaysTheTruth) {
  Gcra bucket;
  const Rate before{.limit = 100, .period = 60 * kSecond, .burst = 100},
      after{.limit = 10, .period = 60 * kSecond, .burst = 10};
  bucket.take(before, kStart, 100);
  auto now = kStart;
  const auto refused = bucket.take(after, now);
  ASSERT_FALSE(refused.allowed);
  EXPECT_EQ(refused.remaining, 0);
  EXPECT_FALSE(bucket.take(after, now + refused.retry_after - 1).allowed);
  EXPECT_TRUE(bucket.take(after, now + refused.retry_after).allowed);
}

/// A token bucket as the textbook has it: tokens drop in one by one, each at its own instant.
class Reference {
 public:
  explicit Reference(const Rate& rate) : rate_(rate), tokens_(rate.burst) {}
  bool take(Nanoseconds now, std::int64_t cost) {
    while (tokens_ < rate_.burst && next_ <= now) {
      ++tokens_;
      next_ += rate_.interval();
    }
    if (cost > tokens_) return false;
    if (tokens_ == rate_.burst) next_ = now + rate_.interval();  // full until now: the next one begins to drop
    tokens_ -= cost;
    return true;
  }
  std::int64_t tokens() const { return tokens_; }

 private:
  Rate rate_;
  std::int64_t tokens_;
  Nanoseconds next_ = 0;
};

TEST(Gcra, AgreesWithATokenBucketOverRandomArrivals) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    const Rate rate{.limit = 1 + static_cast<std::int64_t>(random() % 50),
                    .period = 1 + static_cast<Nanoseconds>(random() % (10 * kSecond)),
                    .burst = 1 + static_cast<std::int64_t>(random() % 30)};
    Gcra bucket;
    Reference reference(rate);
    auto now = kStart;
    for (int i = 0; i < 1000; ++i) {
      // Crowds, silences, and instants at which a unit has just, or not quite, been earned.
      switch (random() % 5) {
        case 0: now += rate.interval(); break;
        case 1: now += rate.interval() - 1; break;
        case 2: now += static_cast<Nanoseconds>(random() % static_cast<std::uint64_t>(rate.interval() * 2 + 1)); break;
        case 3: now += static_cast<Nanoseconds>(random() % static_cast<std::uint64_t>(rate.capacity() + 2)); break;
        default: break;
      }
      const auto cost = static_cast<std::int64_t>(1 + random() % 3);
      const auto decision = bucket.take(rate, now, cost);
      ASSERT_EQ(decision.allowed, reference.take(now, cost)) << "arrival " << i;
      ASSERT_EQ(decision.remaining, reference.tokens()) << "arrival " << i;
      if (!decision.allowed && cost <= rate.burst) {
        auto later = bucket;
        ASSERT_FALSE(later.take(rate, now + decision.retry_after - 1, cost).allowed);
        ASSERT_TRUE(later.take(rate, now + decision.retry_after, cost).allowed);
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll::policy
