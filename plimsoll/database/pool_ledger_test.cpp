#include "plimsoll/database/pool_ledger.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace plimsoll::database {
namespace {

struct Line {
  int number = 0;
};
using Ledger = PoolLedger<Line>;
constexpr Nanoseconds kFar = 1'000'000 * kSecond;

struct Pool {
  explicit Pool(PoolLimits limits) : ledger(limits) {}
  FairQueue::Entry& ask(std::uint64_t caller = 0, ReadClass order = ReadClass::key) {
    auto& entry = *entries.emplace_back(std::make_unique<FairQueue::Entry>());
    entry.caller = caller;
    entry.order = order;
    EXPECT_EQ(ledger.ask(entry), nullptr);
    return entry;
  }
  Line& open(Nanoseconds now = 0, Nanoseconds until = kFar) {
    ledger.opens();
    auto& line = *lines.emplace_back(std::make_unique<Line>());
    ledger.opened(line, now, until);
    return line;
  }
  bool back(Line& line, Nanoseconds now = 0, bool usable = true, Nanoseconds until = kFar) {
    return ledger.give_back(line, ReadClass::key, 0, now, until, usable);
  }
  Ledger ledger;
  std::vector<std::unique_ptr<FairQueue::Entry>> entries;
  std::vector<std::unique_ptr<Line>> lines;
};

TEST(PoolLedger, OpensTheMinimumAndOnDemand) {
  Pool pool({.least = 2, .most = 4});
  EXPECT_EQ(pool.ledger.to_open(0), 2u);
  pool.ledger.opens();
  EXPECT_EQ(pool.ledger.to_open(0), 1u);
  pool.ledger.opens();
  EXPECT_EQ(pool.ledger.to_open(0), 0u);
  for (int i = 0; i < 3; ++i) pool.ask();
  EXPECT_EQ(pool.ledger.to_open(0), 1u);  // two are on their way
  for (int i = 0; i < 9; ++i) pool.ask();
  EXPECT_EQ(pool.ledger.to_open(0), 2u);  // and no more than the most
}

TEST(PoolLedger, ServesInTurnWithTheConnectionUsedLast) {
  Pool pool({.least = 0, .most = 3});
  auto &a = pool.open(), &b = pool.open();
  auto &first = pool.ask(), &second = pool.ask(), &third = pool.ask();
  auto served = pool.ledger.next();
  EXPECT_EQ(served.entry, &first);
  EXPECT_EQ(served.connection, &b);
  served = pool.ledger.next();
  EXPECT_EQ(served.entry, &second);
  EXPECT_EQ(served.connection, &a);
  EXPECT_EQ(pool.ledger.next().entry, nullptr);
  EXPECT_TRUE(pool.back(b));
  EXPECT_EQ(pool.ledger.next().entry, &third);
  EXPECT_EQ(pool.ledger.waiting(), 0u);
}

TEST(PoolLedger, OneCallerHasAtMostHalf) {
  Pool pool({.least = 0, .most = 4});
  for (int i = 0; i < 4; ++i) pool.open();
  for (int i = 0; i < 9; ++i) pool.ask(7);
  EXPECT_NE(pool.ledger.next().entry, nullptr);
  EXPECT_NE(pool.ledger.next().entry, nullptr);
  EXPECT_EQ(pool.ledger.next().entry, nullptr);
  EXPECT_EQ(pool.ledger.to_open(0), 0u);
  auto& other = pool.ask(8);
  EXPECT_EQ(pool.ledger.next().entry, &other);
}

TEST(PoolLedger, DownServerRefusesAllAndIsProbedTwiceASecond) {
  Pool pool({.least = 2, .most = 4});
  auto& idle = pool.open();
  for (int i = 0; i < 5; ++i) pool.ask(3);
  auto served = pool.ledger.next();
  pool.ledger.opens();
  pool.ledger.failed(0, 0, false);
  EXPECT_TRUE(pool.ledger.down());
  int refused = 0;
  while (pool.ledger.refuse()) ++refused;
  EXPECT_EQ(refused, 4);
  EXPECT_FALSE(pool.back(*served.connection));  // closed, like all that come back now
  EXPECT_EQ(&idle, served.connection);
  Nanoseconds now = 0;
  for (int attempt = 0; attempt < 50; ++attempt) {
    EXPECT_EQ(pool.ledger.to_open(now), 0u);
    const auto next = pool.ledger.look_again(now, 10 * kSecond);
    EXPECT_GT(next, now);
    EXPECT_LE(next - now, 500 * kMillisecond);
    now = next;
    EXPECT_EQ(pool.ledger.to_open(now), 1u);  // one at a time
    pool.ledger.opens();
    EXPECT_EQ(pool.ledger.to_open(now), 0u);
    pool.ledger.failed(now, now, false);
  }
  now = pool.ledger.look_again(now, kSecond);
  pool.open(now);
  EXPECT_FALSE(pool.ledger.down());
  EXPECT_EQ(pool.ledger.to_open(now), 1u);
}

TEST(PoolLedger, FullServerIsNotDownWhileConnectionsAreOpen) {
  Pool pool({.least = 0, .most = 4});
  auto& line = pool.open();
  pool.ask();
  pool.ledger.next();
  auto& waits = pool.ask();
  pool.ledger.opens();
  pool.ledger.failed(0, 0, true);
  EXPECT_FALSE(pool.ledger.down());
  EXPECT_EQ(pool.ledger.refuse(), nullptr);
  EXPECT_EQ(pool.ledger.to_open(kMillisecond), 0u);  // not at once again
  EXPECT_TRUE(pool.back(line));
  EXPECT_EQ(pool.ledger.next().entry, &waits);
  EXPECT_FALSE(pool.back(line, 0, false));
  pool.ledger.opens();
  pool.ledger.failed(kSecond, kSecond, true);
  EXPECT_TRUE(pool.ledger.down());  // nothing is left to be used
}

TEST(PoolLedger, ServerThatAnswersOthersIsNotDownWhereOneMoreComesTooLate) {
  Pool pool({.least = 1, .most = 4});
  auto& line = pool.open();
  pool.ask();
  ASSERT_NE(pool.ledger.next().entry, nullptr);
  pool.ask();
  pool.ledger.opens();
  EXPECT_TRUE(pool.back(line, 2 * kSecond));  // it was used meanwhile
  pool.ledger.failed(kSecond, 3 * kSecond, false);
  EXPECT_FALSE(pool.ledger.down());
  EXPECT_EQ(pool.ledger.refuse(), nullptr);
  EXPECT_NE(pool.ledger.next().entry, nullptr);
  EXPECT_EQ(pool.ledger.to_open(3 * kSecond), 0u);  // not at once
  EXPECT_EQ(pool.ledger.to_open(4 * kSecond), 0u);  // nobody waits
  pool.ask();
  ASSERT_EQ(pool.ledger.to_open(4 * kSecond), 1u);
  pool.ledger.opens();
  pool.ledger.failed(4 * kSecond, 5 * kSecond, false);  // and nothing else has come since then
  EXPECT_TRUE(pool.ledger.down());
}

TEST(PoolLedger, ClosesIdleAndOldConnections) {
  Pool pool({.least = 1, .most = 4, .idle = 30 * kSecond});
  auto &a = pool.open(0, 100 * kSecond), &b = pool.open(10 * kSecond, 200 * kSecond);
  EXPECT_EQ(pool.ledger.look_again(0, 1000 * kSecond), 30 * kSecond);
  EXPECT_EQ(pool.ledger.to_close(29 * kSecond), nullptr);
  EXPECT_EQ(pool.ledger.to_close(30 * kSecond), &a);
  EXPECT_EQ(pool.ledger.to_close(60 * kSecond), nullptr);  // the least
  EXPECT_EQ(pool.ledger.look_again(60 * kSecond, 1000 * kSecond), 200 * kSecond);
  EXPECT_EQ(pool.ledger.to_close(200 * kSecond), &b);
  EXPECT_EQ(pool.ledger.to_open(200 * kSecond), 1u);
  auto& c = pool.open(200 * kSecond, 300 * kSecond);
  pool.ask();
  pool.ledger.next();
  EXPECT_FALSE(pool.back(c, 300 * kSecond, true, 300 * kSecond));  // too old when it comes back
}

TEST(PoolLedger, RandomEventsKeepTheCountsRight) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  const PoolLimits limits{.least = 2, .most = 5, .idle = 5 * kSecond, .room = 10};
  Ledger ledger{limits};
  std::vector<std::unique_ptr<Line>> lines;
  std::array<FairQueue::Entry, 40> entries;
  std::vector<FairQueue::Entry*> free, waiting;
  for (auto& entry : entries) free.push_back(&entry);
  struct Use {
    Line* line;
    FairQueue::Entry* entry;
  };
  std::vector<Use> used;
  std::size_t opening = 0;
  Nanoseconds now = 0;
  const auto left = [&](FairQueue::Entry* entry) {
    std::erase(waiting, entry);
    free.push_back(entry);
  };
  for (int step = 0; step < 20'000; ++step) {
    now += static_cast<Nanoseconds>(random() % 300) * kMillisecond;
    switch (random() % 6) {
      case 0:
      case 1:
        if (!ledger.down() && !free.empty()) {
          auto* entry = free.back();
          free.pop_back();
          entry->caller = random() % 4;
          entry->order = static_cast<ReadClass>(random() % 3);
          waiting.push_back(entry);
          if (auto* refused = ledger.ask(*entry)) left(refused);
        }
        break;
      case 2:
        if (!used.empty()) {
          const auto i = random() % used.size();
          const auto use = used[i];
          used.erase(used.begin() + static_cast<std::ptrdiff_t>(i));
          (void)ledger.give_back(*use.line, use.entry->order, use.entry->caller, now, now + kFar, random() % 8 != 0);
          free.push_back(use.entry);
        }
        break;
      case 3:
        for (auto n = ledger.to_open(now); n-- > 0; ++opening) ledger.opens();
        break;
      case 4:
        if (opening > 0) {
          --opening;
          if (random() % 3 == 0) {
            ledger.failed(now - static_cast<Nanoseconds>(random() % 2) * kSecond, now, random() % 2 == 0);
          } else {
            lines.push_back(std::make_unique<Line>());
            ledger.opened(*lines.back(), now, now + 60 * kSecond);
          }
        }
        break;
      default:
        while (ledger.to_close(now)) {}
        if (!waiting.empty() && random() % 2) {
          auto* entry = waiting[random() % waiting.size()];
          EXPECT_TRUE(ledger.leave(*entry));
          left(entry);
        }
    }
    while (auto* refused = ledger.refuse()) left(refused);
    for (auto served = ledger.next(); served.entry; served = ledger.next()) {
      std::erase(waiting, served.entry);
      used.push_back({served.connection, served.entry});
    }
    ASSERT_EQ(ledger.in_use(), used.size());
    ASSERT_EQ(ledger.waiting(), waiting.size());
    ASSERT_EQ(ledger.opening(), opening);
    ASSERT_LE(ledger.in_use() + ledger.idle() + ledger.opening(), limits.most);
    ASSERT_LE(ledger.waiting(), limits.room);
    if (ledger.down()) ASSERT_EQ(ledger.waiting(), 0u);
  }
  EXPECT_GT(lines.size(), 20u);
}

}  // namespace
}  // namespace plimsoll::database
