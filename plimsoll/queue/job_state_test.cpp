#include "plimsoll/queue/job_state.hpp"

#include <gtest/gtest.h>
#include <random>

namespace plimsoll::queue {
namespace {

constexpr RetryRule kRule{};
constexpr Nanoseconds kNow = 1'000'000 * kSecond;

Standing running() {
  Standing job{.due = kNow};
  job.claim(kNow);
  return job;
}

TEST(JobState, NamesReadBack) {
  for (int i = 0; i < 7; ++i) {
    const auto state = static_cast<State>(i);
    EXPECT_EQ(parse_state(to_string(state)), state);
  }
  EXPECT_EQ(parse_state("done"), std::nullopt);
}

TEST(JobState, RetriesDoubleFromFiveSecondsToSixHoursHalfOfItRandom) {
  EXPECT_EQ(retry_delay(kRule, 0, 0.0), 2'500 * kMillisecond);
  EXPECT_LT(retry_delay(kRule, 0, 0.999999), 5 * kSecond);
  EXPECT_EQ(retry_delay(kRule, 3, 0.0), 20 * kSecond);
  EXPECT_EQ(retry_delay(kRule, 1000, 0.0), 3 * 3600 * kSecond);
  EXPECT_LE(retry_delay(kRule, 1000, 0.999999), 6 * 3600 * kSecond);
}

TEST(JobState, TwelveAttemptsLastAboutSixHours) {
  Nanoseconds sum = 0;
  for (int i = 0; i < 11; ++i) sum += retry_delay(kRule, i, 0.5);
  EXPECT_GT(sum, 2 * 3600 * kSecond);
  EXPECT_LT(sum, 7 * 3600 * kSecond);
}

TEST(JobState, AnAttemptThatFailsIsRepeatedUntilTheJobIsDead) {
  Standing job{.due = kNow};
  auto now = kNow;
  for (int i = 1; i <= kRule.attempts; ++i) {
    ASSERT_TRUE(job.claimable(now)) << i;
    job.claim(now);
    EXPECT_EQ(job.attempts, i);
    ASSERT_TRUE(job.fail(job.token, kRule, now, 0.5));
    EXPECT_EQ(job.state, i < kRule.attempts ? State::retryable : State::dead) << i;
    EXPECT_FALSE(job.claimable(now));
    now = job.due;
  }
}

TEST(JobState, WhatCannotBeRepeatedIsDeadAtOnce) {
  auto job = running();
  EXPECT_TRUE(job.fail(job.token, kRule, kNow, 0, false));
  EXPECT_EQ(job.state, State::dead);
}

TEST(JobState, NeverRepeatsBeforeTheOtherSideWants) {
  auto job = running();
  EXPECT_TRUE(job.fail(job.token, kRule, kNow, 0.5, true, 3600 * kSecond));
  EXPECT_EQ(job.due, kNow + 3600 * kSecond);
}

TEST(JobState, AWorkerThatWasPausedCannotFinishWhatAnotherHasTakenOver) {
  auto job = running();
  const auto stale = job.token;
  EXPECT_FALSE(job.expire(kRule, kNow + kLease - 1));
  ASSERT_TRUE(job.expire(kRule, kNow + kLease));
  EXPECT_FALSE(job.complete(stale));
  job.claim(kNow + kLease);
  EXPECT_FALSE(job.complete(stale));
  EXPECT_FALSE(job.renew(stale, kNow + kLease));
  EXPECT_FALSE(job.fail(stale, kRule, kNow + kLease, 0));
  EXPECT_FALSE(job.release(stale, kNow + kLease));
  EXPECT_TRUE(job.complete(job.token));
}

TEST(JobState, RenewalKeepsTheLease) {
  auto job = running();
  EXPECT_TRUE(job.renew(job.token, kNow + renewal(kLease)));
  EXPECT_FALSE(job.expire(kRule, kNow + kLease));
  EXPECT_TRUE(job.expire(kRule, kNow + renewal(kLease) + kLease));
}

TEST(JobState, ThreeCrashesMakeItDeadThoughItNeverFailed) {
  Standing job{.due = kNow};
  auto now = kNow;
  for (int i = 1; i <= 3; ++i) {
    job.claim(now);
    now += kLease;
    ASSERT_TRUE(job.expire(kRule, now));
    EXPECT_EQ(job.state, i < 3 ? State::available : State::dead);
  }
  EXPECT_EQ(job.failures, 0);
}

TEST(JobState, HandingBackCountsNothing) {
  auto job = running();
  EXPECT_TRUE(job.release(job.token, kNow));
  EXPECT_TRUE(job.claimable(kNow));
  EXPECT_EQ(job.attempts + job.failures + job.crashes, 0);
}

TEST(JobState, CancellingARunningJobMakesItsWorkersTokenStale) {
  auto job = running();
  const auto held = job.token;
  EXPECT_TRUE(job.cancel());
  EXPECT_FALSE(job.complete(held));
  EXPECT_EQ(job.state, State::cancelled);
  EXPECT_FALSE(job.cancel());
}

TEST(JobState, RequeueGivesADeadJobAllItsAttemptsBack) {
  auto job = running();
  job.fail(job.token, kRule, kNow, 0, false);
  EXPECT_TRUE(job.requeue(kNow + 1));
  EXPECT_TRUE(job.claimable(kNow + 1));
  EXPECT_EQ(job.failures, 0);
  EXPECT_FALSE(running().requeue(kNow));
}

// Whatever happens in whatever order: of all the claims ever made at most one is accepted, and tokens only grow.
TEST(JobState, AtMostOneClaimEverCompletesAJob) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  auto upto = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  for (int round = 0; round < 2000; ++round) {
    Standing job{.due = kNow};
    std::vector<std::int64_t> tokens;
    auto now = kNow;
    int completed = 0;
    for (int step = 0; step < 40; ++step) {
      now += upto(20) * kSecond;
      const auto token = tokens.empty() ? 0 : tokens[static_cast<std::size_t>(upto(static_cast<int>(tokens.size())))];
      const auto before = job.token;
      switch (upto(7)) {
        case 0:
        case 1:
          if (job.claimable(now)) {
            job.claim(now);
            tokens.push_back(job.token);
          }
          break;
        case 2: completed += job.complete(token); break;
        case 3: job.fail(token, kRule, now, 0.5); break;
        case 4: job.renew(token, now); break;
        case 5: job.expire(kRule, now); break;
        case 6:
          if (upto(10) == 0) job.cancel();
          break;
      }
      ASSERT_GE(job.token, before);
      if (completed) ASSERT_EQ(job.state, State::completed);
    }
    ASSERT_LE(completed, 1);
  }
}

}  // namespace
}  // namespace plimsoll::queue
