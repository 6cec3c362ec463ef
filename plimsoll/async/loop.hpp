#pragma once

#include "plimsoll/async/scope.hpp"
#include "plimsoll/async/wheel.hpp"
#include "plimsoll/base/clock.hpp"

#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace plimsoll {

class Descriptor;  // async/descriptor.hpp
struct Line;

/// Something a loop does at its next turn, without memory of its own. Not destroyed while it is deferred.
class Deferred {
 public:
  bool deferred() const noexcept { return pending_; }
  void (*run)(Deferred&) = nullptr;

 private:
  friend class Loop;
  Deferred* next_ = nullptr;
  bool pending_ = false;
};

/// What a loop does of its own choice between two looks at what has happened: once a turn, as long as it says that
/// there is more. The loop does not wait meanwhile, so it is to end after a few milliseconds.
class Work {
 public:
  bool (*run)(Work&) = nullptr;  ///< true: there is more to do

 private:
  friend class Loop;
  Work* next_ = nullptr;
  bool pending_ = false;
};

/// One thread's event loop: the sockets, timers and lines of work of that thread.
class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;

  /// Starts `work` in `scope` at the next turn. Safe from any thread.
  void spawn(Scope& scope, Task<> work);
  /// Runs until nothing is left to do. A loop is never destroyed with work on it: stop the scopes, then run to the end.
  void run();

  /// Resumes a coroutine of this loop; safe from any thread. Each `expect` is matched by one `resume`.
  void expect();
  void resume(std::coroutine_handle<> who);

  /// Runs `f` at the next turn. Safe from any thread.
  void post(std::move_only_function<void()> f);
  /// Runs it at the next turn; by this loop's own thread.
  void defer(Deferred& what) noexcept;
  /// Runs it at the end of this turn and of those that follow, until it has no more to do; by this loop's own thread.
  /// It lives until then.
  void begin(Work& what) noexcept;
  /// Whether something else has happened in this turn that has not been looked at yet.
  bool more_to_come() const noexcept { return ahead_ > 0; }

  /// The clock as it was read when this turn began: steady, and wall (Unix).
  Nanoseconds now() const noexcept {
    if (asleep_) [[unlikely]]
      begin_turn();
    return now_;
  }
  Nanoseconds wall() const noexcept {
    if (asleep_) [[unlikely]]
      begin_turn();
    return wall_;
  }

  /// For Descriptor: false when it cannot be watched.
  bool watch(int descriptor, Descriptor& who) noexcept;
  void forget(Descriptor& who) noexcept;

  /// The T of this loop, made from the loop by the first who asks; by this loop's own thread. For what is one per
  /// thread and holds its sockets (the connections of a client): it ends before they do.
  template <class T>
  T& own() {
    for (const auto& [key, object] : owned_)
      if (key == &key_of<T>) return *static_cast<T*>(object.get());
    auto made = std::make_shared<T>(*this);
    owned_.emplace_back(&key_of<T>, made);
    return *made;
  }

  Wheel& wheel() { return wheel_; }
  std::uint64_t tick_in(Nanoseconds span);
  std::size_t running() const { return running_; }

 private:
  struct Impl;
  void begin_turn() const noexcept;
  void work_ended() noexcept;
  friend Line line(Loop& loop, Task<> work);
  std::unique_ptr<Impl> impl_;
  Wheel wheel_;
  std::size_t running_ = 0;
  mutable Nanoseconds now_ = 0, wall_ = 0;
  std::size_t ahead_ = 0;        ///< of what has happened and is known, not looked at yet
  mutable bool asleep_ = false;  ///< until the next alarm: the first turn in between sets the tick going again
  template <class T>
  static inline char key_of = 0;
  std::vector<std::pair<const void*, std::shared_ptr<void>>> owned_;  // last: ended first
};

/// `work`, told to stop at the deadline. Ends when the work has ended: a Result of `deadline-exceeded` when it was cut.
template <class T>
Task<Result<T>> within(Loop& loop, Nanoseconds span, Task<Result<T>> work) {
  struct Cut : Alarm {
    Scope scope;
  } cut;
  cut.ring = [](Alarm& alarm) { static_cast<Cut&>(alarm).scope.stop(Stop::deadline); };
  cut.scope.ends_by(loop.now() + span);
  loop.wheel().arm(cut, loop.tick_in(span));
  auto result = co_await in(cut.scope, std::move(work));
  co_return result;
}

/// Runs one line of work to its end; its frame frees itself.
struct Line {
  struct promise_type : PromiseBase {
    Line get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    void unhandled_exception() const noexcept { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

/// The first to succeed; the other is told to stop, and waited for. For hedging, and for a deadline of a different
/// kind.
template <class T>
class FirstOf final : public Waiting {
 public:
  FirstOf(Task<Result<T>> a, Task<Result<T>> b) : tasks_{std::move(a), std::move(b)} {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    outer_ = parent.promise().scope;
    if (outer_) {
      if (outer_->stopped() != Stop::none) stop(outer_->stopped());
      outer_->wait_at(*this);
    }
    for (int i = 0; i < 2; ++i) {
      auto line = branch(*this, i).handle;
      line.promise().scope = &scopes_[i];
      line.resume();
    }
    if (left_ == 0) return false;
    parent_ = parent;
    return true;
  }
  Result<T> await_resume() {
    if (outer_) outer_->go_on();
    return std::move(winner_ ? *winner_ : *last_);
  }
  void stop(Stop why) noexcept override {
    for (auto& scope : scopes_) scope.stop(why);
  }

 private:
  static Line branch(FirstOf& race, int i) {
    auto result = co_await std::move(race.tasks_[i]);
    if (result && !race.winner_) {
      race.winner_.emplace(std::move(result));
      race.scopes_[1 - i].stop(Stop::lost_race);
    } else {
      race.last_.emplace(std::move(result));
    }
    if (--race.left_ == 0 && race.parent_) race.parent_.resume();
  }
  Task<Result<T>> tasks_[2];
  Scope scopes_[2];
  Scope* outer_ = nullptr;
  std::coroutine_handle<> parent_;
  std::optional<Result<T>> winner_, last_;
  int left_ = 2;
};
template <class T>
FirstOf<T> first_of(Task<Result<T>> a, Task<Result<T>> b) {
  return {std::move(a), std::move(b)};
}

}  // namespace plimsoll
