#include "plimsoll/async/pause.hpp"
#include "plimsoll/client/backoff.hpp"
#include "plimsoll/client/failure.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/client/random.hpp"
#include "plimsoll/client/shared_budget.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/field_name.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll::client {
namespace {

/// Tells the called service which attempt this is. Whoever is sent it does not repeat: only the outermost layer does.
constexpr std::string_view kAttempt = "x-plimsoll-attempt";
/// Bytes of an answer that is not used, read so that its connection can be.
constexpr std::size_t kDrained = 64 * 1024;

/// Repeats a call that failed, where that can do no harm: the request means the same once and twice, or nothing of it
/// was sent; its body can be sent again; there is time and budget left.
class Retry final : public Policy {
 public:
  struct Options {
    std::int64_t attempts = 3;
    config::Duration base = config::milliseconds(50), cap = config::seconds(1);
    config::Ratio budget{RetryBudgetOptions{}.share};
    std::int64_t floor = RetryBudgetOptions{}.floor;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::attempts>("attempts", "The most retries of a call, after the first attempt.", {0, 10}),
      config::field<&Options::base>(
          "base", "A retry waits a random time of up to this, twice this before the next one, and so on.",
          {kMillisecond, 60 * kSecond}),
      config::field<&Options::cap>("cap", "The longest of those bounds; `Retry-After` may be longer.",
                                   {kMillisecond, 600 * kSecond}),
      config::field<&Options::budget>("budget",
                                      "Retries to the calls of the last 10 s, over all calls of the service."),
      config::field<&Options::floor>("floor", "Retries each second that are allowed in addition to the budget.",
                                     {0, 100'000}),
  };
  static constexpr std::string_view example = "{attempts: 2, budget: 10%}";
  static constexpr Metric metrics[] = {
      {"plimsoll_client_retries_total", "1", "Retries of calls, by service."},
      {"plimsoll_client_retries_refused_total", "1",
       "Calls that failed, might have been repeated and were not, by service and reason: `budget`, `deadline`."},
  };

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    Options options;
    if (from)
      if (auto done = config::read(*from, fields, &options, kEveryPolicy); !done)
        return std::unexpected(std::move(done).error());
    if ((!from && !build.resilient) || options.attempts == 0) return nullptr;
    return std::make_unique<Retry>(options, build);
  }
  Retry(const Options& options, const Build& build)
      : attempts_(static_cast<std::uint32_t>(options.attempts)),
        base_(options.base.nanoseconds),
        cap_(options.cap.nanoseconds),
        budget_options_{.share = options.budget.value, .floor = options.floor},
        budget_(build.shared->of<Kept<SharedBudget>>()->of(build.service)) {
    if (!build.services.metrics) return;
    auto& registry = *build.services.metrics;
    const telemetry::Label service{"service", build.service};
    retries_ = &registry.counter(metrics[0].name, metrics[0].sentence, {{service}});
    const auto refused = [&](std::string_view reason) {
      const telemetry::Label labels[] = {service, {"reason", reason}};
      return &registry.counter(metrics[1].name, metrics[1].sentence, labels);
    };
    out_of_budget_ = refused("budget");
    out_of_time_ = refused("deadline");
  }

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto& state = call_state(request, context);
    const auto& loop = context.loop;
    if (request.headers.contains(kAttempt)) [[unlikely]] {
      auto answer = co_await next(request, context);
      co_return answer;
    }
    budget_->arrive(budget_options_, loop.now());
    state.numbered = true;
    Retrying retry{*budget_, request.headers, {}};
    for (std::uint32_t attempt = 0;; ++attempt) {
      set_alone(request.headers, lasting(kAttempt), lasting(kNumbers[attempt]));
      state.begin_attempt();
      state.replaceable = attempt < attempts_ && is_repeatable(request, state);
      auto answer = co_await next(request, context);
      retry.end();
      const auto failure = failure_of(answer, request, state, loop.wall());
      if (!failure || !failure->repeatable || attempt == attempts_) [[likely]]
        co_return answer;
      const Scope* scope = co_await this_scope();
      if (scope && scope->stopped() != Stop::none) co_return answer;
      auto wait = backoff(base_, cap_, attempt, random_bits());
      if (failure->retry_after) wait = std::max(wait, *failure->retry_after);
      if (wait >= left(state, context)) {
        if (out_of_time_) out_of_time_->add();
        co_return answer;
      }
      if (retry.ticket = budget_->take(loop.now()); !retry.ticket) {
        if (out_of_budget_) out_of_budget_->add();
        co_return answer;
      }
      const auto again_at = loop.now() + wait;
      if (state.answer) {
        if (wait > 0) (void)co_await within(context.loop, wait, drained(*state.answer));
        state.answer->abandon();
      }
      state.finished();
      if (const auto rest = again_at - loop.now(); rest > 0) {
        const bool rested = co_await pause(context.loop, rest);
        if (!rested) {
          scope = co_await this_scope();
          co_return std::unexpected(error_of(scope->stopped()));
        }
      }
      if (retries_) retries_->add();
    }
  }

 private:
  static constexpr std::string_view kNumbers[] = {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"};
  /// A retry from its decision to its end.
  struct Retrying {
    SharedBudget& budget;
    Headers& headers;
    std::optional<RetryBudget::Ticket> ticket;
    ~Retrying() {
      end();
      headers.remove(kAttempt);  // another call with the same request is another call
    }
    void end() {
      if (ticket) budget.end(*std::exchange(ticket, std::nullopt));
    }
  };

  static Nanoseconds left(const CallState& state, const Context& context) {
    auto until = state.until;
    if (context.deadline()) until = std::min(until, context.deadline());
    return until == kNever ? until : until - context.loop.now();
  }
  static Task<Result<>> drained(Abandonable& answer) {
    co_await answer.drain(kDrained);
    co_return Result<>{};
  }

  const std::uint32_t attempts_;
  const Nanoseconds base_, cap_;
  const RetryBudgetOptions budget_options_;
  const std::shared_ptr<SharedBudget> budget_;
  telemetry::Counter *retries_ = nullptr, *out_of_budget_ = nullptr, *out_of_time_ = nullptr;
};

}  // namespace

extern constinit const Part retry = part<Retry>("retry", "Retries failed calls where that is safe.");

}  // namespace plimsoll::client
