#include "plimsoll/client/failure.hpp"

#include "plimsoll/client/backoff.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/quota.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/http/method.hpp"

#include <algorithm>

namespace plimsoll::client {

bool is_repeatable(const Request& request, const CallState& state) {
  if (state.repeats != Repeats::by_method) return state.repeats == Repeats::safe;
  return http::is_idempotent(request.method) ||
         (request.headers.contains("idempotency-key") && !(state.once && state.once->never_again));
}

std::string reason(const Error& error) {
  const auto text = log_text(error);
  return std::string(text.empty() ? error.problem->title : text);
}

std::optional<Failure> failure_of(const Result<Response>& answer, const Request& request, const CallState& state,
                                  Nanoseconds wall) {
  const bool again = !state.spent && (!state.connected || is_repeatable(request, state));
  if (answer) {
    const auto status = answer->status;
    if (status != 429 && (status < 500 || status == 501 || status == 505)) return std::nullopt;
    const bool passing = status == 429 || (status >= 502 && status <= 504);
    return Failure{.fault = status == 429 ? Fault::here : Fault::other_side,
                   .repeatable = passing && !state.spent && is_repeatable(request, state),
                   .retry_after = retry_after(answer->headers.find("retry-after"), wall)};
  }
  const auto& error = answer.error();
  if (state.body_failed) return Failure{.fault = Fault::caller};
  if (error.problem == &kUnreachable) return Failure{.fault = Fault::network, .repeatable = again};
  if (error.problem == &kBadAnswer) return Failure{.fault = Fault::other_side, .repeatable = again};
  if (error.problem == &kDeadlineExceeded) {
    // Where the body was still on its way, its sender may be the one that is slow.
    if (state.connected && !state.written && state.spent) return Failure{.fault = Fault::caller};
    return Failure{.fault = Fault::other_side, .repeatable = again};
  }
  if (error.problem == &kCircuitOpen || error.problem == &kTooManyCalls || error.problem == &kQuotaExhausted) {
    Failure failure{.fault = Fault::here};
    if (error.more_ && error.more_->retry_after >= 0) failure.retry_after = error.more_->retry_after * kSecond;
    return failure;
  }
  return Failure{.fault = Fault::caller};
}

}  // namespace plimsoll::client
