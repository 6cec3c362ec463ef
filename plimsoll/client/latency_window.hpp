#pragma once

#include "plimsoll/base/clock.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <optional>

namespace plimsoll::client {

/// Latencies of the last 5 to 10 s, for quantiles: a pure value, told the time. Steps of a tenth: what it says is at
/// most so much too long, never too short. From 10 us to 100 s; what is outside counts as that.
class LatencyWindow {
 public:
  static constexpr std::int64_t kLeast = 50;  ///< calls without which it says nothing

  void note(Nanoseconds span, Nanoseconds now) {
    advance(now);
    ++current_[index_of(span)];
  }
  /// The latency that this share of the calls did not exceed. Nothing where too few were seen.
  std::optional<Nanoseconds> quantile(double share, Nanoseconds now) {
    advance(now);
    std::int64_t all = 0;
    for (std::size_t i = 0; i < kSteps; ++i) all += current_[i] + before_[i];
    if (all < kLeast) return std::nullopt;
    auto wanted = static_cast<std::int64_t>(std::ceil(share * static_cast<double>(all)));
    for (std::size_t i = 0; i < kSteps; ++i)
      if ((wanted -= current_[i] + before_[i]) <= 0) return upper_end(i);
    return upper_end(kSteps - 1);
  }

 private:
  static constexpr std::size_t kSteps = 170;  // 1.1^169 = 10^7
  static constexpr double kFirst = 10'000;
  static constexpr Nanoseconds kHalf = 5 * kSecond;

  static std::size_t index_of(Nanoseconds span) {
    if (static_cast<double>(span) <= kFirst) return 0;
    const auto step = std::ceil(std::log(static_cast<double>(span) / kFirst) / std::log(1.1));
    return std::min(static_cast<std::size_t>(step), kSteps - 1);
  }
  static Nanoseconds upper_end(std::size_t step) {
    return static_cast<Nanoseconds>(kFirst * std::pow(1.1, static_cast<double>(step)));
  }
  void advance(Nanoseconds now) {
    // Loops that share a window read their clocks at different times: one that is behind counts to the half of the
    // others.
    const auto half = std::max(half_, now / kHalf);
    if (half == half_) return;
    before_ = half == half_ + 1 ? current_ : std::array<std::int64_t, kSteps>{};
    current_ = {};
    half_ = half;
  }

  std::array<std::int64_t, kSteps> current_{}, before_{};
  std::int64_t half_ = 0;
};

}  // namespace plimsoll::client
