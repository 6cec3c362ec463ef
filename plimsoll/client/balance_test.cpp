#include "plimsoll/client/balance.hpp"

#include "plimsoll/client/outlier.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

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

TEST(Balance, TurnsAreSharedByWeightAndSpreadEvenly) {
  const Choice choices[] = {{.target = 0, .weight = 1}, {.target = 1, .weight = 2}, {.target = 2, .weight = 5}};
  int chosen[3]{};
  for (std::uint64_t turn = 0; turn < 8000; ++turn) {
    ++chosen[round_robin(choices, turn)];
    for (int i = 0; i < 3; ++i)
      ASSERT_NEAR(chosen[i], static_cast<double>(turn + 1) * choices[i].weight / 8, 4) << "after " << turn + 1;
  }
}

TEST(Balance, WithNothingToDoEachIsChosenByItsWeight) {
  std::mt19937_64 random(7);
  const Choice choices[] = {{.target = 0, .weight = 1}, {.target = 1, .weight = 3}, {.target = 2, .weight = 0.5}};
  double chosen[3]{};
  for (int i = 0; i < 45'000; ++i) ++chosen[least_request(choices, random())];
  EXPECT_NEAR(chosen[0], 10'000, 500);
  EXPECT_NEAR(chosen[1], 30'000, 500);
  EXPECT_NEAR(chosen[2], 5000, 500);
  const Choice busy[] = {{.target = 0, .running = 2, .weight = 1}, {.target = 1, .running = 5, .weight = 3}};
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(least_request(busy, random()), 1u) << "5 of weight 3 is less than 2 of 1";
}

TEST(Balance, ByLatencyASlowTargetIsChosenOnlyWhereTheOthersAreBusy) {
  std::mt19937_64 random(7);
  const Choice choices[] = {{.target = 0, .running = 2, .latency = 1e6},
                            {.target = 1, .running = 0, .latency = 1e7},
                            {.target = 2, .running = 1, .latency = 1e6}};
  for (int i = 0; i < 1000; ++i) EXPECT_NE(least(choices, random(), true), 1u);
  const Choice two[] = {{.target = 0, .running = 12, .latency = 1e6}, {.target = 1, .running = 0, .latency = 1e7}};
  EXPECT_EQ(least(two, random(), true), 1u);
  const Choice unknown[] = {{.target = 0, .running = 1, .latency = 1e6}, {.target = 1, .running = 0}};
  EXPECT_EQ(least(unknown, random(), true), 1u) << "as fast as the other, and less busy";
  const Choice both[] = {{.target = 0, .running = 1, .latency = 1e6}, {.target = 1, .running = 2}};
  EXPECT_EQ(least(both, random(), true), 0u);
}

TEST(PeakLatency, RisesAtOnceAndFallsWithTime) {
  PeakLatency latency;
  latency = latency.after(10 * kMillisecond, kStart);
  EXPECT_NEAR(latency.at(kStart), 1e7, 10);
  latency = latency.after(kMillisecond, kStart + kMillisecond);
  EXPECT_GT(latency.at(kStart + kMillisecond), 9.4e6) << "one that is fast says little";
  for (int i = 1; i <= 60; ++i) latency = latency.after(kMillisecond, kStart + i * kSecond);
  EXPECT_NEAR(latency.at(kStart + 60 * kSecond), 1e6, 1e5);
  latency = latency.after(kSecond, kStart + 61 * kSecond);
  EXPECT_NEAR(latency.at(kStart + 61 * kSecond), 1e9, 1e3);
  EXPECT_LT(latency.at(kStart + 161 * kSecond), 1e5) << "and is forgotten when nobody calls";
  EXPECT_NEAR(latency.at(kStart + 61 * kSecond - kMillisecond), 1e9, 1e3) << "a clock that is behind forgets nothing";
}

TEST(PeakLatency, FallsWithManyCallsOfOneMoment) {
  PeakLatency called, idle;
  called = idle = called.after(kSecond, kStart);
  for (int i = 1; i <= 100; ++i) called = called.after(10 * kMillisecond, kStart + i * 10 * kMillisecond);
  EXPECT_LT(called.at(kStart + kSecond), 1.2e7);
  EXPECT_GT(idle.at(kStart + kSecond), 9e8) << "what has no calls is forgotten with time alone";
}

TEST(SlowStart, GrowsFromATenthToAll) {
  EXPECT_EQ(slow_start(0, 30 * kSecond), 0.1);
  EXPECT_EQ(slow_start(15 * kSecond, 30 * kSecond), 0.5);
  EXPECT_EQ(slow_start(30 * kSecond, 30 * kSecond), 1);
  EXPECT_EQ(slow_start(0, 0), 1);
  double before = 0;
  for (Nanoseconds at = 0; at <= 31 * kSecond; at += kSecond) {
    EXPECT_GE(slow_start(at, 30 * kSecond), before);
    before = slow_start(at, 30 * kSecond);
  }
}

std::vector<Choice> named(std::size_t count, std::mt19937_64& random, bool weighted) {
  std::vector<Choice> choices;
  for (std::uint32_t i = 0; i < count; ++i)
    choices.push_back({.target = i, .weight = weighted ? static_cast<double>(1 + random() % 5) : 1, .name = random()});
  return choices;
}

/// For 2 to 12 targets with and without weights: who leaves moves its own keys and no others, who comes takes some from
/// the others and moves none between them, and the order in which they are named is nothing.
TEST(ConsistentHash, ATargetThatLeavesMovesOnlyItsOwnShare) {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", first);
  const int seeds = std::getenv("PLIMSOLL_TORTURE") ? 2000 : 100;
  for (int i = 0; i < seeds; ++i) {
    std::mt19937_64 random(first + static_cast<unsigned>(i));
    const auto choices = named(2 + random() % 11, random, i % 2);
    auto fewer = choices;
    const auto gone = random() % choices.size();
    fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(gone));
    auto shuffled = choices;
    std::ranges::shuffle(shuffled, random);
    int moved = 0;
    for (int k = 0; k < 1000; ++k) {
      const auto key = random();
      const auto before = by_hash(choices, key), after = by_hash(fewer, key);
      ASSERT_EQ(by_hash(shuffled, key), before) << "seed " << first + static_cast<unsigned>(i);
      moved += before == choices[gone].target;
      if (before != choices[gone].target) ASSERT_EQ(after, before) << "seed " << first + static_cast<unsigned>(i);
    }
    EXPECT_GT(moved, 0);
  }
}

TEST(ConsistentHash, KeysAreSharedByWeightAndThoseOfOneThatIsGoneToo) {
  std::mt19937_64 random(11);
  const auto choices = named(6, random, true);
  double all = 0;
  for (const auto& each : choices) all += each.weight;
  std::vector<double> counts(6), of_first(6);
  constexpr int kKeys = 60'000;
  for (std::uint64_t key = 0; key < kKeys; ++key) {  // keys that differ by little
    ++counts[by_hash(choices, mixed_bits(key, 0))];
    if (by_hash(choices, mixed_bits(key, 0)) == 0)
      ++of_first[by_hash(std::span(choices).subspan(1), mixed_bits(key, 0))];
  }
  for (const auto& each : choices) {
    const auto expected = kKeys * each.weight / all;
    EXPECT_NEAR(counts[each.target], expected, 5 * std::sqrt(expected)) << each.target;
    if (each.target == 0) continue;
    const auto moved = counts[0] * each.weight / (all - choices[0].weight);
    EXPECT_NEAR(of_first[each.target], moved, 5 * std::sqrt(moved)) << each.target;
  }
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
