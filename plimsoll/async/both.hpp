#pragma once

#include "plimsoll/async/loop.hpp"

namespace plimsoll {

/// `co_await both(one, other);` two tasks side by side on one thread; resumes when both have ended. One that gives
/// false stops the other, and who is told to stop stops both.
class Both final : public Waiting {
 public:
  Both(Task<bool> one, Task<bool> other) : tasks_{std::move(one), std::move(other)} {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    outer_ = parent.promise().scope;
    if (outer_) {
      if (outer_->stopped() != Stop::none) stop(outer_->stopped());
      outer_->wait_at(*this);
    }
    for (int i = 0; i < 2; ++i) {
      const auto line = branch(*this, i).handle;
      line.promise().scope = &scopes_[i];
      line.resume();
    }
    if (left_ == 0) return false;
    parent_ = parent;
    return true;
  }
  void await_resume() {
    if (outer_) outer_->go_on();
  }
  void stop(Stop why) noexcept override {
    for (auto& scope : scopes_) scope.stop(why);
  }

 private:
  static Line branch(Both& self, int i) {
    const bool go_on = co_await std::move(self.tasks_[i]);
    if (!go_on) self.scopes_[1 - i].stop(Stop::lost_race);
    if (--self.left_ == 0 && self.parent_) self.parent_.resume();
  }
  Task<bool> tasks_[2];
  Scope scopes_[2];
  Scope* outer_ = nullptr;
  std::coroutine_handle<> parent_;
  int left_ = 2;
};
inline Both both(Task<bool> one, Task<bool> other) { return {std::move(one), std::move(other)}; }

}  // namespace plimsoll
