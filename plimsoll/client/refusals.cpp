#include "plimsoll/client/refusals.hpp"

#include "plimsoll/client/connections.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll::client {

Refusals::Refusals(const Build& build, config::Refusals whose)
    : service_(build.service),
      peers_(build.peers),
      whose_(whose),
      events_(build.shared->of<Kept<Events>>()->of(build.service)),
      log_(build.services.log) {
  if (!build.services.metrics || whose == config::Refusals::pass) return;
  const telemetry::Label labels[] = {{"service", build.service}};
  counter_ = &build.services.metrics->counter(kMetric.name, kMetric.sentence, labels);
}

void Refusals::look(const Result<Response>& answer, CallState& state, const Context& context) {
  if (whose_ == config::Refusals::pass || !answer || (answer->status != 401 && answer->status != 403)) return;
  state.credential_refused = true;
  state.nothing_done();
  if (counter_) counter_->add();
  if (!log_) return;
  const auto answers = events_->answers.add(context.loop.now());
  if (answers == 0) return;
  log_->write(telemetry::Level::error, "credential-refused", [&](telemetry::Line& line) {
    line.add("service", service_);
    if (state.target < peers_.size()) line.add("target", peers_[state.target].url.authority);
    if (context.operation) line.add("operation", context.operation->id);
    line.add("status", static_cast<std::int64_t>(answer->status)).add("answers", answers);
  });
}

}  // namespace plimsoll::client
