#pragma once

#include "plimsoll/base/clock.hpp"

#include <atomic>
#include <cstdint>

namespace plimsoll::telemetry {

/// When to tell of something that may happen often: at most once in a span of time, with how often it has happened
/// since it was last told. Safe from any thread, without a lock.
class Sparse {
 public:
  explicit constexpr Sparse(Nanoseconds between) noexcept : between_(between) {}

  /// It has happened, at `now` (steady). How often since it was last told, this time included, where it is to be told
  /// now; else 0, and it counts for the next time.
  std::int64_t add(Nanoseconds now) noexcept {
    untold_.fetch_add(1, std::memory_order_relaxed);
    auto next = next_.load(std::memory_order_relaxed);
    if (now < next || !next_.compare_exchange_strong(next, now + between_, std::memory_order_relaxed)) return 0;
    return untold_.exchange(0, std::memory_order_relaxed);
  }

 private:
  const Nanoseconds between_;
  std::atomic<Nanoseconds> next_{INT64_MIN};
  std::atomic<std::int64_t> untold_{0};
};

}  // namespace plimsoll::telemetry
