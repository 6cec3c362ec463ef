#include "plimsoll/database/fair_queue.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <random>
#include <set>

namespace plimsoll::database {
namespace {

struct Waiting {
  std::deque<FairQueue::Entry> entries;
  FairQueue::Entry& make(ReadClass order, std::uint64_t caller) {
    auto& made = entries.emplace_back();
    made.order = order;
    made.caller = caller;
    return made;
  }
};

/// Takes one and lets it end at once.
FairQueue::Entry* run_one(FairQueue& queue) {
  auto* entry = queue.take();
  if (entry) queue.ended(entry->order, entry->caller);
  return entry;
}

TEST(FairQueue, CallersOfOneClassTakeTurns) {
  FairQueue queue{2, 1000};
  Waiting waiting;
  for (int i = 0; i < 60; ++i) (void)queue.push(waiting.make(ReadClass::search, 1));
  for (int i = 0; i < 3; ++i) (void)queue.push(waiting.make(ReadClass::search, 2));
  (void)queue.push(waiting.make(ReadClass::search, 3));
  std::vector<std::uint64_t> order;
  while (auto* entry = run_one(queue)) order.push_back(entry->caller);
  ASSERT_EQ(order.size(), 64u);
  EXPECT_EQ((std::vector<std::uint64_t>{order.begin(), order.begin() + 7}),
            (std::vector<std::uint64_t>{1, 2, 3, 1, 2, 1, 2}));
}

TEST(FairQueue, RowsGoBeforePagesBeforeSearches) {
  FairQueue queue{4, 1000};
  Waiting waiting;
  for (auto order : {ReadClass::search, ReadClass::list, ReadClass::key})
    for (int i = 0; i < 2; ++i) (void)queue.push(waiting.make(order, 1));
  std::vector<ReadClass> order;
  while (auto* entry = run_one(queue)) order.push_back(entry->order);
  EXPECT_EQ(order, (std::vector{ReadClass::key, ReadClass::key, ReadClass::list, ReadClass::list, ReadClass::search,
                                ReadClass::search}));
}

TEST(FairQueue, AClassIsNeverPassedForEver) {
  FairQueue queue{4, 1000};
  Waiting waiting;
  for (int i = 0; i < 100; ++i) (void)queue.push(waiting.make(ReadClass::key, 1));
  (void)queue.push(waiting.make(ReadClass::search, 2));
  int before = 0;
  while (run_one(queue)->order != ReadClass::search) ++before;
  EXPECT_EQ(before, FairQueue::kPatience);
}

TEST(FairQueue, OneCallerLeavesThreadsToOthersAndSearchesLeaveOne) {
  FairQueue queue{4, 1000};
  Waiting waiting;
  for (std::uint64_t caller : {1, 1, 1, 2, 2, 2}) (void)queue.push(waiting.make(ReadClass::search, caller));
  std::map<std::uint64_t, int> running;
  while (auto* entry = queue.take()) ++running[entry->caller];
  EXPECT_EQ(running, (std::map<std::uint64_t, int>{{1, 2}, {2, 1}}));
  (void)queue.push(waiting.make(ReadClass::list, 1));
  EXPECT_EQ(queue.take(), nullptr);  // it has half of the threads already
  (void)queue.push(waiting.make(ReadClass::list, 3));
  ASSERT_NE(queue.take(), nullptr);
  queue.ended(ReadClass::search, 1);
  auto* next = queue.take();
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->order, ReadClass::list);
}

TEST(FairQueue, TheServersOwnReadsMayHaveEveryThread) {
  FairQueue queue{2, 1000};
  Waiting waiting;
  for (int i = 0; i < 3; ++i) (void)queue.push(waiting.make(ReadClass::list, 0));
  for (int i = 0; i < 3; ++i) EXPECT_NE(queue.take(), nullptr);
}

TEST(FairQueue, AFullQueueTakesFromWhoHasMostInTheLastClass) {
  FairQueue queue{2, 4};
  Waiting waiting;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(queue.push(waiting.make(ReadClass::list, 1)), nullptr);
  auto& search = waiting.make(ReadClass::search, 1);
  EXPECT_EQ(queue.push(search), nullptr);
  EXPECT_EQ(queue.push(waiting.make(ReadClass::list, 1)), &search);  // searches go last
  auto& another = waiting.make(ReadClass::list, 2);
  auto* given_up = queue.push(another);
  ASSERT_NE(given_up, nullptr);
  EXPECT_EQ(given_up->caller, 1u);
  auto& too_many = waiting.make(ReadClass::list, 1);
  EXPECT_EQ(queue.push(too_many), &too_many);
  auto& last = waiting.make(ReadClass::search, 3);
  EXPECT_EQ(queue.push(last), &last);
  EXPECT_EQ(queue.size(), 4u);
}

/// Against a model: whatever is pushed, removed and taken, each entry leaves exactly once and nobody exceeds its share.
TEST(FairQueue, NothingIsLostAndNobodyHasMoreThanItsShare) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  constexpr std::size_t kThreads = 4, kRoom = 50;
  FairQueue queue{kThreads, kRoom};
  Waiting waiting;
  std::set<FairQueue::Entry*> inside;
  std::vector<FairQueue::Entry*> running;
  for (int step = 0; step < 20'000; ++step) {
    switch (random() % 4) {
      case 0:
      case 1: {
        auto& entry = waiting.make(static_cast<ReadClass>(random() % 3), random() % 6);
        inside.insert(&entry);
        if (auto* given_up = queue.push(entry)) ASSERT_EQ(inside.erase(given_up), 1u);
        break;
      }
      case 2:
        if (running.size() < kThreads) {
          if (auto* entry = queue.take()) {
            ASSERT_EQ(inside.erase(entry), 1u);
            running.push_back(entry);
            const auto mine = std::ranges::count(running, entry->caller, &FairQueue::Entry::caller);
            if (entry->caller) ASSERT_LE(mine, static_cast<std::ptrdiff_t>(kThreads / 2));
          }
        } else {
          queue.ended(running.front()->order, running.front()->caller);
          running.erase(running.begin());
        }
        break;
      case 3:
        if (!inside.empty()) {
          auto* entry = *inside.begin();
          ASSERT_TRUE(queue.remove(*entry));
          ASSERT_FALSE(queue.remove(*entry));
          inside.erase(entry);
        }
        break;
    }
    ASSERT_EQ(queue.size(), inside.size());
    ASSERT_LE(queue.size(), kRoom);
  }
}

}  // namespace
}  // namespace plimsoll::database
