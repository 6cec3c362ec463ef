#pragma once

#include "plimsoll/async/loop.hpp"

#include <coroutine>

namespace plimsoll {

/// `bool rested = co_await pause(loop, span);` false when the scope was told to stop before. No system call, no
/// allocation; to the tick of the wheel.
class Pause final : public Waiting, public Alarm, public Deferred {
 public:
  Pause(Loop& loop, Nanoseconds span) : loop_(loop), span_(span) {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> waiting) noexcept {
    scope_ = waiting.promise().scope;
    if (scope_) {
      if (scope_->stopped() != Stop::none) return rested_ = false;
      scope_->wait_at(*this);
    }
    waiting_ = waiting;
    ring = [](Alarm& alarm) { static_cast<Pause&>(alarm).resume(); };
    loop_.wheel().arm(*this, loop_.tick_in(span_));
    return true;
  }
  bool await_resume() const noexcept { return rested_; }
  void stop(Stop) noexcept override {
    if (deferred()) return;
    disarm();
    rested_ = false;
    run = [](Deferred& deferred) { static_cast<Pause&>(deferred).resume(); };
    loop_.defer(*this);
  }

 private:
  void resume() {
    if (scope_) scope_->go_on();
    waiting_.resume();
  }
  Loop& loop_;
  Nanoseconds span_;
  Scope* scope_ = nullptr;
  std::coroutine_handle<> waiting_;
  bool rested_ = true;
};
inline Pause pause(Loop& loop, Nanoseconds span) { return {loop, span}; }

/// `co_await next_turn(loop);` for work without end: goes on once the loop has done what else there is to do in this
/// turn. Not cut short.
class NextTurn final : public Deferred {
 public:
  explicit NextTurn(Loop& loop) : loop_(loop) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) noexcept {
    waiting_ = waiting;
    run = [](Deferred& deferred) { static_cast<NextTurn&>(deferred).waiting_.resume(); };
    loop_.defer(*this);
  }
  void await_resume() const noexcept {}

 private:
  Loop& loop_;
  std::coroutine_handle<> waiting_;
};
inline NextTurn next_turn(Loop& loop) { return NextTurn{loop}; }

}  // namespace plimsoll
