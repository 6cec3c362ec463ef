#include "plimsoll/database/written_positions.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <thread>
#include <vector>

namespace plimsoll::database {
namespace {

TEST(WrittenPositions, RemembersHowFarEachCallerHasWritten) {
  WrittenPositions written;
  EXPECT_EQ(written.of(7), 0u);
  written.wrote(7, 100);
  written.wrote(9, 200);
  written.wrote(7, 50);  // of a line of work that was slower
  EXPECT_EQ(written.of(7), 100u);
  EXPECT_EQ(written.of(9), 200u);
  EXPECT_EQ(written.of(8), 0u);
  EXPECT_EQ(written.newest(), 200u);
  written.forget(100);
  EXPECT_EQ(written.size(), 1u);
  EXPECT_EQ(written.of(7), 100u) << "a replica that comes back may have less than those that have replayed it";
  EXPECT_EQ(written.of(8), 100u);
  EXPECT_EQ(written.of(9), 200u);
}

TEST(WrittenPositions, WhatTheServerWritesBindsNoCaller) {
  WrittenPositions written;
  written.wrote(0, 300);
  EXPECT_EQ(written.of(0), 0u);
  EXPECT_EQ(written.of(7), 0u);
  EXPECT_EQ(written.newest(), 300u);
}

TEST(WrittenPositions, NeverAsksForLessThanACallerHasWrittenHoweverManyThereAre) {
  const auto seed =
      std::getenv("PLIMSOLL_SEED") ? std::strtoul(std::getenv("PLIMSOLL_SEED"), nullptr, 10) : std::random_device{}();
  std::cout << "PLIMSOLL_SEED=" << seed << "\n";
  std::mt19937_64 random{seed};
  constexpr std::size_t kMost = 256;
  WrittenPositions written{kMost};
  std::map<std::uint64_t, Position> model;
  Position now = 0, replayed = 0;
  for (int i = 0; i < 50'000; ++i) {
    const auto caller = random() % 2'000 * 0x9e3779b97f4a7c15ULL | 1;
    if (random() % 3 == 0) {
      written.wrote(caller, ++now);
      model[caller] = now;
    } else if (random() % 500 == 0) {
      replayed += random() % (now - replayed + 1);
      written.forget(replayed);
    } else if (const auto known = model.find(caller); known != model.end() && known->second > replayed) {
      ASSERT_GE(written.of(caller), known->second);
    }
    ASSERT_LE(written.of(caller), now);
    if (i % 1'000 == 0) ASSERT_LE(written.size(), kMost);
  }
}

TEST(WrittenPositions, IsUsedByManyThreads) {
  WrittenPositions written;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 1; t <= 4; ++t)
    threads.emplace_back([&, t] {
      for (Position i = 1; i <= 5'000; ++i) {
        written.wrote(t << 8, i * 4 + t);
        if (written.of(t << 8) < i * 4 + t) std::abort();
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(written.newest(), 20'004u);
  EXPECT_EQ(written.size(), 4u);
}

}  // namespace
}  // namespace plimsoll::database
