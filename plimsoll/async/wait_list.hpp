#pragma once

#include "plimsoll/async/loop.hpp"

#include <mutex>
#include <type_traits>
#include <utility>

namespace plimsoll {

/// Lines of work, on whatever loops, that wait for the same thing to become true. Waking is safe from any thread; each
/// line resumes on its own loop.
///
/// `Result<bool> woken = co_await list.wait(loop, 2 * kSecond, [&] { return done; });`
/// true: woken, or already so; false: the span passed; an error: the line was told to stop.
class WaitList {
  struct Node {
    Node *next = nullptr, *previous = nullptr;
    Loop* loop = nullptr;
    std::coroutine_handle<> who;
    bool woken = false;
  };

 public:
  WaitList() { head_.next = head_.previous = &head_; }
  WaitList(const WaitList&) = delete;

  /// Makes `change` and wakes all who wait. The change is what `ready` looks at: both run under the list's lock.
  template <class F>
  void wake_all(F change) {
    std::lock_guard lock(mutex_);
    change();
    while (head_.next != &head_) {
      auto& node = *head_.next;
      unlink(node);
      node.woken = true;
      node.loop->resume(node.who);
    }
  }
  void wake_all() {
    wake_all([] {});
  }
  /// Whether no line waits now.
  bool empty() {
    std::lock_guard lock(mutex_);
    return head_.next == &head_;
  }
  /// Looks under the list's lock.
  template <class F>
  auto look(F f) {
    std::lock_guard lock(mutex_);
    return f();
  }

  template <class F>
  class Wait final : Node, Alarm, public Waiting {
   public:
    Wait(WaitList& list, Loop& on, Nanoseconds span, F ready) : list_(list), span_(span), ready_(std::move(ready)) {
      loop = &on;
      ring = [](Alarm& alarm) { static_cast<Wait&>(alarm).give_up(); };
    }
    bool await_ready() const noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> parent) {
      scope_ = parent.promise().scope;
      if (scope_ && scope_->stopped() != Stop::none) return false;
      who = parent;
      {
        std::lock_guard lock(list_.mutex_);
        if (ready_()) {
          woken = true;
          return false;
        }
        loop->expect();
        list_.link(*this);
      }
      // Whoever wakes posts to this thread, which is here: the rest is in time.
      if (scope_) scope_->wait_at(*this);
      loop->wheel().arm(*this, loop->tick_in(span_));
      waits_ = true;
      return true;
    }
    Result<bool> await_resume() {
      disarm();
      if (scope_ && waits_) scope_->go_on();
      if (!woken && scope_ && scope_->stopped() != Stop::none) return std::unexpected(error_of(scope_->stopped()));
      return woken;
    }
    void stop(Stop) noexcept override { give_up(); }

   private:
    void give_up() noexcept {
      std::lock_guard lock(list_.mutex_);
      if (!next) return;  // on its way already
      unlink(*this);
      loop->resume(who);
    }
    WaitList& list_;
    Nanoseconds span_;
    F ready_;
    Scope* scope_ = nullptr;
    bool waits_ = false;
  };
  template <class F>
  Wait<F> wait(Loop& loop, Nanoseconds span, F ready) {
    return {*this, loop, span, std::move(ready)};
  }

 private:
  void link(Node& node) {
    node.next = &head_;
    node.previous = head_.previous;
    head_.previous->next = &node;
    head_.previous = &node;
  }
  static void unlink(Node& node) {
    node.next->previous = node.previous;
    node.previous->next = node.next;
    node.next = node.previous = nullptr;
  }
  std::mutex mutex_;
  Node head_;
};

}  // namespace plimsoll
