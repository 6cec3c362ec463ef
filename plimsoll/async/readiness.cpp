#include "plimsoll/async/readiness.hpp"

namespace plimsoll {

void Readiness::happen() noexcept {
  ready_ = true;
  if (waiter_) waiter_->end_soon(Wake::ready);
}

bool Readiness::Wait::begin() noexcept {
  if (scope_) {
    if (scope_->stopped() != Stop::none) {
      wake_ = Wake::stopped;
      return false;
    }
    scope_->wait_at(*this);
  }
  wait_at_sides(this);
  if (within_ > 0) {
    ring = [](Alarm& alarm) { static_cast<Wait&>(alarm).end(Wake::late); };
    loop_.wheel().arm(*this, loop_.tick_in(within_));
  }
  return true;
}

void Readiness::Wait::stop(Stop) noexcept {
  if (!deferred()) end_soon(Wake::stopped);
}

void Readiness::Wait::end_soon(Wake wake) noexcept {
  wake_ = wake;
  wait_at_sides(nullptr);
  disarm();
  run = [](Deferred& deferred) { static_cast<Wait&>(deferred).resume(); };
  loop_.defer(*this);
}

void Readiness::Wait::end(Wake wake) noexcept {
  wake_ = wake;
  wait_at_sides(nullptr);
  disarm();
  resume();
}

void Readiness::Wait::resume() noexcept {
  if (scope_) scope_->go_on();
  waiting_.resume();
}

}  // namespace plimsoll
