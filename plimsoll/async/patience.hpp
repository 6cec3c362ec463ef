#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/result.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

namespace plimsoll {

/// How long a start keeps trying what its environment refuses: a locked database, a full disk, an address in use. An
/// error that is `retryable` is a fault of the environment and is tried again, with growing pauses, until the span has
/// passed; any other error ends the attempts at once, because the user has to correct something.
///
/// While one exists, `database::wait_for` on the same thread retries through it, so that no preparation at the start
/// needs retries of its own.
class Patience {
 public:
  struct Hooks {
    /// Pauses for that long; false: the process is told to end, try no more.
    std::function<bool(Nanoseconds)> rest;
    /// Called when an attempt fails, at most every 5 s, with the time that is left.
    std::function<void(const Error&, Nanoseconds left)> told;
  };

  Patience(Nanoseconds span, Hooks hooks, const Clock& clock = system_clock())
      : hooks_(std::move(hooks)),
        clock_(clock),
        until_(clock.steady() + span),
        before_(std::exchange(current_, this)) {}
  ~Patience() { current_ = before_; }
  Patience(const Patience&) = delete;

  /// The one of this thread, or null.
  static Patience* current() noexcept { return current_; }

  /// Calls `attempt` (which gives a Result) until it succeeds, fails for another reason than the environment, the span
  /// has passed, or the process is told to end.
  template <class F>
  auto retry(F&& attempt) -> decltype(attempt()) {
    for (Nanoseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
      auto result = attempt();
      if (result || !result.error().retryable) return result;
      const auto now = clock_.steady();
      if (now >= until_) {
        spent_ = true;
        return result;
      }
      if (hooks_.told && (!told_ || now - *told_ >= kReminder)) {
        told_ = now;
        hooks_.told(result.error(), until_ - now);
      }
      if (!hooks_.rest || !hooks_.rest(std::min(pause, until_ - now))) return result;
    }
  }

  /// An attempt was given up because the environment still refused it when the span had passed.
  bool spent() const noexcept { return spent_; }

 private:
  static constexpr Nanoseconds kFirstPause = 50 * kMillisecond, kLongestPause = kSecond, kReminder = 5 * kSecond;
  static inline thread_local Patience* current_ = nullptr;
  Hooks hooks_;
  const Clock& clock_;
  Nanoseconds until_;
  std::optional<Nanoseconds> told_;
  bool spent_ = false;
  Patience* before_;
};

}  // namespace plimsoll
