#include "plimsoll/queue/workers.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/base/crash_point.hpp"
#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>

namespace plimsoll::queue {
namespace {

constexpr int kBatch = 16;                       ///< jobs of one claim
constexpr Nanoseconds kExpiry = kSecond;         ///< between two looks for leases that ran out
constexpr Nanoseconds kPruning = 60 * kSecond;   ///< between two removals of old jobs
constexpr Nanoseconds kReminder = 10 * kSecond;  ///< between two words about jobs that do not stop
/// For an answer of the database, the waits for a connection and for other instances included: a connection that is
/// dead without a word is given up after it.
constexpr Nanoseconds kAnswer = 10 * kSecond;
constexpr int kTries = 5;  ///< to write a completion while the database is not available

/// What a job says is wrong with itself is not repeated; everything else may pass.
bool worth_repeating(const Error& error) { return error.retryable || error.problem->status >= 500; }

/// For whoever asked for the job; what is inside of an internal error is not for them.
std::string describe(const Error& error) {
  std::string text(error.problem->code);
  if (const auto detail = error.shown_detail(); !detail.empty()) text.append(": ").append(detail);
  return text;
}
/// For operators.
std::string cause_of(const Error& error) {
  if (error.more_ && !error.more_->cause.empty()) return error.more_->cause;
  return error.problem->internal ? error.detail : std::string{};
}

}  // namespace

struct Workers::Running {
  Running(Workers& workers, Record taken)
      : job(std::move(taken)), execution(workers.loop_, workers.database_, workers.queue_, job) {}
  Record job;
  Execution execution;
  Scope line;  ///< of the attempt and its settling: never told to stop
  Scope work;  ///< of the attempt
  Nanoseconds started = system_clock().steady();
};

Task<Result<>> Execution::complete(FunctionRef<Task<Result<Output>>(database::Session&)> work) {
  auto written = co_await database.write(loop, [&](database::Session& session) -> Task<Result<>> {
    auto output = co_await work(session);
    if (!output) co_return std::unexpected(std::move(output).error());
    auto held = co_await queue_.complete(session, claim(), *output);
    co_return held;
  });
  if (written) {
    completed_ = true;
    crash_point("job.completed");
  }
  co_return written;
}

Workers::Workers(Queue& queue, database::Database& database, std::span<const Kind> kinds, telemetry::Registry* metrics,
                 telemetry::Log* log, WorkersOptions options)
    : queue_(queue),
      database_(database),
      kinds_(kinds.begin(), kinds.end()),
      log_(log),
      metrics_(metrics),
      options_(options) {}

Workers::~Workers() {
  stop();
  wait();
}

void Workers::on(std::string_view kind, std::unique_ptr<Runner> runner) {
  runners_[std::string(kind)] = std::move(runner);
  auto& counts = counts_[std::string(kind)];
  if (!metrics_) return;
  auto count = [&](std::string_view outcome) {
    const telemetry::Label labels[] = {{"kind", kind}, {"outcome", outcome}};
    return &metrics_->counter("plimsoll_jobs_total", "Attempts of jobs by how they ended.", labels);
  };
  const telemetry::Label labels[] = {{"kind", kind}};
  counts = {
      .completed = count("completed"),
      .failed = count("failed"),
      .lost = count("lost"),
      .released = count("released"),
      .duration = &metrics_->histogram("plimsoll_job_duration_seconds", "How long attempts of jobs took.", labels)};
}

void Workers::open_queues() {
  for (auto& kind : kinds_)
    if (runs(kind.name)) queues_.try_emplace(kind.queue, 0);
}

int Workers::run_due() {
  open_queues();
  int attempts = 0;
  Scope serving, tending;  // until both lines have ended
  loop_.spawn(tending, tend());
  loop_.spawn(serving, serve_due(attempts, tending));
  loop_.run();
  return attempts;
}

Task<> Workers::serve_due(int& attempts, Scope& tending) {
  const auto empty = [this] { return running_.empty(); };
  while (!stopping_) {
    const int claimed = co_await claim_due();
    attempts += claimed;
    if (running_.empty()) break;
    (void)co_await ended_.wait(loop_, options_.poll, empty);
  }
  tending.stop(Stop::drain);
}

void Workers::start() {
  open_queues();
  loop_.spawn(serving_, serve());
  loop_.spawn(tending_, tend());
  thread_ = std::thread([this] { loop_.run(); });
}

void Workers::stop() noexcept { stop(options_.grace); }

void Workers::stop(Nanoseconds grace) noexcept {
  const auto by = system_clock().steady() + grace;
  for (auto known = stop_by_.load(); known == 0 || by < known;)
    if (stop_by_.compare_exchange_weak(known, by)) break;
  stopping_ = true;
  wake();
  ended_.wake_all();  // who waits there looks at the time again
}

void Workers::wait() {
  if (thread_.joinable()) thread_.join();
}

void Workers::wake() noexcept {
  waiting_.wake_all([this] { woken_ = true; });
}

/// What has to be done now, and the wait for what comes next. An error is a failed allocation.
Task<Result<>> Workers::turn() {
  const auto now = system_clock().steady();
  if (now - expired_ >= kExpiry) {
    expired_ = now;
    co_await expire();
  }
  if (now - pruned_ >= kPruning) {
    pruned_ = now;
    auto pruned = co_await within(loop_, kAnswer, queue_.prune(loop_));
    (void)pruned;
  }
  const bool tried = std::exchange(claims_, false);
  if (tried) {
    const int claimed = co_await claim_due();
    claims_ = claimed > 0;
    if (claims_) co_return Result<>{};
  }
  // One statement tells whether a claim, which is a transaction of many, has any use.
  auto rest = co_await rest_until_due();
  if (rest == 0 && !tried) {
    claims_ = true;
    co_return Result<>{};
  }
  // What is due and could not be claimed waits for room: as much of the queue runs as may.
  if (rest == 0) rest = options_.poll;
  auto woken = co_await waiting_.wait(loop_, rest, [this] { return woken_ || stopping_; });
  (void)woken;
  waiting_.look([this] { claims_ |= std::exchange(woken_, false); });
  co_return Result<>{};
}

Task<> Workers::serve() {
  while (!stopping_) {
    bool done = false;
    try {
      auto turned = co_await turn();
      done = turned.has_value();
    } catch (const std::bad_alloc&) {  // not even a frame
    }
    if (!done) rest_of_memory();
  }
  auto empty = [this] { return running_.empty(); };
  while (!running_.empty()) {  // each one that ends wakes this line; the others have the rest of the grace
    const auto left = stop_by_.load() - system_clock().steady();
    if (left <= 0) break;
    (void)co_await ended_.wait(loop_, left, empty);
  }
  for (auto& running : running_) running.work.stop(Stop::drain);
  while (!running_.empty()) {
    auto done = co_await ended_.wait(loop_, kReminder, empty);
    if (done && !*done)
      for (auto& running : running_) report(running, "job does not stop", "it waits for something without its scope");
  }
  tending_.stop(Stop::drain);
}

/// Frees the jobs of workers that are not heard of any more; not while the wall times of leases mean nothing.
Task<> Workers::expire() {
  auto grace = kLease;
  for (auto& kind : kinds_) grace = std::max(grace, kind.lease);
  const auto steady = system_clock().steady();
  const auto step = steps_.look(system_clock().wall(), steady, grace);
  if (step && log_)
    log_->write(telemetry::Level::warning, "clock-stepped", [&](telemetry::Line& line) {
      line.add("seconds", step / kSecond)
          .add("effect", "no job is declared lost until every worker has had the time to renew its leases");
    });
  if (step < 0) times_corrected_ = false;
  if (!times_corrected_) {
    const auto corrected = co_await within(loop_, kAnswer, queue_.correct_times(loop_));
    times_corrected_ = corrected.has_value();
    if (log_ && corrected && *corrected)
      log_->write(telemetry::Level::warning, "job-times-corrected",
                  [&](telemetry::Line& line) { line.add("count", std::int64_t{*corrected}); });
  }
  if (!steps_.settled(steady)) co_return;
  std::vector<std::string> dead;
  auto freed = co_await within(loop_, kAnswer, queue_.expire(loop_, &dead));
  if (!log_ || !freed) co_return;
  if (*freed)
    log_->write(telemetry::Level::warning, "jobs-of-lost-workers",
                [&](telemetry::Line& line) { line.add("count", std::int64_t{*freed}); });
  for (auto& id : dead)
    log_->write(telemetry::Level::error, "job-dead",
                [&](telemetry::Line& line) { line.add("job", id).add("reason", "its workers were lost too often"); });
}

/// How long nothing falls due, as far as is known; at most `poll`. 0: something is due.
Task<Nanoseconds> Workers::rest_until_due() {
  auto rest = options_.poll;
  for (auto& [queue, here] : queues_) {
    auto of_queue = std::ranges::find(kinds_, queue, &Kind::queue);
    if (here >= of_queue->concurrency || stopping_) continue;  // one that ends wakes this line
    auto due = co_await within(loop_, kAnswer, queue_.until_due(loop_, queue));
    if (!due) {
      report_claim(queue, due.error());
      continue;
    }
    if (*due == 0) co_return 0;
    rest = std::min(rest, *due);
  }
  co_return rest;
}

void Workers::report_claim(std::string_view queue, const Error& error) {
  if (!log_) return;
  log_->write(telemetry::Level::error, "jobs-not-claimed", [&](telemetry::Line& line) {
    line.add("queue", queue).add("error", describe(error)).add("cause", cause_of(error));
  });
}

Task<int> Workers::claim_due() {
  int sum = 0;
  for (auto& [queue, here] : queues_) {
    auto of_queue = std::ranges::find(kinds_, queue, &Kind::queue);
    const int free = std::min(of_queue->concurrency - here, kBatch);
    if (free <= 0 || stopping_) continue;
    auto claimed = co_await within(loop_, kAnswer, queue_.claim(loop_, queue, free));
    if (!claimed) {
      report_claim(queue, claimed.error());
      continue;
    }
    for (auto& job : *claimed) {
      auto& running = running_.emplace_back(*this, std::move(job));
      try {
        loop_.spawn(running.line, run(running));
      } catch (const std::bad_alloc&) {  // nobody runs it: its lease runs out, and it is claimed again
        running_.pop_back();
        throw;
      }
      ++here, ++sum;
    }
  }
  co_return sum;
}

Task<> Workers::tend() {
  auto period = renewal(kLease);
  for (auto& kind : kinds_) period = std::min(period, renewal(kind.lease));
  while (true) {
    const bool rested = co_await pause(loop_, period);
    if (!rested) co_return;
    bool done = false;
    try {
      auto renewed = co_await renew_claims();
      done = renewed.has_value();
    } catch (const std::bad_alloc&) {  // not even a frame
    }
    if (!done) rest_of_memory();  // tried again: a lease lasts for three renewals
  }
}

Task<Result<>> Workers::renew_claims() {
  std::vector<Claim> claims;
  std::vector<std::string> ids;  // a job may end while the claims are written
  ids.reserve(running_.size());
  for (auto& running : running_) {
    ids.push_back(running.job.id);
    auto kind = std::ranges::find(kinds_, running.job.kind, &Kind::name);
    claims.push_back({ids.back(), running.job.standing.token, kind == kinds_.end() ? kLease : kind->lease});
  }
  if (claims.empty()) co_return Result<>{};
  auto lost = co_await within(loop_, kAnswer, queue_.renew(loop_, claims));
  if (!lost) co_return std::unexpected(std::move(lost).error());
  for (auto& running : running_)
    if (std::ranges::find(*lost, running.job.id) != lost->end()) running.work.stop(Stop::lost_race);
  co_return Result<>{};
}

/// The job, and what is written of its end. An error is a failed allocation: nothing may be written, and the lease runs
/// out.
Task<Result<>> Workers::perform(Running& running) {
  crash_point("job.started");
  auto found = runners_.find(running.job.kind);
  auto kind = std::ranges::find(kinds_, running.job.kind, &Kind::name);
  if (found == runners_.end() || kind == kinds_.end()) {
    co_await settle(running, plimsoll::fail(kUnknownKind, running.job.kind));
  } else {
    auto outcome = co_await in(running.work, within(loop_, kind->timeout, found->second->run(running.execution)));
    co_await settle(running, std::move(outcome));
  }
  co_return Result<>{};
}

Task<> Workers::run(Running& running) {
  bool done = false;
  try {
    auto performed = co_await perform(running);
    done = performed.has_value();
  } catch (const std::bad_alloc&) {  // not even a frame
  }
  try {
    if (!done) report(running, "job-lost", "a failed allocation", kOutOfMemory.code);
  } catch (const std::bad_alloc&) {  // its lease tells
  }
  --queues_[running.job.queue];
  running_.remove_if([&](const Running& other) { return &other == &running; });
  ended_.wake_all();
  wake();
}

/// Whether this attempt has completed its job, where no answer to the COMMIT came.
Task<bool> Workers::is_completed(const Claim& claim) {
  auto found = co_await within(loop_, kAnswer, queue_.find(loop_, claim.id));
  co_return found && *found && (*found)->standing.state == State::completed && (*found)->standing.token == claim.token;
}

Task<Result<>> Workers::write_completion(const Claim& claim, const Output& output) {
  bool unknown = false;
  for (int tried = 1;; ++tried) {
    const auto work = [&](database::Session& session) -> Task<Result<>> {
      auto held = co_await queue_.complete(session, claim, output);
      co_return held;
    };
    auto written = co_await within(loop_, kAnswer, database_.write(loop_, work));
    if (!written && unknown && written.error().problem == &kStaleClaim) {
      const bool done = co_await is_completed(claim);
      if (done) co_return Result<>{};
    }
    if (written || !written.error().retryable || tried == kTries) co_return written;
    unknown |= written.error().problem == &database::kOutcomeUnknown;
    co_await pause(loop_, kSecond);
  }
}

Task<> Workers::settle(Running& running, Result<Output> outcome) {
  static const Counts kNone{};
  auto found = counts_.find(running.job.kind);
  auto& counts = found == counts_.end() ? kNone : found->second;
  const auto claim = running.execution.claim();
  auto add = [](telemetry::Counter* counter) {
    if (counter) counter->add();
  };
  if (counts.duration) counts.duration->record(system_clock().steady() - running.started);

  bool completed = running.execution.completed();
  if (!completed && !outcome && outcome.error().problem == &database::kOutcomeUnknown)
    completed = co_await is_completed(claim);
  Result<> written{};
  if (completed) {
    add(counts.completed);
  } else if (outcome) {
    crash_point("job.finished");
    written = co_await write_completion(claim, *outcome);
    if (written) {
      crash_point("job.completed");
      add(counts.completed);
    }
  } else if (running.work.stopped() == Stop::lost_race || outcome.error().problem == &kStaleClaim) {
    written = plimsoll::fail(kStaleClaim);
  } else if (running.work.stopped() == Stop::drain) {
    written = co_await within(loop_, kAnswer, queue_.release(loop_, claim));
    add(counts.released);
    if (written) report(running, "job-returned", "the process ends; another attempt follows");
  } else {
    auto& error = outcome.error();
    const auto wish = error.more_ ? std::max<std::int64_t>(error.more_->retry_after, 0) : 0;
    const Failure failure{.error = describe(error),
                          .cause = cause_of(error),
                          .retryable = worth_repeating(error),
                          .retry_after = wish * kSecond};
    report(running, "job failed", failure.cause.empty() ? failure.error : failure.cause, error.problem->code);
    if (metrics_) telemetry::problem_counter(*metrics_, error.problem->code).add();
    written = co_await within(loop_, kAnswer, queue_.fail(loop_, claim, failure));
    add(counts.failed);
    if (written && dies(running, failure)) report(running, "job-dead", failure.error, error.problem->code);
  }
  if (written) co_return;
  // Nothing more can be done here: the lease runs out, and another attempt is made.
  if (written.error().problem == &kStaleClaim) add(counts.lost);
  report(running, written.error().problem == &kStaleClaim ? "job lost to another" : "job's end not written",
         describe(written.error()));
}

/// Whether this failure is the last: the queue decides by the same rule.
bool Workers::dies(const Running& running, const Failure& failure) const {
  auto kind = std::ranges::find(kinds_, running.job.kind, &Kind::name);
  auto standing = running.job.standing;
  static constexpr RetryRule kDefault{};
  standing.fail(standing.token, kind == kinds_.end() ? kDefault : kind->retry, 0, 0, failure.retryable);
  return standing.state == State::dead;
}

void Workers::report(const Running& running, std::string_view what, std::string_view error, std::string_view problem) {
  if (!log_) return;
  const auto level = what == "job-dead" ? telemetry::Level::error : telemetry::Level::warning;
  log_->write(level, what, [&](telemetry::Line& line) {
    line.add("job", running.job.id)
        .add("kind", running.job.kind)
        .add("attempt", std::int64_t{running.job.standing.attempts})
        .add("error", error);
    if (!problem.empty()) line.add("problem", problem);
  });
}

}  // namespace plimsoll::queue
