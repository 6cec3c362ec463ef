#pragma once

#include "plimsoll/base/clock.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace plimsoll::queue {

/// Where a job stands.
///
/// ```
/// scheduled ─┐                    ┌─► completed
/// available ─┼─ claim ─► running ─┼─► retryable ─ claim ─► running …
///            │                    ├─► available   (handed back, or the worker crashed)
///            └──── cancel ────────┼─► cancelled
///                                 └─► dead ─ requeue ─► available
/// ```
enum class State : std::uint8_t { scheduled, available, running, retryable, completed, cancelled, dead };
std::string_view to_string(State) noexcept;
std::optional<State> parse_state(std::string_view) noexcept;
/// Ended: it will not run again by itself.
constexpr bool ended(State state) {
  return state == State::completed || state == State::cancelled || state == State::dead;
}

/// How a job of some kind is repeated.
struct RetryRule {
  int attempts = 12;                  ///< failures until it is dead; about 6 h with the delays below
  int crashes = 3;                    ///< leases that ran out until it is dead, whatever `attempts` says
  Nanoseconds base = 5 * kSecond;     ///< before the second attempt
  Nanoseconds cap = 21600 * kSecond;  ///< 6 h, the longest delay
};

/// A claim is a lease of this length unless its kind says otherwise, renewed when a third of it has passed.
inline constexpr Nanoseconds kLease = 30 * kSecond;
constexpr Nanoseconds renewal(Nanoseconds lease) { return lease / 3; }

/// `min(cap, base·2^n)` after `failures` failures (n from 0), of which half is random. `random` in [0, 1).
Nanoseconds retry_delay(const RetryRule&, int failures, double random) noexcept;

/// All that decides what may happen to a job. Its methods move it, given the time; they read no clock.
struct Standing {
  State state = State::available;
  Nanoseconds due = 0;     ///< not before (wall clock); while claimable
  int attempts = 0;        ///< times it was started
  int failures = 0;        ///< attempts that told an error
  int crashes = 0;         ///< attempts of which nothing was heard again
  std::int64_t token = 0;  ///< fencing token of the last claim; grows with every claim and cancellation
  Nanoseconds lease = 0;   ///< until when the claim holds (wall clock); while running

  bool claimable(Nanoseconds now) const noexcept;
  /// True when `token` is the claim that holds the job: only then may its worker renew, complete or fail it.
  bool held(std::int64_t by) const noexcept { return state == State::running && token == by; }

  void claim(Nanoseconds now, Nanoseconds lease_for = kLease) noexcept;  ///< must be claimable
  bool renew(std::int64_t by, Nanoseconds now, Nanoseconds lease_for = kLease) noexcept;
  bool complete(std::int64_t by) noexcept;
  /// The attempt told an error. `retryable` false: dead at once. `retry_after` is what the other side asked for, 0 when
  /// it asked for nothing; the delay is never shorter.
  bool fail(std::int64_t by, const RetryRule&, Nanoseconds now, double random, bool retryable = true,
            Nanoseconds retry_after = 0) noexcept;
  /// The worker goes down in good order: the job is free again and nothing is counted.
  bool release(std::int64_t by, Nanoseconds now) noexcept;
  /// The lease ran out: counted as a crash, apart from failures, so that a job that kills its process dies after a few.
  /// False when the lease still holds.
  bool expire(const RetryRule&, Nanoseconds now) noexcept;
  /// Also while running: the worker's token is stale from then on. False when it has ended already.
  bool cancel() noexcept;
  /// A dead or cancelled job starts anew, with all its attempts.
  bool requeue(Nanoseconds now) noexcept;
};

}  // namespace plimsoll::queue
