#include "plimsoll/exchange/after_policy.hpp"

namespace plimsoll {

void AfterPolicy::followed_by(AfterPolicy& next) noexcept {
  next_ = &next;
  next.before_ = this;
}

Task<Result<Response>> AfterPolicy::apply(Request& request, Context& context, Next next) {
  auto answer = co_await next(request, context);
  auto* last = this;
  while (last->next_) last = last->next_;
  for (auto* each = last; each; each = each->before_) try {
      each->after(request, context, answer);
    } catch (...) { answer = std::unexpected(error_from_current_exception()); }
  co_return answer;
}

}  // namespace plimsoll
