#pragma once

#include <cstdint>

namespace plimsoll {

/// What the checks of one exchange may still cost: about a step for each value, name or branch that is looked at. One
/// budget is spent by all of them (parameters, body, the reasons of a refusal), so that no single request keeps a
/// thread, whatever the schema.
class Steps {
 public:
  static constexpr std::uint64_t kDefault = 1'000'000;

  constexpr explicit Steps(std::uint64_t most = kDefault) : left_(most) {}

  std::uint64_t left() const { return left_; }
  /// What was begun could not be finished: its verdict says nothing.
  bool exhausted() const { return exhausted_; }

  /// Takes `cost`; false when that much is not left, and from then on.
  bool spend(std::uint64_t cost) {
    if (cost > left_) [[unlikely]] {
      exhaust();
      return false;
    }
    left_ -= cost;
    return true;
  }
  void exhaust() { left_ = 0, exhausted_ = true; }

 private:
  std::uint64_t left_;
  bool exhausted_ = false;
};

}  // namespace plimsoll
