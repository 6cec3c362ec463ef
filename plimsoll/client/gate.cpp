#include "plimsoll/client/gate.hpp"

#include "plimsoll/exchange/context.hpp"

namespace plimsoll::client {
namespace {

/// Work that is told to stop when its time is over.
struct Cut final : Alarm {
  Scope scope;
  void begin(Loop& loop, Nanoseconds span) {
    ring = [](Alarm& alarm) { static_cast<Cut&>(alarm).scope.stop(Stop::deadline); };
    scope.ends_by(loop.now() + span);
    loop.wheel().arm(*this, loop.tick_in(span));
  }
};

}  // namespace

void Gate::followed_by(Gate& next) noexcept {
  next_ = &next;
  next.before_ = this;
}

Task<Result<Response>> Gate::apply(Request& request, Context& context, Next next) {
  auto& state = call_state(request, context);
  const auto begun = context.loop.now();
  Gate* last = nullptr;  // of those that have let it begin
  Nanoseconds span = 0;
  Result<> allowed;
  try {
    for (auto* each = this; each && allowed; each = each->next_)
      if (allowed = each->begin(request, context, state); allowed) {
        last = each;
        if (each->span() > 0) span = each->span();
      }
  } catch (...) { allowed = std::unexpected(error_from_current_exception()); }
  Cut cut;
  if (span > 0) cut.begin(context.loop, span);
  auto answer = !allowed   ? Result<Response>(std::unexpected(std::move(allowed).error()))
                : span > 0 ? co_await in(cut.scope, next(request, context))
                           : co_await next(request, context);
  cut.disarm();
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
