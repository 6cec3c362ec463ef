#include "plimsoll/client/call_state.hpp"

#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/method.hpp"

namespace plimsoll::client {

namespace {

CallState& made_for(const Request& request, Context& context) {
  auto* last = context.noted<CallState>();
  auto& made = context.note<CallState>();
  made.of = &request;
  made.before = last;
  if (!http::is_safe(request.method)) made.once = context.noted<SentOnce>();
  return made;
}

}  // namespace

CallState& call_state(const Request& request, Context& context) {
  for (auto* state = context.noted<CallState>(); state; state = state->before)
    if (state->of == &request) return *state;
  return made_for(request, context);
}

void begin_call(const Request& request, Context& context) {
  auto* state = &call_state(request, context);
  if (state->begun) state = &made_for(request, context);
  state->begun = true;
}

}  // namespace plimsoll::client
