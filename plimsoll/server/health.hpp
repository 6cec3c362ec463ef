#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/policy.hpp"
#include "plimsoll/exchange/services.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::database {
class Database;
}

namespace plimsoll::server {

class WriteProbe;

/// Liveness and readiness. A process that starts or drains is alive and not ready.
///
/// The public listener is told one word; who asks the management listener also gets the reasons. Nothing is waited for:
/// what is answered is known before.
class Health {
 public:
  enum class Kind : std::uint8_t { health, ready, live };
  enum class Audience : std::uint8_t { callers, operators };
  static std::string_view path(Kind kind);
  static bool is_path(std::string_view path) {
    return path == Health::path(Kind::health) || path == Health::path(Kind::ready) || path == Health::path(Kind::live);
  }

  explicit Health(const Clock& clock = system_clock()) : clock_(clock) {}

  /// Until this is called the process is starting. `probe` null: there is no database. `database`: whose replicas
  /// operators are told of; a process is ready without them.
  void serving(const WriteProbe* probe, const database::Database* database = nullptr);
  /// Why a start that is tried again has not succeeded so far.
  void delayed(std::string why);
  void draining() { state_.store(State::draining, std::memory_order_release); }
  /// The loops that must run for the process to be alive; they outlive the next call of `forget_loops`.
  void watch(std::vector<Loop*> loops);
  void forget_loops() { watch({}); }
  /// For how long the loop that is stuck longest has owed a sign of life; 0: none is stuck. Asks each for the next one.
  Nanoseconds stuck();
  /// How long the slowest loop took to answer when it was asked last, or has not answered yet. Asks each for the next
  /// one.
  Nanoseconds lag();
  std::unique_ptr<Handler> handler(Kind kind, Audience audience);

 private:
  enum class State : std::uint8_t { starting, serving, draining };
  class Answer;
  /// A loop is asked for a sign of life when somebody asks for ours; one that owes it for long is stuck.
  struct Pulse {
    Loop* loop;
    Nanoseconds asked = 0;
    /// How long it took to answer; -1: it has not answered yet.
    std::shared_ptr<std::atomic<Nanoseconds>> took = std::make_shared<std::atomic<Nanoseconds>>(0);
  };
  void ask(Pulse& pulse, Nanoseconds now);

  const Clock& clock_;
  const WriteProbe* probe_ = nullptr;
  const database::Database* database_ = nullptr;
  std::atomic<State> state_{State::starting};
  std::mutex mutex_;
  std::string delayed_{};  ///< empty: nothing has failed
  std::vector<Pulse> pulses_;
};

/// `/metrics` in the Prometheus text format.
std::unique_ptr<Handler> metrics_page();

/// A contract without operations: what a listener serves that has only pages.
std::shared_ptr<const contract::Contract> empty_contract();

}  // namespace plimsoll::server
