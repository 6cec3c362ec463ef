#include "plimsoll/client/gate.hpp"

#include "plimsoll/exchange/context.hpp"

namespace plimsoll::client {

void Gate::followed_by(Gate& next) noexcept {
  next_ = &next;
  next.before_ = this;
}

Task<Result<Response>> Gate::apply(Request& request, Context& context, Next next) {
  auto& state = call_state(request, context);
  const auto begun = context.loop.now();
  Gate* last = nullptr;  // of those that have let it begin
  Result<> allowed;
  try {
    for (auto* each = this; each && allowed; each = each->next_)
      if (allowed = each->begin(request, context, state); allowed) last = each;
  } catch (...) { allowed = std::unexpected(error_from_current_exception()); }
  auto answer =
      allowed ? co_await next(request, context) : Result<Response>(std::unexpected(std::move(allowed).error()));
  const auto failure = failure_of(answer, request, state, context.loop.wall());
  const Scope* scope = co_await this_scope();
  const CallOutcome outcome{.answer = answer,
                            .failure = failure,
                            .context = context,
                            .begun = begun,
                            .ended = context.loop.now(),
                            .lost_race = scope && scope->stopped() == Stop::lost_race};
  for (; last; last = last->before_) try {
      last->end(outcome, state);
    } catch (...) {}  // no memory to tell of it: the others end all the same
  co_return answer;
}

}  // namespace plimsoll::client
