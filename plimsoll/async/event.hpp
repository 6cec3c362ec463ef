#pragma once

#include "plimsoll/async/descriptor.hpp"
#include "plimsoll/async/loop.hpp"

#include <coroutine>
#include <utility>

namespace plimsoll {

/// Something one line of work waits for, on one thread: `const bool happened = co_await event;`, false when its scope
/// was told to stop before. Happening once is enough for the next to wait; it is then forgotten.
class Event final : public Waiting, public Deferred {
 public:
  explicit Event(Loop& loop) : loop_(loop) {
    run = [](Deferred& deferred) { static_cast<Event&>(deferred).resume(); };
  }
  bool waited_for() const noexcept { return static_cast<bool>(waiting_); }
  /// Whoever waits goes on at the loop's next turn.
  void happen() noexcept {
    happened_ = true;
    if (waiting_ && !deferred()) loop_.defer(*this);
  }

  /// What happened and was not waited for does not count. Nobody waits.
  void forget() noexcept { happened_ = false; }

  /// `co_await event.regardless();` waits whatever its scope is told: for the end of work that others have been told to
  /// end.
  auto regardless() noexcept {
    struct Regardless {
      Event& event;
      bool await_ready() const noexcept { return event.happened_; }
      void await_suspend(std::coroutine_handle<> waiting) noexcept {
        event.scope_ = nullptr;
        event.waiting_ = waiting;
      }
      void await_resume() noexcept { event.happened_ = false; }
    };
    return Regardless{*this};
  }

  /// `Wake woken = co_await event.within(span);` `ready`: it happened; `late`: not within that time; `stopped`: by its
  /// scope.
  class Within final : public Alarm {
   public:
    Within(Event& event, Nanoseconds span) : event_(event), span_(span) {
      ring = [](Alarm& alarm) { static_cast<Within&>(alarm).late(); };
    }
    bool await_ready() const noexcept { return event_.happened_; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> waiting) noexcept {
      if (!event_.await_suspend(waiting)) return false;
      event_.loop_.wheel().arm(*this, event_.loop_.tick_in(span_));
      return true;
    }
    Wake await_resume() noexcept {
      disarm();
      if (std::exchange(event_.happened_, false)) return Wake::ready;
      return late_ ? Wake::late : Wake::stopped;
    }

   private:
    void late() noexcept {
      if (event_.deferred()) return;  // on its way already
      late_ = true;
      event_.resume();
    }
    Event& event_;
    const Nanoseconds span_;
    bool late_ = false;
  };
  Within within(Nanoseconds span) noexcept { return {*this, span}; }

  bool await_ready() const noexcept { return happened_; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> waiting) noexcept {
    scope_ = waiting.promise().scope;
    if (scope_) {
      if (scope_->stopped() != Stop::none) return false;
      scope_->wait_at(*this);
    }
    waiting_ = waiting;
    return true;
  }
  bool await_resume() noexcept { return std::exchange(happened_, false); }
  void stop(Stop) noexcept override {
    if (waiting_ && !deferred()) loop_.defer(*this);
  }

 private:
  void resume() {
    if (scope_) scope_->go_on();
    if (auto waiting = std::exchange(waiting_, {})) waiting.resume();
  }
  Loop& loop_;
  Scope* scope_ = nullptr;
  std::coroutine_handle<> waiting_;
  bool happened_ = false;
};

}  // namespace plimsoll
