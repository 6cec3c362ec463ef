#pragma once

#include <cstddef>
#include <cstdint>

namespace plimsoll {

/// Something to be done at an instant. Unlinks itself when destroyed.
class Alarm {
 public:
  Alarm() = default;
  Alarm(const Alarm&) = delete;
  ~Alarm() { disarm(); }
  void disarm() noexcept {
    if (!next_) return;
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }
  void (*ring)(Alarm&) = nullptr;

 private:
  friend class Wheel;
  Alarm *next_ = nullptr, *previous_ = nullptr;
  std::uint64_t tick_ = 0;
};

/// Deadlines of one thread, in ticks: arming and disarming are a few stores, no system call and no allocation. One slot
/// holds the alarms of every kSlots-th tick. Alarms ring at or after their tick, never before.
class Wheel {
 public:
  static constexpr std::size_t kSlots = 1024;
  Wheel() {
    for (auto& slot : slots_) slot.next_ = slot.previous_ = &slot;
  }
  ~Wheel() {
    for (auto& slot : slots_) slot.next_ = slot.previous_ = nullptr;
  }

  void arm(Alarm& alarm, std::uint64_t tick) noexcept {
    alarm.disarm();
    alarm.tick_ = tick <= now_ ? now_ + 1 : tick;
    auto& slot = slots_[alarm.tick_ % kSlots];
    alarm.next_ = &slot;
    alarm.previous_ = slot.previous_;
    slot.previous_->next_ = &alarm;
    slot.previous_ = &alarm;
  }
  void advance(std::uint64_t now) {
    while (now_ < now) {
      auto& slot = slots_[++now_ % kSlots];
      Alarm due;  // alarms may arm and disarm others while ringing
      due.next_ = due.previous_ = &due;
      for (auto* a = slot.next_; a != &slot;) {
        auto* next = a->next_;
        if (a->tick_ <= now_) {
          a->disarm();
          a->next_ = &due;
          a->previous_ = due.previous_;
          due.previous_->next_ = a;
          due.previous_ = a;
        }
        a = next;
      }
      while (due.next_ != &due) {
        auto* a = due.next_;
        a->disarm();
        a->ring(*a);
      }
      due.next_ = due.previous_ = nullptr;
    }
  }
  std::uint64_t now() const { return now_; }
  /// A tick before which nothing is due, at most kSlots ahead. Where many alarms stand in the way it gives up looking
  /// further, and the tick is one at which nothing may be due either.
  std::uint64_t next_due() const {
    constexpr int kLooks = 256;
    int looks = 0;
    for (auto tick = now_ + 1; tick < now_ + kSlots; ++tick) {
      const auto& slot = slots_[tick % kSlots];
      for (auto* a = slot.next_; a != &slot; a = a->next_)
        if (a->tick_ <= tick || ++looks == kLooks) return tick;
    }
    return now_ + kSlots;
  }

 private:
  Alarm slots_[kSlots];
  std::uint64_t now_ = 0;
};

}  // namespace plimsoll
