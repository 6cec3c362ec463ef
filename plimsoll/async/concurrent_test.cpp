#include "plimsoll/async/concurrent.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/async/test_run.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace plimsoll {
namespace {

constexpr Nanoseconds kLong = 3600 * kSecond;
constexpr Problem kWrong{"wrong", 502, "It is wrong", ""};

/// How many run at the same time, and have begun and ended.
struct Seen {
  int running = 0, most = 0, begun = 0, ended = 0;
};
/// Twice the item after a while, or why it was told to stop.
Task<Result<int>> twice(Loop& loop, Seen& seen, int item, Nanoseconds span) {
  ++seen.begun;
  seen.most = std::max(seen.most, ++seen.running);
  const bool rested = span == 0 || co_await pause(loop, span);
  --seen.running, ++seen.ended;
  if (!rested) {
    const Scope* scope = co_await this_scope();
    co_return std::unexpected(error_of(scope->stopped()));
  }
  co_return 2 * item;
}

TEST(MapConcurrent, GivesTheValuesInOrderAndRunsNoMoreThanSaid) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Loop loop;
    Scope scope;
    const auto work = [](Loop& of, std::uint64_t number) -> Task<> {
      std::mt19937_64 chance{number};
      std::vector<int> items(chance() % 20);
      std::vector<int> expected;
      for (auto& item : items) item = static_cast<int>(chance() % 1'000), expected.push_back(2 * item);
      const auto most = chance() % 6;  // 0 is taken as 1
      Seen seen;
      auto made = co_await map_concurrent(items, most, [&](int item) -> Task<Result<int>> {
        auto one = co_await twice(of, seen, item, static_cast<Nanoseconds>(chance() % 3) * kMillisecond);
        co_return one;
      });
      EXPECT_TRUE(made.has_value()) << "seed " << number;
      if (made) EXPECT_EQ(*made, expected) << "seed " << number;
      EXPECT_LE(seen.most, static_cast<int>(std::max<std::size_t>(most, 1))) << "seed " << number;
      EXPECT_EQ(seen.ended, static_cast<int>(items.size())) << "seed " << number;
    };
    loop.spawn(scope, work(loop, seed));
    loop.run();
  }
}

TEST(MapConcurrent, ManyItemsThatAreReadyDoNotGrowTheStack) {
  run([](Loop& loop) -> Task<> {
    Seen seen;
    const std::vector<int> items(100'000, 1);
    auto made = co_await map_concurrent(items, 3, [&](int item) -> Task<Result<int>> {
      auto one = co_await twice(loop, seen, item, 0);
      co_return one;
    });
    EXPECT_EQ(made.value_or(std::vector<int>{}).size(), items.size());
    EXPECT_EQ(seen.most, 1);  // none of them waits
  });
}

TEST(MapConcurrent, TheFirstErrorEndsItAndWaitsForTheOthers) {
  run([](Loop& loop) -> Task<> {
    Seen seen;
    const std::vector<int> items{1, 2, 3, 4, 5, 6, 7, 8};
    auto made = co_await map_concurrent(items, 3, [&](int item) -> Task<Result<int>> {
      if (item == 2) {
        (void)co_await pause(loop, kMillisecond);
        co_return std::unexpected(Error{&kWrong});
      }
      auto one = co_await twice(loop, seen, item, kLong);
      co_return one;
    });
    EXPECT_FALSE(made.has_value());
    if (!made) EXPECT_EQ(made.error().problem, &kWrong);
    EXPECT_EQ(seen.begun, 2);
    EXPECT_EQ(seen.ended, 2);
  });
}

TEST(MapConcurrent, WhatIsThrownIsAnError) {
  run([](Loop&) -> Task<> {
    const std::vector<int> items{1, 2};
    auto made = co_await map_concurrent(items, 2, [](int) -> Task<Result<int>> {
      throw std::runtime_error("boom");
      co_return 1;
    });
    EXPECT_FALSE(made.has_value());
    if (!made) EXPECT_EQ(made.error().detail, "boom");
  });
}

TEST(MapConcurrent, ADeadlineStopsThoseUnderWayAndBeginsNoOther) {
  run([](Loop& loop) -> Task<> {
    Seen seen;
    const auto all = [](Loop& of, Seen& noted) -> Task<Result<std::vector<int>>> {
      const std::vector<int> items(10, 1);
      auto made = co_await map_concurrent(items, 4, [&](int item) -> Task<Result<int>> {
        auto one = co_await twice(of, noted, item, kLong);
        co_return one;
      });
      co_return made;
    };
    auto made = co_await within(loop, 5 * kMillisecond, all(loop, seen));
    EXPECT_FALSE(made.has_value());
    if (!made) EXPECT_EQ(made.error().problem->code, "deadline-exceeded");
    EXPECT_EQ(seen.begun, 4);
    EXPECT_EQ(seen.ended, 4);
  });
}

TEST(MapConcurrent, ValuesAreMovedAndNoneAreNeeded) {
  run([](Loop&) -> Task<> {
    const std::vector<std::string> items{"a", "b"};
    auto moved =
        co_await map_concurrent(items, 2, [](const std::string& item) -> Task<Result<std::unique_ptr<std::string>>> {
          co_return std::make_unique<std::string>(item + "!");
        });
    EXPECT_TRUE(moved.has_value());
    if (moved) EXPECT_EQ(*(*moved)[1], "b!");
    int sum = 0;
    const std::vector<int> numbers{1, 2, 3};
    const Result<> none = co_await map_concurrent(numbers, 2, [&](int number) -> Task<Result<>> {
      sum += number;
      co_return Result<>{};
    });
    EXPECT_TRUE(none.has_value());
    EXPECT_EQ(sum, 6);
    const std::vector<int> nothing;
    EXPECT_TRUE(
        (co_await map_concurrent(nothing, 2, [&](int) -> Task<Result<>> { co_return Result<>{}; })).has_value());
  });
}

}  // namespace
}  // namespace plimsoll
