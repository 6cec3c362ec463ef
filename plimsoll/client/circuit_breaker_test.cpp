#include "plimsoll/client/circuit_breaker.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <vector>

namespace plimsoll::client {
namespace {

using Outcome = CircuitBreaker::Outcome;
using State = CircuitBreaker::State;
constexpr Nanoseconds kStart = 1'000'000 * kSecond;
constexpr std::uint64_t kEarliest = 0;

struct Circuit : testing::Test {
  CircuitBreakerOptions options;
  CircuitBreaker breaker;
  /// Admits one call and settles it at once. False: it was not admitted.
  bool call(Outcome outcome, Nanoseconds now, Nanoseconds span = 0) {
    const auto admission = breaker.admit(options, now);
    if (admission.allowed) breaker.settle(options, admission, outcome, span, now, kEarliest);
    return admission.allowed;
  }
  void open_at(Nanoseconds now) {
    while (call(Outcome::failure, now)) {}
  }
};

TEST_F(Circuit, OpensAtHalfOfTwentyCallsAndNotBefore) {
  for (int i = 0; i < 10; ++i) call(Outcome::success, kStart);
  for (int i = 0; i < 9; ++i) call(Outcome::failure, kStart);
  EXPECT_EQ(breaker.state(), State::closed) << "nineteen calls are too few to judge";
  call(Outcome::failure, kStart);
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_FALSE(call(Outcome::success, kStart));
}

TEST_F(Circuit, CallsThatFailedLongAgoAreForgotten) {
  for (int i = 0; i < 15; ++i) call(Outcome::failure, kStart);
  for (int i = 0; i < 15; ++i) call(Outcome::failure, kStart + 11 * kSecond);
  EXPECT_EQ(breaker.state(), State::closed);
}

TEST_F(Circuit, TellsWhenTheNextCallMayPass) {
  open_at(kStart);
  const auto refused = breaker.admit(options, kStart + kSecond);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.retry_after, options.open - options.open / 10 - kSecond);
}

TEST_F(Circuit, ProbesOneAtATimeAndASuccessCloses) {
  open_at(kStart);
  const auto now = kStart + 6 * kSecond;
  const auto probe = breaker.admit(options, now);
  EXPECT_TRUE(probe.allowed);
  EXPECT_EQ(breaker.state(), State::half_open);
  EXPECT_FALSE(breaker.admit(options, now).allowed) << "a second probe beside the first";
  EXPECT_TRUE(breaker.settle(options, probe, Outcome::success, 0, now, kEarliest));
  EXPECT_EQ(breaker.state(), State::closed);
  EXPECT_TRUE(breaker.admit(options, now).allowed);
}

TEST_F(Circuit, AProbeThatFailsOpensItAgain) {
  open_at(kStart);
  const auto now = kStart + 6 * kSecond;
  EXPECT_TRUE(call(Outcome::failure, now));
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_FALSE(call(Outcome::success, now + 4 * kSecond));
  EXPECT_TRUE(call(Outcome::success, now + 6 * kSecond));
  EXPECT_EQ(breaker.state(), State::closed);
}

TEST_F(Circuit, AProbeWhoseCallerLeftMakesRoomForTheNext) {
  open_at(kStart);
  EXPECT_TRUE(call(Outcome::unknown, kStart + 6 * kSecond));
  EXPECT_EQ(breaker.state(), State::half_open);
  EXPECT_TRUE(call(Outcome::success, kStart + 6 * kSecond));
  EXPECT_EQ(breaker.state(), State::closed);
}

TEST_F(Circuit, WhatWasBegunBeforeItOpenedChangesNothing) {
  const auto early = breaker.admit(options, kStart);
  open_at(kStart);
  EXPECT_FALSE(breaker.settle(options, early, Outcome::success, 0, kStart + 6 * kSecond, kEarliest));
  EXPECT_EQ(breaker.state(), State::open);
  const auto probe = breaker.admit(options, kStart + 6 * kSecond);
  EXPECT_FALSE(breaker.settle(options, early, Outcome::failure, 0, kStart + 6 * kSecond, kEarliest));
  EXPECT_EQ(breaker.state(), State::half_open);
  EXPECT_TRUE(breaker.settle(options, probe, Outcome::success, 0, kStart + 6 * kSecond, kEarliest));
}

TEST_F(Circuit, SlowCallsOpenItWhereSlowIsSomething) {
  for (int i = 0; i < 100; ++i) call(Outcome::success, kStart, 20 * kSecond);
  EXPECT_EQ(breaker.state(), State::closed);
  options.slow_after = kSecond;
  for (int i = 0; i < 100 && call(Outcome::success, kStart, 2 * kSecond); ++i) {}
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_TRUE(call(Outcome::success, kStart + 6 * kSecond, 2 * kSecond)) << "a probe that is slow";
  EXPECT_EQ(breaker.state(), State::open);
}

/// Against a plain account of the same rule, over random calls: it opens when the calls of the window say so, stays
/// open for its time, and admits one probe at a time.
TEST_F(Circuit, OpensAndClosesByItsRuleWhateverComes) {
  const int seeds = std::getenv("PLIMSOLL_TORTURE") ? 5000 : 300;
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", first);
  for (int i = 0; i < seeds; ++i) {
    std::mt19937_64 random(first + static_cast<unsigned>(i));
    CircuitBreaker circuit;
    const CircuitBreakerOptions rule{.failures = 0.1 + 0.1 * static_cast<double>(random() % 9),
                                     .calls = 1 + static_cast<std::int64_t>(random() % 40)};
    struct Call {
      Nanoseconds at;
      bool failed;
    };
    std::deque<Call> calls;
    std::vector<CircuitBreaker::Admission> running;
    auto now = kStart, opened = Nanoseconds{0};
    std::uint64_t failing = random() % 100;
    for (int step = 0; step < 2000; ++step) {
      now += static_cast<Nanoseconds>(random() % (random() % 30 == 0 ? 4 * kSecond : 100 * kMillisecond));
      if (random() % 100 == 0) failing = random() % 100;
      const auto before = circuit.state();
      const auto admission = circuit.admit(rule, now);
      if (before == State::open && now - opened < rule.open * 9 / 10) ASSERT_FALSE(admission.allowed);
      if (before == State::open && now - opened > rule.open * 11 / 10) ASSERT_TRUE(admission.allowed);
      if (circuit.state() == State::half_open && admission.allowed) ASSERT_FALSE(circuit.admit(rule, now).allowed);
      if (admission.allowed) running.push_back(admission);
      if (running.empty() || random() % 4 == 0) continue;
      const auto chosen = random() % running.size();
      const auto one = running[chosen];
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(chosen));
      const bool failed = random() % 100 < failing;
      const auto state = circuit.state();
      const bool changed = circuit.settle(rule, one, failed ? Outcome::failure : Outcome::success, 0, now, random());
      if (changed && circuit.state() == State::open) {
        opened = now;
        if (state == State::closed) {
          // Steps of a second: what is within nine seconds counts, what is beyond ten does not.
          std::int64_t least = 1, most = 1, bad = failed, bad_most = failed;
          for (const auto& call : calls) {
            if (call.at > now - rule.window) ++most, bad_most += call.failed;
            if (call.at > now - rule.window * 9 / 10) ++least, bad += call.failed;
          }
          ASSERT_GE(most, rule.calls) << "seed " << first + static_cast<unsigned>(i);
          ASSERT_GE(static_cast<double>(bad_most), rule.failures * static_cast<double>(least) - 1e-9);
        }
      }
      if (changed) {
        calls.clear();
        ASSERT_TRUE(state != State::half_open || (circuit.state() == State::open) == failed);
      } else if (state == State::closed && one.period == admission.period) {
        calls.push_back({now, failed});
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll::client
