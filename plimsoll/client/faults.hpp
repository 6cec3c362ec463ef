#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/exchange/policy.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <atomic>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::telemetry {
class Log;
}

namespace plimsoll::client {

/// A failure of a dependency that an operator of a staging server has asked for: it is not the dependency that fails.
struct InjectedFault {
  enum class Kind : std::uint8_t {
    latency,  ///< each call waits first
    status,   ///< answers with that status
    reset,    ///< the connection ends before an answer
    outage,   ///< there is no connection
  };
  static constexpr std::string_view kKinds[] = {"latency", "status", "reset", "outage"};
  static constexpr Nanoseconds kLongest = 3600 * kSecond;

  std::string dependency{};  ///< the name of a service
  Kind kind = Kind::outage;
  Nanoseconds latency = 0;
  std::uint16_t status = 0;
  double share = 1;          ///< of the calls
  Nanoseconds span = 0;      ///< how long it lasts: above 0, kLongest at most
  Nanoseconds until = 0;     ///< steady; set by `add`
  std::uint64_t number = 0;  ///< names it; set by `add`

  /// `latency 2s for 20% of the calls`.
  std::string text() const;
};

/// The faults that are in force, of a process: `Services::shared`. They are never stored. Any thread.
///
/// A server that was not started with `--allow-faults` has none, and its calls do not pass here at all: `around` is
/// asked once for each service, when it is made.
class Faults {
 public:
  static constexpr std::size_t kMost = 64;  ///< in force at once

  /// Before any service is made.
  void allow(const Clock& clock, telemetry::Registry* metrics, telemetry::Log* log);
  bool allowed() const noexcept { return allowed_.load(std::memory_order_acquire); }

  /// What stands before the wire of a service; null where faults are not allowed.
  std::unique_ptr<Policy> around(std::string_view dependency);
  /// Whether a dependency answers with statuses, as HTTP does.
  enum class Statuses : std::uint8_t { none, http };
  /// A dependency that is no service (`database`): calls ask `strike` themselves.
  void name(std::string_view dependency, Statuses statuses = Statuses::http);

  /// Error: a sentence. Its number.
  std::expected<std::uint64_t, std::string> add(InjectedFault fault);
  /// Those of a dependency, or all (empty); how many there were. Error: a sentence, where nothing has that name.
  std::expected<std::size_t, std::string> clear(std::string_view dependency);
  /// Those in force, in the order added. Those that have ended are forgotten.
  std::vector<InjectedFault> list();
  Nanoseconds now() const { return clock_->steady(); }
  std::vector<std::string> dependencies() const;

  /// What happens to one call: the latencies of all its faults together, and the first that ends it.
  struct Strike {
    Nanoseconds latency = 0;
    std::optional<InjectedFault> end{};
  };
  /// Nothing in nearly all calls: then it takes no lock.
  std::optional<Strike> strike(std::string_view dependency);
  /// The same for a call that is about to be made: waits for the latency, and gives what ends it, if anything does. An
  /// error where this line of work was told to stop meanwhile.
  Task<Result<std::optional<InjectedFault>>> strike(Loop& loop, std::string_view dependency);

 private:
  /// A sentence where nothing has that name; else empty.
  std::string unknown(std::string_view dependency) const;
  bool has_statuses(std::string_view dependency) const;
  void forget_ended(Nanoseconds now);
  void count(const InjectedFault& fault);
  std::size_t active(std::string_view dependency) const;

  std::atomic<bool> allowed_{false};
  std::atomic<std::size_t> in_force_{0};
  const Clock* clock_ = nullptr;
  telemetry::Registry* metrics_ = nullptr;
  telemetry::Log* log_ = nullptr;
  mutable std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::vector<InjectedFault> all_;
  struct Known {
    Statuses statuses;
    telemetry::Observation observed{};
  };
  std::map<std::string, Known, std::less<>> known_;  // last: they read the above
};

}  // namespace plimsoll::client
