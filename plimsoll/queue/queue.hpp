#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/queue/job_state.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::queue {

/// The worker's claim is no longer the one that holds the job: another has taken it over, or it was cancelled.
inline constexpr Problem kStaleClaim{"stale-claim", 409, "Another worker has claimed the job",
                                     "No action is needed: the worker that holds the lease finishes the job."};
inline constexpr Problem kUnknownKind{"unknown-job-kind", 500, "No job of that kind is configured",
                                      "Declare it under `jobs:` of the deployment."};

/// What is to be done later, enqueued in the transaction of whoever asks for it.
struct Job {
  std::string kind;     ///< as the deployment's `jobs` names it
  std::string payload;  ///< JSON
  std::string owner;    ///< who may see its status; empty: nobody but operators
  int priority = 0;     ///< 1 first, 9 last; 0: as its kind says
  Nanoseconds delay = 0;
  std::string unique_key{};  ///< empty: not unique. Otherwise one job of the kind with that key at a time that has not
                             ///< ended; asking for a second gives the id of the first
};

/// A kind of job, as the deployment declares it.
struct Kind {
  std::string name;
  std::string queue = "default";
  RetryRule retry{};
  Nanoseconds timeout = 300 * kSecond;  ///< of one attempt
  Nanoseconds lease = kLease;           ///< how long a worker that is not heard of keeps the job
  int priority = 5;
  int concurrency = 10;               ///< of its queue, over all instances
  std::vector<std::string> claims{};  ///< of the caller's token, kept in the payload because the job reads them
};

/// A job as it is kept.
struct Record {
  std::string id, kind, queue, payload, owner;
  int priority = 5;
  Standing standing;
  int progress = 0;                                              ///< 0 to 100
  Nanoseconds enqueued_at = 0, started_at = 0, finished_at = 0;  ///< wall; 0: not yet
  std::string error;                                             ///< of the last attempt
  std::string history;  ///< JSON: `[{"attempt":1,"at":"…","error":"…"}]`, the last ones
  bool has_result = false;
};

/// What a job leaves behind for whoever asked for it.
struct Output {
  std::string media_type{};  ///< empty: nothing to download
  std::string bytes{};
  std::string file_name{};
};

/// A worker's claim.
struct Claim {
  std::string_view id;
  std::int64_t token = 0;
  Nanoseconds lease = kLease;  ///< for how long it is renewed
};

struct Failure {
  std::string error;    ///< for whoever asked for the job
  std::string cause{};  ///< for operators only, in the history
  bool retryable = true;
  Nanoseconds retry_after = 0;
};

struct Filter {
  std::optional<State> state{};
  std::string kind{};
  std::string before{};  ///< id: older ones only, for the next page
  int limit = 50;
};

/// Jobs of one kind in one state that have not ended well.
struct Backlog {
  std::string kind;
  State state{};
  std::int64_t count = 0;
  Nanoseconds oldest = 0;  ///< when the first of them fell due, or was enqueued where none is due; wall
};

/// Background work that survives the process. Times are wall clock.
class Queue {
 public:
  virtual ~Queue() = default;

  /// Writes the job with the session's transaction and gives its id (UUID v7). It runs once that commits.
  virtual Task<Result<std::string>> enqueue(database::Session&, const Job&) = 0;
  /// A transaction with jobs has committed: wakes the workers of this process. Others find out by themselves.
  virtual void notify() noexcept = 0;
  virtual const Kind* kind(std::string_view name) const noexcept = 0;

  virtual Task<Result<std::optional<Record>>> find(Loop&, std::string_view id) = 0;
  virtual Task<Result<std::optional<Output>>> result(Loop&, std::string_view id) = 0;
  /// Newest first, without payloads' results.
  virtual Task<Result<std::vector<Record>>> list(Loop&, const Filter&) = 0;
  /// How much waits, runs or is dead, by kind and state, up to 100,000 jobs; what is completed or cancelled is not
  /// counted.
  virtual Task<Result<std::vector<Backlog>>> backlog(Loop&) = 0;
  /// False when there is nothing to cancel: it has ended, or never was.
  virtual Task<Result<bool>> cancel(Loop&, std::string_view id) = 0;
  /// False unless it was dead or cancelled.
  virtual Task<Result<bool>> requeue(Loop&, std::string_view id) = 0;

  // What workers ask.

  /// In how long the next job of the queue falls due; 0: one is due. `kNever`: none waits.
  static constexpr Nanoseconds kNever = INT64_MAX;
  virtual Task<Result<Nanoseconds>> until_due(Loop&, std::string_view queue) = 0;
  /// Claims up to `limit` jobs that are due, by priority, time and id, as long as the queue's concurrency allows.
  virtual Task<Result<std::vector<Record>>> claim(Loop&, std::string_view queue, int limit) = 0;
  /// Gives the ids whose claim is lost.
  virtual Task<Result<std::vector<std::string>>> renew(Loop&, std::span<const Claim>) = 0;
  /// In the transaction of the job's own effects. `stale-claim` when the claim is lost: then nothing may commit.
  virtual Task<Result<>> complete(database::Session&, const Claim&, const Output&) = 0;
  virtual Task<Result<>> fail(Loop&, const Claim&, const Failure&) = 0;
  virtual Task<Result<>> release(Loop&, const Claim&) = 0;
  virtual Task<Result<>> progress(Loop&, const Claim&, int percent) = 0;
  /// Frees the jobs whose lease ran out; gives how many. `dead`: takes the ids of those that will not run again.
  virtual Task<Result<int>> expire(Loop&, std::vector<std::string>* dead = nullptr) = 0;
  /// Corrects the times that a clock which was ahead has left: jobs that were enqueued, freed or repeated later than
  /// now wait as long from now as they would have waited from then, and no claim holds longer than a lease from now.
  /// Gives how many. What another instance has corrected stays.
  virtual Task<Result<int>> correct_times(Loop&) = 0;
  /// Removes a bounded number of jobs that ended long ago; gives how many.
  virtual Task<Result<int>> prune(Loop&) = 0;
};

}  // namespace plimsoll::queue
