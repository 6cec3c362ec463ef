#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/database/database.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace plimsoll::database {

/// Where the primary was at which instants, from which follows how long ago a replica had all that the primary has. So
/// the lag of a replica needs no clock but ours, and is 0 where nothing is written. By one thread.
class LagHistory {
 public:
  /// `now` never goes back, nor does the position while the primary is the same server.
  void primary_at(Position position, Nanoseconds now) {
    while (!seen_.empty() && seen_.back().position > position) seen_.pop_back();  // another primary, that has less
    if (!seen_.empty() && seen_.back().position == position) {
      seen_.back().at = now;
      return;
    }
    if (seen_.size() >= most_) thin(now);
    seen_.push_back({position, now});
  }
  /// Negative: not known.
  Nanoseconds lag(Position replayed, Nanoseconds now) const {
    const auto after = std::ranges::upper_bound(seen_, replayed, {}, &Seen::position);
    return after == seen_.begin() ? -1 : now - std::prev(after)->at;
  }

  std::size_t size() const { return seen_.size(); }

 private:
  static constexpr std::size_t kMost = 1024;
  static constexpr Nanoseconds kExact = 64;  ///< two that are kept are no further apart than this part of their age
  struct Seen {
    Position position;
    Nanoseconds at;
  };
  /// Leaves out what says little more than its neighbours: what lies between is judged as if it were older, by a small
  /// part of its age. What is kept grows with the logarithm of the time.
  void thin(Nanoseconds now) {
    std::size_t kept = 1;
    for (std::size_t i = 1; i < seen_.size(); ++i) {
      const bool last = i + 1 == seen_.size();
      if (last || seen_[i + 1].at - seen_[kept - 1].at > (now - seen_[i + 1].at) / kExact) seen_[kept++] = seen_[i];
    }
    seen_.resize(kept);
    most_ = std::max(kMost, kept + kept / 2);
  }
  std::size_t most_ = kMost;
  std::vector<Seen> seen_;  ///< both members grow
};

}  // namespace plimsoll::database
