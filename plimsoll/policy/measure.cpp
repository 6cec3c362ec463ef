#include "plimsoll/base/seen_list.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <atomic>
#include <utility>

namespace plimsoll::policy {
namespace {

/// Latency, traffic, errors and what is under way, by operation, named after OpenTelemetry's semantic conventions for
/// HTTP servers. The route is the template, never the path: labels stay bounded.
class Measure final : public Check {
 public:
  struct Options {};
  static constexpr std::span<const config::Field> fields{};
  static constexpr std::string_view example = "off";
  static constexpr std::span<const Problem* const> problems{};
  static constexpr std::string_view kDuration = "http_server_request_duration_seconds";
  static constexpr std::string_view kActive = "http_server_active_requests";
  static constexpr Metric metrics[] = {
      {kDuration, "s", "Time from the head of a request to the last byte of its answer."},
      {kActive, "1", "Requests in progress."},
  };

  static Result<std::unique_ptr<Policy>> build(Options, const Build& build) {
    if (!build.services.metrics) return nullptr;
    return std::make_unique<Measure>(*build.services.metrics, build.operation, build.services.version);
  }
  Measure(telemetry::Registry& registry, const contract::Operation& operation, const std::string& version)
      : registry_(registry),
        operation_(operation),
        version_(version),
        expectation_(registry, telemetry::Kind::gauge, kActive, metrics[1].sentence, *this) {}

  /// The labels of the requests in progress.
  void expected(telemetry::Expectation::Tell tell) const {
    label(false, tell);
    if (method(false) == "GET") label(true, tell);
  }

  Result<> check(Request& request, Context& context) override {
    const bool head = request.method == kHead && method(false) == "GET";
    auto* active = active_[head].load(std::memory_order_acquire);
    if (!active) [[unlikely]]
      active = make_active(head);
    active->add(1);
    context.keep<Entry>(*this, context, head);
    return {};
  }

 private:
  static constexpr std::string_view kHead = "HEAD";

  struct Entry {
    Measure& policy;
    const Context& context;
    const bool head;  ///< a HEAD that the GET of the contract answers
    Entry(Measure& policy, const Context& context, bool head) : policy(policy), context(context), head(head) {}
    ~Entry() {
      policy.active_[head].load(std::memory_order_relaxed)->add(-1);
      try {
        policy.of(head, context.outcome.status).record(context.ended() - context.started);
      } catch (const std::bad_alloc&) {  // no memory for a status that is seen first: this one is not timed
      }
    }
  };

  /// A status that responses of the operation have had.
  struct Known {
    bool head;
    std::uint16_t status;
    telemetry::Histogram& histogram;
  };

  // What no route takes may have any method: an empty label would be none (OpenTelemetry has this word for it).
  std::string_view method(bool head) const {
    if (head) return kHead;
    return operation_.method.empty() ? "_OTHER" : std::string_view(operation_.method);
  }
  void label(bool head, telemetry::Expectation::Tell tell) const {
    const telemetry::Label labels[] = {
        {"http_request_method", method(head)}, {"http_route", operation_.path}, {"version", version_}};
    tell(telemetry::without_empty_last(labels));
  }

  /// Its cells take a kibibyte, and of many operations most are never called.
  telemetry::Gauge* make_active(bool head) {
    label(head, [&](std::span<const telemetry::Label> labels) {
      active_[head].store(&registry_.gauge(kActive, metrics[1].sentence, labels), std::memory_order_release);
    });
    return active_[head].load(std::memory_order_relaxed);
  }

  /// The histogram of a status: registered when it is seen first, found without a lock after that.
  telemetry::Histogram& of(bool head, std::uint16_t status) {
    const auto same = [&](const Known& one) { return one.status == status && one.head == head; };
    if (const auto* known = known_.find(same)) return known->histogram;
    const auto text = std::to_string(status);
    const telemetry::Label labels[] = {{"http_request_method", method(head)},
                                       {"http_route", operation_.path},
                                       {"http_response_status_code", text},
                                       {"operation", operation_.id},
                                       {"version", version_}};
    auto& made = registry_.histogram(kDuration, metrics[0].sentence, telemetry::without_empty_last(labels));
    known_.add({head, status, made});
    return made;
  }

  telemetry::Registry& registry_;
  const contract::Operation& operation_;
  const std::string& version_;
  std::atomic<telemetry::Gauge*> active_[2] = {};  ///< the second of HEAD; null: no request yet
  SeenList<Known> known_;
  const telemetry::Expectation expectation_;  ///< last: it reads all others
};

}  // namespace

extern constinit const Part measure =
    part<Measure>("measure", "Counts and times each request by operation and status.");

}  // namespace plimsoll::policy
