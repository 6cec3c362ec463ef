#pragma once

#include "plimsoll/base/clock.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

namespace plimsoll::client {

/// How many retries a service may be sent, so that a failing service is not sent a multiple of its load.
struct RetryBudgetOptions {
  double share = 0.2;       ///< of the calls of the window
  std::int64_t floor = 10;  ///< each second, whatever the number of calls
  Nanoseconds window = 10 * kSecond;
};

/// The retry budget of one service: a pure value, told the time.
///
/// A retry counts from its decision, the back-off included, for the length of the window and in any case until it has
/// ended: retries that wait are not free (Envoy issue 30205). The window slides in 64 steps; retries of the step that
/// is leaving still count and calls of it no longer do, so that the share holds over every span of the window's length.
class RetryBudget {
 public:
  /// The step in which a retry was decided; given back to `end`.
  using Ticket = std::int64_t;

  /// A call has come: its first attempt, not a retry.
  void arrive(const RetryBudgetOptions& options, Nanoseconds now) {
    advance(options, now);
    ++at(step_).calls;
    ++calls_;
  }

  /// Decides one retry. Nothing: the budget is spent. What is taken is ended, come what may.
  std::optional<Ticket> take(const RetryBudgetOptions& options, Nanoseconds now) {
    advance(options, now);
    const double window_s = static_cast<double>(options.window) / kSecond;
    const double allowed = options.share * static_cast<double>(calls_) + static_cast<double>(options.floor) * window_s;
    if (static_cast<double>(retries_ + outlasting_ + 1) > allowed) return std::nullopt;
    auto& step = at(step_);
    ++step.retries, ++step.running;
    ++retries_;
    return step_;
  }

  /// A retry has ended, however it did.
  void end(Ticket ticket) {
    if (ticket > step_ - kKept)
      --at(ticket).running;
    else
      --outlasting_;
  }

  /// Retries that count now.
  std::int64_t spent() const { return retries_ + outlasting_; }

 private:
  static constexpr std::int64_t kSteps = 64, kKept = kSteps + 1;  // the step that is leaving is kept for its retries
  struct Step {
    std::int64_t calls = 0, retries = 0, running = 0;
  };
  Step& at(std::int64_t step) { return steps_[static_cast<std::size_t>(step % kKept)]; }

  void advance(const RetryBudgetOptions& options, Nanoseconds now) {
    const auto current = std::max(step_, now / std::max<Nanoseconds>(options.window / kSteps, 1));
    if (current - step_ > kKept) {  // nothing of what is kept is within the window
      for (auto& step : steps_) outlasting_ += step.running, step = {};
      calls_ = retries_ = 0;
      step_ = current;
      return;
    }
    while (step_ < current) {
      ++step_;
      // The step that was newest a whole window ago has no calls that count; the one before it has nothing that does.
      if (step_ >= kSteps) calls_ -= std::exchange(at(step_ - kSteps).calls, 0);
      auto& oldest = at(step_);
      retries_ -= oldest.retries;
      calls_ -= oldest.calls;
      outlasting_ += oldest.running;
      oldest = {};
    }
  }

  std::array<Step, kKept> steps_{};
  std::int64_t step_ = 0;                 ///< the current one, counted from the clock's beginning
  std::int64_t calls_ = 0, retries_ = 0;  ///< of all steps
  std::int64_t outlasting_ = 0;           ///< retries decided before all steps that have not ended
};

}  // namespace plimsoll::client
