#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/task.hpp"

#include <algorithm>
#include <cstdint>

namespace plimsoll {

/// Why a line of work has to end.
enum class Stop : std::uint8_t { none, deadline, client_gone, lost_race, drain };

/// An operation at which a line of work stands still and which can be asked to end early. Asked, it still ends in its
/// own time and only then resumes: what it refers to stays alive until then.
class Waiting {
 public:
  virtual void stop(Stop why) noexcept = 0;
  /// It was asked already, since the client had gone; this reason is stronger. Of use to what goes on without a client.
  virtual void stop_again(Stop) noexcept {}

 protected:
  ~Waiting() = default;
};

/// One line of work that can be told to stop. It waits in at most one place at a time, so one pointer is all it needs;
/// a scope within a scope is such a place. Lives in the frame that opens it; used by one thread.
class Scope final : public Waiting {
 public:
  void stop(Stop why) noexcept override {
    if (why_ == Stop::client_gone && why != Stop::client_gone && at_) at_->stop_again(why);
    if (why_ != Stop::none) return;
    why_ = why;
    if (at_) at_->stop(why);
  }
  void stop_again(Stop why) noexcept override { stop(why); }
  Stop stopped() const noexcept { return why_; }

  /// It will be told to stop at that time (steady) at the latest: for work that hands its time limit on to others, such
  /// as a database. The earliest counts.
  void ends_by(Nanoseconds at) noexcept { ends_by_ = ends_by_ == 0 ? at : std::min(ends_by_, at == 0 ? ends_by_ : at); }
  Nanoseconds ends_by() const noexcept { return ends_by_; }  ///< 0: nobody has said

  void wait_at(Waiting& place) noexcept { at_ = &place; }
  void go_on() noexcept { at_ = nullptr; }

 private:
  Waiting* at_ = nullptr;
  Nanoseconds ends_by_ = 0;
  Stop why_ = Stop::none;
};

inline constexpr Problem kDeadlineExceeded{"deadline-exceeded", 504, "The request took too long",
                                           "Request less, or try again later.", true};
inline constexpr Problem kClientGone{"client-gone", 499, "The client disconnected", ""};
inline constexpr Problem kDraining{"draining", 503, "The server is shutting down",
                                   "Repeat the request; another instance may answer it.", true};
inline constexpr Problem kCancelled{"cancelled", 500, "Cancelled", ""};

inline Error error_of(Stop why) {
  switch (why) {
    case Stop::deadline: return {&kDeadlineExceeded};
    case Stop::client_gone: return {&kClientGone};
    case Stop::drain: return {&kDraining};
    default: return {&kCancelled};
  }
}

/// A task in a scope of its own. `At`: where the surrounding line of work waits, which hands on what stops it.
template <class T, class At = Scope&>
struct InScope {
  Scope& scope;
  Task<T> task;
  At at;
  Scope* outer = nullptr;

  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> parent) {
    outer = parent.promise().scope;
    if (outer) {
      if (outer->stopped() != Stop::none) scope.stop(outer->stopped());
      scope.ends_by(outer->ends_by());
      outer->wait_at(at);
    }
    return Task<T>::start(task.handle(), parent, &scope);
  }
  T await_resume() {
    if (outer) outer->go_on();
    return task.handle().promise().take();
  }
};

/// `co_await in(scope, task)`: the task runs in `scope`, which stops when the surrounding one does.
template <class T>
InScope<T> in(Scope& scope, Task<T> task) {
  return {scope, std::move(task), scope};
}

/// Hands on to a scope what stops the surrounding one, but for that the client has gone.
class PastClient final : public Waiting {
 public:
  explicit PastClient(Scope& scope) : scope_(scope) {}
  void stop(Stop why) noexcept override {
    if (why != Stop::client_gone) scope_.stop(why);
  }
  void stop_again(Stop why) noexcept override { scope_.stop(why); }

 private:
  Scope& scope_;
};
/// `co_await past_client(scope, task)`: the same, but that the client goes while the task runs does not stop it. The
/// end of its time and of the process do.
template <class T>
InScope<T, PastClient> past_client(Scope& scope, Task<T> task) {
  return {scope, std::move(task), PastClient{scope}};
}

/// `Scope* scope = co_await this_scope();`
struct this_scope {
  Scope* scope = nullptr;
  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> self) noexcept {
    scope = self.promise().scope;
    return false;
  }
  Scope* await_resume() const noexcept { return scope; }
};

}  // namespace plimsoll
