#pragma once

#include "plimsoll/base/clock.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace plimsoll::client {

/// When a target that fails is taken out of the balance, and for how long.
struct OutlierOptions {
  std::int64_t failures = 5;        ///< one after another
  Nanoseconds time = 30 * kSecond;  ///< times how often it was taken out
  Nanoseconds longest = 300 * kSecond;
  double share = 0.5;  ///< of the targets, of which no more are out at once
};

/// Passive health of the targets of one service: a pure value, told the time.
///
/// Never more than the share of all targets is out, rounded down: of one target none, of two and three one. A target
/// that is back for as long as it was out is forgiven one of its times.
class OutlierDetector {
 public:
  explicit OutlierDetector(std::size_t targets) : targets_(targets) {}

  void succeeded(std::size_t target) { targets_[target].failures = 0; }

  /// Returns whether the target is taken out by this.
  bool failed(const OutlierOptions& options, std::size_t target, Nanoseconds now) {
    auto& one = targets_[target];
    if (now < one.until) return false;  // what began before it was taken out
    if (++one.failures < options.failures) return false;
    if (static_cast<double>(out(now) + 1) > options.share * static_cast<double>(targets_.size())) return false;
    if (one.times > 0) {
      const auto forgiven = (now - one.until) / span(options, one.times);
      one.times -= std::min<std::int64_t>(forgiven, one.times);
    }
    one.failures = 0;
    one.until = now + span(options, ++one.times);
    return true;
  }

  /// It was taken out before, until then.
  void restore(std::size_t target, Nanoseconds until) {
    targets_[target].until = until;
    targets_[target].times = until > 0 ? 1 : 0;
  }
  bool is_out(std::size_t target, Nanoseconds now) const { return now < targets_[target].until; }
  /// Until when; 0: it never was.
  Nanoseconds until(std::size_t target) const { return targets_[target].until; }
  std::size_t out(Nanoseconds now) const {
    return static_cast<std::size_t>(std::ranges::count_if(targets_, [&](auto& one) { return now < one.until; }));
  }

 private:
  struct Target {
    std::int64_t failures = 0;  ///< one after another
    std::int64_t times = 0;     ///< it was taken out
    Nanoseconds until = 0;
  };
  static Nanoseconds span(const OutlierOptions& options, std::int64_t times) {
    if (options.time >= options.longest / std::max<std::int64_t>(times, 1)) return options.longest;
    return std::max<Nanoseconds>(options.time * times, 1);
  }
  std::vector<Target> targets_;
};

}  // namespace plimsoll::client
