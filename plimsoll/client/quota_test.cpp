#include "plimsoll/client/quota.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <deque>
#include <random>
#include <vector>

namespace plimsoll::client {
namespace {

constexpr Nanoseconds kWall = 1'800'000'000 * kSecond;

using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

QuotaNews news_of(const Fields& fields, std::uint16_t status = 200) {
  Arena arena;
  Headers headers{arena};
  for (const auto& [name, value] : fields) headers.add(lasting(name), lasting(value));
  return quota_news(status, headers, kWall);
}

void expect(const Fields& fields, std::int64_t limit, std::int64_t remaining, std::int64_t reset) {
  const auto news = news_of(fields);
  EXPECT_EQ(news.limit.value_or(-1), limit) << fields.front().second;
  EXPECT_EQ(news.remaining.value_or(-1), remaining) << fields.front().second;
  EXPECT_EQ(news.reset.value_or(-kSecond), reset * kSecond) << fields.front().second;
}

TEST(QuotaNews, AreReadInAllForms) {
  expect({{"ratelimit", R"("default";r=50;t=30)"}, {"ratelimit-policy", R"("default";q=100;w=60)"}}, 100, 50, 30);
  expect({{"ratelimit", "default;r=50;t=30"}}, -1, 50, 30);
  // Of several the one of which the least is left, and of those the one that takes longest.
  expect({{"ratelimit", R"("burst";r=9;t=1, "day, or so";r=3;t=3600)"},
          {"ratelimit-policy", R"("burst";q=10;w=1, "day, or so";q=1000;w=86400)"}},
         1000, 3, 3600);
  expect({{"ratelimit", R"("a";r=0;t=1,"b";r=0;t=60)"}}, -1, 0, 60);
  expect({{"ratelimit", "limit=100, remaining=50, reset=5"}, {"ratelimit-policy", "100;w=60"}}, 100, 50, 5);
  expect({{"ratelimit-limit", "100, 100;w=60"}, {"ratelimit-remaining", "7"}, {"ratelimit-reset", "12"}}, 100, 7, 12);
  expect({{"x-ratelimit-limit", "60"}, {"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", "1800000090"}}, 60, 0, 90);
  expect({{"x-rate-limit-remaining", "3"}, {"x-rate-limit-reset", "1800000001500"}}, -1, 3, 2);
  expect({{"x-ratelimit-remaining", "3"}, {"x-ratelimit-reset", "20"}}, -1, 3, 20);
  expect({{"x-ratelimit-remaining", "3"}, {"x-ratelimit-reset", "1799999999"}}, -1, 3, 0);
  expect({{"ratelimit", R"("default";r=0;t=9999999999)"}}, -1, 0, 86'400);
  EXPECT_EQ(news_of({{"ratelimit", R"("a";r=5;t=3)"}, {"ratelimit-policy", R"("a";q=10;w=60)"}}).window, 60 * kSecond);
}

TEST(QuotaNews, RetryAfterCountsOfWhatRefuses) {
  EXPECT_EQ(news_of({{"retry-after", "7"}}, 429).retry_after, 7 * kSecond);
  EXPECT_EQ(news_of({{"retry-after", "7"}}, 429).retry_after, 7 * kSecond);
  EXPECT_FALSE(news_of({{"retry-after", "7"}}, 503).retry_after) << "others of its targets may answer";
  EXPECT_EQ(news_of({{"retry-after", "7"}}, 200).retry_after, std::nullopt);
}

TEST(QuotaNews, WhatIsNoneIsNothing) {
  for (const auto* text : {"", ";", "\"", ",,,", "\"a", "r=5", "\"a\";r=-1;t=2", "\"a\";r=x;t=2", "\"a\";r;t",
                           "\"a\";t=2", "99999999999999999999;r=99999999999999999999"})
    EXPECT_EQ(news_of({{"ratelimit", text}, {"ratelimit-policy", text}}).remaining, std::nullopt) << text;
  EXPECT_EQ(news_of({{"x-ratelimit-remaining", "many"}}).remaining, std::nullopt);
  // What only begins with a number is another form.
  for (const auto* text : {"2027-01-01T00:00:00Z", "12:30", "1e3", "20s", "0x10", "5/minute"})
    EXPECT_EQ(news_of({{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", text}}).reset, std::nullopt) << text;
  expect({{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", "20.75"}}, -1, 0, 20);
  EXPECT_EQ(news_of({{"content-type", "text/plain"}}).remaining, std::nullopt);
}

TEST(Quota, WaitsForTheResetWhenItIsUsedUp) {
  QuotaTracker tracker;
  const auto first = tracker.take(kSecond);
  ASSERT_TRUE(first.allowed);
  tracker.note(first.number, {.remaining = 2, .reset = 10 * kSecond}, kSecond);
  EXPECT_TRUE(tracker.take(2 * kSecond).allowed);
  EXPECT_TRUE(tracker.take(2 * kSecond).allowed);
  const auto refused = tracker.take(3 * kSecond);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.until, 11 * kSecond);
  EXPECT_TRUE(tracker.take(11 * kSecond).allowed) << "how much there is now, the next answer tells";
}

TEST(Quota, ALimitThatIsKnownHoldsAfterTheResetToo) {
  QuotaTracker tracker;
  const auto first = tracker.take(0);
  tracker.note(first.number, {.limit = 3, .remaining = 0, .reset = 10 * kSecond, .window = 60 * kSecond}, 0);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(tracker.take(10 * kSecond).allowed);
  EXPECT_EQ(tracker.take(10 * kSecond).until, 60 * kSecond) << "one call a minute asks";
}

TEST(Quota, AnAnswerSaysWhatWasLeftAtItsOwnCall) {
  QuotaTracker tracker;
  const auto a = tracker.take(0), b = tracker.take(0), c = tracker.take(0);
  tracker.note(b.number, {.remaining = 5, .reset = kSecond}, 0);
  EXPECT_EQ(tracker.remaining(0), 4) << "one has begun since";
  tracker.note(a.number, {.remaining = 6, .reset = kSecond}, 0);
  EXPECT_EQ(tracker.remaining(0), 4) << "what is older is not looked at";
  tracker.note(c.number, {.remaining = 1, .reset = kSecond}, 0);
  EXPECT_EQ(tracker.remaining(0), 1) << "others use the quota as well";
}

TEST(Quota, NoCallBeginsBeforeRetryAfter) {
  QuotaTracker tracker;
  const auto first = tracker.take(0);
  tracker.note(first.number, {.retry_after = 5 * kSecond}, kSecond);
  EXPECT_EQ(tracker.take(2 * kSecond).until, 6 * kSecond);
  EXPECT_TRUE(tracker.take(6 * kSecond).allowed);
}

/// Whatever an answer says, calls begin again within a minute once it is no longer true.
TEST(Quota, NoAnswerStopsCallsForLongerThanItIsTrue) {
  const QuotaNews wrong[] = {
      news_of({{"ratelimit", R"("a";r=0;t=9999999999999999)"}}),
      news_of({{"ratelimit", "limit=9, remaining=0, reset=9999999999999999"}}),
      news_of({{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", "9223372036854775807"}}),
      news_of({{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", "9223372036"}}),
      news_of({{"retry-after", "9999999999"}}, 429),
      {.limit = 5, .remaining = 0, .reset = 86'400 * kSecond, .window = 86'400 * kSecond, .retry_after = kSecond},
  };
  const QuotaNews right[] = {{}, {.limit = 9, .remaining = 8, .reset = kSecond, .window = kSecond}};
  for (const auto& news : wrong)
    for (const auto& after : right) {
      QuotaTracker tracker;
      tracker.note(tracker.take(kSecond).number, news, kSecond);
      const auto refused = tracker.take(2 * kSecond);
      ASSERT_FALSE(refused.allowed);
      EXPECT_EQ(refused.until, kSecond + QuotaTracker::kAskAgain);
      // Still true: one call has asked, and the others wait for another minute.
      const auto asks = tracker.take(refused.until);
      ASSERT_TRUE(asks.allowed);
      EXPECT_EQ(tracker.take(refused.until).until, refused.until + QuotaTracker::kAskAgain) << "one call asks";
      tracker.note(asks.number, news, refused.until);
      const auto again = tracker.take(refused.until);
      EXPECT_EQ(again.until, refused.until + QuotaTracker::kAskAgain);
      // No longer true.
      const auto finds = tracker.take(again.until);
      ASSERT_TRUE(finds.allowed);
      tracker.passed(finds.number);
      tracker.note(finds.number, after, again.until);
      for (int i = 0; i < 8; ++i) EXPECT_TRUE(tracker.take(again.until).allowed) << i;
    }
}

TEST(Quota, NoResetIsLaterThanAWindow) {
  QuotaTracker tracker;
  tracker.note(tracker.take(0).number, {.limit = 3, .remaining = 0, .reset = 3600 * kSecond, .window = 10 * kSecond},
               0);
  EXPECT_EQ(tracker.take(kSecond).until, 10 * kSecond);
}

/// A service with a fixed window that tells of it, and calls that come faster than it takes them, with answers that
/// come in any order.
TEST(Quota, AServiceThatTellsOfItsLimitHasNothingToRefuse) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    const auto limit = 1 + static_cast<std::int64_t>(random() % 20);
    const auto window = (1 + static_cast<Nanoseconds>(random() % 5)) * kSecond;
    QuotaTracker tracker;
    struct Answer {
      Nanoseconds at;
      std::uint64_t number;
      QuotaNews news;
    };
    std::vector<Answer> pending;
    std::int64_t used = 0, refused = 0, served = 0;
    Nanoseconds begun = 0;
    for (Nanoseconds now = 0; now < 20 * window; now += 20 * kMillisecond) {
      if (now >= begun + window) begun += window, used = 0;
      for (std::size_t i = 0; i < pending.size();) {
        if (pending[i].at > now) {
          ++i;
          continue;
        }
        tracker.note(pending[i].number, pending[i].news, now);
        pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(i));
      }
      // Before the first answer nobody knows of a limit.
      if (served > 0 && !tracker.limit()) continue;
      const auto admission = tracker.take(now);
      if (!admission.allowed) continue;
      if (used < limit)
        ++used, ++served;
      else
        ++refused;
      // Whole seconds, up: what is told never ends before it is true.
      const auto left = (begun + window - now + kSecond - 1) / kSecond * kSecond;
      const auto delay = static_cast<Nanoseconds>(random() % 3) * 20 * kMillisecond;
      pending.push_back({now + delay,
                         admission.number,
                         {.limit = limit, .remaining = limit - used, .reset = left - delay, .window = window}});
    }
    EXPECT_EQ(refused, 0) << "seed " << seed << ", limit " << limit << " in " << window / kSecond << " s";
    // All of nearly each window: the reset is told up to a second too late.
    EXPECT_GE(served, 20 * limit * window / (window + kSecond) - 2 * limit) << "seed " << seed;
  }
}

}  // namespace
}  // namespace plimsoll::client
