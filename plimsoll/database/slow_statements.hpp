#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/telemetry/sparse.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>

namespace plimsoll::telemetry {
class Counter;
class Log;
class Registry;
}  // namespace plimsoll::telemetry

namespace plimsoll::database {

/// A statement that has ended, however it did.
struct EndedStatement {
  std::string_view sql;
  std::span<const Cell> parameters;
  std::string_view operation;  ///< of the contract, for which it ran; empty: for none
  Nanoseconds took = 0;        ///< from when it was sent or begun, waits for a connection or a thread apart
  std::int64_t rows = 0;       ///< that it gave, those embedded in others included on SQLite
  const Error* error = nullptr;
};

/// Types and sizes of parameters, never their values: `text(36), integer, null`.
std::string kinds_of(std::span<const Cell> parameters);

/// Statements that took longer than a bound: each is counted, and logged as `slow-statement` with its text and without
/// the values of its parameters, at most once in 10 s for each text. At most once in 5 min for each text its plan is
/// asked for as well, by a thread of its own, one after the other and for at most 3 s each; the statement is not run
/// for it. Safe from any thread.
class SlowStatements {
 public:
  static constexpr Nanoseconds kBetweenLines = 10 * kSecond, kBetweenPlans = 300 * kSecond, kPlanLimit = 3 * kSecond;
  static constexpr std::size_t kTexts = 256;  ///< that are told apart; of more the one told longest ago is forgotten
  static constexpr std::size_t kMostWaiting = 8;      ///< for their plans; beyond it lines have none
  static constexpr std::size_t kLongestText = 4'096;  ///< of a statement or plan in the log, in bytes

  /// `bound` 0: off.
  SlowStatements(Nanoseconds bound, telemetry::Log* log, telemetry::Registry* metrics, const Clock& clock);
  ~SlowStatements();
  SlowStatements(const SlowStatements&) = delete;

  bool is_slow(Nanoseconds took) const noexcept { return took >= bound_; }
  /// Where `is_slow` says so.
  void add(const EndedStatement& statement) noexcept;

  /// Plans are asked of this database from now on, until `stop`. Without it lines have none.
  void start(Database& database);
  /// What waits for its plan is logged without one. Returns within a moment of a plan's limit.
  void stop() noexcept;

 private:
  struct Text {
    telemetry::Sparse lines{kBetweenLines}, plans{kBetweenPlans};
    Nanoseconds seen = 0;
  };
  struct Entry {
    std::string sql, operation, parameters, problem;
    std::size_t count = 0;  ///< of the parameters
    Nanoseconds took = 0, wall = 0;
    std::int64_t rows = 0, left_out = 0;
  };
  Text& text_of(std::string_view sql, Nanoseconds now);
  void write(const Entry& entry, std::string_view plan) const;
  std::string plan_of(Database& database, const Entry& entry) const;
  void serve(Database& database);

  const Nanoseconds bound_;
  telemetry::Log* const log_;
  telemetry::Counter* counter_ = nullptr;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::unordered_map<std::uint64_t, Text> texts_;
  std::deque<Entry> waiting_;
  bool explains_ = false;
  std::thread thread_;
};

}  // namespace plimsoll::database
