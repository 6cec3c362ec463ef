#include "plimsoll/telemetry/metrics.hpp"
#include "plimsoll/client/gate.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/exchange/context.hpp"

#include <algorithm>
#include <array>
#include <atomic>

namespace plimsoll::client {
namespace {

constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "_OTHER"};

std::size_t index_of(std::string_view method) {
  const auto at = static_cast<std::size_t>(std::ranges::find(kMethods, method) - std::begin(kMethods));
  return std::min(at, std::size(kMethods) - 1);
}

/// Latency, traffic and errors of calls by service, method and status, named after OpenTelemetry's semantic conventions
/// for HTTP clients. A call is over when the head of its answer has come.
class Metrics final : public Gate {
 public:
  struct Options {};
  static constexpr std::span<const config::Field> fields{};
  static constexpr Metric metrics[] = {
      {"http_client_request_duration_seconds", "s", "Time from a call to the head of its answer, by service."},
      {"http_client_active_requests", "1", "Calls in progress, by service."},
  };

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    if (from && from->is(json::Type::object)) {
      Options none;
      if (auto done = config::read(*from, fields, &none, kEveryPolicy); !done)
        return std::unexpected(std::move(done).error());
    }
    if (!build.services.metrics) return nullptr;
    return std::make_unique<Metrics>(*build.services.metrics, build.service);
  }
  Metrics(telemetry::Registry& registry, std::string_view service) : registry_(registry), service_(service) {
    const telemetry::Label labels[] = {{"service", service_}};
    active_ = &registry.gauge(metrics[1].name, metrics[1].sentence, labels);
  }

  Result<> begin(Request&, Context&, CallState& state) override {
    active_->add(1);
    state.measured_since = system_clock().steady();
    return {};
  }
  void end(const CallOutcome& outcome, CallState& state) override {
    active_->add(-1);
    const auto span = system_clock().steady() - state.measured_since;
    const auto method = index_of(state.of->method);
    if (outcome.answer)
      of_status(method, outcome.answer->status).record(span);
    else
      registered(method, "", outcome.answer.error().problem->code).record(span);
  }

 private:
  static constexpr std::size_t kStatuses = 600;

  /// The histogram of a status: registered when it is seen first, found without a lock after that.
  telemetry::Histogram& of_status(std::size_t method, std::uint16_t status) {
    auto& slot = by_status_[method * kStatuses + std::min<std::size_t>(status, kStatuses - 1)];
    if (auto* known = slot.load(std::memory_order_acquire)) return *known;
    auto& made = registered(method, std::to_string(status), "");
    slot.store(&made, std::memory_order_release);
    return made;
  }
  telemetry::Histogram& registered(std::size_t method, std::string_view status, std::string_view error) {
    const telemetry::Label labels[] = {{"service", service_},
                                       {"http_request_method", kMethods[method]},
                                       {"http_response_status_code", status},
                                       {"error_type", error}};
    return registry_.histogram(metrics[0].name, metrics[0].sentence, labels);
  }

  telemetry::Registry& registry_;
  const std::string service_;
  telemetry::Gauge* active_;
  std::vector<std::atomic<telemetry::Histogram*>> by_status_{std::size(kMethods) * kStatuses};
};

}  // namespace

extern constinit const Part metrics = part<Metrics>("metrics", "Counts and times each call by service and status.");

}  // namespace plimsoll::client
