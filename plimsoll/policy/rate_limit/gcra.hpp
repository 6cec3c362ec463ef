#pragma once

#include "plimsoll/base/clock.hpp"

#include <algorithm>
#include <cstdint>

namespace plimsoll::policy {

/// A rate: `limit` units each `period`, of which `burst` may come at once.
struct Rate {
  std::int64_t limit = 100;
  Nanoseconds period = 60 * kSecond;
  std::int64_t burst = 100;

  /// Time in which one unit is earned, rounded up, so that no window ever holds more than `limit`.
  constexpr Nanoseconds interval() const { return (period + limit - 1) / limit; }
  constexpr Nanoseconds capacity() const { return interval() * burst; }
  friend constexpr bool operator==(const Rate&, const Rate&) = default;
};

/// What the limiter decided, and what the caller is told.
struct RateDecision {
  bool allowed;
  std::int64_t remaining;   ///< units that could be spent right now
  Nanoseconds retry_after;  ///< zero when allowed
  Nanoseconds next_after;   ///< until one more unit can be spent than now; zero when the bucket is full
  Nanoseconds reset_after;  ///< until the full burst is available again
};

/// Token bucket in one number: the generic cell rate algorithm (ITU-T I.371).
///
/// The state is the theoretical arrival time, the instant at which the bucket is full again. It needs no timer and no
/// refill, fits an atomic word, and is the same here, in shared memory and in Redis.
class Gcra {
 public:
  constexpr Gcra() = default;
  constexpr explicit Gcra(Nanoseconds full_at) : full_at_(full_at) {}
  constexpr Nanoseconds full_at() const { return full_at_; }

  /// Decides `cost` units at `now`, and moves the state only when they are granted, so that refusals cost nothing.
  constexpr RateDecision take(const Rate& rate, Nanoseconds now, std::int64_t cost = 1) {
    const auto full_at = std::max(full_at_, now);
    const auto after = full_at + rate.interval() * cost;
    if (const auto wait = after - now - rate.capacity(); wait > 0) {
      auto refused = stand(rate, now);
      refused.allowed = false;
      refused.retry_after = wait;
      return refused;
    }
    full_at_ = after;
    return stand(rate, now);
  }

  /// What could be had at `now`, and takes nothing.
  constexpr RateDecision stand(const Rate& rate, Nanoseconds now) const {
    const auto reset = std::max<Nanoseconds>(full_at_ - now, 0);
    const auto left = std::max<Nanoseconds>(rate.capacity() - reset, 0);
    const auto over = std::max<Nanoseconds>(reset - rate.capacity(), 0);  // after a limit was lowered
    return {.allowed = true,
            .remaining = left / rate.interval(),
            .retry_after = 0,
            .next_after = reset == 0 ? 0 : over + rate.interval() - left % rate.interval(),
            .reset_after = reset};
  }

  /// Returns units that were taken.
  constexpr void give_back(const Rate& rate, std::int64_t cost) { full_at_ -= rate.interval() * cost; }

 private:
  Nanoseconds full_at_ = 0;
};

}  // namespace plimsoll::policy
