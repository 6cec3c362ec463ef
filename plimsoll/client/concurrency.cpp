#include "plimsoll/client/gate.hpp"
#include "plimsoll/client/part.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <atomic>

namespace plimsoll::client {
namespace {

/// Bounds how many calls of a service are under way at once, until the last byte of each answer: a service that hangs
/// does not take all connections, memory and callers along. A call beyond that is refused at once.
class Concurrency final : public Gate {
 public:
  struct Options {
    std::int64_t limit = 1000;
  };
  static constexpr config::Field fields[] = {
      config::field<&Options::limit>("limit", "Calls in progress at the same time, of one process.", {1, 1'000'000}),
  };
  static constexpr std::string_view short_form = R"("type":"integer")";
  static constexpr std::string_view example = "100";
  static constexpr Metric metrics[] = {
      {"plimsoll_client_calls_refused_total", "1", "Calls rejected because of the concurrency limit of the service."}};

  static Result<std::unique_ptr<Policy>> build(const json::Value* from, const Build& build) {
    Options options;
    if (from) {
      auto read = read_either<&Options::limit>(*from, fields);
      if (!read) return std::unexpected(std::move(read).error());
      options = *read;
    }
    if (!from && !build.resilient) return nullptr;
    return std::make_unique<Concurrency>(options, build);
  }
  Concurrency(const Options& options, const Build& build)
      : limit_(options.limit), running_(build.shared->of<Kept<Running>>()->of(build.service)) {
    if (!build.services.metrics) return;
    const telemetry::Label labels[] = {{"service", build.service}};
    refused_ = &build.services.metrics->counter(metrics[0].name, metrics[0].sentence, labels);
  }

  Result<> begin(Request&, Context&, CallState& state) override {
    state.in_flight.end();  // of the attempt before
    if (running_->fetch_add(1, std::memory_order_relaxed) >= limit_) {
      running_->fetch_sub(1, std::memory_order_relaxed);
      if (refused_) refused_->add();
      Error error{&kTooManyCalls};
      error.more().retry_after = 1;
      return std::unexpected(std::move(error));
    }
    state.in_flight = Permit{running_};
    return {};
  }
  void end(const CallOutcome& outcome, CallState& state) override {
    if (!outcome.answer || !std::holds_alternative<Stream*>(outcome.answer->body)) state.finished();
  }

 private:
  struct Running : Permit::Counter {};
  const std::int64_t limit_;
  const std::shared_ptr<Running> running_;
  telemetry::Counter* refused_ = nullptr;
};

}  // namespace

extern constinit const Part concurrency =
    part<Concurrency>("concurrency", "Limits the calls in progress at the same time.");

}  // namespace plimsoll::client
