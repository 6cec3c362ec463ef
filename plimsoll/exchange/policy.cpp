#include "plimsoll/exchange/policy.hpp"

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <atomic>

namespace plimsoll {

/// How often it refused or would have refused, by problem. A counter is registered when it is needed first: most
/// operations never refuse for most reasons.
class Policy::Decisions {
 public:
  Decisions(std::span<const Problem* const> problems, telemetry::Registry& registry, std::string_view policy,
            std::string_view operation)
      : problems_(problems),
        registry_(registry),
        policy_(policy),
        operation_(operation),
        counters_(2 * problems.size()) {}

  void count(const Problem& problem, bool obeyed) noexcept {
    const auto at = static_cast<std::size_t>(std::ranges::find(problems_, &problem) - problems_.begin());
    if (at == problems_.size()) return;  // not of its own making: Site counts it as any other
    auto& slot = counters_[2 * at + obeyed];
    auto* counter = slot.load(std::memory_order_acquire);
    if (!counter) [[unlikely]]
      slot.store(counter = registered(problem, obeyed), std::memory_order_release);
    if (counter) counter->add();
  }

 private:
  telemetry::Counter* registered(const Problem& problem, bool obeyed) noexcept {
    const telemetry::Label labels[] = {{"policy", policy_},
                                       {"operation", operation_},
                                       {"problem", problem.code},
                                       {"decision", obeyed ? "refused" : "shadowed"}};
    try {
      return &registry_.counter("plimsoll_policy_decisions_total",
                                "Requests a policy refused, or would have refused in shadow.", labels);
    } catch (...) { return nullptr; }  // no memory: this one is not counted
  }

  const std::span<const Problem* const> problems_;
  telemetry::Registry& registry_;
  const std::string_view policy_;
  const std::string operation_;
  std::vector<std::atomic<telemetry::Counter*>> counters_;
};

void Policy::count(std::span<const Problem* const> problems, telemetry::Registry& registry,
                   std::string_view operation) {
  decisions_ = std::make_shared<Decisions>(problems, registry, name_, operation);
}

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

void Policy::answers_for(Error& error) const noexcept {
  error.more().policy = name_;
  if (decisions_) decisions_->count(*error.problem, true);
}

bool Policy::refuses(Context& context, Error& error) const noexcept {
  if (mode_ == Mode::enforce) {
    answers_for(error);
    return true;
  }
  error.more().policy = name_;
  if (decisions_) decisions_->count(*error.problem, false);
  if (auto* log = context.services.log)
    log->write(telemetry::Level::warning, "would refuse", [&](telemetry::Line& line) {
      line.add("policy", name_)
          .add("problem", error.problem->code)
          .add("detail", error.more().cause.empty() ? error.detail : error.more().cause)
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
