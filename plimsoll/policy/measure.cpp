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
      : registry_(registry), method_(operation.method), route_(operation.path), id_(operation.id), version_(version) {
    // What no route takes may have any method: an empty label would be none (OpenTelemetry has this word for it).
    if (method_.empty()) method_ = "_OTHER";
    active_ = &active(method_);
    active_head_ = method_ == "GET" ? &active(kHead) : active_;
  }

  ~Measure() override {
    for (auto* known = known_.load(); known;) delete std::exchange(known, known->next);
  }

  Result<> check(Request& request, Context& context) override {
    context.keep<Entry>(*this, context, request.method == kHead && method_ == "GET");
    return {};
  }

 private:
  static constexpr std::string_view kHead = "HEAD";

  telemetry::Gauge& active(std::string_view method) {
    const telemetry::Label labels[] = {{"http_request_method", method}, {"http_route", route_}, {"version", version_}};
    return registry_.gauge(kActive, metrics[1].sentence, telemetry::without_empty_last(labels));
  }

  struct Entry {
    Measure& policy;
    const Context& context;
    const bool head;  ///< a HEAD that the GET of the contract answers
    Entry(Measure& policy, const Context& context, bool head) : policy(policy), context(context), head(head) {
      active().add(1);
    }
    telemetry::Gauge& active() const { return head ? *policy.active_head_ : *policy.active_; }
    ~Entry() {
      active().add(-1);
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
    Known* next;
  };

  /// The histogram of a status: registered when it is seen first, found without a lock after that. An operation has
  /// few, so they are a list; several threads that see one first may each add it.
  telemetry::Histogram& of(bool head, std::uint16_t status) {
    for (const auto* known = known_.load(std::memory_order_acquire); known; known = known->next)
      if (known->status == status && known->head == head) return known->histogram;
    const auto text = std::to_string(status);
    const telemetry::Label labels[] = {{"http_request_method", head ? kHead : std::string_view(method_)},
                                       {"http_route", route_},
                                       {"http_response_status_code", text},
                                       {"operation", id_},
                                       {"version", version_}};
    auto& made = registry_.histogram(kDuration, metrics[0].sentence, telemetry::without_empty_last(labels));
    auto* added = new Known{head, status, made, known_.load(std::memory_order_relaxed)};
    while (!known_.compare_exchange_weak(added->next, added, std::memory_order_release, std::memory_order_relaxed)) {}
    return made;
  }

  telemetry::Registry& registry_;
  std::string method_, route_, id_, version_;
  telemetry::Gauge *active_, *active_head_;
  std::atomic<Known*> known_ = nullptr;  ///< the newest
};

}  // namespace

extern constinit const Part measure =
    part<Measure>("measure", "Counts and times each request by operation and status.");

}  // namespace plimsoll::policy
