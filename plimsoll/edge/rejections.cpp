#include "plimsoll/edge/rejections.hpp"

#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

namespace plimsoll::edge {
namespace {

struct ReasonText {
  std::string_view name, remedy;
};
constexpr ReasonText kReasonTexts[] = {
    {"connections", "raise `limits: {connections}`, or start more instances"},
    {"address",
     "raise `limits: {connections-per-address}`; a proxy of yours is to be named under `trusted-proxies`, which does "
     "not count"},
    {"descriptors", "raise the limit of open files (`ulimit -n`), or lower `limits: {connections}`"},
    {"memory", "give the process more memory, or lower `limits: {connections}`"},
    {"system", "see accept(2)"},
};

}  // namespace

Rejections::Rejections(const Services& services) : log_(services.log) {
  if (!services.metrics) return;
  for (std::size_t i = 0; i < kReasons; ++i) {
    const telemetry::Label labels[] = {{"reason", kReasonTexts[i].name}};
    reasons_[i].counter = &services.metrics->counter("plimsoll_connections_rejected_total",
                                                     "Connections that were not accepted.", labels);
  }
}

void Rejections::add(Rejection why, std::string_view address, Nanoseconds now) noexcept {
  auto& reason = reasons_[static_cast<std::size_t>(why)];
  if (reason.counter) reason.counter->add();
  const auto count = log_ ? reason.lines.add(now) : 0;
  if (count == 0) return;
  try {
    log_->write(telemetry::Level::warning, "connection-rejected", [&](telemetry::Line& line) {
      const auto& [name, remedy] = kReasonTexts[static_cast<std::size_t>(why)];
      line.add("reason", name).add("count", count);
      if (!address.empty()) line.add("address", address);
      line.add("remedy", remedy);
    });
  } catch (...) {  // no memory for the line: the count is in the metrics
  }
}

}  // namespace plimsoll::edge
