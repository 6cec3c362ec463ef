#include "plimsoll/client/targets.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/telemetry/log.hpp"

namespace plimsoll::client {

Targets::Targets(std::string service, std::vector<TargetNote> notes, std::vector<std::shared_ptr<TargetState>> states,
                 telemetry::Registry* metrics, telemetry::Log* log)
    : service_(std::move(service)),
      notes_(std::move(notes)),
      states_(std::move(states)),
      log_(log),
      failures_(notes_.size()),
      outliers_(notes_.size()),
      metrics_(metrics) {
  const auto now = system_clock().steady();
  for (std::size_t i = 0; i < states_.size(); ++i) {
    hashes_.push_back(content_hash(notes_[i].name).low);
    // One that all plans since have named is not new.
    Nanoseconds unknown = 0;
    states_[i]->known_since.compare_exchange_strong(unknown, now);
  }
  // What the plan before has taken out counts for the share.
  for (std::size_t i = 0; i < states_.size(); ++i) outliers_.restore(i, states_[i]->out_until.load());
  if (!metrics) return;
  for (std::size_t i = 0; i < notes_.size(); ++i) {
    const telemetry::Label labels[] = {{"service", service_}, {"target", notes_[i].name}};
    ejections_.push_back(&metrics->counter("plimsoll_client_ejections_total",
                                           "How often a target was taken out of the balance for its failures.",
                                           labels));
    observations_.push_back(metrics->observe(
        telemetry::Kind::gauge, "plimsoll_client_target_usable",
        "Whether a target is sent calls: 1, or 0 where it is out for its failures or its health check fails.", labels,
        [this, i] { return usable(i, system_clock().steady()) ? 1.0 : 0.0; }));
    observations_.push_back(metrics->observe(
        telemetry::Kind::gauge, "plimsoll_client_target_calls", "Calls to a target that are in progress.", labels,
        [state = states_[i]] { return static_cast<double>(state->running.load()); }));
  }
}

void Targets::divide(Split split) {
  split_.emplace(std::move(split));
  if (!metrics_) return;
  for (std::size_t i = 0; i < split_->size(); ++i) {
    const telemetry::Label labels[] = {{"service", service_}, {"group", split_->name(i)}};
    to_group_.push_back(&metrics_->counter("plimsoll_client_split_calls_total",
                                           "Attempts of calls that went to a group of targets.", labels));
    away_.push_back(&metrics_->counter(
        "plimsoll_client_split_moved_total",
        "Of those, the ones of callers of another group, which has no target that can be used.", labels));
  }
}

void Targets::succeeded(std::size_t target) {
  if (failures_[target].load(std::memory_order_relaxed) == 0) return;
  const std::scoped_lock lock(mutex_);
  failures_[target].store(0, std::memory_order_relaxed);
  outliers_.succeeded(target);
}

void Targets::failed(const OutlierOptions& options, std::size_t target, Nanoseconds now) {
  Nanoseconds until = 0;
  {
    const std::scoped_lock lock(mutex_);
    failures_[target].fetch_add(1, std::memory_order_relaxed);
    if (!outliers_.failed(options, target, now)) return;
    until = outliers_.until(target);
    states_[target]->out_until.store(until, std::memory_order_relaxed);
  }
  if (!ejections_.empty()) ejections_[target]->add();
  if (log_)
    log_->write(telemetry::Level::warning, "target-ejected", [&](telemetry::Line& line) {
      line.add("service", service_).add("target", notes_[target].name);
      line.add("failures", options.failures).add("for_s", (until - now) / kSecond);
    });
}

void Targets::checked(std::size_t target, bool well, std::string_view why) {
  if (states_[target]->well.exchange(well) == well) return;
  if (well) states_[target]->well_since = system_clock().steady();
  if (log_)
    log_->write(well ? telemetry::Level::info : telemetry::Level::warning, well ? "target-healthy" : "target-unhealthy",
                [&](telemetry::Line& line) {
                  line.add("service", service_).add("target", notes_[target].name);
                  if (!why.empty()) line.add("why", why);
                });
}

}  // namespace plimsoll::client
