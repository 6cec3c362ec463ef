#pragma once

// What every Queue must do. A backend's test makes one on an empty place and instantiates the suite:
//   INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, QueueConformance, SqliteQueueMaker);
// A maker has `Queue& queue()`, `database::Database& database()`, `Nanoseconds& wall()`, the time the queue sees, and
// `why_not()`: why the engine is not there, or empty.

#include "plimsoll/database/wait.hpp"
#include "plimsoll/queue/queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

namespace plimsoll::queue {

inline std::vector<Kind> kinds_of_the_suite() {
  return {{.name = "mail", .retry = {.attempts = 3}},
          {.name = "report", .queue = "slow", .concurrency = 2},
          {.name = "flood", .queue = "flood", .concurrency = 1000}};
}

template <class Maker>
class QueueConformance : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = maker.why_not(); !why.empty()) GTEST_SKIP() << why;
  }
  using Session = database::Session;
  template <class F>
  static auto now(F work) {
    return database::wait_for(work);
  }
  Queue& queue() { return maker.queue(); }

  std::string enqueue(const Job& job) {
    std::string id;
    auto done = now([&](Loop& loop) -> Task<Result<>> {
      auto written = co_await maker.database().write(loop, [&](Session& session) -> Task<Result<>> {
        auto made = co_await queue().enqueue(session, job);
        if (!made) co_return std::unexpected(std::move(made).error());
        id = *made;
        co_return Result<>{};
      });
      co_return written;
    });
    EXPECT_TRUE(done);
    return id;
  }
  std::vector<Record> claim(std::string_view name, int limit = 100) {
    return now([&](Loop& loop) -> Task<Result<std::vector<Record>>> {
             auto claimed = co_await queue().claim(loop, name, limit);
             co_return claimed;
           })
        .value();
  }
  Record find(const std::string& id) {
    return now([&](Loop& loop) -> Task<Result<std::optional<Record>>> {
             auto found = co_await queue().find(loop, id);
             co_return found;
           })
        .value()
        .value();
  }
  Result<> complete(const Claim& claim, const Output& output = {}) {
    return now([&](Loop& loop) -> Task<Result<>> {
      auto written = co_await maker.database().write(loop, [&](Session& session) -> Task<Result<>> {
        auto done = co_await queue().complete(session, claim, output);
        co_return done;
      });
      co_return written;
    });
  }
  template <class M, class... A>
  auto ask(M method, const A&... a) {
    return now([&](Loop& loop) -> std::invoke_result_t<M, Queue&, Loop&, const A&...> {
      auto answer = co_await (queue().*method)(loop, a...);
      co_return answer;
    });
  }
  static Claim held(const Record& job) { return {job.id, job.standing.token}; }

  Maker maker;
};
TYPED_TEST_SUITE_P(QueueConformance);

TYPED_TEST_P(QueueConformance, AJobIsClaimedOnceAndCompletes) {
  const auto id = this->enqueue({.kind = "mail", .payload = R"({"to":"a"})", .owner = "u1"});
  auto claimed = this->claim("default");
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].id, id);
  EXPECT_EQ(claimed[0].payload, R"({"to":"a"})");
  EXPECT_TRUE(this->claim("default").empty());
  EXPECT_EQ(this->find(id).standing.state, State::running);
  EXPECT_TRUE(this->complete(this->held(claimed[0]), {.media_type = "text/csv", .bytes = "a,b\0c", .file_name = "x"}));
  auto job = this->find(id);
  EXPECT_EQ(job.standing.state, State::completed);
  EXPECT_EQ(job.progress, 100);
  EXPECT_TRUE(job.has_result);
  auto result = this->ask(&Queue::result, id);
  ASSERT_TRUE(result && *result);
  EXPECT_EQ((*result)->media_type, "text/csv");
}

TYPED_TEST_P(QueueConformance, AJobOfATransactionThatRollsBackNeverWas) {
  auto done = this->now([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await this->maker.database().write(loop, [&](database::Session& session) -> Task<Result<>> {
      const Job job{.kind = "mail"};
      auto made = co_await this->queue().enqueue(session, job);
      if (!made) co_return std::unexpected(std::move(made).error());
      co_return plimsoll::fail(kInternal, "changed my mind");
    });
    co_return written;
  });
  EXPECT_FALSE(done);
  EXPECT_TRUE(this->claim("default").empty());
}

TYPED_TEST_P(QueueConformance, ClaimsGoByPriorityThenTime) {
  const auto late = this->enqueue({.kind = "mail", .priority = 9});
  const auto plain = this->enqueue({.kind = "mail"});
  const auto urgent = this->enqueue({.kind = "mail", .priority = 1});
  const auto plain2 = this->enqueue({.kind = "mail"});
  auto claimed = this->claim("default");
  ASSERT_EQ(claimed.size(), 4u);
  EXPECT_EQ(claimed[0].id, urgent);
  EXPECT_EQ(claimed[1].id, plain);
  EXPECT_EQ(claimed[2].id, plain2);
  EXPECT_EQ(claimed[3].id, late);
}

TYPED_TEST_P(QueueConformance, ADelayedJobWaitsForItsTime) {
  const auto id = this->enqueue({.kind = "mail", .delay = 60 * kSecond});
  EXPECT_EQ(this->find(id).standing.state, State::scheduled);
  EXPECT_TRUE(this->claim("default").empty());
  this->maker.wall() += 60 * kSecond;
  EXPECT_EQ(this->claim("default").size(), 1u);
}

TYPED_TEST_P(QueueConformance, JobsOfAClockThatIsSetBackWaitAsLongAsTheyWouldHave) {
  constexpr auto kBack = 2 * 86'400 * kSecond;
  const auto plain = this->enqueue({.kind = "mail"});
  const auto delayed = this->enqueue({.kind = "mail", .delay = 60 * kSecond});
  const auto failing = this->enqueue({.kind = "report"});
  const auto failed = this->claim("slow", 1);
  ASSERT_EQ(failed.size(), 1u);
  ASSERT_TRUE(this->ask(&Queue::fail, this->held(failed[0]), Failure{.error = "no", .retry_after = 60 * kSecond}));
  const auto freed = this->enqueue({.kind = "report"});
  const auto released = this->claim("slow", 1);
  ASSERT_TRUE(this->ask(&Queue::release, this->held(released[0])));
  this->enqueue({.kind = "flood"});
  ASSERT_EQ(this->claim("flood").size(), 1u);  // by a worker that is gone
  EXPECT_EQ(this->ask(&Queue::correct_times).value(), 0) << "no clock was set";

  this->maker.wall() -= kBack;
  EXPECT_TRUE(this->claim("default").empty());
  EXPECT_EQ(this->ask(&Queue::correct_times).value(), 5);
  EXPECT_EQ(this->ask(&Queue::correct_times).value(), 0) << "another instance finds nothing more";
  const auto now = this->claim("default");
  ASSERT_EQ(now.size(), 1u);
  EXPECT_EQ(now[0].id, plain);
  const auto slow = this->claim("slow");
  ASSERT_EQ(slow.size(), 1u);
  EXPECT_EQ(slow[0].id, freed);
  this->maker.wall() += kLease;
  EXPECT_EQ(this->ask(&Queue::expire, static_cast<std::vector<std::string>*>(nullptr)).value(), 3) << "leases end";
  this->maker.wall() += 60 * kSecond - kLease;
  std::vector<std::string> later;
  for (const auto* queue : {"default", "slow"})
    for (const auto& job : this->claim(queue)) later.push_back(job.id);
  for (const auto& id : {plain, delayed, freed, failing}) EXPECT_EQ(std::ranges::count(later, id), 1) << id;
}

TYPED_TEST_P(QueueConformance, AUniqueJobIsThereOnceUntilItHasEnded) {
  const Job job{.kind = "mail", .unique_key = "order-7"};
  const auto first = this->enqueue(job);
  EXPECT_EQ(this->enqueue(job), first);
  auto claimed = this->claim("default");
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(this->enqueue(job), first);
  EXPECT_TRUE(this->complete(this->held(claimed[0])));
  EXPECT_NE(this->enqueue(job), first);
}

TYPED_TEST_P(QueueConformance, NoMoreRunThanTheQueueAllows) {
  for (int i = 0; i < 5; ++i) this->enqueue({.kind = "report"});
  auto first = this->claim("slow");
  EXPECT_EQ(first.size(), 2u);
  EXPECT_TRUE(this->claim("slow").empty());
  EXPECT_TRUE(this->complete(this->held(first[0])));
  EXPECT_EQ(this->claim("slow").size(), 1u);
}

TYPED_TEST_P(QueueConformance, FailuresAreRepeatedThenDeadAndRememberWhy) {
  const auto id = this->enqueue({.kind = "mail"});
  for (int i = 1; i <= 3; ++i) {
    auto claimed = this->claim("default");
    ASSERT_EQ(claimed.size(), 1u) << i;
    const auto claim = this->held(claimed[0]);
    const Failure failure{.error = "smtp " + std::to_string(i)};
    EXPECT_TRUE(this->ask(&Queue::fail, claim, failure));
    EXPECT_EQ(this->find(id).standing.state, i < 3 ? State::retryable : State::dead);
    this->maker.wall() += 7 * 3600 * kSecond;
  }
  auto job = this->find(id);
  EXPECT_EQ(job.error, "smtp 3");
  for (auto* error : {"smtp 1", "smtp 2", "smtp 3"}) EXPECT_NE(job.history.find(error), std::string::npos);
  auto again = this->ask(&Queue::requeue, id);
  EXPECT_TRUE(again && *again);
  EXPECT_EQ(this->claim("default").size(), 1u);
}

TYPED_TEST_P(QueueConformance, AStaleTokenChangesNothing) {
  const auto id = this->enqueue({.kind = "mail"});
  auto paused = this->claim("default");
  ASSERT_EQ(paused.size(), 1u);
  const auto stale = this->held(paused[0]);
  this->maker.wall() += kLease;
  EXPECT_EQ(this->ask(&Queue::expire, static_cast<std::vector<std::string>*>(nullptr)).value(), 1);
  auto taken = this->claim("default");
  ASSERT_EQ(taken.size(), 1u);
  auto refused = this->complete(stale);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().problem, &kStaleClaim);
  const Failure failure{.error = "late"};
  EXPECT_FALSE(this->ask(&Queue::fail, stale, failure));
  EXPECT_FALSE(this->ask(&Queue::release, stale));
  EXPECT_FALSE(this->ask(&Queue::progress, stale, 50));
  const Claim both[] = {stale};
  EXPECT_EQ(this->ask(&Queue::renew, both).value().size(), 1u);
  EXPECT_EQ(this->find(id).standing.state, State::running);
  EXPECT_TRUE(this->complete(this->held(taken[0])));
}

TYPED_TEST_P(QueueConformance, TheEffectOfAStaleClaimRollsBackWithIt) {
  this->enqueue({.kind = "mail"});
  auto paused = this->claim("default");
  const auto stale = this->held(paused.at(0));
  this->maker.wall() += kLease;
  ASSERT_TRUE(this->ask(&Queue::expire, static_cast<std::vector<std::string>*>(nullptr)));
  auto done = this->now([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await this->maker.database().write(loop, [&](database::Session& session) -> Task<Result<>> {
      const Job effect{.kind = "flood"};
      auto made = co_await this->queue().enqueue(session, effect);
      if (!made) co_return std::unexpected(std::move(made).error());
      auto held = co_await this->queue().complete(session, stale, {});
      co_return held;
    });
    co_return written;
  });
  EXPECT_FALSE(done);
  EXPECT_TRUE(this->claim("flood").empty());
}

TYPED_TEST_P(QueueConformance, ThreeLostLeasesMakeAJobDeadAndTheOthersRunOn) {
  const auto poison = this->enqueue({.kind = "mail", .priority = 1});
  for (int i = 1; i <= 3; ++i) {
    ASSERT_EQ(this->claim("default").size(), 1u);
    this->maker.wall() += kLease;
    ASSERT_TRUE(this->ask(&Queue::expire, static_cast<std::vector<std::string>*>(nullptr)));
  }
  EXPECT_EQ(this->find(poison).standing.state, State::dead);
  EXPECT_EQ(this->find(poison).standing.crashes, 3);
  const auto other = this->enqueue({.kind = "mail"});
  auto claimed = this->claim("default");
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].id, other);
}

TYPED_TEST_P(QueueConformance, ACancelledJobDoesNotRunAndARunningOneLosesItsClaim) {
  const auto waits = this->enqueue({.kind = "mail"});
  EXPECT_TRUE(this->ask(&Queue::cancel, waits).value());
  EXPECT_TRUE(this->claim("default").empty());
  const auto runs = this->enqueue({.kind = "mail"});
  auto claimed = this->claim("default");
  EXPECT_TRUE(this->ask(&Queue::cancel, runs).value());
  EXPECT_FALSE(this->complete(this->held(claimed.at(0))));
  EXPECT_EQ(this->find(runs).standing.state, State::cancelled);
  EXPECT_FALSE(this->ask(&Queue::cancel, runs).value());
}

TYPED_TEST_P(QueueConformance, ListsNewestFirstByPages) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(this->enqueue({.kind = "mail"}));
  Filter filter{.limit = 2};
  std::vector<std::string> seen;
  while (true) {
    auto page = this->ask(&Queue::list, filter);
    ASSERT_TRUE(page);
    if (page->empty()) break;
    for (auto& job : *page) seen.push_back(job.id);
    filter.before = seen.back();
  }
  std::ranges::reverse(seen);
  EXPECT_EQ(seen, ids);
  Filter dead{.state = State::dead};
  EXPECT_TRUE(this->ask(&Queue::list, dead).value().empty());
}

TYPED_TEST_P(QueueConformance, TheBacklogCountsWhatHasNotEndedWellByKindAndState) {
  const Nanoseconds start = this->maker.wall();
  this->enqueue({.kind = "mail"});
  this->enqueue({.kind = "flood", .delay = 60 * kSecond});
  this->maker.wall() += 10 * kSecond;
  this->enqueue({.kind = "flood"});
  auto claimed = this->claim("default", 1);
  ASSERT_TRUE(this->complete(this->held(claimed.at(0)), {}));
  this->enqueue({.kind = "mail"});
  const auto backlog = this->ask(&Queue::backlog).value();
  ASSERT_EQ(backlog.size(), 3u);
  std::map<std::pair<std::string, State>, Backlog> found;
  for (const auto& each : backlog) found[{each.kind, each.state}] = each;
  EXPECT_EQ((found[{"mail", State::available}].count), 1);
  EXPECT_EQ((found[{"mail", State::available}].oldest), start + 10 * kSecond);
  EXPECT_EQ((found[{"flood", State::scheduled}].oldest), start + 60 * kSecond);
  EXPECT_EQ((found[{"flood", State::available}].count), 1);
}

TYPED_TEST_P(QueueConformance, OldJobsArePrunedAndLiveOnesAreNot) {
  this->enqueue({.kind = "mail"});
  auto claimed = this->claim("default");
  ASSERT_TRUE(this->complete(this->held(claimed.at(0)), {.media_type = "text/plain", .bytes = "x"}));
  const auto live = this->enqueue({.kind = "mail"});
  EXPECT_EQ(this->ask(&Queue::prune).value(), 0);
  this->maker.wall() += 8 * 86'400 * kSecond;
  EXPECT_EQ(this->ask(&Queue::prune).value(), 1);
  EXPECT_EQ(this->find(live).standing.state, State::available);
}

TYPED_TEST_P(QueueConformance, RacingWorkersNeverClaimTheSameJob) {
  constexpr int kJobs = 200;
  for (int i = 0; i < kJobs; ++i) this->enqueue({.kind = "flood"});
  std::vector<std::string> taken[4];
  std::vector<std::thread> workers;
  for (auto& mine : taken)
    workers.emplace_back([&] {
      while (true) {
        auto claimed = this->claim("flood", 7);
        if (claimed.empty()) return;
        for (auto& job : claimed) mine.push_back(job.id);
      }
    });
  for (auto& worker : workers) worker.join();
  std::set<std::string> all;
  std::size_t sum = 0;
  for (auto& mine : taken) {
    all.insert(mine.begin(), mine.end());
    sum += mine.size();
  }
  EXPECT_EQ(sum, std::size_t{kJobs});
  EXPECT_EQ(all.size(), sum);
}

REGISTER_TYPED_TEST_SUITE_P(QueueConformance, AJobIsClaimedOnceAndCompletes, AJobOfATransactionThatRollsBackNeverWas,
                            ClaimsGoByPriorityThenTime, ADelayedJobWaitsForItsTime,
                            JobsOfAClockThatIsSetBackWaitAsLongAsTheyWouldHave, AUniqueJobIsThereOnceUntilItHasEnded,
                            NoMoreRunThanTheQueueAllows, FailuresAreRepeatedThenDeadAndRememberWhy,
                            AStaleTokenChangesNothing, TheEffectOfAStaleClaimRollsBackWithIt,
                            ThreeLostLeasesMakeAJobDeadAndTheOthersRunOn,
                            ACancelledJobDoesNotRunAndARunningOneLosesItsClaim, ListsNewestFirstByPages,
                            TheBacklogCountsWhatHasNotEndedWellByKindAndState, OldJobsArePrunedAndLiveOnesAreNot,
                            RacingWorkersNeverClaimTheSameJob);

}  // namespace plimsoll::queue
