#pragma once

#include "plimsoll/base/clock.hpp"

#include <array>
#include <cstdint>
#include <utility>

namespace plimsoll::client {

/// When a circuit breaker opens, and for how long.
struct CircuitBreakerOptions {
  double failures = 0.5;       ///< share of calls that failed, from which it opens
  double slow = 0.5;           ///< share of calls that were slow, from which it opens
  Nanoseconds slow_after = 0;  ///< what slow is; 0: nothing
  std::int64_t calls = 20;     ///< calls within the window, below which it never opens
  Nanoseconds window = 10 * kSecond;
  Nanoseconds open = 5 * kSecond;  ///< a tenth more or less, at random
};

/// A circuit breaker: a pure value, told the time and given random numbers.
///
/// Closed, all calls pass and are counted over a window of ten steps. Open, none passes. After that time it is
/// half-open: one call at a time passes as a probe; one that succeeds closes it, one that fails opens it again, and one
/// that says nothing (its caller left) makes room for the next.
class CircuitBreaker {
 public:
  enum class State : std::uint8_t { closed, open, half_open };
  enum class Outcome : std::uint8_t { success, failure, unknown };

  /// Whether a call may pass. What was admitted is settled once.
  struct Admission {
    bool allowed = false;
    Nanoseconds retry_after = 0;  ///< where it is not: when the next call may pass, as far as is known
    std::uint32_t period = 0;     ///< in which it was admitted: what comes from an earlier one is no longer counted
  };

  Admission admit(const CircuitBreakerOptions& options, Nanoseconds now) {
    if (state_ == State::open && now >= until_) become(State::half_open);
    switch (state_) {
      case State::closed: return {.allowed = true, .period = period_};
      case State::open: return {.retry_after = until_ - now, .period = period_};
      case State::half_open: break;
    }
    if (probing_) return {.retry_after = options.open / 5, .period = period_};
    probing_ = true;
    return {.allowed = true, .period = period_};
  }

  /// What came of an admitted call that took `span`. `random`: any 64 bits. Returns whether the state has changed.
  bool settle(const CircuitBreakerOptions& options, const Admission& admission, Outcome outcome, Nanoseconds span,
              Nanoseconds now, std::uint64_t random) {
    if (admission.period != period_) return false;
    const bool slow = outcome == Outcome::success && options.slow_after > 0 && span >= options.slow_after;
    if (state_ == State::half_open) {
      probing_ = false;
      if (outcome == Outcome::unknown) return false;
      if (outcome == Outcome::success && !slow)
        become(State::closed);
      else
        open(options, now, random);
      return true;
    }
    if (state_ != State::closed || outcome == Outcome::unknown) return false;
    advance(options, now);
    auto& step = steps_[static_cast<std::size_t>(step_ % kSteps)];
    ++step.calls, ++sum_.calls;
    if (outcome == Outcome::failure) ++step.failures, ++sum_.failures;
    if (slow) ++step.slow, ++sum_.slow;
    const auto calls = static_cast<double>(sum_.calls);
    const bool too_many = static_cast<double>(sum_.failures) >= options.failures * calls && sum_.failures > 0;
    const bool too_slow = static_cast<double>(sum_.slow) >= options.slow * calls && sum_.slow > 0;
    if (sum_.calls < options.calls || (!too_many && !too_slow)) return false;
    open(options, now, random);
    return true;
  }

  State state() const { return state_; }

 private:
  static constexpr std::int64_t kSteps = 10;
  struct Counts {
    std::int64_t calls = 0, failures = 0, slow = 0;
  };

  void become(State state) {
    state_ = state;
    ++period_;
    probing_ = false;
    steps_ = {};
    sum_ = {};
  }
  void open(const CircuitBreakerOptions& options, Nanoseconds now, std::uint64_t random) {
    become(State::open);
    const auto tenth = static_cast<std::uint64_t>(options.open / 10);
    until_ = now + options.open - static_cast<Nanoseconds>(tenth) + static_cast<Nanoseconds>(random % (2 * tenth + 1));
  }
  void advance(const CircuitBreakerOptions& options, Nanoseconds now) {
    const auto current = now / (options.window / kSteps > 0 ? options.window / kSteps : 1);
    if (current <= step_) return;
    const auto left = current - step_;
    for (std::int64_t i = 0; i < kSteps && i < left; ++i) {
      auto& step = steps_[static_cast<std::size_t>((current - i) % kSteps)];
      sum_.calls -= step.calls, sum_.failures -= step.failures, sum_.slow -= step.slow;
      step = {};
    }
    step_ = current;
  }

  std::array<Counts, kSteps> steps_{};
  Counts sum_;
  std::int64_t step_ = 0;
  Nanoseconds until_ = 0;     ///< while open
  std::uint32_t period_ = 0;  ///< of the state: one more with each change
  State state_ = State::closed;
  bool probing_ = false;
};

}  // namespace plimsoll::client
