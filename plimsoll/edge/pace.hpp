#pragma once

#include "plimsoll/base/clock.hpp"

#include <cstdint>

namespace plimsoll::edge {

/// Whether bytes move fast enough: `rate` bytes a second over any window in which somebody had to wait for the other
/// end. Time in which nobody waited for it (a handler thinking, a stream without news) does not count.
class Pace {
 public:
  static constexpr Nanoseconds kWindow = 5 * kSecond;
  explicit Pace(std::uint64_t rate) : least_(rate * (kWindow / kSecond)) {}

  /// How long the next wait may last before the window has to be judged.
  Nanoseconds patience() const { return kWindow - waited_; }
  void moved(std::uint64_t bytes) { moved_ += bytes; }
  /// After a wait of `span`: false when the other end has been too slow.
  bool waited(Nanoseconds span) {
    waited_ += span;
    if (waited_ < kWindow) return true;
    const bool enough = moved_ >= least_;
    waited_ = 0;
    moved_ = 0;
    return enough;
  }

 private:
  std::uint64_t least_, moved_ = 0;
  Nanoseconds waited_ = 0;
};

}  // namespace plimsoll::edge
