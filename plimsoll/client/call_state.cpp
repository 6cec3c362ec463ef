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

void CallState::interim(Answer answer) {
  constexpr std::size_t kMost = 64 * 1024;
  for (const auto& [name, value] : answer.headers) interim_bytes += name.size() + value.size();
  if (!informed || interim_bytes > kMost) return;
  if (replaceable)
    interim_answers.push_back(std::move(answer));
  else
    informed->interim(std::move(answer));
}

void CallState::use_interim() {
  for (auto& answer : std::exchange(interim_answers, {}))
    if (informed) informed->interim(std::move(answer));
}

CallState& call_state(const Request& request, Context& context) {
  for (auto* state = context.noted<CallState>(); state; state = state->before)
    if (state->of == &request) return *state;
  return made_for(request, context);
}

CallState& begin_call(const Request& request, Context& context) {
  auto* state = &call_state(request, context);
  if (state->begun) state = &made_for(request, context);
  state->begun = true;
  return *state;
}

}  // namespace plimsoll::client
