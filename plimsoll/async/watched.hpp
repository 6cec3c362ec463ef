#pragma once

#include "plimsoll/async/loop.hpp"

#include <optional>

namespace plimsoll {

/// `co_await watched(work, watch, Stop::client_gone)`: the work decides. A watch that ends stops the work; work that
/// ends stops the watch; both have ended when this resumes. Work that never waits pays for no watch: it is not even
/// started.
template <class T>
class Watched final : public Waiting {
 public:
  Watched(Task<T> work, Task<> watch, Stop why) : work_(std::move(work)), watch_(std::move(watch)), why_(why) {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    outer_ = parent.promise().scope;
    if (outer_) {
      if (outer_->stopped() != Stop::none) work_scope_.stop(outer_->stopped());
      work_scope_.ends_by(outer_->ends_by());
      outer_->wait_at(*this);
    }
    start(run_work(*this), work_scope_);
    if (value_) return false;
    start(run_watch(*this), watch_scope_);
    parent_ = parent;
    return true;
  }
  T await_resume() {
    if (outer_) outer_->go_on();
    return std::move(*value_);
  }
  void stop(Stop why) noexcept override { work_scope_.stop(why); }

 private:
  static void start(Line line, Scope& scope) {
    line.handle.promise().scope = &scope;
    line.handle.resume();
  }
  static Line run_work(Watched& self) {
    self.value_.emplace(co_await std::move(self.work_));
    self.watch_scope_.stop(Stop::lost_race);
    self.ended();
  }
  static Line run_watch(Watched& self) {
    ++self.running_;
    co_await std::move(self.watch_);
    self.work_scope_.stop(self.why_);
    self.ended();
  }
  void ended() {
    if (--running_ == 0 && parent_) parent_.resume();
  }
  Task<T> work_;
  Task<> watch_;
  Stop why_;
  Scope work_scope_, watch_scope_;
  Scope* outer_ = nullptr;
  std::coroutine_handle<> parent_;
  std::optional<T> value_;
  int running_ = 1;
};
template <class T>
Watched<T> watched(Task<T> work, Task<> watch, Stop why) {
  return {std::move(work), std::move(watch), why};
}

}  // namespace plimsoll
