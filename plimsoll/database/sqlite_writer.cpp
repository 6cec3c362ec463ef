#include "plimsoll/database/sqlite_writer.hpp"

#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/slow_statements.hpp"
#include "plimsoll/database/sqlite_readers.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <sqlite3.h>

#include <chrono>

namespace plimsoll::database {

using Clock = std::chrono::steady_clock;

/// A statement with all that it uses: whoever asked for it may have gone before it ends.
struct SqliteWriter::Step {
  void take(std::string_view text, std::span<const Cell> cells, std::string_view of, bool several) {
    sql.assign(text);
    parameters.assign(cells.begin(), cells.end());
    operation.assign(of);
    is_script = several;
    keeper.begin();
    stop_now.store(false, std::memory_order_relaxed);
  }
  /// For another one; what is small keeps its memory.
  void clear() {
    std::size_t bytes = 0;
    for (const auto& cell : parameters)
      if (const auto* text = std::get_if<std::string>(&cell)) bytes += text->size();
    if (bytes > kKept) parameters = {};
  }
  static constexpr std::size_t kKept = 64 << 10;

  std::string sql, operation;
  std::vector<Cell> parameters;
  bool is_script = false;
  RowKeeper keeper;
  std::int64_t changed = 0;  ///< rows
  Result<> result;
  std::atomic<bool> stop_now{false};  ///< nobody waits for it any longer
};

/// What a unit may use, and only while it runs on the writer's thread. That thread carries out its statements while the
/// unit stands still, so that a statement that hangs can be left behind: the unit then goes on where it came from.
class SqliteWriter::UnitSession final : public Session {
 public:
  UnitSession(SqliteWriter& writer, Hold hold, std::string_view operation)
      : writer_(writer), hold_(hold), operation_(operation) {}
  Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) override {
    if (auto may = usable(); !may) co_return std::unexpected(std::move(may).error());
    auto done = co_await Standing{*this, sql, parameters, false};
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return std::move(writer_.step_->keeper.rows);
  }
  Task<Result<>> script(std::string_view sql) override {
    if (auto may = usable(); !may) co_return may;
    auto done = co_await Standing{*this, sql, {}, true};
    co_return done;
  }
  std::int64_t changed() const override { return writer_.step_->changed; }
  static Error waited_elsewhere() {
    return caused(&kInternal, "a unit of work waited for something else than its session");
  }
  void begin() { until_ = hold_ == Hold::patient ? Clock::time_point::max() : Clock::now() + writer_.writer_limit_; }
  Clock::time_point until() const { return until_; }
  /// The writer is left behind: nothing more is asked of it.
  void leave(Stop why) { left_ = why; }

 private:
  struct Standing {
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> unit) {
      session.writer_.step_->take(sql, parameters, session.operation_, is_script);
      session.writer_.standing_ = unit;
    }
    Result<> await_resume() {
      if (session.left_ != Stop::none) return std::unexpected(error_of(session.left_));
      return std::move(session.writer_.step_->result);
    }
    UnitSession& session;
    std::string_view sql;
    std::span<const Cell> parameters;
    bool is_script;
  };
  /// What it does between its statements counts too.
  Result<> usable() const {
    if (left_ != Stop::none) return std::unexpected(error_of(left_));
    if (!writer_.here()) return std::unexpected(waited_elsewhere());
    if (Clock::now() >= until_) return fail(kWriteTooLong);
    if (writer_.lost_by_) return std::unexpected(*writer_.lost_by_);  // it would be a transaction of its own
    return {};
  }

  SqliteWriter& writer_;
  Hold hold_;
  std::string_view operation_;
  Clock::time_point until_ = Clock::time_point::max();
  Stop left_ = Stop::none;
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
  bool withdraw(Stop why) noexcept override;

  /// Where it stands, told under the lock. It cannot be left while its own code runs.
  enum class At : std::uint8_t { queue, group, running, statement, commit, answered };

  SqliteWriter& writer;
  Work& work;
  Hold hold;
  std::uint64_t file;
  UnitSession session;
  Scope scope;
  Unit* next = nullptr;
  At at = At::queue;
  Unit** place = nullptr;       ///< in the group; emptied by whoever answers it
  Stop told = Stop::none;       ///< while its own code ran
  bool ended = false;           ///< the work has, on the writer's thread, as it must
  bool ends_elsewhere = false;  ///< it ends elsewhere, and cannot run again
  /// Work that waited for something else ends elsewhere. It and the writer tell each other by setting this, and the
  /// second of them answers, so that nothing is destroyed while it waits.
  std::atomic<bool> one_has_ended{false};
};

/// What was begun is not given up for a client that has gone: on its time alone, and on the end of the process.
bool SqliteWriter::Unit::withdraw(Stop why) noexcept {
  std::coroutine_handle<> stands;
  {
    const std::scoped_lock lock(writer.mutex_);
    if (at == At::answered || (at != At::queue && why == Stop::client_gone)) return false;
    if (at == At::running) {
      told = why;
      return false;
    }
    const auto was = std::exchange(at, At::answered);
    if (was == At::queue) {
      writer.units_.remove(*this);
      writer.left(hold);
    } else {
      *place = nullptr;
      writer.running_.fetch_sub(1, std::memory_order_relaxed);
    }
    if (ends_elsewhere) {
      result = std::unexpected(UnitSession::waited_elsewhere());
      return one_has_ended.exchange(true, std::memory_order_acq_rel);
    }
    if (was != At::commit)
      result = std::unexpected(error_of(why));
    else if (result)
      result = std::unexpected(writer.left_commit());
    if (was != At::statement) return true;
    writer.step_->stop_now.store(true, std::memory_order_relaxed);
    stands = std::exchange(writer.standing_, {});
    one_has_ended.store(true, std::memory_order_relaxed);
  }
  session.leave(why);
  stands.resume();  // answered when the work has ended
  return false;
}

/// An interactive transaction's hold on the writer, shared by the two ends because either may end first.
struct SqliteWriter::Lease {
  Statement* next = nullptr;         ///< to be executed
  Statement* running = nullptr;      ///< that is executed; null where it was left
  bool abandoned = false;            ///< by its owner
  bool over = false;                 ///< on the writer's side, or left by its owner
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
  bool withdraw(Stop why) noexcept override {
    const std::scoped_lock lock(writer.mutex_);
    if (writer.openings_.remove(*this))
      writer.left(Hold::brief);
    else if (writer.opening_ == this)
      writer.opening_ = nullptr;
    else
      return false;
    result = std::unexpected(error_of(why));
    return true;
  }

  SqliteWriter& writer;
  std::uint64_t file;
  std::shared_ptr<Lease> lease = std::make_shared<Lease>();
  Opening* next = nullptr;
};

struct SqliteWriter::Statement final : Ask {
  using Kind = StatementKind;
  Statement(SqliteWriter& writer, Loop& loop, Lease& lease, Kind kind, std::shared_ptr<Step> step = {})
      : Ask(loop, kind != Kind::step), writer(writer), lease(lease), kind(kind), step(std::move(step)) {}
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
  /// As a unit.
  bool withdraw(Stop why) noexcept override {
    const std::scoped_lock lock(writer.mutex_);
    const bool waits = lease.next == this;
    if ((!waits && lease.running != this) || (why == Stop::client_gone && (!waits || kind != Kind::step))) return false;
    if (waits) {
      lease.next = nullptr;
      lease.abandoned |= kind != Kind::step;
      writer.ready_.notify_one();
    } else {
      lease.running = nullptr;
      lease.over = true;
      if (step) step->stop_now.store(true, std::memory_order_relaxed);
    }
    const bool unknown = !waits && kind == Kind::commit;
    result = std::unexpected(unknown ? writer.left_commit() : error_of(why));
    return true;
  }

  SqliteWriter& writer;
  Lease& lease;
  Kind kind;
  std::shared_ptr<Step> step;  ///< null: none
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
    const auto step = std::make_shared<Step>();
    step->take(sql, parameters, operation_, false);
    auto done = co_await run(Statement::Kind::step, step);
    if (!done) co_return std::unexpected(std::move(done).error());
    changed_ = step->changed;
    co_return std::move(step->keeper.rows);
  }
  std::int64_t changed() const override { return changed_; }
  Task<Result<>> script(std::string_view sql) override {
    const auto step = std::make_shared<Step>();
    step->take(sql, {}, operation_, true);
    auto done = co_await run(Statement::Kind::step, step);
    co_return done;
  }
  Task<Result<>> end(bool commit) override {
    if (!open_) co_return fail(kInternal, "the transaction has ended");
    // What the time of its exchange has run out for is not begun: whoever lets go of it rolls it back.
    const Scope* scope = co_await this_scope();
    if (const auto why = scope ? scope->stopped() : Stop::none; why != Stop::none && why != Stop::client_gone)
      co_return std::unexpected(error_of(why));
    open_ = false;
    auto done = co_await run(commit ? Statement::Kind::commit : Statement::Kind::roll_back, {});
    co_return done;
  }

 private:
  Task<Result<>> run(Statement::Kind kind, std::shared_ptr<Step> step) {
    Statement statement{writer_, loop_, *lease_, kind, std::move(step)};
    co_await static_cast<Ask&>(statement);
    co_return std::move(statement.result);
  }

  SqliteWriter& writer_;
  Loop& loop_;
  std::shared_ptr<Lease> lease_;
  std::string_view operation_;
  std::int64_t changed_ = 0;
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
      slow_(options.slow),
      step_(std::make_unique<Step>()) {
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
  counts.outcomes_unknown = unknown_.load(std::memory_order_relaxed);
}

LogState SqliteWriter::log_state() const noexcept {
  return {.bytes = log_bytes_.load(std::memory_order_relaxed),
          .restarts = restarts_.load(std::memory_order_relaxed),
          .held = held_.load(std::memory_order_relaxed)};
}

std::string SqliteWriter::log_trouble() const {
  const int failure = log_failure_.load(std::memory_order_relaxed);
  if (failure == 0) return {};
  return "sqlite: the write-ahead log cannot be written back into the database, and grows: " +
         std::string(sqlite3_errstr(failure));
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

/// Under the lock, when nobody waits any longer for a commit that is due or under way.
Error SqliteWriter::left_commit() noexcept {
  unknown_.fetch_add(1, std::memory_order_relaxed);
  ++left_in_commit_;
  return caused(&kOutcomeUnknown, "sqlite: the commit had not ended");
}

/// How a commit has ended that somebody did not wait for.
void SqliteWriter::tell_left(bool committed, std::chrono::nanoseconds took) {
  std::int64_t left;
  {
    const std::scoped_lock lock(mutex_);
    left = std::exchange(left_in_commit_, 0);
  }
  if (left == 0 || !log_) return;
  log_->write(telemetry::Level::warning, "database-late-commit", [&](telemetry::Line& line) {
    line.add("unknown", left).add("committed", committed);
    line.add("took_ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
    line.add("effect",
             "so many requests were answered `outcome-unknown` before the commit ended; `committed` says what became "
             "of what they wrote");
  });
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
      unit.place = &units.back();
      unit.at = Unit::At::group;
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
    opening_ = &openings_.pop();
    left(Hold::brief);
    running_.fetch_add(1, std::memory_order_relaxed);
    auto lease = opening_->lease;
    const auto file = opening_->file;
    lock.unlock();
    auto begun = gate_.is_current(file) ? begin_now() : std::unexpected(moved_error());
    lock.lock();
    auto* opening = std::exchange(opening_, nullptr);
    const bool open = opening && begun;
    if (!open) running_.fetch_sub(1, std::memory_order_relaxed);
    lock.unlock();
    if (opening) {
      opening->result = std::move(begun);
      opening->answer();  // gone from here on
    } else if (!idle()) {
      (void)connection_->run("ROLLBACK", {}, nullptr);
    }
    lock.lock();
    if (!open) continue;
    hold(std::move(lease), lock);
    lock.unlock();
    keep_log_short();
    lock.lock();
  }
}

void SqliteWriter::look_at(std::chrono::nanoseconds took, std::string_view sql, std::span<const Cell> parameters,
                           std::string_view operation, std::int64_t rows, const Error* error) const noexcept {
  if (!slow_->is_slow(took.count())) [[likely]]
    return;
  try {
    slow_->add({.sql = sql,
                .parameters = parameters,
                .operation = operation,
                .took = took.count(),
                .rows = rows,
                .error = error});
  } catch (const std::bad_alloc&) {}  // it is not told
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
  log_failure_.store(done.failure, std::memory_order_relaxed);
  const bool is_held = upkeep_.attempted(step, done.anew, done.frames, Clock::now());
  if (!is_held || done.failure != 0 || !log_) return;
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
  return connection_->run(connection_->reads() ? "BEGIN" : "BEGIN IMMEDIATE", {}, nullptr);
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

void SqliteWriter::perform(Step& step, Clock::time_point until) {
  const auto begun = slow_ ? Clock::now() : Clock::time_point{};
  const StepLimit limit{.stop = &step.stop_now, .until = until};
  step.result = step.is_script ? connection_->script(step.sql, limit)
                               : connection_->run(step.sql, step.parameters, &step.keeper, limit);
  step.changed = connection_->changed();
  if (!step.result && step.result.error().problem == &kOverBudget) step.result = fail(kWriteTooLong);
  if (slow_ && !step.is_script)
    look_at(Clock::now() - begun, step.sql, step.parameters, step.operation, std::ssize(step.keeper.rows),
            step.result ? nullptr : &step.result.error());
  if (step.result && step.keeper.too_large()) step.result = fail(kResponseTooLarge);
}

/// Carries out the statements at which a unit stands, one after the other, until it has ended or waits for something
/// else. False: it was left at one of them.
bool SqliteWriter::run_statements(Unit& unit) {
  while (standing_) {
    const auto until = unit.session.until();
    Stop told;
    {
      const std::scoped_lock lock(mutex_);
      told = unit.told;
      if (told == Stop::none) unit.at = Unit::At::statement;
    }
    if (told != Stop::none)
      step_->result = std::unexpected(error_of(told));
    else
      perform(*step_, until);
    if (!lost_by_ && connection_->idle())
      lost_by_ = step_->result ? caused(&kUnavailable, "sqlite rolled back") : step_->result.error();
    std::coroutine_handle<> stands;
    {
      const std::scoped_lock lock(mutex_);
      stands = std::exchange(standing_, {});
      if (stands) unit.at = Unit::At::running;
    }
    step_->clear();
    if (!stands) return false;
    stands.resume();
  }
  return true;
}

/// Runs the work of a unit that has been told so, up to its end. False: it was left.
bool SqliteWriter::run_work(Unit& unit) {
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
  return run_statements(unit);
}

/// Runs the work in its savepoint; one that is `alone` in the transaction needs none. What it gives is in the unit; an
/// error of the group is everybody's.
SqliteWriter::Fate SqliteWriter::run_unit(Unit*& place, bool alone, Result<>& group) {
  Unit* unit;
  {
    const std::scoped_lock lock(mutex_);
    unit = place;
    if (!unit || unit->ends_elsewhere) return Fate::undone;
    unit->at = Unit::At::running;
  }
  const bool current = gate_.is_current(unit->file);
  if (current && !alone) group = connection_->run("SAVEPOINT unit", {}, nullptr);
  if (!current || !group) {
    unit->ended = true;
    unit->result = current ? group : std::unexpected(moved_error());
    const std::scoped_lock lock(mutex_);
    unit->at = Unit::At::commit;
    return current ? Fate::group_failed : Fate::undone;
  }
  (void)connection_->interrupted();
  lost_by_.reset();
  if (!run_work(*unit)) unit = nullptr;
  const bool interrupted = connection_->interrupted();
  if (interrupted && unit && unit->ended && unit->result) unit->result = fail(kWriteTooLong);
  if (interrupted) interrupted_.fetch_add(1, std::memory_order_relaxed);
  if (connection_->idle()) {
    if (interrupted) return Fate::took_all_along;
    auto error = lost_by_ ? *lost_by_ : caused(&kUnavailable, "sqlite rolled back");
    // Disk full, I/O error: all of them would meet it. Anything else, such as RAISE(ROLLBACK) of a trigger, is its own.
    const bool is_of_all = error.problem == &kUnavailable || error.problem == &kOutOfMemory;
    if (unit && unit->ended && unit->result) unit->result = std::unexpected(error);
    if (!is_of_all) return Fate::took_all_along;
    group = std::unexpected(std::move(error));
    return Fate::group_failed;
  }
  bool told = false, stays = false;
  if (unit) {
    const std::scoped_lock lock(mutex_);
    told = unit->ended && unit->told != Stop::none;  // and is not told again
    if (told && unit->result) unit->result = std::unexpected(error_of(unit->told));
    stays = unit->ended && unit->result;
    unit->ends_elsewhere = !unit->ended;
    unit->at = Unit::At::commit;
  }
  if (!stays) group = connection_->run(alone ? "ROLLBACK" : "ROLLBACK TO unit", {}, nullptr);
  if (group && !alone) group = connection_->run("RELEASE unit", {}, nullptr);
  if (told) answer(place, {});
  if (!group) return Fate::group_failed;
  return stays ? Fate::stays : Fate::undone;
}

void SqliteWriter::answer(Unit*& place, const Result<>& group) {
  Unit* unit;
  bool begun;
  {
    const std::scoped_lock lock(mutex_);
    unit = std::exchange(place, nullptr);
    if (!unit) return;  // was answered already
    begun = std::exchange(unit->at, Unit::At::answered) != Unit::At::group;
  }
  running_.fetch_sub(1, std::memory_order_relaxed);
  units_done_.fetch_add(1, std::memory_order_relaxed);
  if (unit->ended || !begun) {
    if (!group && unit->result) unit->result = group;
  } else {
    unit->result = std::unexpected(UnitSession::waited_elsewhere());
    if (!unit->one_has_ended.exchange(true, std::memory_order_acq_rel)) return;
  }
  unit->answer();
}

void SqliteWriter::commit_together(std::span<Unit*> units) {
  while (!units.empty()) {
    const auto lost = try_commit(units);
    if (lost == units.size()) return;
    auto before = units.first(lost);
    answer(units[lost], {});
    units = units.subspan(lost + 1);
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
    const auto fate = run_unit(units[run], units.size() == 1, group);
    if (fate == Fate::took_all_along) {
      ended(false);
      {
        const std::scoped_lock lock(mutex_);  // undone: what is to run again is in no commit
        for (auto* unit : units.first(run))
          if (unit && !unit->ends_elsewhere) unit->at = Unit::At::group;
      }
      tell_left(false, {});
      return run;
    }
    written |= fate == Fate::stays && connection_->changes() != before;
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
  for (auto*& unit : units) answer(unit, group);
  tell_left(group.has_value(), took);
  return units.size();
}

Result<> SqliteWriter::execute(StatementKind kind, Step* step, Lease& lease) {
  if (kind == Statement::Kind::roll_back) return {};
  if (kind == Statement::Kind::commit) {
    auto done = connection_->idle() ? std::unexpected(caused(&kUnavailable, "sqlite: the transaction was rolled back"))
                                    : commit();
    if (done) commits_.fetch_add(1, std::memory_order_relaxed);
    units_done_.fetch_add(1, std::memory_order_relaxed);
    return done;
  }
  const auto begun = Clock::now();
  (void)connection_->interrupted();
  perform(*step, begun + writer_limit_ - lease.used);
  lease.used += Clock::now() - begun;
  if (connection_->interrupted()) {
    interrupted_.fetch_add(1, std::memory_order_relaxed);
    return fail(kWriteTooLong);
  }
  if (connection_->idle() && step->result && !step->is_script)
    return std::unexpected(caused(&kInternal, "only the caller that began a transaction may end it"));
  return std::move(step->result);
}

void SqliteWriter::hold(std::shared_ptr<Lease> lease, std::unique_lock<std::mutex>& lock) {
  const auto until = Clock::now() + transaction_limit_;
  for (bool ends = false;;) {
    const bool woken = ready_.wait_until(lock, until, [&] { return lease->next || lease->abandoned; });
    if (!woken || lease->abandoned) break;
    auto* statement = lease->running = std::exchange(lease->next, nullptr);
    const auto kind = statement->kind;
    const auto step = statement->step;
    lock.unlock();
    ends = kind != Statement::Kind::step;
    const auto begun = Clock::now();
    auto done = execute(kind, step.get(), *lease);
    const bool committed = kind == Statement::Kind::commit && done;
    if (ends && !connection_->idle()) (void)connection_->run("ROLLBACK", {}, nullptr);
    const bool lost = !ends && connection_->idle();  // SQLite has rolled it back: nothing may follow
    if (ends) this->ended(committed);
    lock.lock();
    statement = std::exchange(lease->running, nullptr);
    if (ends || lost) lease->over = true;
    if (ends) running_.fetch_sub(1, std::memory_order_relaxed);
    lock.unlock();
    if (statement) {
      statement->result = std::move(done);
      statement->answer();  // gone from here on
    }
    if (ends) tell_left(committed, Clock::now() - begun);
    lock.lock();
    if (ends) return;
    if (lost || !statement) break;
  }
  lease->over = true;
  lock.unlock();
  if (!connection_->idle()) (void)connection_->run("ROLLBACK", {}, nullptr);
  ended(false);
  running_.fetch_sub(1, std::memory_order_relaxed);
  lock.lock();
}

}  // namespace plimsoll::database
