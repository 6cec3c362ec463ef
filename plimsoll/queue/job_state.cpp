#include "plimsoll/queue/job_state.hpp"

#include <algorithm>
#include <array>

namespace plimsoll::queue {
namespace {

constexpr std::array<std::string_view, 7> kNames{"scheduled", "available", "running", "retryable",
                                                 "completed", "cancelled", "dead"};

}  // namespace

std::string_view to_string(State state) noexcept { return kNames[static_cast<std::size_t>(state)]; }

std::optional<State> parse_state(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == name) return static_cast<State>(i);
  return std::nullopt;
}

Nanoseconds retry_delay(const RetryRule& rule, int failures, double random) noexcept {
  // Stops at the cap, so that no count of failures overflows.
  Nanoseconds span = rule.base;
  for (int i = 0; i < failures && span < rule.cap; ++i) span *= 2;
  span = std::min(span, rule.cap);
  return span / 2 + static_cast<Nanoseconds>(random * static_cast<double>(span - span / 2));
}

bool Standing::claimable(Nanoseconds now) const noexcept {
  return (state == State::scheduled || state == State::available || state == State::retryable) && due <= now;
}

void Standing::claim(Nanoseconds now, Nanoseconds lease_for) noexcept {
  state = State::running;
  ++attempts;
  ++token;
  lease = now + lease_for;
}

bool Standing::renew(std::int64_t by, Nanoseconds now, Nanoseconds lease_for) noexcept {
  if (!held(by)) return false;
  lease = now + lease_for;
  return true;
}

bool Standing::complete(std::int64_t by) noexcept {
  if (!held(by)) return false;
  state = State::completed;
  return true;
}

bool Standing::fail(std::int64_t by, const RetryRule& rule, Nanoseconds now, double random, bool retryable,
                    Nanoseconds retry_after) noexcept {
  if (!held(by)) return false;
  const int before = failures++;
  if (!retryable || failures >= rule.attempts) {
    state = State::dead;
  } else {
    state = State::retryable;
    due = now + std::max(retry_delay(rule, before, random), retry_after);
  }
  return true;
}

bool Standing::release(std::int64_t by, Nanoseconds now) noexcept {
  if (!held(by)) return false;
  state = State::available;
  --attempts;
  due = now;
  return true;
}

bool Standing::expire(const RetryRule& rule, Nanoseconds now) noexcept {
  if (state != State::running || lease > now) return false;
  ++crashes;
  state = crashes >= rule.crashes ? State::dead : State::available;
  due = now;
  return true;
}

bool Standing::cancel() noexcept {
  if (ended(state)) return false;
  state = State::cancelled;
  ++token;
  return true;
}

bool Standing::requeue(Nanoseconds now) noexcept {
  if (state != State::dead && state != State::cancelled) return false;
  state = State::available;
  attempts = failures = crashes = 0;
  due = now;
  return true;
}

}  // namespace plimsoll::queue
