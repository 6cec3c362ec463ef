#include "plimsoll/telemetry/sparse.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace plimsoll::telemetry {
namespace {

TEST(Sparse, TellsTheFirstAtOnceAndCountsWhatItLeavesOut) {
  Sparse sparse{10 * kSecond};
  EXPECT_EQ(sparse.add(0), 1) << "also where the clock begins at 0";
  for (Nanoseconds now = 1; now <= 5; ++now) EXPECT_EQ(sparse.add(now * kSecond), 0);
  EXPECT_EQ(sparse.add(10 * kSecond - 1), 0);
  EXPECT_EQ(sparse.add(10 * kSecond), 7);
  EXPECT_EQ(sparse.add(11 * kSecond), 0);
  EXPECT_EQ(sparse.add(3600 * kSecond), 2);
}

TEST(Sparse, OfManyThreadsAtOneTimeOneTells) {
  Sparse sparse{kSecond};
  constexpr int kThreads = 4, kEach = 10'000;
  std::atomic<int> told{0};
  std::atomic<std::int64_t> counted{0};
  const auto all_at = [&](Nanoseconds now) {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&, now] {
        for (int i = 0; i < kEach; ++i)
          if (const auto count = sparse.add(now)) ++told, counted += count;
      });
  };
  all_at(5 * kSecond);
  EXPECT_EQ(told, 1);
  all_at(6 * kSecond);
  EXPECT_EQ(told, 2);
  counted += sparse.add(7 * kSecond);
  EXPECT_EQ(counted, 2 * kThreads * kEach + 1) << "none is lost";
}

}  // namespace
}  // namespace plimsoll::telemetry
