#pragma once

#include "plimsoll/database/gathering.hpp"
#include "plimsoll/database/log_upkeep.hpp"
#include "plimsoll/database/sqlite_ask.hpp"
#include "plimsoll/database/sqlite_connection.hpp"
#include "plimsoll/database/sqlite_gate.hpp"

#include <condition_variable>
#include <coroutine>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace plimsoll::database {

class SqliteReaders;

/// Those who wait, in their order, linked through their own `next`: who waits allocates nothing.
template <class T>
struct WaitingLine {
  T *first = nullptr, *last = nullptr;
  std::size_t size = 0;

  bool empty() const { return !first; }
  void push(T& one) {
    one.next = nullptr;
    (last ? last->next : first) = &one;
    last = &one;
    ++size;
  }
  T& pop() {
    auto& one = *first;
    first = one.next;
    if (!first) last = nullptr;
    --size;
    return one;
  }
  bool remove(T& one) {
    T* before = nullptr;
    for (auto* at = first; at; before = std::exchange(at, at->next)) {
      if (at != &one) continue;
      (before ? before->next : first) = one.next;
      if (last == &one) last = before;
      --size;
      return true;
    }
    return false;
  }
};

/// The one thread that writes. What arrives while it commits is committed together by the next commit, which may wait a
/// little for more (Gathering), each piece in a savepoint of its own; between two groups an interactive transaction may
/// hold it, for a bounded time. A piece that takes longer than it may is interrupted. SQLite then rolls back the whole
/// transaction: those that ran before it in the group run again, without it.
///
/// A statement and a commit take as long as the disk does, and nothing can end them. Whoever waits goes on when its
/// time is over and leaves the thread behind, which works on copies: what a statement did is then rolled back, and of a
/// commit it is not known (`outcome-unknown`) until it has ended, which the log tells.
///
/// After each commit it keeps the log short (LogUpkeep).
class SqliteWriter {
 public:
  /// `versions` is told of every table written, by whatever statement, after the commit and before anybody is answered.
  /// `readers` are held back, and in the end interrupted, where they keep the log from beginning anew; null: none.
  /// `gate` is told whether the file is still at its place, and says who may write to it.
  SqliteWriter(std::unique_ptr<SqliteConnection> connection, const SqliteOptions& options, TableVersions& versions,
               SqliteReaders* readers, SqliteGate& gate);
  ~SqliteWriter();

  /// `operation`: of the contract, for which it runs; empty: for none.
  Task<Result<>> write(Loop& loop, Work work, Hold hold, std::string_view operation = {});
  Task<Result<std::unique_ptr<Transaction>>> begin(Loop& loop, std::string_view operation = {});
  /// Runs `work` with the connection, on the writer's thread, between two groups; it may replace it, and leave none
  /// behind. Waits for it. By one thread at a time.
  using Errand = FunctionRef<void(std::unique_ptr<SqliteConnection>&)>;
  void between_groups(Errand work);
  /// Breaks off the statement that runs now.
  void interrupt() noexcept;
  void count(Counts& counts) const noexcept;
  void load(Load& load) const noexcept;
  LogState log_state() const noexcept;
  /// Why the log cannot be written back; empty: it can, or was not tried.
  std::string log_trouble() const;
  /// Another file is open now. On the writer's thread.
  void forget_log_trouble() noexcept { log_failure_.store(0, std::memory_order_relaxed); }

 private:
  struct Unit;
  struct Lease;
  struct Opening;
  struct Statement;
  struct Step;
  class OpenTransaction;
  class UnitSession;

  enum class StatementKind : std::uint8_t { step, commit, roll_back };
  /// Of a unit: what it did is part of the transaction, or is undone; or the whole transaction is gone, for a reason of
  /// its own or of them all.
  enum class Fate : std::uint8_t { stays, undone, took_all_along, group_failed };

  void serve();
  void gather(std::unique_lock<std::mutex>& lock);
  void commit_together(std::span<Unit*> units);
  /// The place of a unit that took the transaction along when it failed; the number of units when all are answered.
  std::size_t try_commit(std::span<Unit*> units);
  Fate run_unit(Unit*& place, bool alone, Result<>& group);
  bool run_work(Unit& unit);
  bool run_statements(Unit& unit);
  void perform(Step& step, std::chrono::steady_clock::time_point until);
  static Line finish(Unit& unit, Task<Result<>> work);
  void answer(Unit*& place, const Result<>& group);
  Error left_commit() noexcept;
  void tell_left(bool committed, std::chrono::nanoseconds took);
  bool here() const { return std::this_thread::get_id() == thread_.get_id(); }
  Result<> begin_now();
  bool idle() const { return !connection_ || connection_->idle(); }
  /// Why nothing may be written; empty: it may.
  std::string_view lost();
  Result<> commit();
  void hold(std::shared_ptr<Lease> lease, std::unique_lock<std::mutex>& lock);
  Result<> execute(StatementKind kind, Step* step, Lease& lease);
  void keep_log_short();
  /// A statement has ended that took so long.
  void look_at(std::chrono::nanoseconds took, std::string_view sql, std::span<const Cell> parameters,
               std::string_view operation, std::int64_t rows, const Error* error) const noexcept;

  void ended(bool committed);
  /// Under the lock, when something joins a queue: false where it is full. Only exchanges count: the server's own
  /// writes are few, and must not be refused for them.
  bool admits(Hold hold);
  /// Under the lock, when it has left it: to be done, or because nobody waits any longer.
  void left(Hold hold);

  std::unique_ptr<SqliteConnection> connection_;  ///< null: another file could not be opened
  TableVersions& versions_;
  SqliteGate& gate_;
  std::size_t group_;
  std::size_t room_, exchanges_ = 0;  ///< the most exchanges that wait, and those that do
  std::chrono::nanoseconds writer_limit_, transaction_limit_;
  std::mutex mutex_;
  std::condition_variable ready_;
  WaitingLine<Unit> units_;
  std::size_t wake_at_ = 1;  ///< units for which the thread is woken
  Gathering gathering_;
  WaitingLine<Opening> openings_;
  bool closing_ = false;
  Errand* errand_ = nullptr;
  std::mutex swap_;  ///< held while an errand may replace the connection
  std::condition_variable errand_done_;
  LogUpkeep upkeep_;
  telemetry::Log* log_;
  SqliteReaders* readers_;
  SlowStatements* slow_;
  std::vector<Unit*> group_units_;    ///< those being committed, null: answered; room for all is made once
  std::unique_ptr<Step> step_;        ///< of the unit that runs
  std::optional<Error> lost_by_;      ///< of a statement of that unit with which SQLite has rolled back everything
  std::coroutine_handle<> standing_;  ///< the unit that stands at `step_`; null: none does, or it was left
  Opening* opening_ = nullptr;        ///< whose transaction is being begun
  std::int64_t left_in_commit_ = 0;   ///< who did not wait for the commit that is due
  std::atomic<std::uint64_t> commits_{0}, units_done_{0}, refused_{0}, interrupted_{0}, restarts_{0}, held_{0},
      unknown_{0};
  std::atomic<std::int64_t> waiting_{0}, running_{0}, log_bytes_{0};
  std::atomic<int> log_failure_{0};  ///< SQLite's code
  std::thread thread_;
};

}  // namespace plimsoll::database
