#include "plimsoll/client/circuit_breaker.hpp"
#include "plimsoll/client/gate.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/random.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll::client {

/// The circuit of a service and an operation.
struct Circuit {
  std::mutex mutex;
  CircuitBreaker breaker;
  // Written once, under the lock of the policy.
  telemetry::Gauge* state = nullptr;
  telemetry::Counter *opened = nullptr, *half_opened = nullptr, *closed = nullptr, *refused = nullptr;
  std::string operation;
};

namespace {

/// Stops calling a service that fails or is slow, for each operation that calls it by itself: the caller is answered at
/// once, and the service has time to recover.
class Breaker final : public Gate {
 public:
  struct Options {
    config::Ratio failures{CircuitBreakerOptions{}.failures}, slow{CircuitBreakerOptions{}.slow};
    config::Duration slow_after{CircuitBreakerOptions{}.slow_after};
    std::int64_t of = CircuitBreakerOptions{}.calls;
    config::Duration within{CircuitBreakerOptions{}.window}, open{CircuitBreakerOptions{}.open};
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::failures>("failures", "The share of failed calls from which it opens."),
      config::field<&Options::slow>("slow", "The share of slow calls from which it opens."),
      config::field<&Options::slow_after>(
          "slow-after", "A call is slow if the head of its response takes longer than this; 0s: no call is slow."),
      config::field<&Options::of>("of", "The least number of calls before the breaker can open.", {1, 1'000'000}),
      config::field<&Options::within>("within", "The time over which calls are counted.", {kSecond, 3600 * kSecond}),
      config::field<&Options::open>(
          "open", "How long the breaker stays open before one call is tried, varied at random by a tenth.",
          {10 * kMillisecond, 3600 * kSecond}),
  };
  static constexpr std::string_view example = "{failures: 30%, of: 50, open: 10s}";
  static constexpr Metric metrics[] = {
      {"plimsoll_client_breaker_state", "1",
       "The circuit breaker of a service and an operation: 0 closed, 1 open, 2 half-open."},
      {"plimsoll_client_breaker_changes_total", "1", "How often it became `open`, `half-open` or `closed`."},
      {"plimsoll_client_breaker_refused_total", "1", "Calls that were not sent because it was open."},
  };

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    Options options;
    if (from)
      if (auto done = config::read(*from, fields, &options, kEveryPolicy); !done)
        return std::unexpected(std::move(done).error());
    if (!from && !build.resilient) return nullptr;
    return std::make_unique<Breaker>(options, build);
  }
  Breaker(const Options& options, const Build& build)
      : options_{.failures = options.failures.value,
                 .slow = options.slow.value,
                 .slow_after = options.slow_after.nanoseconds,
                 .calls = options.of,
                 .window = options.within.nanoseconds,
                 .open = options.open.nanoseconds},
        service_(build.service),
        kept_(build.shared->of<Kept<Circuit>>()),
        registry_(build.services.metrics),
        log_(build.services.log) {}

  Result<> begin(Request&, Context& context, CallState& state) override {
    auto& circuit = of(context.operation ? std::string_view(context.operation->id) : std::string_view{});
    const auto admission = admit(circuit, context.loop.now());
    if (!admission.allowed) {
      if (circuit.refused) circuit.refused->add();
      Error error{&kCircuitOpen};
      error.more().retry_after = (admission.retry_after + kSecond - 1) / kSecond;
      return std::unexpected(std::move(error));
    }
    state.circuit = &circuit;
    state.admission = admission;
    return {};
  }
  void end(const CallOutcome& outcome, CallState& state) override {
    const auto& failure = outcome.failure;
    settle(*state.circuit, state.admission,
           !failure            ? CircuitBreaker::Outcome::success
           : failure->counts() ? CircuitBreaker::Outcome::failure
           : outcome.answer    ? CircuitBreaker::Outcome::success
                               : CircuitBreaker::Outcome::unknown,
           outcome.ended - outcome.begun, outcome.ended);
  }

 private:
  /// Circuits are made when they are first needed; their number is bounded by that of operations.
  Circuit& of(std::string_view operation) {
    const std::scoped_lock lock(mutex_);
    const auto known = circuits_.find(operation);
    if (known != circuits_.end()) return *known->second;
    auto circuit = kept_->of(service_ + ' ' + std::string(operation));
    {
      const std::scoped_lock lock(circuit->mutex);
      if (registry_ && !circuit->state) {
        const telemetry::Label labels[] = {{"service", service_}, {"operation", operation}};
        circuit->operation = operation;
        circuit->state = &registry_->gauge(metrics[0].name, metrics[0].sentence, labels);
        circuit->refused = &registry_->counter(metrics[2].name, metrics[2].sentence, labels);
        const auto change = [&](std::string_view to) {
          const telemetry::Label all[] = {labels[0], labels[1], {"to", to}};
          return &registry_->counter(metrics[1].name, metrics[1].sentence, all);
        };
        circuit->opened = change("open");
        circuit->half_opened = change("half-open");
        circuit->closed = change("closed");
      }
    }
    return *circuits_.emplace(std::string(operation), std::move(circuit)).first->second;
  }

  CircuitBreaker::Admission admit(Circuit& circuit, Nanoseconds now) {
    CircuitBreaker::Admission admission;
    bool changed = false;
    {
      const std::scoped_lock lock(circuit.mutex);
      const auto before = circuit.breaker.state();
      admission = circuit.breaker.admit(options_, now);
      changed = circuit.breaker.state() != before;
    }
    if (changed) told(circuit, CircuitBreaker::State::half_open);
    return admission;
  }
  void settle(Circuit& circuit, const CircuitBreaker::Admission& admission, CircuitBreaker::Outcome outcome,
              Nanoseconds span, Nanoseconds now) {
    bool changed = false;
    auto state = CircuitBreaker::State::closed;
    {
      const std::scoped_lock lock(circuit.mutex);
      changed = circuit.breaker.settle(options_, admission, outcome, span, now, random_bits());
      state = circuit.breaker.state();
    }
    if (changed) told(circuit, state);
  }
  void told(Circuit& circuit, CircuitBreaker::State state) {
    using enum CircuitBreaker::State;
    if (circuit.state) {
      circuit.state->set(static_cast<std::int64_t>(state));
      (state == open ? circuit.opened : state == half_open ? circuit.half_opened : circuit.closed)->add();
    }
    if (!log_) return;
    const auto level = state == open ? telemetry::Level::warning : telemetry::Level::info;
    log_->write(level,
                state == open        ? "circuit-opened"
                : state == half_open ? "circuit-half-open"
                                     : "circuit-closed",
                [&](telemetry::Line& line) {
                  line.add("service", service_);
                  if (!circuit.operation.empty()) line.add("operation", circuit.operation);
                });
  }

  const CircuitBreakerOptions options_;
  const std::string service_;
  const std::shared_ptr<Kept<Circuit>> kept_;
  telemetry::Registry* const registry_;
  telemetry::Log* const log_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Circuit>, std::less<>> circuits_;
};

}  // namespace

extern constinit const Part breaker = part<Breaker>("breaker", "Stops calling a service that fails, for a while.");

}  // namespace plimsoll::client
