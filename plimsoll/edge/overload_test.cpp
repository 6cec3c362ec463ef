#include "plimsoll/edge/overload.hpp"

#include <gtest/gtest.h>

#include <deque>

namespace plimsoll::edge {
namespace {

constexpr Nanoseconds kMicro = 1000, kRound = 2 * kMillisecond;

/// One loop with requests that take `cost` each, on a clock of its own: what ReadyQueue does, without coroutines.
struct Simulation {
  explicit Simulation(Nanoseconds cost) : cost(cost) {}
  Overload overload;
  Nanoseconds cost, now = kSecond, due = INT64_MAX;
  std::deque<Nanoseconds> waiting;
  std::int64_t served = 0, refused = 0;
  Nanoseconds longest_of_served = 0;
  static constexpr Nanoseconds kRefusal = 15 * kMicro;

  void round() {
    const auto looked = now;
    const auto verdict = overload.look(now, waiting.empty() ? 0 : now - waiting.front());
    while (!waiting.empty() && (looked - waiting.front() > verdict.longest_wait || waiting.size() > verdict.at_most)) {
      waiting.pop_front();
      ++refused;
      now += kRefusal;
    }
    for (const auto until = now + kRound; !waiting.empty() && now < until;) {
      const auto since = verdict.newest_first ? waiting.back() : waiting.front();
      verdict.newest_first ? waiting.pop_back() : waiting.pop_front();
      longest_of_served = std::max(longest_of_served, now - since);
      now += cost;
      ++served;
      overload.worked(now, cost, now - cost - since, waiting.size());
    }
    if (waiting.empty()) overload.nobody_waits(now);
  }
  /// Requests come at `rate` times what can be served, whatever becomes of them.
  void open(double rate, Nanoseconds span) {
    const auto gap = static_cast<Nanoseconds>(static_cast<double>(cost) / rate);
    const auto until = now + span;
    for (due = std::min(due, now + gap); now < until;) {
      for (; due <= now; due += gap) waiting.push_back(due);
      if (waiting.empty()) now = due;
      round();
    }
  }
  /// So many clients ask again as soon as they have an answer.
  void closed(std::size_t clients, Nanoseconds span) {
    for (const auto until = now + span; now < until;) {
      while (waiting.size() < clients) waiting.push_back(now);
      round();
    }
  }
};

TEST(Overload, ALoadThatCanBeServedIsNeverRefused) {
  for (const auto cost : {10 * kMicro, 200 * kMicro, 2 * kMillisecond, 8 * kMillisecond})
    for (const auto rate : {0.1, 0.5, 0.9, 0.99}) {
      Simulation run{cost};
      run.open(rate, 20 * kSecond);
      EXPECT_EQ(run.refused, 0) << cost << " at " << rate;
    }
}

TEST(Overload, AsManyClientsAsWaitForTheirAnswersAreBorneWhileTheyWaitLessThanTheInterval) {
  for (const auto cost : {10 * kMicro, 200 * kMicro, kMillisecond}) {
    Simulation run{cost};
    run.closed(static_cast<std::size_t>(90 * kMillisecond / cost), 5 * kSecond);
    EXPECT_EQ(run.refused, 0) << cost;
  }
}

TEST(Overload, ABurstThatIsServedWithinTheIntervalIsBorne) {
  Simulation run{kMillisecond};
  for (int i = 0; i < 20; ++i) {
    for (int n = 0; n < 90; ++n) run.waiting.push_back(run.now);
    run.open(0.05, 200 * kMillisecond);
  }
  EXPECT_EQ(run.refused, 0);
}

TEST(Overload, TenTimesTheCapacityLeavesMostOfItToWhatIsServedInTime) {
  for (const auto cost : {200 * kMicro, 2 * kMillisecond, 8 * kMillisecond}) {
    Simulation run{cost};
    run.open(10, kSecond);  // it sets in
    run.served = run.refused = run.longest_of_served = 0;
    run.open(10, 10 * kSecond);
    // All that is not served costs a refusal; the rest of the time goes to what is.
    const double capacity = 10.0 * kSecond / static_cast<double>(cost);
    const double left = 1 - 10.0 * Simulation::kRefusal / static_cast<double>(cost);
    EXPECT_GE(static_cast<double>(run.served), 0.9 * left * capacity) << cost;
    EXPECT_GT(run.refused, 0);
    EXPECT_LE(run.longest_of_served, StandingQueue::kTarget + 2 * cost + kRound) << cost;
    EXPECT_LE(run.waiting.size(), 2 * 20 + 100u) << cost;
  }
}

TEST(Overload, NothingIsRefusedAnyMoreOnceItIsOver) {
  Simulation run{kMillisecond};
  run.open(5, 2 * kSecond);
  EXPECT_TRUE(run.overload.overloaded());
  run.open(0.8, kSecond);
  EXPECT_FALSE(run.overload.overloaded());
  run.refused = 0;
  run.open(0.8, 20 * kSecond);
  EXPECT_EQ(run.refused, 0);
}

TEST(Overload, ASingleStallIsNoOverload) {
  Simulation run{100 * kMicro};
  run.open(0.5, kSecond);
  run.now += 400 * kMillisecond;  // one request took that long, or the machine stood still
  run.open(0.5, 5 * kSecond);
  EXPECT_LE(run.refused, 5000 * 4 / 10) << "no more than what came meanwhile";
  run.refused = 0;
  run.open(0.5, 5 * kSecond);
  EXPECT_EQ(run.refused, 0);
}

TEST(GradientLimit, GrowsWhileItIsUsedAndTheTimeStaysWhatItWas) {
  GradientLimit limit;
  auto now = kSecond;
  for (int i = 0; i < 20'000; ++i) limit.ended(now += 100 * kMicro, 5 * kMillisecond, limit.limit());
  EXPECT_GT(limit.limit(), 200u);
  EXPECT_EQ(limit.baseline(), 5 * kMillisecond);
}

TEST(GradientLimit, DoesNotGrowWhileItIsNotUsedAndIsNeverLoweredToLearn) {
  GradientLimit limit;
  auto now = kSecond;
  for (int i = 0; i < 100'000; ++i) {
    limit.ended(now += 100 * kMicro, 5 * kMillisecond + i % 3 * kMillisecond, 2);
    ASSERT_EQ(limit.limit(), static_cast<std::size_t>(GradientLimit::kStart));
  }
}

TEST(GradientLimit, ShrinksToItsLeastWhileRequestsTakeLonger) {
  GradientLimit limit;
  auto now = kSecond;
  for (int i = 0; i < 1000; ++i) limit.ended(now += 100 * kMicro, kMillisecond, 10);
  for (int i = 0; i < 2000; ++i) limit.ended(now += 100 * kMicro, 50 * kMillisecond, 100);
  EXPECT_EQ(limit.limit(), static_cast<std::size_t>(GradientLimit::kLeast));
  // And grows again when they do not.
  for (int i = 0; i < 5000; ++i) limit.ended(now += 100 * kMicro, kMillisecond, limit.limit());
  EXPECT_GT(limit.limit(), 50u);
}

}  // namespace
}  // namespace plimsoll::edge
