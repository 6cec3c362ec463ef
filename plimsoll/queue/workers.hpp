#pragma once

#include "plimsoll/async/wait_list.hpp"
#include "plimsoll/queue/clock_step.hpp"
#include "plimsoll/queue/queue.hpp"

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <thread>

namespace plimsoll::telemetry {
class Registry;
class Counter;
class Histogram;
class Log;
}  // namespace plimsoll::telemetry

namespace plimsoll::queue {

/// One attempt of a job, as whoever runs it sees it. Told to stop (its timeout, a lost claim, the end of the process)
/// through the scope of the line it runs in, like any other work.
class Execution {
 public:
  Execution(Loop& loop, database::Database& database, Queue& queue, const Record& job)
      : loop(loop), database(database), job(job), queue_(queue) {}
  Execution(const Execution&) = delete;

  Loop& loop;
  database::Database& database;
  const Record& job;

  Claim claim() const { return {job.id, job.standing.token}; }
  /// Shown in the status document; 0 to 100. An error when the claim is lost.
  Task<Result<>> progress(int percent) {
    auto told = co_await queue_.progress(loop, claim(), percent);
    co_return told;
  }
  /// Runs `work` in the transaction in which the job completes: its effect and the completion are one, so that no
  /// crash and no second worker makes the effect twice. At most once, as the last thing.
  Task<Result<>> complete(FunctionRef<Task<Result<Output>>(database::Session&)> work);
  bool completed() const noexcept { return completed_; }

 private:
  Queue& queue_;
  bool completed_ = false;
};

/// Runs the jobs of one kind. One for all attempts.
class Runner {
 public:
  virtual ~Runner() = default;
  /// What it gives is kept as the job's result, unless `Execution::complete` was used. An Error that is not retryable
  /// makes the job dead; any other is repeated as the kind says.
  virtual Task<Result<Output>> run(Execution&) = 0;
};

/// A function that runs them.
template <class F>
class FunctionRunner final : public Runner {
 public:
  explicit FunctionRunner(F function) : function_(std::move(function)) {}
  PLIMSOLL_FORWARDS Task<Result<Output>> run(Execution& execution) override { return function_(execution); }

 private:
  F function_;
};

struct WorkersOptions {
  /// How late the jobs of other processes may be noticed. Those of this one wake the workers, and those that are known
  /// to fall due later are waited for.
  Nanoseconds poll = 500 * kMillisecond;
  Nanoseconds grace = 20 * kSecond;  ///< for running jobs at the end, before they are told to stop
};

/// The thread that runs jobs: claims what is due, keeps the claims alive, obeys the states. On a loop of its own, so
/// that no job delays an answer.
class Workers {
 public:
  Workers(Queue& queue, database::Database& database, std::span<const Kind> kinds, telemetry::Registry* metrics,
          telemetry::Log* log, WorkersOptions options = {});
  ~Workers();

  /// Before `start`. Every kind of a queue that is served here needs one.
  void on(std::string_view kind, std::unique_ptr<Runner> runner);
  bool runs(std::string_view kind) const { return runners_.contains(kind); }
  void start();
  /// In place of `start`, on the caller's thread: runs what is due, and what falls due meanwhile, until nothing is.
  /// Gives the number of attempts.
  int run_due();
  /// Claims no more, lets what runs finish within the grace, then hands it back. Safe from any thread; returns at once.
  void stop() noexcept;
  /// The same with another grace, counted from the first of these calls; the least that was said counts.
  void stop(Nanoseconds grace) noexcept;
  /// Waits until the thread has ended.
  void wait();
  /// Looks for work now. Safe from any thread.
  void wake() noexcept;

 private:
  struct Running;
  struct Counts {
    telemetry::Counter *completed = nullptr, *failed = nullptr, *lost = nullptr, *released = nullptr;
    telemetry::Histogram* duration = nullptr;
  };
  void open_queues();
  Task<> serve();
  Task<> serve_due(int& attempts, Scope& tending);
  Task<Result<>> turn();
  Task<> tend();
  Task<Result<>> renew_claims();
  Task<> expire();
  Task<int> claim_due();
  Task<Nanoseconds> rest_until_due();
  Task<> run(Running& running);
  Task<Result<>> perform(Running& running);
  Task<> settle(Running& running, Result<Output> outcome);
  Task<bool> is_completed(const Claim& claim);
  Task<Result<>> write_completion(const Claim& claim, const Output& output);
  void report_claim(std::string_view queue, const Error& error);
  bool dies(const Running& running, const Failure& failure) const;
  void report(const Running& running, std::string_view what, std::string_view error, std::string_view problem = {});

  Queue& queue_;
  database::Database& database_;
  const std::vector<Kind> kinds_;
  telemetry::Log* log_;
  telemetry::Registry* metrics_;
  const WorkersOptions options_;
  std::map<std::string, Counts, std::less<>> counts_;
  std::map<std::string, int, std::less<>> queues_;  ///< with a runner here, and how many jobs of it run here
  Loop loop_;
  std::map<std::string, std::unique_ptr<Runner>, std::less<>> runners_;  ///< may hold what lives on the loop
  Scope serving_, tending_;
  WaitList waiting_, ended_;
  std::list<Running> running_;
  ClockStep steps_;
  bool times_corrected_ = false;  ///< since the start, and since the clock was set back
  std::atomic<bool> stopping_{false};
  Nanoseconds expired_ = 0, pruned_ = 0;  ///< when last (steady)
  bool claims_ = true;                    ///< something may be due: the next turn claims
  std::atomic<Nanoseconds> stop_by_{0};   ///< steady clock; once stopping
  bool woken_ = false;                    ///< under the lock of `waiting_`
  std::thread thread_;
};

}  // namespace plimsoll::queue
