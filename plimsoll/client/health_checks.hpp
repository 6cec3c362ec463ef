#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/exchange/background.hpp"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace plimsoll::client {

/// How a target is asked whether it is well.
struct HealthCheckOptions {
  std::string path;
  Nanoseconds every = 5 * kSecond;  ///< a tenth more or less, so that instances do not ask together
  Nanoseconds timeout = 2 * kSecond;
  std::int64_t failures = 2;   ///< one after another, until it is unwell
  std::int64_t successes = 2;  ///< one after another, until it is well again
};

/// The outcome of health checks one after another: a pure value.
class HealthStreak {
 public:
  /// What the target is now, where this check decides it.
  std::optional<bool> note(const HealthCheckOptions& options, bool well) {
    count_ = well == last_ ? count_ + 1 : 1;
    last_ = well;
    if (count_ < (well ? options.successes : options.failures)) return std::nullopt;
    return well;
  }

 private:
  std::int64_t count_ = 0;
  bool last_ = true;
};

/// Asks each target of a plan's services whether it is well, on a thread and a loop of its own: a target that fails is
/// sent no calls until it is well again. 2xx is well.
class HealthChecks final : public Background {
 public:
  ~HealthChecks() override { stop(); }
  /// Before `start`. `calls`: the options of the calls, of which `authorities`, `certificate` and `key` count here; so
  /// does `host`. Error: `tls`.
  Result<> add(std::shared_ptr<Targets> targets, std::span<const std::string> urls, const ServiceOptions& calls,
               const std::string& host, const HealthCheckOptions& options);
  Result<> start() override;
  void stop() noexcept override;

 private:
  struct Check {
    std::shared_ptr<Targets> targets;
    std::size_t target = 0;
    std::shared_ptr<Service> service;
    std::string host;
    HealthCheckOptions options;
    HealthStreak streak{};
    Scope scope{};
  };
  static Task<> run(Check& check, Loop& loop);

  std::deque<Check> checks_;
  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

}  // namespace plimsoll::client
