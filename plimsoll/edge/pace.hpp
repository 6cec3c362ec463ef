#pragma once

#include "plimsoll/base/clock.hpp"

#include <cstdint>

namespace plimsoll::edge {

/// Over which a body's rate is judged.
inline constexpr Nanoseconds kBodyWindow = 5 * kSecond;
/// Over which the pace of an answer is judged: longer, because a slow reader's system tells of free room in lumps.
inline constexpr Nanoseconds kResponseWindow = 12 * kSecond;
/// So long the head of a streamed response waits for the first bytes of its body: a stream that fails until then is
/// answered by a problem, and most heads travel with their bodies.
inline constexpr auto kHeadWaits = 20 * kMillisecond;

/// Whether bytes move fast enough: `rate` bytes a second over any window in which somebody had to wait for the other
/// end. Time in which nobody waited for it (a handler thinking, a stream without news) does not count.
class Pace {
 public:
  /// `window`: whole seconds.
  Pace(std::uint64_t rate, Nanoseconds window)
      : window_(window), least_(rate * static_cast<std::uint64_t>(window / kSecond)) {}

  /// How long the next wait may last before the window has to be judged.
  Nanoseconds patience() const { return window_ - waited_; }
  void moved(std::uint64_t bytes) { moved_ += bytes; }
  /// After a wait of `span`: false when the other end has been too slow.
  bool waited(Nanoseconds span) {
    waited_ += span;
    if (waited_ < window_) return true;
    const bool enough = moved_ >= least_;
    waited_ = 0;
    moved_ = 0;
    return enough;
  }

 private:
  Nanoseconds window_;
  std::uint64_t least_, moved_ = 0;
  Nanoseconds waited_ = 0;
};

}  // namespace plimsoll::edge
