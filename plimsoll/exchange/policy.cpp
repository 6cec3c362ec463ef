#include "plimsoll/exchange/policy.hpp"

#include "plimsoll/base/seen_list.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <array>

namespace plimsoll {

std::unique_ptr<Handler> Handler::bind(const Build&, std::vector<std::string>&) { return nullptr; }

/// How often it refused or would have refused, by problem. All are exposed from the start, as zeros; a counter is made
/// when it counts first: most operations never refuse for most reasons.
class Policy::Decisions {
 public:
  Decisions(std::span<const Problem* const> problems, telemetry::Registry& registry, const Policy& policy,
            std::string_view operation)
      : problems_(problems),
        registry_(registry),
        policy_(policy),
        operation_(operation),
        expectation_(registry, telemetry::Kind::counter, kName, kHelp, *this) {}

  /// The labels of all that it counts.
  void expected(telemetry::Expectation::Tell tell) const {
    for (const auto* problem : problems_) tell(labels_of(*problem, policy_.mode_ == Mode::enforce));
  }

  void count(const Problem& problem, bool obeyed) noexcept {
    const auto same = [&](const Known& one) { return one.problem == &problem && one.obeyed == obeyed; };
    if (const auto* known = known_.find(same)) return known->counter.add();
    if (std::ranges::find(problems_, &problem) == problems_.end()) return;  // not its own: Site counts it as any other
    try {
      add(problem, obeyed).add();
    } catch (...) {}  // no memory: this one is not counted
  }

 private:
  static constexpr std::string_view kName = "plimsoll_policy_decisions_total";
  static constexpr std::string_view kHelp = "Requests a policy refused, or would have refused in shadow.";

  std::array<telemetry::Label, 4> labels_of(const Problem& problem, bool obeyed) const {
    return {{{"policy", policy_.name_},
             {"operation", operation_},
             {"problem", problem.code},
             {"decision", obeyed ? "refused" : "shadowed"}}};
  }
  /// What it has counted.
  struct Known {
    const Problem* problem;
    bool obeyed;
    telemetry::Counter& counter;
  };
  telemetry::Counter& add(const Problem& problem, bool obeyed) {
    auto& counter = registry_.counter(kName, kHelp, labels_of(problem, obeyed));
    known_.add({&problem, obeyed, counter});
    return counter;
  }

  const std::span<const Problem* const> problems_;
  telemetry::Registry& registry_;
  const Policy& policy_;
  const std::string_view operation_;
  SeenList<Known> known_;
  const telemetry::Expectation expectation_;  ///< last: it reads all others
};

void Policy::count(std::span<const Problem* const> problems, telemetry::Registry& registry,
                   std::string_view operation) {
  decisions_ = std::make_shared<Decisions>(problems, registry, *this, operation);
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
    log->write(telemetry::Level::warning, "would-reject", [&](telemetry::Line& line) {
      line.add("policy", name_)
          .add("problem", error.problem->code)
          .add("detail", log_text(error))
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
