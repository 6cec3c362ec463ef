#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/scope.hpp"

namespace plimsoll::database {

/// Somebody of a loop who waits for a thread of the database: lives in the waiting frame, goes on by `answer`, called
/// once, from any thread. Told to stop, it withdraws what was not begun yet; what was begun is waited for.
class Ask : public Waiting {
 public:
  explicit Ask(Loop& loop, bool stoppable = true) : loop_(loop), stoppable_(stoppable) {}

  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    who_ = parent;
    scope_ = stoppable_ ? parent.promise().scope : nullptr;
    if (scope_) {
      if (auto why = scope_->stopped(); why != Stop::none) {
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
    if (!withdraw()) return told_to_stop(why);
    result = std::unexpected(error_of(why));
    answer();
  }
  void answer() { loop_.resume(who_); }
  Stop stopped() const { return scope_ ? scope_->stopped() : Stop::none; }

  Result<> result{};

 protected:
  ~Ask() = default;
  /// Gives it to the other thread.
  virtual void hand_over() = 0;
  /// Takes it back: false when it was begun, or must not be given up.
  virtual bool withdraw() noexcept = 0;
  /// It was begun, and nobody waits for it any longer.
  virtual void told_to_stop(Stop) noexcept {}

 private:
  Loop& loop_;
  std::coroutine_handle<> who_;
  Scope* scope_ = nullptr;
  bool stoppable_;
};

}  // namespace plimsoll::database
