#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/scope.hpp"

#include <coroutine>
#include <cstdint>

namespace plimsoll {

/// How a wait ended.
enum class Wake : std::uint8_t {
  ready,    ///< try again now
  late,     ///< the wait's own deadline passed
  stopped,  ///< the scope was told to stop
};

/// Whether one way of something (of a descriptor, of a stream of HTTP/2) may find something when it is tried. At most
/// one line of work waits for it.
class Readiness {
 public:
  class Wait;
  bool ready() const noexcept { return ready_; }
  /// Without waking whoever waits.
  void set(bool ready) noexcept { ready_ = ready; }
  /// It may find something: whoever waits goes on at the loop's next turn.
  void happen() noexcept;

 private:
  friend class Descriptor;
  bool ready_ = false;
  Wait* waiter_ = nullptr;
};

/// `Wake woken = co_await Readiness::Wait{loop, readiness, within};` `within` 0: no deadline of its own. `other`: a
/// second one, of which either is enough.
class Readiness::Wait final : public Waiting, public Alarm, public Deferred {
 public:
  Wait(Loop& loop, Readiness& side, Nanoseconds within, Readiness* other = nullptr)
      : loop_(loop), side_(side), other_(other), within_(within) {}
  bool await_ready() const noexcept { return side_.ready_ || (other_ && other_->ready_); }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> waiting) noexcept {
    scope_ = waiting.promise().scope;
    waiting_ = waiting;
    return begin();
  }
  Wake await_resume() const noexcept { return wake_; }

  void stop(Stop) noexcept override;

 private:
  friend class Readiness;
  friend class Descriptor;
  bool begin() noexcept;
  void end(Wake) noexcept;
  void end_soon(Wake) noexcept;
  void resume() noexcept;
  void wait_at_sides(Wait* who) noexcept {
    side_.waiter_ = who;
    if (other_) other_->waiter_ = who;
  }
  Loop& loop_;
  Readiness& side_;
  Readiness* other_;
  Nanoseconds within_;
  Scope* scope_ = nullptr;
  std::coroutine_handle<> waiting_;
  Wake wake_ = Wake::ready;
};

}  // namespace plimsoll
