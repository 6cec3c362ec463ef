#include "plimsoll/exchange/policy.hpp"

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll {

Task<Result<Response>> refuse(Error error) { co_return std::unexpected(std::move(error)); }

Task<Result<Response>> Next::operator()(Request& request, Context& context) const noexcept {
  try {
    const Link* link = link_;
    for (; link->check; ++link)  // a run of checks is a loop: no frame, no depth
      if (auto verdict = link->check->check(request, context); !verdict) [[unlikely]]
        if (link->check->refuses(context, verdict.error())) return refuse(std::move(verdict).error());
    if (link->policy) return link->policy->apply(request, context, Next{link + 1});
    return link->handler->handle(request, context);
  } catch (...) { return refuse(error_from_current_exception()); }
}

bool Policy::refuses(Context& context, Error& error) const noexcept {
  error.more().policy = name_;
  if (mode_ == Mode::enforce) {
    if (refused_) refused_->add();
    return true;
  }
  if (shadowed_) shadowed_->add();
  if (auto* log = context.services.log)
    log->write(telemetry::Level::warning, "would refuse", [&](telemetry::Line& line) {
      line.add("policy", name_)
          .add("problem", error.problem->code)
          .add("detail", error.detail)
          .add("trace_id", context.trace_id);
      if (context.operation) line.add("operation", context.operation->id);
    });
  return false;
}

Task<Result<Response>> Check::apply(Request& request, Context& context, Next next) {
  if (auto verdict = check(request, context); !verdict) [[unlikely]]
    if (refuses(context, verdict.error())) return refuse(std::move(verdict).error());
  return next(request, context);
}

}  // namespace plimsoll
