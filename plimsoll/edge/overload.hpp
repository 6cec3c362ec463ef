#pragma once

#include "plimsoll/base/clock.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace plimsoll::edge {

/// How many may be under way or wait at once before the time each takes grows: a limit that follows the gradient
/// between the time that requests take and the time that they take when nobody is in their way.
///
/// The baseline is the shortest time of a window, and only ever rises slowly: nothing is throttled to learn it. The
/// limit grows only while it is used, and shrinks only while requests take more than twice the baseline.
class GradientLimit {
 public:
  static constexpr double kLeast = 4, kStart = 20, kMost = 10'000;
  static constexpr double kTolerance = 2;
  static constexpr Nanoseconds kWindow = 10 * kMillisecond;
  static constexpr int kBaselineWindows = 1000;  ///< until a baseline that is not met again has doubled

  /// One has ended, begun `latency` ago, while `at_once` were waiting or under way, itself included.
  void ended(Nanoseconds now, Nanoseconds latency, std::size_t at_once) {
    if (samples_ == 0) window_ends_ = now + kWindow;
    shortest_ = samples_ == 0 ? latency : std::min(shortest_, latency);
    most_at_once_ = std::max(most_at_once_, at_once);
    ++samples_;
    total_ += static_cast<double>(latency);
    if (now >= window_ends_) close_window();
  }
  std::size_t limit() const { return static_cast<std::size_t>(limit_); }
  Nanoseconds baseline() const { return static_cast<Nanoseconds>(baseline_); }

 private:
  void close_window() {
    const auto least = std::max<double>(static_cast<double>(shortest_), 1);
    baseline_ = baseline_ == 0 ? least : std::min(least, baseline_ * std::exp2(1.0 / kBaselineWindows));
    const auto mean = total_ / samples_;
    const auto gradient = std::clamp(kTolerance * baseline_ / mean, 0.5, 1.0);
    const bool used = 2 * most_at_once_ >= limit();
    if (gradient < 1 || used) {
      const auto next = limit_ * gradient + (gradient < 1 ? 0 : std::sqrt(limit_));
      limit_ = std::clamp(next, kLeast, kMost);
    }
    samples_ = 0;
    total_ = 0;
    most_at_once_ = 0;
  }
  double limit_ = kStart, baseline_ = 0, total_ = 0;
  int samples_ = 0;
  std::size_t most_at_once_ = 0;
  Nanoseconds shortest_ = 0, window_ends_ = 0;
};

/// Whether a queue is one that does not go away: Controlled Delay (RFC 8289) in the form that suits servers, which
/// bears a wait of `kInterval` as long as the queue may be a burst, and one of `kTarget` once it stands.
///
/// A queue stands when for an interval somebody has always waited longer than the target, and now longer than the
/// interval. So many clients as each wait for their answer before they send the next request make a queue that is no
/// longer than they are many: it is borne. The state ends when nobody waits.
class StandingQueue {
 public:
  static constexpr Nanoseconds kTarget = 5 * kMillisecond, kInterval = 100 * kMillisecond;

  /// At the start of a round of work. `longest`: how long the one has waited that has waited longest.
  void look(Nanoseconds now, Nanoseconds longest) {
    if (stands_) return;
    if (longest <= kTarget)
      above_since_ = 0;
    else if (above_since_ == 0)
      above_since_ = now;
    else if (now - above_since_ >= kInterval && longest > kInterval)
      stands_ = true, stands_since_ = now;
  }
  void nobody_waits(Nanoseconds now) {
    above_since_ = 0;
    // At first nobody may wait only because so many were refused at once.
    if (now - stands_since_ >= kInterval) stands_ = false;
  }
  bool stands() const { return stands_; }

 private:
  bool stands_ = false;
  Nanoseconds above_since_ = 0, stands_since_ = 0;
};

/// The queue of one loop: what of it is too much. The decision only, without the queue, a clock or a lock.
class Overload {
 public:
  struct Verdict {
    bool newest_first = false;             ///< too many wait: those that came last can still be served in time
    Nanoseconds longest_wait = INT64_MAX;  ///< whoever has waited longer is refused
    std::size_t at_most = SIZE_MAX;        ///< so many may stay
    bool critical_too = false;             ///< what is critical alone is more than can be done
  };

  /// At the start of a round of work. `longest`: how long the one has waited that has waited longest; of
  /// `longest_critical` the same among those that are critical, 0 where none waits.
  ///
  /// What is critical is begun first, so its own queue says whether it is too much. One that came while the process
  /// stood still (another had the processor, a long request ran) has waited long and is served all the same.
  Verdict look(Nanoseconds now, Nanoseconds longest, Nanoseconds longest_critical = 0) {
    queue_.look(now, longest);
    critical_.look(now, longest_critical);
    if (longest_critical == 0) critical_.nobody_waits(now);
    if (!queue_.stands()) return {};
    // What takes microseconds is not refused by number: as many as can be begun within the target may wait.
    const auto in_time = cost_ > 0 ? static_cast<std::size_t>(StandingQueue::kTarget / cost_) : 0;
    return {.newest_first = true,
            .longest_wait = StandingQueue::kTarget,
            .at_most = std::max(2 * limit_.limit(), in_time),
            .critical_too = critical_.stands()};
  }
  void nobody_waits(Nanoseconds now) {
    queue_.nobody_waits(now);
    critical_.nobody_waits(now);
  }
  /// One was worked on for about `span` after a wait of `wait`; `waiting` wait still.
  void worked(Nanoseconds now, Nanoseconds span, Nanoseconds wait, std::size_t waiting) {
    cost_ = cost_ == 0 ? span : cost_ + (span - cost_) / 8;
    limit_.ended(now, wait + span, waiting + 1);
  }
  bool overloaded() const { return queue_.stands(); }
  std::size_t limit() const { return limit_.limit(); }

 private:
  StandingQueue queue_, critical_;
  GradientLimit limit_;
  Nanoseconds cost_ = 0;
};

}  // namespace plimsoll::edge
