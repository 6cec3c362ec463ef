#include "plimsoll/database/sqlite_writer.hpp"

#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/slow_statements.hpp"
#include "plimsoll/database/sqlite_readers.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <sqlite3.h>

#include <chrono>

namespace plimsoll::database {

using Clock = std::chrono::steady_clock;

/// What a unit may use, and only while it runs on the writer's thread.
class SqliteWriter::UnitSession final : public Session {
 public:
  UnitSession(SqliteWriter& writer, Hold hold, std::string_view operation)
      : writer_(writer), hold_(hold), operation_(operation) {}
  Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) override {
    const auto begun = Clock::now();
    if (auto may = usable(begun); !may) co_return std::unexpected(std::move(may).error());
    RowKeeper keeper;
    auto done = writer_.connection_->run(sql, parameters, &keeper, limit());
    if (!done) done = std::unexpected(told(std::move(done).error()));
    if (writer_.slow_)
      writer_.look_at(Clock::now() - begun, sql, parameters, operation_, std::ssize(keeper.rows),
                      done ? nullptr : &done.error());
    if (!done) co_return std::unexpected(std::move(done).error());
    if (keeper.too_large()) co_return fail(kResponseTooLarge);
    co_return std::move(keeper.rows);
  }
  Task<Result<>> script(std::string_view sql) override {
    if (auto may = usable(Clock::now()); !may) co_return may;
    auto done = writer_.connection_->script(sql, limit());
    if (!done) co_return std::unexpected(told(std::move(done).error()));
    co_return done;
  }
  static Error waited_elsewhere() {
    return caused(&kInternal, "a unit of work waited for something else than its session");
  }
  void begin() { until_ = hold_ == Hold::patient ? Clock::time_point::max() : Clock::now() + writer_.writer_limit_; }
  void stop() noexcept { stop_now_.store(true, std::memory_order_relaxed); }
  /// Why it may not go on.
  Error why() const {
    return stop_now_.load(std::memory_order_relaxed) ? error_of(Stop::deadline) : Error{&kWriteTooLong};
  }

 private:
  /// What it does between its statements counts too.
  Result<> usable(Clock::time_point now) const {
    if (!writer_.here()) return std::unexpected(waited_elsewhere());
    const bool late = now >= until_;
    if (late || stop_now_.load(std::memory_order_relaxed)) return std::unexpected(why());
    if (writer_.connection_->idle()) return std::unexpected(Error{&kUnavailable}.because("sqlite rolled back"));
    return {};
  }
  StepLimit limit() const { return {.stop = &stop_now_, .until = until_}; }
  Error told(Error error) const { return error.problem == &kOverBudget ? why() : std::move(error); }

  SqliteWriter& writer_;
  Hold hold_;
  std::string_view operation_;
  Clock::time_point until_ = Clock::time_point::max();
  std::atomic<bool> stop_now_{false};
};

struct SqliteWriter::Unit final : Ask {
  Unit(SqliteWriter& writer, Loop& loop, Work& work, Hold hold, std::string_view operation, std::uint64_t file)
      : Ask(loop), writer(writer), work(work), hold(hold), file(file), session(writer, hold, operation) {}
  void hand_over() override {
    bool wake, admitted;
    {
      std::lock_guard lock(writer.mutex_);
      admitted = writer.admits(hold);
      if (admitted) writer.units_.push(*this);
      wake = writer.units_.size >= writer.wake_at_;
    }
    if (!admitted) {
      result = std::unexpected(busy());
      answer();  // gone from here on
    } else if (wake) {
      writer.ready_.notify_one();
    }
  }
  bool withdraw() noexcept override {
    std::lock_guard lock(writer.mutex_);
    const bool waited = writer.units_.remove(*this);
    if (waited) writer.left(hold);
    return waited;
  }
  void told_to_stop(Stop why) noexcept override {
    if (why == Stop::deadline) session.stop();
  }

  SqliteWriter& writer;
  Work& work;
  Hold hold;
  std::uint64_t file;
  UnitSession session;
  Scope scope;
  Unit* next = nullptr;
  bool ended = false;           ///< the work has, on the writer's thread, as it must
  bool ends_elsewhere = false;  ///< it ends elsewhere, and cannot run again
  /// Work that waited for something else ends elsewhere. It and the writer tell each other by setting this, and the
  /// second of them answers, so that nothing is destroyed while it waits.
  std::atomic<bool> one_has_ended{false};
};

/// An interactive transaction's hold on the writer, shared by the two ends because either may end first.
struct SqliteWriter::Lease {
  Statement* next = nullptr;         ///< to be executed
  bool abandoned = false;            ///< by its owner
  bool over = false;                 ///< on the writer's side
  std::chrono::nanoseconds used{0};  ///< by its statements, on the writer's thread
};

struct SqliteWriter::Opening final : Ask {
  Opening(SqliteWriter& writer, Loop& loop, std::uint64_t file) : Ask(loop), writer(writer), file(file) {}
  void hand_over() override {
    bool admitted;
    {
      std::lock_guard lock(writer.mutex_);
      admitted = writer.admits(Hold::brief);
      if (admitted) writer.openings_.push(*this);
    }
    if (admitted) {
      writer.ready_.notify_one();
    } else {
      result = std::unexpected(busy());
      answer();  // gone from here on
    }
  }
  bool withdraw() noexcept override {
    std::lock_guard lock(writer.mutex_);
    const bool waited = writer.openings_.remove(*this);
    if (waited) writer.left(Hold::brief);
    return waited;
  }

  SqliteWriter& writer;
  std::uint64_t file;
  std::shared_ptr<Lease> lease = std::make_shared<Lease>();
  Opening* next = nullptr;
};

struct SqliteWriter::Statement final : Ask {
  enum class Kind : std::uint8_t { query, script, commit, roll_back };
  Statement(SqliteWriter& writer, Loop& loop, Lease& lease, Kind kind)
      : Ask(loop, kind == Kind::query || kind == Kind::script), writer(writer), lease(lease), kind(kind) {}
  void hand_over() override {
    {
      std::lock_guard lock(writer.mutex_);
      if (!lease.over) {
        lease.next = this;
        writer.ready_.notify_one();
        return;
      }
    }
    result = std::unexpected(Error{&kUnavailable}.because("the transaction stayed open too long and was rolled back"));
    answer();
  }
  bool withdraw() noexcept override {
    std::lock_guard lock(writer.mutex_);
    if (lease.next != this) return false;
    lease.next = nullptr;
    return true;
  }
  void told_to_stop(Stop why) noexcept override {
    if (why == Stop::deadline) stop_now.store(true, std::memory_order_relaxed);
  }

  SqliteWriter& writer;
  Lease& lease;
  Kind kind;
  std::string_view sql{};
  std::span<const Cell> parameters{};
  std::string_view operation{};
  RowKeeper keeper{};
  std::atomic<bool> stop_now{false};
};

class SqliteWriter::OpenTransaction final : public Transaction {
 public:
  OpenTransaction(SqliteWriter& writer, Loop& loop, std::shared_ptr<Lease> lease, std::string_view operation)
      : writer_(writer), loop_(loop), lease_(std::move(lease)), operation_(operation) {}
  ~OpenTransaction() override {
    if (!open_) return;
    {
      std::lock_guard lock(writer_.mutex_);
      lease_->abandoned = true;
    }
    writer_.ready_.notify_one();
  }
  Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) override {
    Statement statement{writer_, loop_, *lease_, Statement::Kind::query};
    statement.sql = sql;
    statement.parameters = parameters;
    statement.operation = operation_;
    co_await static_cast<Ask&>(statement);
    if (!statement.result) co_return std::unexpected(std::move(statement.result).error());
    if (statement.keeper.too_large()) co_return fail(kResponseTooLarge);
    co_return std::move(statement.keeper.rows);
  }
  Task<Result<>> script(std::string_view sql) override {
    Statement statement{writer_, loop_, *lease_, Statement::Kind::script};
    statement.sql = sql;
    co_await static_cast<Ask&>(statement);
    co_return std::move(statement.result);
  }
  Task<Result<>> end(bool commit) override {
    if (!open_) co_return fail(kInternal, "the transaction has ended");
    open_ = false;
    Statement statement{writer_, loop_, *lease_, commit ? Statement::Kind::commit : Statement::Kind::roll_back};
    co_await static_cast<Ask&>(statement);
    co_return std::move(statement.result);
  }

 private:
  SqliteWriter& writer_;
  Loop& loop_;
  std::shared_ptr<Lease> lease_;
  std::string_view operation_;
  bool open_ = true;
};

SqliteWriter::SqliteWriter(std::unique_ptr<SqliteConnection> connection, const SqliteOptions& options,
                           TableVersions& versions, SqliteReaders* readers, SqliteGate& gate)
    : connection_(std::move(connection)),
      versions_(versions),
      gate_(gate),
      group_(static_cast<std::size_t>(std::max<std::int64_t>(1, options.group))),
      room_(static_cast<std::size_t>(std::max<std::int64_t>(1, options.queue))),
      writer_limit_(options.writer.nanoseconds),
      transaction_limit_(options.transaction.nanoseconds),
      gathering_(std::chrono::nanoseconds(options.gather.nanoseconds)),
      upkeep_(pages_of(options.checkpoint)),
      log_(options.log),
      readers_(readers),
      slow_(options.slow) {
  group_units_.reserve(group_);
  thread_ = std::thread([this] { serve(); });
}

/// Tells which tables the transaction has written, or forgets them.
void SqliteWriter::ended(bool committed) {
  if (!connection_) return;
  if (committed)
    for (auto& table : connection_->written()) versions_.wrote(table);
  connection_->forget_written();
}

void SqliteWriter::load(Load& load) const noexcept {
  load.writes_waiting = waiting_.load(std::memory_order_relaxed);
  load.writes_running = running_.load(std::memory_order_relaxed);
}

void SqliteWriter::count(Counts& counts) const noexcept {
  counts.commits = commits_.load(std::memory_order_relaxed);
  counts.units = units_done_.load(std::memory_order_relaxed);
  counts.writes_refused = refused_.load(std::memory_order_relaxed);
  counts.writes_ended = interrupted_.load(std::memory_order_relaxed);
}

LogState SqliteWriter::log_state() const noexcept {
  return {.bytes = log_bytes_.load(std::memory_order_relaxed),
          .restarts = restarts_.load(std::memory_order_relaxed),
          .held = held_.load(std::memory_order_relaxed)};
}

bool SqliteWriter::admits(Hold hold) {
  if (hold == Hold::brief && exchanges_ >= room_) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  exchanges_ += hold == Hold::brief ? 1 : 0;
  waiting_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void SqliteWriter::left(Hold hold) {
  exchanges_ -= hold == Hold::brief ? 1 : 0;
  waiting_.fetch_sub(1, std::memory_order_relaxed);
}

SqliteWriter::~SqliteWriter() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  ready_.notify_all();
  thread_.join();
}

void SqliteWriter::interrupt() noexcept {
  const std::scoped_lock lock(swap_);
  if (connection_) sqlite3_interrupt(connection_->handle());
}

void SqliteWriter::between_groups(Errand work) {
  std::unique_lock lock(mutex_);
  errand_ = &work;
  ready_.notify_all();
  errand_done_.wait(lock, [&] { return !errand_; });
}

Task<Result<>> SqliteWriter::write(Loop& loop, Work work, Hold hold, std::string_view operation) {
  const auto file = gate_.pass();
  if (!file) co_return std::unexpected(file.error());
  Unit unit{*this, loop, work, hold, operation, *file};
  co_await static_cast<Ask&>(unit);
  co_return std::move(unit.result);
}

Task<Result<std::unique_ptr<Transaction>>> SqliteWriter::begin(Loop& loop, std::string_view operation) {
  const auto file = gate_.pass();
  if (!file) co_return std::unexpected(file.error());
  Opening opening{*this, loop, *file};
  co_await static_cast<Ask&>(opening);
  if (!opening.result) co_return std::unexpected(std::move(opening.result).error());
  co_return std::make_unique<OpenTransaction>(*this, loop, std::move(opening.lease), operation);
}

void SqliteWriter::serve() {
  auto& units = group_units_;
  for (std::unique_lock lock(mutex_);;) {
    ready_.wait(lock, [&] { return closing_ || errand_ || !units_.empty() || !openings_.empty(); });
    if (errand_) {
      lock.unlock();
      {
        const std::scoped_lock swap(swap_);
        (*errand_)(connection_);
      }
      lock.lock();
      errand_ = nullptr;
      errand_done_.notify_all();
    }
    if (closing_ && units_.empty() && openings_.empty()) return;
    gather(lock);
    while (!units_.empty() && units.size() < group_) {
      auto& unit = units_.pop();
      left(unit.hold);
      units.push_back(&unit);
    }
    if (!units.empty()) {
      running_.fetch_add(static_cast<std::int64_t>(units.size()), std::memory_order_relaxed);
      lock.unlock();
      commit_together(units);
      units.clear();
      keep_log_short();
      lock.lock();
    }
    if (openings_.empty()) continue;
    auto* opening = &openings_.pop();
    left(Hold::brief);
    running_.fetch_add(1, std::memory_order_relaxed);
    auto lease = opening->lease;
    lock.unlock();
    opening->result = gate_.is_current(opening->file) ? begin_now() : std::unexpected(moved_error());
    const bool open = opening->result.has_value();
    if (!open) running_.fetch_sub(1, std::memory_order_relaxed);
    opening->answer();  // gone from here on
    lock.lock();
    if (!open) continue;
    hold(std::move(lease), lock);
    lock.unlock();
    keep_log_short();
    lock.lock();
  }
}

void SqliteWriter::look_at(std::chrono::nanoseconds took, std::string_view sql, std::span<const Cell> parameters,
                           std::string_view operation, std::int64_t rows, const Error* error) const {
  if (!slow_->is_slow(took.count())) [[likely]]
    return;
  slow_->add({.sql = sql,
              .parameters = parameters,
              .operation = operation,
              .took = took.count(),
              .rows = rows,
              .error = error});
}

void SqliteWriter::keep_log_short() {
  if (!connection_) return;
  const auto frames = connection_->log_frames();
  log_bytes_.store(std::int64_t{frames} * 4096, std::memory_order_relaxed);
  const auto step = upkeep_.committed(frames, Clock::now());
  if (!step.restart) return;
  if (readers_ && step.hold_back) readers_->hold_back(true);
  if (readers_ && step.end_reads) readers_->end_running();
  const auto done = connection_->restart_log(step.patience, step.shorten);
  if (readers_ && step.hold_back) readers_->hold_back(false);
  (done.anew ? restarts_ : held_).fetch_add(1, std::memory_order_relaxed);
  log_bytes_.store(std::int64_t{done.frames} * 4096, std::memory_order_relaxed);
  if (!upkeep_.attempted(step, done.anew, done.frames, Clock::now()) || !log_) return;
  log_->write(telemetry::Level::warning, "database-log-held", [&](telemetry::Line& line) {
    line.add("bytes", std::int64_t{done.frames} * 4096);
    line.add("detail",
             "another process reads the database in a transaction that it keeps open: the write-ahead log cannot be "
             "reset and grows; end that transaction");
  });
}

void SqliteWriter::gather(std::unique_lock<std::mutex>& lock) {
  const auto enough = std::min(gathering_.enough(), group_);
  if (units_.empty() || units_.size >= enough) return;
  wake_at_ = enough;
  ready_.wait_until(lock, Clock::now() + gathering_.patience(),
                    [&] { return closing_ || !openings_.empty() || units_.size >= enough; });
  wake_at_ = 1;
}

Result<> SqliteWriter::begin_now() {
  if (const auto why = lost(); !why.empty()) return std::unexpected(moved_error(why));
  return connection_->run("BEGIN IMMEDIATE", {}, nullptr);
}

std::string_view SqliteWriter::lost() {
  const auto why = connection_ ? connection_->lost() : kMoved;
  gate_.saw_moved(!why.empty());
  return why;
}

Result<> SqliteWriter::commit() {
  auto done = connection_->run("COMMIT", {}, nullptr);
  if (!done) return done;
  // It is in a file that has no longer its name, or is another's now: whether it will be back is not known.
  const auto why = lost();
  if (why.empty()) return done;
  versions_.wrote_all();
  return std::unexpected(caused(&kOutcomeUnknown, why));
}

/// Waits for the work, wherever it ends.
Line SqliteWriter::finish(Unit& unit, Task<Result<>> work) {
  auto done = co_await std::move(work);
  if (unit.writer.here()) {
    unit.result = std::move(done);
    unit.ended = true;
  } else if (unit.one_has_ended.exchange(true, std::memory_order_acq_rel)) {
    unit.answer();
  }
}

/// Runs the work in its savepoint; one that is `alone` in the transaction needs none. What it gives is in the unit; an
/// error of the group is everybody's.
SqliteWriter::Fate SqliteWriter::run_unit(Unit& unit, bool alone, Result<>& group) {
  if (unit.ends_elsewhere) return Fate::ran;
  if (!gate_.is_current(unit.file)) {
    unit.ended = true;
    unit.result = std::unexpected(moved_error());
    return Fate::ran;
  }
  if (!alone) group = connection_->run("SAVEPOINT unit", {}, nullptr);
  if (!group) return Fate::group_failed;
  (void)connection_->interrupted();
  unit.ended = false;
  unit.session.begin();
  unit.scope.stop(Stop::lost_race);  // waits that obey their scope are refused at once
  try {
    auto line = finish(unit, unit.work(unit.session)).handle;
    line.promise().scope = &unit.scope;
    line.resume();
  } catch (const std::bad_alloc&) {  // not even a frame
    unit.ended = true;
    unit.result = fail(kOutOfMemory);
  }
  const bool interrupted = connection_->interrupted();
  unit.ends_elsewhere = !unit.ended;
  if (interrupted && unit.ended && unit.result) unit.result = std::unexpected(unit.session.why());
  if (interrupted) interrupted_.fetch_add(1, std::memory_order_relaxed);
  if (connection_->idle()) {
    if (interrupted) return Fate::interrupted;
    // Disk full, I/O error: SQLite has rolled back everything.
    group =
        std::unexpected(unit.ended && !unit.result ? unit.result.error() : caused(&kUnavailable, "sqlite rolled back"));
    return Fate::group_failed;
  }
  if (!unit.ended || !unit.result) group = connection_->run(alone ? "ROLLBACK" : "ROLLBACK TO unit", {}, nullptr);
  if (group && !alone) group = connection_->run("RELEASE unit", {}, nullptr);
  return group ? Fate::ran : Fate::group_failed;
}

void SqliteWriter::answer(Unit& unit, const Result<>& group) {
  running_.fetch_sub(1, std::memory_order_relaxed);
  units_done_.fetch_add(1, std::memory_order_relaxed);
  if (unit.ended) {
    if (!group && unit.result) unit.result = group;
  } else {
    unit.result = std::unexpected(UnitSession::waited_elsewhere());
    if (!unit.one_has_ended.exchange(true, std::memory_order_acq_rel)) return;
  }
  unit.answer();
}

void SqliteWriter::commit_together(std::span<Unit*> units) {
  while (!units.empty()) {
    const auto lost = try_commit(units);
    if (lost == units.size()) return;
    auto before = units.first(lost);
    auto* ended_early = units[lost];
    units = units.subspan(lost + 1);
    answer(*ended_early, {});
    commit_together(before);  // what they did has gone with it
  }
}

std::size_t SqliteWriter::try_commit(std::span<Unit*> units) {
  auto group = begin_now();
  std::size_t run = 0;
  // Without it the commit writes nothing, and does not show that the disk takes writes.
  bool written = false;
  for (; group && run < units.size(); ++run) {
    const auto before = connection_->changes();
    if (run_unit(*units[run], units.size() == 1, group) == Fate::interrupted) {
      ended(false);
      return run;
    }
    written |= units[run]->ended && units[run]->result && connection_->changes() != before;
  }
  const bool open = !idle();  // the only unit may have been rolled back
  const auto begun = Clock::now();
  if (group && open) group = commit();
  const auto took = Clock::now() - begun;
  if (!idle()) (void)connection_->run("ROLLBACK", {}, nullptr);
  ended(group && open);
  {
    std::lock_guard lock(mutex_);  // before anybody is answered: who is here now writes beside those of this group
    gathering_.committed(units.size(), units_.size, took);
  }
  if (group && written) commits_.fetch_add(1, std::memory_order_relaxed);
  for (auto* unit : units.subspan(run)) unit->ended = true;  // never begun
  for (auto* unit : units) answer(*unit, group);
  return units.size();
}

void SqliteWriter::execute(Statement& statement, Lease& lease) {
  using enum Statement::Kind;
  const auto begun = Clock::now();
  const StepLimit limit{.stop = &statement.stop_now, .until = begun + writer_limit_ - lease.used};
  (void)connection_->interrupted();
  switch (statement.kind) {
    case query:
      statement.result = connection_->run(statement.sql, statement.parameters, &statement.keeper, limit);
      if (connection_->idle() && statement.result)
        statement.result = std::unexpected(caused(&kInternal, "only the caller that began a transaction may end it"));
      break;
    case script: statement.result = connection_->script(statement.sql, limit); break;
    case commit:
      statement.result = connection_->idle()
                             ? std::unexpected(caused(&kUnavailable, "sqlite: the transaction was rolled back"))
                             : this->commit();
      if (statement.result) commits_.fetch_add(1, std::memory_order_relaxed);
      units_done_.fetch_add(1, std::memory_order_relaxed);
      break;
    case roll_back: break;
  }
  const auto took = Clock::now() - begun;
  lease.used += took;
  if (connection_->interrupted()) {
    interrupted_.fetch_add(1, std::memory_order_relaxed);
    statement.result = std::unexpected(statement.stop_now.load(std::memory_order_relaxed) ? error_of(Stop::deadline)
                                                                                          : Error{&kWriteTooLong});
  }
  if (slow_ && statement.kind == query)
    look_at(took, statement.sql, statement.parameters, statement.operation, std::ssize(statement.keeper.rows),
            statement.result ? nullptr : &statement.result.error());
}

void SqliteWriter::hold(std::shared_ptr<Lease> lease, std::unique_lock<std::mutex>& lock) {
  const auto until = Clock::now() + transaction_limit_;
  for (bool ends = false;;) {
    const bool woken = ready_.wait_until(lock, until, [&] { return lease->next || lease->abandoned; });
    if (!woken || lease->abandoned) break;
    auto* statement = std::exchange(lease->next, nullptr);
    lock.unlock();
    ends = statement->kind == Statement::Kind::commit || statement->kind == Statement::Kind::roll_back;
    execute(*statement, *lease);
    if (ends && !connection_->idle()) (void)connection_->run("ROLLBACK", {}, nullptr);
    const bool lost = !ends && connection_->idle();  // SQLite has rolled it back: nothing may follow
    if (ends) this->ended(statement->kind == Statement::Kind::commit && statement->result.has_value());
    lock.lock();
    if (ends || lost) lease->over = true;
    if (ends) running_.fetch_sub(1, std::memory_order_relaxed);
    lock.unlock();
    statement->answer();  // gone from here on
    lock.lock();
    if (ends) return;
    if (lost) break;
  }
  lease->over = true;
  lock.unlock();
  if (!connection_->idle()) (void)connection_->run("ROLLBACK", {}, nullptr);
  ended(false);
  running_.fetch_sub(1, std::memory_order_relaxed);
  lock.lock();
}

}  // namespace plimsoll::database
