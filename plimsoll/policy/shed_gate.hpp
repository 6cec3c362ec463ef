#pragma once

#include <atomic>
#include <cstdint>

namespace plimsoll::policy {

/// What is refused first and what last when there is too much to do.
enum class Priority : std::uint8_t { critical, normal, sheddable };

/// A bound on work under way. The lower the priority, the earlier the door closes: at 75 % of the bound for what is
/// sheddable, at 90 % for the rest, and only at the bound itself for what is critical.
class ShedGate {
 public:
  explicit ShedGate(std::int64_t bound) : bound_(bound) {}
  static constexpr std::int64_t limit(std::int64_t bound, Priority priority) {
    switch (priority) {
      case Priority::critical: return bound;
      case Priority::normal: return bound - bound / 10;
      case Priority::sheddable: return bound - bound / 4;
    }
    return bound;
  }
  /// True: what was begun must be ended by `leave`. `waiting`: requests that are as important or more and stand ready
  /// to be begun, which count as if they were under way.
  bool enter(Priority priority, std::int64_t waiting = 0) noexcept {
    if (under_way_.fetch_add(1, std::memory_order_relaxed) + waiting <
        limit(bound_.load(std::memory_order_relaxed), priority))
      return true;
    leave();
    return false;
  }
  void leave() noexcept { under_way_.fetch_sub(1, std::memory_order_relaxed); }
  std::int64_t under_way() const noexcept { return under_way_.load(std::memory_order_relaxed); }
  void bound(std::int64_t bound) noexcept { bound_.store(bound, std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> bound_, under_way_{0};
};

}  // namespace plimsoll::policy
