#include "plimsoll/async/loader.hpp"

#include "plimsoll/async/concurrent.hpp"
#include "plimsoll/async/test_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace plimsoll {
namespace {

constexpr Nanoseconds kLong = 3600 * kSecond;
constexpr Problem kWrong{"wrong", 502, "It is wrong", ""};
using Found = Result<std::map<int, std::string>>;

/// A table of numbers with their names, but for those that end with 7.
struct Table {
  Loop& loop;
  std::vector<std::vector<int>> asked{};
  Nanoseconds takes = kMillisecond;
  int failures = 0;

  Task<Found> fetch(std::vector<int> keys) {
    asked.push_back(keys);
    const bool rested = co_await pause(loop, takes);
    const Scope* scope = co_await this_scope();
    if (!rested) co_return std::unexpected(error_of(scope->stopped()));
    if (failures > 0) {
      --failures;
      co_return std::unexpected(Error{&kWrong});
    }
    std::map<int, std::string> found;
    for (const int key : keys)
      if (key % 10 != 7) found.emplace(key, std::to_string(key));
    co_return found;
  }
};

TEST(Loader, KeysOfOneTurnAreFetchedByOneCallAndEachOnce) {
  run([](Loop& loop) -> Task<> {
    Table table{loop};
    Loader names{loop, 100, [&](std::vector<int> keys) -> Task<Found> {
                   auto found = co_await table.fetch(std::move(keys));
                   co_return found;
                 }};
    const std::vector<int> items{3, 1, 3, 7, 2};
    auto made = co_await map_concurrent(items, 10, [&](int item) -> Task<Result<std::string>> {
      auto name = co_await names.load(item);
      if (!name) co_return std::unexpected(std::move(name).error());
      co_return *name ? **name : "none";
    });
    EXPECT_EQ(made.value_or(std::vector<std::string>{}), (std::vector<std::string>{"3", "1", "3", "none", "2"}));
    EXPECT_EQ(table.asked, (std::vector<std::vector<int>>{{3, 1, 7, 2}}));
    auto again = co_await names.load(7);  // that there is none is known, too
    EXPECT_TRUE(again && !*again);
    EXPECT_EQ(table.asked.size(), 1u);
  });
}

TEST(Loader, RandomLinesGetWhatIsThereInFewCalls) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Loop loop;
    Scope scope;
    const auto work = [](Loop& of, std::uint64_t number) -> Task<> {
      std::mt19937_64 chance{number};
      Table table{of};
      const auto most = 1 + chance() % 5;
      Loader names{of, most, [&](std::vector<int> keys) -> Task<Found> {
                     auto found = co_await table.fetch(std::move(keys));
                     co_return found;
                   }};
      std::vector<int> items(1 + chance() % 30);
      for (auto& item : items) item = static_cast<int>(chance() % 40);
      auto made = co_await map_concurrent(items, 1 + chance() % 10, [&](int item) -> Task<Result<bool>> {
        if (chance() % 2) (void)co_await pause(of, static_cast<Nanoseconds>(chance() % 3) * kMillisecond);
        auto name = co_await names.load(item);
        if (!name) co_return std::unexpected(std::move(name).error());
        co_return item % 10 == 7 ? !*name : *name && **name == std::to_string(item);
      });
      EXPECT_EQ(made.value_or(std::vector<bool>{}), std::vector<bool>(items.size(), true)) << "seed " << number;
      std::vector<int> asked;
      for (const auto& keys : table.asked) {
        EXPECT_LE(keys.size(), most) << "seed " << number;
        asked.insert(asked.end(), keys.begin(), keys.end());
      }
      std::ranges::sort(asked);
      std::ranges::sort(items);
      items.erase(std::ranges::unique(items).begin(), items.end());
      EXPECT_EQ(asked, items) << "seed " << number;
    };
    loop.spawn(scope, work(loop, seed));
    loop.run();
  }
}

TEST(Loader, AnErrorIsForAllWhoWaitAndIsNotKept) {
  run([](Loop& loop) -> Task<> {
    Table table{loop, {}, kMillisecond, 1};
    Loader names{loop, 100, [&](std::vector<int> keys) -> Task<Found> {
                   auto found = co_await table.fetch(std::move(keys));
                   co_return found;
                 }};
    const std::vector<int> items{1, 2, 3};
    int failed = 0;
    const auto count = [&](int item) -> Task<Result<>> {
      auto name = co_await names.load(item);
      failed += !name && name.error().problem == &kWrong;
      co_return Result<>{};
    };
    (void)co_await map_concurrent(items, 3, count);
    EXPECT_EQ(failed, 3);
    auto name = co_await names.load(2);
    EXPECT_TRUE(name && *name && **name == "2");
    EXPECT_EQ(table.asked.size(), 2u);
  });
}

TEST(Loader, WhereTheOneThatAsksIsToldToStopAnotherAsksAgain) {
  run([](Loop& loop) -> Task<> {
    Table table{loop, {}, 20 * kMillisecond};
    Loader names{loop, 100, [&](std::vector<int> keys) -> Task<Found> {
                   auto found = co_await table.fetch(std::move(keys));
                   co_return found;
                 }};
    const std::vector<int> items{1, 2, 3};
    std::vector<std::string> said(3);
    (void)co_await map_concurrent(items, 3, [&](int item) -> Task<Result<>> {
      auto name = item == 1 ? co_await within(loop, 5 * kMillisecond, names.load(item)) : co_await names.load(item);
      said[static_cast<std::size_t>(item - 1)] = !name ? std::string(name.error().problem->code) : **name;
      co_return Result<>{};
    });
    EXPECT_EQ(said, (std::vector<std::string>{"deadline-exceeded", "2", "3"}));
    EXPECT_EQ(table.asked.size(), 2u);
  });
}

TEST(Loader, AllEndWithTheirDeadline) {
  run([](Loop& loop) -> Task<> {
    Table table{loop, {}, kLong};
    Loader names{loop, 2, [&](std::vector<int> keys) -> Task<Found> {
                   auto found = co_await table.fetch(std::move(keys));
                   co_return found;
                 }};
    const auto all = [](Loader<decltype(names)::Fetcher>& of) -> Task<Result<>> {
      const std::vector<int> items{1, 2, 3, 4, 5};
      auto done = co_await map_concurrent(items, 5, [&](int item) -> Task<Result<>> {
        auto name = co_await of.load(item);
        if (!name) co_return std::unexpected(std::move(name).error());
        co_return Result<>{};
      });
      co_return done;
    };
    auto done = co_await within(loop, 5 * kMillisecond, all(names));
    EXPECT_FALSE(done.has_value());
    if (!done) EXPECT_EQ(done.error().problem->code, "deadline-exceeded");
  });
}

}  // namespace
}  // namespace plimsoll
