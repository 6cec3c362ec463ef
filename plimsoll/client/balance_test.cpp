#include "plimsoll/client/balance.hpp"

#include "plimsoll/client/outlier.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <random>

namespace plimsoll::client {
namespace {

constexpr Nanoseconds kStart = 1'000'000 * kSecond;

TEST(Balance, InTurnEachIsChosenAsOften) {
  const Choice choices[] = {{4}, {7}, {9}};
  int chosen[10]{};
  for (std::uint64_t turn = 0; turn < 300; ++turn) ++chosen[round_robin(choices, turn)];
  EXPECT_EQ(chosen[4], 100);
  EXPECT_EQ(chosen[7], 100);
  EXPECT_EQ(chosen[9], 100);
}

TEST(Balance, OfTwoAtRandomTheLessBusyIsChosen) {
  std::mt19937_64 random(7);
  const Choice alone[] = {{3, 100}};
  EXPECT_EQ(least_request(alone, random()), 3u);
  const Choice two[] = {{0, 5}, {1, 1}};
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(least_request(two, random()), 1u) << "the two are never the same one";
  const Choice busy[] = {{0, 0}, {1, 1}, {2, 2}, {3, 3}};
  int chosen[4]{};
  for (int i = 0; i < 12'000; ++i) ++chosen[least_request(busy, random())];
  EXPECT_EQ(chosen[3], 0) << "the busiest is never the better one of two";
  EXPECT_NEAR(chosen[0], 6000, 300) << "in half of all pairs the least busy is one";
  const Choice equal[] = {{0, 2}, {1, 2}, {2, 2}};
  int each[3]{};
  for (int i = 0; i < 9000; ++i) ++each[least_request(equal, random())];
  for (const auto count : each) EXPECT_NEAR(count, 3000, 300);
}

TEST(Outlier, FiveFailuresOneAfterAnotherTakeATargetOut) {
  OutlierDetector targets(3);
  const OutlierOptions options;
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(targets.failed(options, 1, kStart));
  targets.succeeded(1);
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(targets.failed(options, 1, kStart));
  EXPECT_TRUE(targets.failed(options, 1, kStart));
  EXPECT_TRUE(targets.is_out(1, kStart + 29 * kSecond));
  EXPECT_FALSE(targets.is_out(1, kStart + 30 * kSecond));
}

TEST(Outlier, EachTimeItIsOutForLongerUpToABound) {
  OutlierDetector targets(2);
  const OutlierOptions options;
  auto now = kStart;
  for (int times = 1; times <= 20; ++times) {
    while (!targets.failed(options, 0, now)) {}
    const auto span = std::min(times * options.time, options.longest);
    EXPECT_TRUE(targets.is_out(0, now + span - 1)) << times;
    EXPECT_FALSE(targets.is_out(0, now + span)) << times;
    now += span;
  }
  now += 3600 * kSecond;  // well for long
  while (!targets.failed(options, 0, now)) {}
  EXPECT_FALSE(targets.is_out(0, now + 270 * kSecond)) << "some of its times are forgiven";
}

/// For one to eight targets, any share, any order of failures and successes.
TEST(Outlier, NeverMoreThanTheShareIsOut) {
  const int seeds = std::getenv("PLIMSOLL_TORTURE") ? 20'000 : 2000;
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", first);
  std::size_t taken_out = 0;
  for (int i = 0; i < seeds; ++i) {
    std::mt19937 random(first + static_cast<unsigned>(i));
    const std::size_t count = 1 + random() % (i % 4 ? 5 : 8);
    const OutlierOptions options{.failures = 1 + static_cast<std::int64_t>(random() % 5),
                                 .share = i % 2 ? 0.5 : 0.01 * static_cast<double>(random() % 101)};
    const auto most = static_cast<std::size_t>(options.share * static_cast<double>(count) + 1e-9);
    OutlierDetector targets(count);
    auto now = kStart;
    for (int step = 0; step < 500; ++step) {
      now += static_cast<Nanoseconds>(random() % (random() % 20 ? 100 * kMillisecond : 60 * kSecond));
      const auto target = random() % count;
      if (random() % 4 == 0)
        targets.succeeded(target);
      else
        taken_out += targets.failed(options, target, now);
      ASSERT_LE(targets.out(now), most) << count << " targets, seed " << first + static_cast<unsigned>(i);
    }
    if (count == 1 && options.share < 1) ASSERT_EQ(targets.until(0), 0) << "the only one is never out";
  }
  EXPECT_GT(taken_out, 1000u);
}

TEST(Panic, WhereTooFewAreLeftAllAreUsed) {
  EXPECT_TRUE(is_panic(0, 1, 0.3));
  EXPECT_FALSE(is_panic(1, 2, 0.3));
  EXPECT_FALSE(is_panic(1, 3, 0.3));
  EXPECT_TRUE(is_panic(1, 5, 0.3));
  EXPECT_FALSE(is_panic(2, 5, 0.3));
  EXPECT_FALSE(is_panic(1, 5, 0)) << "never, but with none";
}

}  // namespace
}  // namespace plimsoll::client
