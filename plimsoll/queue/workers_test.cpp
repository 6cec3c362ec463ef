#include "plimsoll/queue/workers.hpp"

#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/queue/sql_queue.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <set>

namespace plimsoll::queue {
namespace {

using database::Cell;
using database::Session;

std::vector<Kind> kinds() {
  return {{.name = "fine"},
          {.name = "flaky", .retry = {.attempts = 5, .base = 2 * kMillisecond}},
          {.name = "slow", .queue = "slow", .timeout = 50 * kMillisecond}};
}

/// Says when something has happened, so that no test sleeps to be right.
class Seen {
 public:
  void add(const std::string& what) {
    std::lock_guard lock(mutex_);
    seen_.push_back(what);
    changed_.notify_all();
  }
  bool wait_for_count(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return seen_.size() >= count; });
  }
  std::vector<std::string> all() {
    std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> seen_;
};

template <class F>
class Calls final : public Runner {
 public:
  explicit Calls(F f) : f_(std::move(f)) {}
  Task<Result<Output>> run(Execution& execution) override {
    auto made = co_await f_(execution);
    co_return made;
  }

 private:
  F f_;
};
template <class F>
std::unique_ptr<Runner> calls(F f) {
  return std::make_unique<Calls<F>>(std::move(f));
}

class WorkersTest : public testing::Test {
 protected:
  WorkersTest() {
    database_ = database::open_sqlite({.path = folder_ / "jobs.db"}).value();
    queue_ = std::make_unique<SqlQueue>(*database_, system_clock(), kinds());
    EXPECT_TRUE(database::wait_for([&](Loop& loop) -> Task<Result<>> {
      auto made = co_await queue_->prepare(loop);
      if (!made) co_return made;
      auto table = co_await database_->write(loop, [](Session& session) -> Task<Result<>> {
        auto done = co_await session.query("CREATE TABLE effect(job TEXT)", {});
        if (!done) co_return std::unexpected(std::move(done).error());
        co_return Result<>{};
      });
      co_return table;
    }));
    workers_ = std::make_unique<Workers>(*queue_, *database_, queue_->kinds(), nullptr, nullptr,
                                         WorkersOptions{.poll = 5 * kMillisecond, .grace = 50 * kMillisecond});
  }
  std::string enqueue(const Job& job) {
    std::string id;
    EXPECT_TRUE(database::wait_for([&](Loop& loop) -> Task<Result<>> {
      auto written = co_await database_->write(loop, [&](Session& session) -> Task<Result<>> {
        auto made = co_await queue_->enqueue(session, job);
        if (!made) co_return std::unexpected(std::move(made).error());
        id = *made;
        co_return Result<>{};
      });
      co_return written;
    }));
    workers_->wake();
    return id;
  }
  Record find(const std::string& id) {
    return database::wait_for([&](Loop& loop) -> Task<Result<std::optional<Record>>> {
             auto found = co_await queue_->find(loop, id);
             co_return found;
           })
        .value()
        .value();
  }
  /// Until the job has ended, one way or another.
  Record ended_job(const std::string& id) {
    for (int i = 0; i < 4000; ++i) {
      auto job = find(id);
      if (ended(job.standing.state)) return job;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ADD_FAILURE() << "the job did not end";
    return find(id);
  }
  std::int64_t effects(const std::string& id) {
    const Cell key[] = {id};
    auto rows = database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
      auto read = co_await database_->read(loop, "SELECT count(*) FROM effect WHERE job = ?", key, false);
      co_return read;
    });
    return std::get<std::int64_t>(rows.value()[0][0]);
  }
  static Task<Result<Output>> with_effect(Execution& execution) {
    auto done = co_await execution.complete([&](Session& session) -> Task<Result<Output>> {
      const Cell row[] = {execution.job.id};
      auto made = co_await session.query("INSERT INTO effect(job) VALUES(?)", row);
      if (!made) co_return std::unexpected(std::move(made).error());
      co_return Output{.media_type = "text/plain", .bytes = "done"};
    });
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return Output{};
  }

  database::TestFolder folder_;
  std::unique_ptr<database::Database> database_;
  std::unique_ptr<SqlQueue> queue_;
  std::unique_ptr<Workers> workers_;
  Seen seen_;
};

TEST_F(WorkersTest, RunsWhatIsEnqueuedAndKeepsItsResult) {
  workers_->on("fine", calls([](Execution& execution) -> Task<Result<Output>> {
                 auto told = co_await execution.progress(40);
                 if (!told) co_return std::unexpected(std::move(told).error());
                 co_return Output{.media_type = "text/plain", .bytes = "got " + execution.job.payload};
               }));
  workers_->start();
  const auto id = enqueue({.kind = "fine", .payload = "[1]"});
  auto job = ended_job(id);
  EXPECT_EQ(job.standing.state, State::completed);
  EXPECT_EQ(job.standing.attempts, 1);
  EXPECT_TRUE(job.has_result);
}

TEST_F(WorkersTest, AJobIsRunWhenItFallsDueHoweverSeldomTheyLook) {
  WorkersOptions patient;
  patient.poll = 3600 * kSecond;
  Workers workers{*queue_, *database_, queue_->kinds(), nullptr, nullptr, patient};
  workers.on("fine", calls([](Execution&) -> Task<Result<Output>> { co_return Output{}; }));
  workers.start();
  const auto later = enqueue({.kind = "fine", .delay = 150 * kMillisecond});
  workers.wake();
  EXPECT_EQ(ended_job(later).standing.state, State::completed);
}

TEST_F(WorkersTest, WhereNothingIsDueALookIsNoTransaction) {
  WorkersOptions eager;
  eager.poll = kMillisecond;
  Workers workers{*queue_, *database_, queue_->kinds(), nullptr, nullptr, eager};
  for (const auto* kind : {"fine", "flaky", "slow"})
    workers.on(kind, calls([](Execution&) -> Task<Result<Output>> { co_return Output{}; }));
  workers.start();
  const auto reads = [&] {
    const auto counts = database_->counts();
    return counts.reads_inline + counts.reads_queued;
  };
  const auto until = [&](std::uint64_t most) {
    for (int i = 0; i < 20'000 && reads() < most; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return reads() >= most;
  };
  ASSERT_TRUE(until(10));  // the first turn claims and prunes
  const auto units = database_->counts().units;
  ASSERT_TRUE(until(reads() + 50));
  EXPECT_EQ(database_->counts().units, units);
}

TEST_F(WorkersTest, TheEffectCommitsWithTheCompletion) {
  workers_->on("fine", calls([](Execution& execution) -> Task<Result<Output>> {
                 auto done = co_await with_effect(execution);
                 co_return done;
               }));
  workers_->start();
  const auto id = enqueue({.kind = "fine"});
  EXPECT_EQ(ended_job(id).standing.state, State::completed);
  EXPECT_EQ(effects(id), 1);
}

TEST_F(WorkersTest, WhatFailsIsRepeatedUntilItSucceeds) {
  workers_->on("flaky", calls([](Execution& execution) -> Task<Result<Output>> {
                 if (execution.job.standing.attempts < 3) throw std::runtime_error("not yet");
                 co_return Output{};
               }));
  workers_->start();
  auto job = ended_job(enqueue({.kind = "flaky"}));
  EXPECT_EQ(job.standing.state, State::completed);
  EXPECT_EQ(job.standing.attempts, 3);
  EXPECT_NE(job.history.find("not yet"), std::string::npos);
}

TEST_F(WorkersTest, WhatAlwaysFailsIsDeadAfterItsAttempts) {
  workers_->on("flaky", calls([](Execution&) -> Task<Result<Output>> { co_return plimsoll::fail(kInternal, "no"); }));
  workers_->start();
  auto job = ended_job(enqueue({.kind = "flaky"}));
  EXPECT_EQ(job.standing.state, State::dead);
  EXPECT_EQ(job.standing.failures, 5);
}

TEST_F(WorkersTest, AnAttemptEndsAtItsTimeout) {
  workers_->on("slow", calls([](Execution& execution) -> Task<Result<Output>> {
                 WaitList for_ever;
                 auto woken = co_await for_ever.wait(execution.loop, 3600 * kSecond, [] { return false; });
                 if (!woken) co_return std::unexpected(std::move(woken).error());
                 co_return Output{};
               }));
  workers_->start();
  const auto id = enqueue({.kind = "slow"});
  for (int i = 0; i < 4000 && find(id).standing.failures == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  auto job = find(id);
  EXPECT_EQ(job.standing.state, State::retryable);
  EXPECT_NE(job.error.find("deadline-exceeded"), std::string::npos) << job.error;
}

TEST_F(WorkersTest, AtTheEndARunningJobIsHandedBackUncounted) {
  workers_->on("fine", calls([this](Execution& execution) -> Task<Result<Output>> {
                 seen_.add(execution.job.id);
                 WaitList for_ever;
                 auto woken = co_await for_ever.wait(execution.loop, 3600 * kSecond, [] { return false; });
                 if (!woken) co_return std::unexpected(std::move(woken).error());
                 co_return Output{};
               }));
  workers_->start();
  const auto id = enqueue({.kind = "fine"});
  ASSERT_TRUE(seen_.wait_for_count(1));
  workers_->stop();
  workers_->wait();
  auto job = find(id);
  EXPECT_EQ(job.standing.state, State::available);
  EXPECT_EQ(job.standing.attempts, 0);
}

TEST_F(WorkersTest, AtTheEndEachRunningJobHasTheWholeGraceWhoeverFinishesFirst) {
  workers_ = std::make_unique<Workers>(*queue_, *database_, queue_->kinds(), nullptr, nullptr,
                                       WorkersOptions{.poll = 5 * kMillisecond, .grace = 60 * kSecond});
  WaitList let_go;
  std::set<std::string> allowed;  // under the lock of `let_go`
  workers_->on("fine", calls([&](Execution& execution) -> Task<Result<Output>> {
                 seen_.add(execution.job.id);
                 while (true) {
                   auto woken = co_await let_go.wait(execution.loop, 60 * kSecond,
                                                     [&] { return allowed.contains(execution.job.id); });
                   if (!woken) co_return std::unexpected(std::move(woken).error());
                   if (let_go.look([&] { return allowed.contains(execution.job.id); })) break;
                 }
                 co_return Output{};
               }));
  workers_->start();
  const auto first = enqueue({.kind = "fine"}), second = enqueue({.kind = "fine"}), third = enqueue({.kind = "fine"});
  ASSERT_TRUE(seen_.wait_for_count(3));
  workers_->stop();
  for (const auto& id : {first, second, third}) {
    let_go.wake_all([&] { allowed.insert(id); });
    EXPECT_EQ(ended_job(id).standing.state, State::completed) << id;
  }
  workers_->wait();
}

TEST_F(WorkersTest, ACancelledJobsWorkerCannotFinishIt) {
  Seen& seen = seen_;
  Queue& queue = *queue_;
  workers_->on("fine", calls([&](Execution& execution) -> Task<Result<Output>> {
                 auto cancelled = co_await queue.cancel(execution.loop, execution.job.id);
                 EXPECT_TRUE(cancelled && *cancelled);
                 auto done = co_await with_effect(execution);
                 seen.add(done ? "accepted" : "refused");
                 co_return done;
               }));
  workers_->start();
  const auto id = enqueue({.kind = "fine"});
  ASSERT_TRUE(seen_.wait_for_count(1));
  EXPECT_EQ(seen_.all()[0], "refused");
  EXPECT_EQ(effects(id), 0);
  EXPECT_EQ(ended_job(id).standing.state, State::cancelled);
}

TEST_F(WorkersTest, RunsHundredsConcurrentlyEachOnce) {
  workers_->on("fine", calls([](Execution& execution) -> Task<Result<Output>> {
                 auto done = co_await with_effect(execution);
                 co_return done;
               }));
  workers_->start();
  std::vector<std::string> ids;
  for (int i = 0; i < 200; ++i) ids.push_back(enqueue({.kind = "fine"}));
  for (auto& id : ids) {
    EXPECT_EQ(ended_job(id).standing.state, State::completed);
    EXPECT_EQ(effects(id), 1);
  }
}

}  // namespace
}  // namespace plimsoll::queue
