#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/scope.hpp"

namespace plimsoll::database {

/// Somebody of a loop who waits for a thread of the database: lives in the waiting frame, goes on by `answer`, called
/// once, from any thread. Told to stop, it goes on at once wherever the other thread can be left behind with what it
/// does; else what was begun is waited for.
class Ask : public Waiting {
 public:
  /// `past_client`: to be done although the client has gone.
  explicit Ask(Loop& loop, bool past_client = false) : loop_(loop), past_client_(past_client) {}

  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    who_ = parent;
    scope_ = parent.promise().scope;
    if (scope_) {
      if (auto why = scope_->stopped(); why != Stop::none && !(past_client_ && why == Stop::client_gone)) {
        result = std::unexpected(error_of(why));
        return false;
      }
      scope_->wait_at(*this);
    }
    loop_.expect();
    hand_over();
    return true;
  }
  void await_resume() noexcept {
    if (scope_) scope_->go_on();
  }
  void stop(Stop why) noexcept override {
    if (withdraw(why)) answer();
  }
  void stop_again(Stop why) noexcept override { stop(why); }
  void answer() { loop_.resume(who_); }
  Stop stopped() const { return scope_ ? scope_->stopped() : Stop::none; }

  Result<> result{};

 protected:
  ~Ask() = default;
  /// Gives it to the other thread.
  virtual void hand_over() = 0;
  /// Takes it back, or leaves the other thread, which touches nothing of it from then on, and sets `result`. False: it
  /// is answered by others, or was already.
  virtual bool withdraw(Stop why) noexcept = 0;

 private:
  Loop& loop_;
  std::coroutine_handle<> who_;
  Scope* scope_ = nullptr;
  bool past_client_;
};

}  // namespace plimsoll::database
