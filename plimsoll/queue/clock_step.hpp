#pragma once

#include "plimsoll/base/clock.hpp"

#include <cstdlib>
#include <optional>

namespace plimsoll::queue {

/// Finds steps of the wall clock by the steady one. Leases are kept as wall times, because other processes read them;
/// after a step they are wrong by as much, until their holders have renewed them. Until then no lease is judged.
class ClockStep {
 public:
  /// A clock that is steered, not set, stays well within this between two looks.
  static constexpr Nanoseconds kLeast = kSecond;

  /// The step since the last look; 0: none. `grace`: the longest lease, in which every holder renews.
  Nanoseconds look(Nanoseconds wall, Nanoseconds steady, Nanoseconds grace) noexcept {
    const auto offset = wall - steady;
    const auto step = offset_ ? offset - *offset_ : 0;
    offset_ = offset;
    if (std::llabs(step) < kLeast) return 0;
    until_ = steady + grace;
    return step;
  }
  /// Whether leases are right again.
  bool settled(Nanoseconds steady) const noexcept { return steady >= until_; }

 private:
  std::optional<Nanoseconds> offset_;
  Nanoseconds until_ = 0;
};

}  // namespace plimsoll::queue
