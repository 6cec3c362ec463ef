#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace plimsoll::database {

/// How long a commit waits for others to join it. Of those who write one row after the other, some arrive while a
/// commit is under way and some were part of it: left alone they go on as two halves, each waiting for the other's
/// sync, and the disk syncs twice as often as it must. So a commit waits until as many are there as were at the end of
/// the last one, waiting or in it: never for more than `kWorthwhile`, which share a sync well enough, never longer than
/// that commit took (then waiting would cost more than it saves), and never when nobody else was there.
class Gathering {
 public:
  using Nanoseconds = std::chrono::nanoseconds;
  static constexpr std::size_t kWorthwhile = 32;

  explicit Gathering(Nanoseconds most) : most_(most) {}

  /// A commit of `units` has ended, and took so long; `waiting` had arrived meanwhile.
  void committed(std::size_t units, std::size_t waiting, Nanoseconds took) {
    enough_ = waiting == 0 && units <= 1 ? 1 : std::min(units + waiting, kWorthwhile);
    patience_ = std::min(took, most_);
  }
  /// As many are not waited for longer.
  std::size_t enough() const { return enough_; }
  Nanoseconds patience() const { return patience_; }

 private:
  Nanoseconds most_, patience_{0};
  std::size_t enough_ = 1;
};

}  // namespace plimsoll::database
