#pragma once

#include "plimsoll/database/gathering.hpp"
#include "plimsoll/database/sqlite_ask.hpp"
#include "plimsoll/database/sqlite_connection.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace plimsoll::database {

/// The one thread that writes. What arrives while it commits is committed together by the next commit, which may wait a
/// little for more (Gathering), each piece in a savepoint of its own; between two groups an interactive transaction may
/// hold it, for a bounded time.
class SqliteWriter {
 public:
  /// `versions` is told of every table written, by whatever statement, after the commit and before anybody is answered.
  SqliteWriter(std::unique_ptr<SqliteConnection> connection, const SqliteOptions& options, TableVersions& versions);
  ~SqliteWriter();

  Task<Result<>> write(Loop& loop, Work work);
  Task<Result<std::unique_ptr<Transaction>>> begin(Loop& loop);
  std::uint64_t commits() const { return commits_.load(std::memory_order_relaxed); }
  void load(Load& load) const noexcept;
  std::uint64_t units() const { return units_done_.load(std::memory_order_relaxed); }

 private:
  struct Unit;
  struct Lease;
  struct Opening;
  struct Statement;
  class Held;
  class UnitSession;

  void serve();
  void gather(std::unique_lock<std::mutex>& lock);
  void commit_together(std::vector<Unit*>& units);
  Result<> run_unit(Unit& unit);
  static Line finish(Unit& unit, Task<Result<>> work);
  static void answer(Unit& unit, const Result<>& group);
  bool here() const { return std::this_thread::get_id() == thread_.get_id(); }
  Result<> begin_now();
  void hold(std::shared_ptr<Lease> lease, std::unique_lock<std::mutex>& lock);
  void execute(Statement& statement);

  void ended(bool committed);
  /// Both keep the counters of `load`, under the lock: work has left the queue, to be done or because nobody waits.
  void begun(std::int64_t units);
  bool taken_back(bool found);

  std::unique_ptr<SqliteConnection> connection_;
  TableVersions& versions_;
  std::size_t group_;
  std::chrono::nanoseconds transaction_limit_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Unit*> units_;
  std::size_t wake_at_ = 1;  ///< units for which the thread is woken
  Gathering gathering_;
  std::deque<Opening*> openings_;
  bool closing_ = false;
  std::atomic<std::uint64_t> commits_{0}, units_done_{0};
  std::atomic<std::int64_t> waiting_{0}, running_{0};
  std::thread thread_;
};

}  // namespace plimsoll::database
