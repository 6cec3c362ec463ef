#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/store/store.hpp"

#include <gtest/gtest.h>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace plimsoll::store {

/// A fresh, empty store, and how its time is let pass (a clock is moved, or a server's keys are aged).
struct Subject {
  std::shared_ptr<void> owner;
  Store* store = nullptr;
  std::function<void(Nanoseconds)> pass;
};
using MakeSubject = std::function<Subject()>;

/// What every implementation of Store does. An implementation is one file and one line:
/// `INSTANTIATE_TEST_SUITE_P(Redis, StoreConformance, testing::Values(make_redis));`
class StoreConformance : public testing::TestWithParam<MakeSubject> {
 protected:
  Subject subject = GetParam()();
  Store& store = *subject.store;
  Loop loop;

  template <class T>
  Result<T> run(Task<Result<T>> task) {
    return run(loop, std::move(task));
  }
  template <class T>
  static Result<T> run(Loop& loop, Task<Result<T>> task) {
    Scope scope;
    std::optional<Result<T>> result;
    loop.spawn(scope, into(result, std::move(task)));
    loop.run();
    return std::move(*result);
  }

 private:
  template <class T>
  static Task<> into(std::optional<Result<T>>& result, Task<Result<T>> task) {
    result.emplace(co_await std::move(task));
  }
};

TEST_P(StoreConformance, GivesBackWhatWasPut) {
  EXPECT_EQ(run(store.get(loop, "key")).value(), std::nullopt);
  ASSERT_TRUE(run(store.put(loop, "key", "value", kSecond)));
  EXPECT_EQ(run(store.get(loop, "key")).value(), "value");
  ASSERT_TRUE(run(store.put(loop, "key", "another", kSecond)));
  EXPECT_EQ(run(store.get(loop, "key")).value(), "another");
}

TEST_P(StoreConformance, KeysAndValuesAreBytes) {
  const std::string key("\0\r\n\xff key", 8), value("\0*3\r\n$", 6);
  ASSERT_TRUE(run(store.put(loop, key, value, kSecond)));
  EXPECT_EQ(run(store.get(loop, key)).value(), value);
  ASSERT_TRUE(run(store.put(loop, "empty", "", kSecond)));
  EXPECT_EQ(run(store.get(loop, "empty")).value(), "");
}

TEST_P(StoreConformance, ForgetsAtTheExpiry) {
  ASSERT_TRUE(run(store.put(loop, "key", "value", 2 * kSecond)));
  subject.pass(kSecond);
  EXPECT_EQ(run(store.get(loop, "key")).value(), "value");
  subject.pass(kSecond);
  EXPECT_EQ(run(store.get(loop, "key")).value(), std::nullopt);
}

TEST_P(StoreConformance, PuttingAgainSetsTheExpiryAnew) {
  ASSERT_TRUE(run(store.put(loop, "key", "value", 2 * kSecond)));
  subject.pass(kSecond);
  ASSERT_TRUE(run(store.put(loop, "key", "value", 2 * kSecond)));
  subject.pass(kSecond + kSecond / 2);
  EXPECT_EQ(run(store.get(loop, "key")).value(), "value");
}

TEST_P(StoreConformance, NothingLivesForEver) {
  EXPECT_FALSE(run(store.put(loop, "key", "value", 0)));
  EXPECT_FALSE(run(store.put_if_absent(loop, "key", "value", -kSecond)));
  EXPECT_FALSE(run(store.add(loop, "key", 1, 0)));
  EXPECT_FALSE(run(store.compare_and_set(loop, "key", std::nullopt, "value", 0)));
  EXPECT_EQ(run(store.get(loop, "key")).value(), std::nullopt);
}

TEST_P(StoreConformance, PutsOnlyWhatIsAbsent) {
  EXPECT_TRUE(run(store.put_if_absent(loop, "key", "first", kSecond)).value());
  EXPECT_FALSE(run(store.put_if_absent(loop, "key", "second", kSecond)).value());
  EXPECT_EQ(run(store.get(loop, "key")).value(), "first");
  subject.pass(kSecond);
  EXPECT_TRUE(run(store.put_if_absent(loop, "key", "third", kSecond)).value());
}

TEST_P(StoreConformance, AddsFromZeroAndKeepsTheFirstExpiry) {
  EXPECT_EQ(run(store.add(loop, "n", 5, 2 * kSecond)).value(), 5);
  subject.pass(kSecond);
  EXPECT_EQ(run(store.add(loop, "n", -7, 2 * kSecond)).value(), -2);
  EXPECT_EQ(run(store.get(loop, "n")).value(), "-2");
  subject.pass(kSecond);
  EXPECT_EQ(run(store.add(loop, "n", 1, 2 * kSecond)).value(), 1);
}

TEST_P(StoreConformance, AddingToTextIsAnError) {
  ASSERT_TRUE(run(store.put(loop, "text", "abc", kSecond)));
  EXPECT_FALSE(run(store.add(loop, "text", 1, kSecond)));
  EXPECT_EQ(run(store.get(loop, "text")).value(), "abc");
}

TEST_P(StoreConformance, ReplacesOnlyWhatIsExpected) {
  EXPECT_FALSE(run(store.compare_and_set(loop, "key", "old", "new", kSecond)).value());
  EXPECT_TRUE(run(store.compare_and_set(loop, "key", std::nullopt, "old", kSecond)).value());
  EXPECT_FALSE(run(store.compare_and_set(loop, "key", std::nullopt, "other", kSecond)).value());
  EXPECT_FALSE(run(store.compare_and_set(loop, "key", "ol", "other", kSecond)).value());
  EXPECT_TRUE(run(store.compare_and_set(loop, "key", "old", "new", kSecond)).value());
  EXPECT_EQ(run(store.get(loop, "key")).value(), "new");
}

TEST_P(StoreConformance, RemovesAndRemovesAgain) {
  ASSERT_TRUE(run(store.put(loop, "key", "value", kSecond)));
  EXPECT_TRUE(run(store.remove(loop, "key")));
  EXPECT_EQ(run(store.get(loop, "key")).value(), std::nullopt);
  EXPECT_TRUE(run(store.remove(loop, "key")));
}

TEST_P(StoreConformance, ThreadsThatAddLoseNothing) {
  constexpr int kThreads = 4, kEach = 500;
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([this] {
      Loop own;
      for (int n = 0; n < kEach; ++n) run(own, store.add(own, "sum", 1, 3600 * kSecond)).value();
    });
  threads.clear();
  EXPECT_EQ(run(store.get(loop, "sum")).value(), std::to_string(kThreads * kEach));
}

TEST_P(StoreConformance, OneOfManyThreadsWins) {
  constexpr int kThreads = 4;
  for (int round = 0; round < 50; ++round) {
    const auto key = "lock " + std::to_string(round);
    std::atomic<int> winners{0};
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i)
      threads.emplace_back([&] {
        Loop own;
        winners += run(own, store.put_if_absent(own, key, "mine", 3600 * kSecond)).value();
      });
    threads.clear();
    ASSERT_EQ(winners, 1);
  }
}

}  // namespace plimsoll::store
