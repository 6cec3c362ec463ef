#include "plimsoll/async/pause.hpp"
#include "plimsoll/async/watched.hpp"
#include "plimsoll/client/failure.hpp"
#include "plimsoll/client/latency_window.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/client/shared_budget.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <charconv>

namespace plimsoll::client {
namespace {

enum class Late : std::uint8_t { p90, p95, p99 };

}  // namespace
}  // namespace plimsoll::client

template <>
struct plimsoll::config::Words<plimsoll::client::Late> {
  static constexpr std::string_view words[] = {"p90", "p95", "p99"};
};

namespace plimsoll::client {
namespace {

constexpr std::string_view kAttempt = "x-plimsoll-attempt";

/// Sends a call that has taken longer than most a second time, to another target where there is one, and takes the
/// answer that comes first (Dean and Barroso, "The Tail at Scale"). Only what may be repeated, and only so few calls
/// that a service which has become slow as a whole is not sent more than a little more.
class Hedge final : public Policy {
 public:
  struct Options {
    Late after = Late::p95;
    config::Ratio at_most{0.05};
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::after>(
          "after", "A call is sent a second time when it has taken longer than this share of the recent calls."),
      config::field<&Options::at_most>("at-most",
                                       "The share of the calls of the last 10 s that are sent twice at most."),
  };
  static constexpr std::string_view short_form = config::Form<Late>::schema;
  static constexpr std::string_view example = "p95";
  static constexpr Metric metrics[] = {
      {"plimsoll_client_hedges_total", "1",
       "Calls that were sent a second time because the first took long, by service."},
      {"plimsoll_client_hedges_won_total", "1", "Of those, the ones that the second attempt answered."},
  };

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    if (!from) return nullptr;
    auto options = read_either<&Options::after>(*from, fields);
    if (!options) return std::unexpected(std::move(options).error());
    return std::make_unique<Hedge>(*options, build);
  }
  Hedge(const Options& options, const Build& build)
      : share_(options.after == Late::p90   ? 0.90
               : options.after == Late::p95 ? 0.95
                                            : 0.99),
        service_(build.service),
        at_most_{.share = options.at_most.value, .floor = 0},
        hedges_(build.shared->of<Kept<Hedges>>()->of(build.service)),
        retries_(build.shared->of<Kept<SharedBudget>>()->of(build.service)),
        latencies_(build.shared->of<Kept<Latencies>>()) {
    if (!build.services.metrics) return;
    const telemetry::Label labels[] = {{"service", build.service}};
    sent_ = &build.services.metrics->counter(metrics[0].name, metrics[0].sentence, labels);
    won_ = &build.services.metrics->counter(metrics[1].name, metrics[1].sentence, labels);
  }

  Task<Result<Response>> apply(Request& request, Context& context, Next next) override {
    auto& state = call_state(request, context);
    auto& latencies = of(context.operation ? std::string_view(context.operation->id) : std::string_view{});
    const auto begun = context.loop.now();
    hedges_->arrive(at_most_, begun);
    const bool inner = request.headers.contains(kAttempt) && !state.numbered;  // only the outermost layer repeats
    const auto after = inner || !is_repeatable(request, state) ? std::nullopt : latencies.quantile(share_, begun);
    if (!after) {
      auto answer = co_await next(request, context);
      if (is_good(answer, request, state, context)) latencies.note(context.loop.now() - begun, context.loop.now());
      co_return answer;
    }
    state.replaceable = true;
    Race race{.policy = *this,
              .latencies = latencies,
              .request = request,
              .context = context,
              .next = next,
              .state = state,
              .after = *after,
              .begun = begun};
    const bool ended = co_await watched(first(race), second(race), Stop::lost_race);
    (void)ended;
    co_return race.outcome();
  }

 private:
  struct Hedges : SharedBudget {};
  struct Latencies {
    std::mutex mutex;
    LatencyWindow window;
    void note(Nanoseconds span, Nanoseconds now) {
      const std::scoped_lock lock(mutex);
      window.note(span, now);
    }
    std::optional<Nanoseconds> quantile(double share, Nanoseconds now) {
      const std::scoped_lock lock(mutex);
      return window.quantile(share, now);
    }
  };

  static bool is_good(const Result<Response>& answer, const Request& request, const CallState& state,
                      const Context& context) {
    return !failure_of(answer, request, state, context.loop.wall());
  }

  /// One call while it may be sent twice.
  struct Race {
    Hedge& policy;
    Latencies& latencies;
    Request& request;
    Context& context;
    Next next;
    CallState& state;
    const Nanoseconds after, begun;
    std::optional<Result<Response>> first{}, second{};
    Request* other = nullptr;  ///< once the call was sent a second time
    CallState* other_state = nullptr;

    /// The request as it is sent the second time: to a target at which it is not under way already.
    void copy() {
      other = &context.keep<Request>(
          Request{.method = request.method, .target = request.target, .headers = Headers{context.arena}});
      for (const auto& [name, value] : request.headers) other->headers.add(lasting(name), lasting(value));
      other->authority = request.authority;
      other->peer = request.peer;
      const auto said = request.headers.find(kAttempt);
      unsigned number = 1;
      std::from_chars(said.data(), said.data() + said.size(), number);
      other->headers.set(kAttempt, std::to_string(number + 1));
      other_state = &call_state(*other, context);
      other_state->begun = true;
      other_state->service = state.service;
      other_state->timeouts = state.timeouts, other_state->until = state.until;
      other_state->tried = state.tried;
      other_state->tried.set(state.target);
      other_state->held = state.held;
      other_state->websocket_key = state.websocket_key;
      other_state->caller = state.caller;
      other_state->repeats = state.repeats;
      other_state->numbered = true;
      other_state->trailing = state.trailing, other_state->trailer = state.trailer;
      other_state->informed = state.informed;
      other_state->replaceable = true;
    }
    bool first_is_good() const { return first && is_good(*first, request, state, context); }
    bool second_is_good() const { return second && is_good(*second, *other, *other_state, context); }
    Result<Response> outcome() {
      if (!first_is_good() && second_is_good()) {
        if (policy.won_) policy.won_->add();
        give_up(state);
        // What stands around this asks the state of the call that it knows.
        state.connected = other_state->connected, state.written = other_state->written;
        state.answer = other_state->answer;
        state.credential_refused = other_state->credential_refused;
        state.interim_answers = std::move(other_state->interim_answers);
        return std::move(*second);
      }
      if (other_state) give_up(*other_state);
      return std::move(*first);
    }
    static void give_up(CallState& state) {
      if (state.answer) state.answer->abandon();
      state.answer = nullptr;
      state.finished();
    }
  };

  /// Decides the race when it is good; else waits for the second, where there is one.
  static Task<bool> first(Race& race) {
    auto answer = co_await race.next(race.request, race.context);
    race.first.emplace(std::move(answer));
    auto& loop = race.context.loop;
    const Scope* scope = co_await this_scope();
    // What lost took at least so long.
    if (race.first_is_good() || scope->stopped() == Stop::lost_race)
      race.latencies.note(loop.now() - race.begun, loop.now());
    if (!race.first_is_good() && race.other && !race.second) co_await until_stopped(loop);
    co_return true;
  }

  /// Ends, and so ends the first, when its own answer is good or the first is of no use.
  static Task<> second(Race& race) {
    auto& loop = race.context.loop;
    const bool due = co_await pause(loop, race.after);
    if (!due || race.first) co_return;
    auto& policy = race.policy;
    BudgetTicket hedge, retry;
    if ((race.request.body && !race.state.held) || !policy.take(loop.now(), hedge, retry)) {
      hedge.end(), retry.end();
      co_await until_stopped(loop);
      co_return;
    }
    if (policy.sent_) policy.sent_->add();
    race.copy();
    const auto begun = loop.now();
    auto answer = co_await race.next(*race.other, race.context);
    race.second.emplace(std::move(answer));
    if (race.second_is_good()) {
      race.latencies.note(loop.now() - begun, loop.now());
      co_return;
    }
    hedge.end(), retry.end();
    if (!race.first) co_await until_stopped(loop);
  }
  static Task<> until_stopped(Loop& loop) {
    for (bool rested = true; rested;) {
      const bool again = co_await pause(loop, 3600 * kSecond);
      rested = again;
    }
  }

  /// The hedges' own budget first: what it refuses must take nothing from the retries of a service that is slow.
  bool take(Nanoseconds now, BudgetTicket& hedge, BudgetTicket& retry) {
    const auto ticket = hedges_->take(now);
    if (!ticket) return false;
    hedge = BudgetTicket{*hedges_, *ticket};
    if (!retries_->in_force()) return true;
    const auto second = retries_->take(now);
    if (second) retry = BudgetTicket{*retries_, *second};
    return second.has_value();
  }

  /// Latencies are kept when an operation is first called; their number is bounded by that of operations.
  Latencies& of(std::string_view operation) {
    const std::scoped_lock lock(mutex_);
    const auto known = of_operations_.find(operation);
    if (known != of_operations_.end()) return *known->second;
    auto made = latencies_->of(service_ + ' ' + std::string(operation));
    return *of_operations_.emplace(std::string(operation), std::move(made)).first->second;
  }

  const double share_;
  const std::string service_;
  const RetryBudgetOptions at_most_;
  const std::shared_ptr<Hedges> hedges_;
  const std::shared_ptr<SharedBudget> retries_;
  const std::shared_ptr<Kept<Latencies>> latencies_;
  telemetry::Counter *sent_ = nullptr, *won_ = nullptr;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Latencies>, std::less<>> of_operations_;
};

}  // namespace

extern constinit const Part hedge =
    part<Hedge>("hedge", "Sends a call that takes longer than most a second time, and uses the first response.");

}  // namespace plimsoll::client
