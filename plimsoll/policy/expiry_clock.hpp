#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/queue/clock_step.hpp"

#include <algorithm>
#include <mutex>

namespace plimsoll::policy {

/// The time by which records have expired. They expire at wall times: where the clock was behind and is set forward,
/// all that was recorded before would expire at once. So after such a step this stays behind by as much, for as long as
/// records are kept: each is kept at least as long as it was meant to be, as far as one process can see. Used by any
/// thread.
class ExpiryClock {
 public:
  explicit ExpiryClock(const Clock& clock) : clock_(clock) { now(); }

  /// Some records are kept so long.
  void keeps(Nanoseconds span) {
    const std::scoped_lock lock(mutex_);
    longest_ = std::max(longest_, span);
  }
  /// Unix nanoseconds.
  Nanoseconds now() {
    const std::scoped_lock lock(mutex_);
    const auto wall = clock_.wall(), steady = clock_.steady();
    behind_ = std::max<Nanoseconds>(behind_ + steps_.look(wall, steady, longest_), 0);
    if (steps_.settled(steady)) behind_ = 0;
    return wall - behind_;
  }

 private:
  const Clock& clock_;
  std::mutex mutex_;
  queue::ClockStep steps_;
  Nanoseconds longest_ = 0, behind_ = 0;
};

}  // namespace plimsoll::policy
