#include "plimsoll/client/retry_budget.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <vector>

namespace plimsoll::client {
namespace {

constexpr Nanoseconds kStart = 1'000'000 * kSecond;

TEST(RetryBudget, WithoutCallsOnlyTheFloorIsAllowed) {
  RetryBudget budget;
  const RetryBudgetOptions options;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(budget.take(options, kStart)) << i;
  EXPECT_FALSE(budget.take(options, kStart));
}

TEST(RetryBudget, AFifthOfTheCallsIsAllowedBesides) {
  RetryBudget budget;
  const RetryBudgetOptions options{.floor = 0};
  for (int i = 0; i < 1000; ++i) budget.arrive(options, kStart);
  int taken = 0;
  while (budget.take(options, kStart)) ++taken;
  EXPECT_EQ(taken, 200);
}

TEST(RetryBudget, ARetryCountsAsLongAsItWaitsAndRuns) {
  RetryBudget budget;
  const RetryBudgetOptions options{.floor = 1};  // ten in the window
  std::vector<RetryBudget::Ticket> waiting;
  while (const auto ticket = budget.take(options, kStart)) waiting.push_back(*ticket);
  EXPECT_EQ(waiting.size(), 10u);
  // An hour later they still wait: nothing is free until one of them has ended.
  EXPECT_FALSE(budget.take(options, kStart + 3600 * kSecond));
  budget.end(waiting.back());
  EXPECT_TRUE(budget.take(options, kStart + 3600 * kSecond));
  EXPECT_FALSE(budget.take(options, kStart + 3600 * kSecond));
}

TEST(RetryBudget, ARetryThatHasEndedCountsForTheWindow) {
  RetryBudget budget;
  const RetryBudgetOptions options{.floor = 1};
  for (int i = 0; i < 10; ++i) budget.end(*budget.take(options, kStart));
  EXPECT_FALSE(budget.take(options, kStart + 9 * kSecond));
  EXPECT_TRUE(budget.take(options, kStart + 11 * kSecond));
  EXPECT_EQ(budget.spent(), 1);
}

unsigned first_seed() {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto value = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", value);
  return value;
}

/// Whatever comes and however long retries last: at each decision, those of the window before it are no more than the
/// share of its calls and the floor.
TEST(RetryBudget, HoldsOverTheWindowBeforeEachDecision) {
  const int seeds = std::getenv("PLIMSOLL_TORTURE") ? 5000 : 300;
  const auto first = first_seed();
  for (int i = 0; i < seeds; ++i) {
    std::mt19937 random(first + static_cast<unsigned>(i));
    const RetryBudgetOptions options{.share = 0.05 * static_cast<double>(random() % 10),
                                     .floor = static_cast<std::int64_t>(random() % 5)};
    RetryBudget budget;
    struct Event {
      Nanoseconds at;
      bool retry;
    };
    std::deque<Event> window;
    std::vector<std::pair<Nanoseconds, RetryBudget::Ticket>> running;
    std::int64_t calls = 0, retries = 0;
    auto now = kStart + static_cast<Nanoseconds>(random() % kSecond);
    for (int step = 0; step < 3000; ++step) {
      // Quiet times among bursts, now and then longer than the window.
      now += static_cast<Nanoseconds>(random() % (random() % 50 == 0 ? 15 * kSecond : 20 * kMillisecond));
      std::erase_if(running, [&](auto& each) {
        if (each.first > now) return false;
        budget.end(each.second);
        return true;
      });
      while (!window.empty() && window.front().at <= now - options.window) {
        (window.front().retry ? retries : calls) -= 1;
        window.pop_front();
      }
      const bool retry = random() % 2 == 0;
      if (!retry) {
        budget.arrive(options, now);
        ++calls;
        window.push_back({now, false});
      } else if (const auto ticket = budget.take(options, now)) {
        ++retries;
        window.push_back({now, true});
        running.emplace_back(now + static_cast<Nanoseconds>(random() % (random() % 10 ? kSecond : 40 * kSecond)),
                             *ticket);
        ASSERT_LE(static_cast<double>(retries),
                  options.share * static_cast<double>(calls) + 10.0 * static_cast<double>(options.floor) + 1e-9)
            << "seed " << first + static_cast<unsigned>(i) << ", step " << step;
      }
      ASSERT_GE(budget.spent(), static_cast<std::int64_t>(running.size()));
    }
    for (auto& [until, ticket] : running) budget.end(ticket);
    running.clear();
    (void)budget.take(options, now + 1000 * kSecond);
    EXPECT_LE(budget.spent(), 1) << "all have ended and are long past";
  }
}

}  // namespace
}  // namespace plimsoll::client
