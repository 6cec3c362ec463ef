#pragma once

#include "plimsoll/client/balance.hpp"
#include "plimsoll/client/call_state.hpp"
#include "plimsoll/client/outlier.hpp"
#include "plimsoll/client/split.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace plimsoll::telemetry {
class Log;
}

namespace plimsoll::client {

/// What is known of one target, whoever calls it; it outlives a reload that names the target again.
struct TargetState {
  std::atomic<std::int64_t> running{0};     ///< calls under way
  std::atomic<Nanoseconds> out_until{0};    ///< taken out for its failures until then (steady)
  std::atomic<bool> well{true};             ///< by its health checks; well until one has said otherwise
  std::atomic<Nanoseconds> well_since{0};   ///< by its health checks (steady)
  std::atomic<Nanoseconds> known_since{0};  ///< since a plan named it first, or did so again (steady)
  std::atomic<PeakLatency> latency{};
  static_assert(std::atomic<PeakLatency>::is_always_lock_free);

  /// A call took so long. Of one that did not succeed only that it took longer than is known says something.
  void took(Nanoseconds span, Nanoseconds now, bool succeeded) noexcept {
    auto before = latency.load(std::memory_order_relaxed);
    if (!succeeded && static_cast<double>(span) <= before.at(now)) return;
    while (!latency.compare_exchange_weak(before, before.after(span, now), std::memory_order_relaxed)) {}
  }
  /// Since when it is sent calls without a break.
  Nanoseconds since() const noexcept {
    return std::max({known_since.load(std::memory_order_relaxed), well_since.load(std::memory_order_relaxed),
                     out_until.load(std::memory_order_relaxed)});
  }
};

/// What the deployment says of one target.
struct TargetNote {
  std::string name{};
  double weight = 1;
};

/// The targets of one service. Any thread: choosing one and telling of a success take no lock.
class Targets {
 public:
  Targets(std::string service, std::vector<TargetNote> notes, std::vector<std::shared_ptr<TargetState>> states,
          telemetry::Registry* metrics, telemetry::Log* log);

  std::size_t size() const noexcept { return notes_.size(); }
  double weight(std::size_t target) const noexcept { return notes_[target].weight; }
  /// Of its name, for consistent hashing: the same in every process.
  std::uint64_t hash(std::size_t target) const noexcept { return hashes_[target]; }
  TargetState& state(std::size_t target) const { return *states_[target]; }

  /// A call to it begins: it is under way until the permit ends.
  Permit begin(std::size_t target) {
    const auto& state = states_[target];
    state->running.fetch_add(1, std::memory_order_relaxed);
    return Permit{{state, &state->running}};
  }
  bool usable(std::size_t target, Nanoseconds now) const noexcept {
    const auto& state = *states_[target];
    return (!checks_ || state.well.load(std::memory_order_relaxed)) &&
           state.out_until.load(std::memory_order_relaxed) <= now;
  }
  /// Each caller goes to one group of the targets. Before the first call.
  void divide(Split split);
  /// Null: all targets are one group.
  const Split* split() const noexcept { return split_ ? &*split_ : nullptr; }
  const std::string& service() const noexcept { return service_; }
  /// A call goes to that group; `away`: it is not the caller's own, which has no target that can be used.
  void goes_to(std::size_t group, bool away) noexcept {
    if (to_group_.empty()) return;
    to_group_[group]->add();
    if (away) away_[group]->add();
  }
  /// Health checks say whether each is well; without them each is. Before the first call.
  void expect_checks() noexcept { checks_ = true; }
  void succeeded(std::size_t target);
  void failed(const OutlierOptions& options, std::size_t target, Nanoseconds now);
  /// What a health check has found, after as many of them as it takes.
  void checked(std::size_t target, bool well, std::string_view why = {});

 private:
  const std::string service_;
  const std::vector<TargetNote> notes_;
  std::vector<std::uint64_t> hashes_;
  const std::vector<std::shared_ptr<TargetState>> states_;
  telemetry::Log* const log_;
  bool checks_ = false;
  std::vector<std::atomic<std::int64_t>> failures_;  ///< since the last success: nothing to tell the detector when 0
  std::mutex mutex_;
  OutlierDetector outliers_;
  std::vector<telemetry::Counter*> ejections_;
  telemetry::Registry* const metrics_;
  std::optional<Split> split_;
  std::vector<telemetry::Counter*> to_group_, away_;  ///< of each group
  std::vector<telemetry::Observation> observations_;  // last: they read the above
};

}  // namespace plimsoll::client
