#include "plimsoll/database/sqlite_writer.hpp"

#include <chrono>

namespace plimsoll::database {

using Clock = std::chrono::steady_clock;

/// What a unit may use, and only while it runs on the writer's thread.
class SqliteWriter::UnitSession final : public Session {
 public:
  explicit UnitSession(SqliteWriter& writer) : writer_(writer) {}
  Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) override {
    if (!writer_.here()) co_return std::unexpected(strayed());
    RowKeeper keeper;
    if (auto done = writer_.connection_->run(sql, parameters, &keeper); !done)
      co_return std::unexpected(std::move(done).error());
    co_return std::move(keeper.rows);
  }
  Task<Result<>> script(std::string_view sql) override {
    if (!writer_.here()) co_return std::unexpected(strayed());
    co_return writer_.connection_->script(sql);
  }
  static Error strayed() {
    return Error{&kInternal}.because("a unit of work waited for something else than its session");
  }

 private:
  SqliteWriter& writer_;
};

struct SqliteWriter::Unit final : Ask {
  Unit(SqliteWriter& writer, Loop& loop, Work& work) : Ask(loop), writer(writer), work(work), session(writer) {}
  void hand_over() override {
    bool wake;
    {
      std::lock_guard lock(writer.mutex_);
      writer.units_.push_back(this);
      writer.waiting_.fetch_add(1, std::memory_order_relaxed);
      wake = writer.units_.size() >= writer.wake_at_;
    }
    if (wake) writer.ready_.notify_one();
  }
  bool withdraw() noexcept override {
    std::lock_guard lock(writer.mutex_);
    return writer.taken_back(std::erase(writer.units_, this) != 0);
  }

  SqliteWriter& writer;
  Work& work;
  UnitSession session;
  Scope scope;
  bool ended = false;  ///< the work has, on the writer's thread, as it must
  /// Work that waited for something else ends elsewhere. It and the writer tell each other by setting this, and the
  /// second of them answers, so that nothing is destroyed while it waits.
  std::atomic<bool> left_by_one{false};
};

/// An interactive transaction's hold on the writer, shared by the two ends because either may end first.
struct SqliteWriter::Lease {
  Statement* next = nullptr;  ///< to be executed
  bool abandoned = false;     ///< by its owner
  bool over = false;          ///< on the writer's side
};

struct SqliteWriter::Opening final : Ask {
  Opening(SqliteWriter& writer, Loop& loop) : Ask(loop), writer(writer) {}
  void hand_over() override {
    {
      std::lock_guard lock(writer.mutex_);
      writer.openings_.push_back(this);
      writer.waiting_.fetch_add(1, std::memory_order_relaxed);
    }
    writer.ready_.notify_one();
  }
  bool withdraw() noexcept override {
    std::lock_guard lock(writer.mutex_);
    return writer.taken_back(std::erase(writer.openings_, this) != 0);
  }

  SqliteWriter& writer;
  std::shared_ptr<Lease> lease = std::make_shared<Lease>();
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

  SqliteWriter& writer;
  Lease& lease;
  Kind kind;
  std::string_view sql{};
  std::span<const Cell> parameters{};
  RowKeeper keeper{};
};

class SqliteWriter::Held final : public Transaction {
 public:
  Held(SqliteWriter& writer, Loop& loop, std::shared_ptr<Lease> lease)
      : writer_(writer), loop_(loop), lease_(std::move(lease)) {}
  ~Held() override {
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
    co_await static_cast<Ask&>(statement);
    if (!statement.result) co_return std::unexpected(std::move(statement.result).error());
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
  bool open_ = true;
};

SqliteWriter::SqliteWriter(std::unique_ptr<SqliteConnection> connection, const SqliteOptions& options,
                           TableVersions& versions)
    : connection_(std::move(connection)),
      versions_(versions),
      group_(static_cast<std::size_t>(std::max<std::int64_t>(1, options.group))),
      transaction_limit_(options.transaction.nanoseconds),
      gathering_(std::chrono::nanoseconds(options.gather.nanoseconds)),
      thread_([this] { serve(); }) {}

/// Tells which tables the transaction has written, or forgets them.
void SqliteWriter::ended(bool committed) {
  if (committed)
    for (auto& table : connection_->written()) versions_.wrote(table);
  connection_->forget_written();
}

void SqliteWriter::load(Load& load) const noexcept {
  load.writes_waiting = waiting_.load(std::memory_order_relaxed);
  load.writes_running = running_.load(std::memory_order_relaxed);
}

void SqliteWriter::begun(std::int64_t units) {
  running_.store(units, std::memory_order_relaxed);
  waiting_.fetch_sub(units, std::memory_order_relaxed);
}

bool SqliteWriter::taken_back(bool found) {
  if (found) waiting_.fetch_sub(1, std::memory_order_relaxed);
  return found;
}

SqliteWriter::~SqliteWriter() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  ready_.notify_all();
  thread_.join();
}

Task<Result<>> SqliteWriter::write(Loop& loop, Work work) {
  Unit unit{*this, loop, work};
  co_await static_cast<Ask&>(unit);
  co_return std::move(unit.result);
}

Task<Result<std::unique_ptr<Transaction>>> SqliteWriter::begin(Loop& loop) {
  Opening opening{*this, loop};
  co_await static_cast<Ask&>(opening);
  if (!opening.result) co_return std::unexpected(std::move(opening.result).error());
  co_return std::make_unique<Held>(*this, loop, std::move(opening.lease));
}

void SqliteWriter::serve() {
  std::vector<Unit*> units;
  for (std::unique_lock lock(mutex_);;) {
    ready_.wait(lock, [&] { return closing_ || !units_.empty() || !openings_.empty(); });
    if (closing_ && units_.empty() && openings_.empty()) return;
    gather(lock);
    while (!units_.empty() && units.size() < group_) {
      units.push_back(units_.front());
      units_.pop_front();
    }
    if (!units.empty()) {
      begun(static_cast<std::int64_t>(units.size()));
      lock.unlock();
      commit_together(units);
      units.clear();
      lock.lock();
    }
    if (openings_.empty()) continue;
    auto* opening = openings_.front();
    openings_.pop_front();
    begun(1);
    auto lease = opening->lease;
    lock.unlock();
    opening->result = begin_now();
    const bool open = opening->result.has_value();
    if (!open) running_.store(0, std::memory_order_relaxed);
    opening->answer();  // gone from here on
    lock.lock();
    if (open) hold(std::move(lease), lock);
  }
}

void SqliteWriter::gather(std::unique_lock<std::mutex>& lock) {
  const auto enough = std::min(gathering_.enough(), group_);
  if (units_.empty() || units_.size() >= enough) return;
  wake_at_ = enough;
  ready_.wait_until(lock, Clock::now() + gathering_.patience(),
                    [&] { return closing_ || !openings_.empty() || units_.size() >= enough; });
  wake_at_ = 1;
}

Result<> SqliteWriter::begin_now() {
  if (connection_->moved())
    return std::unexpected(Error{&kUnavailable}.because("sqlite: the database file was moved or deleted"));
  return connection_->run("BEGIN IMMEDIATE", {}, nullptr);
}

/// Waits for the work, wherever it ends.
Line SqliteWriter::finish(Unit& unit, Task<Result<>> work) {
  auto done = co_await std::move(work);
  if (unit.writer.here()) {
    unit.result = std::move(done);
    unit.ended = true;
  } else if (unit.left_by_one.exchange(true, std::memory_order_acq_rel)) {
    unit.answer();
  }
}

/// Runs the work in its savepoint; an error is that of the whole group.
Result<> SqliteWriter::run_unit(Unit& unit) {
  if (auto nested = connection_->run("SAVEPOINT unit", {}, nullptr); !nested) return nested;
  unit.scope.stop(Stop::lost_race);  // waits that obey their scope are refused at once
  auto line = finish(unit, unit.work(unit.session)).handle;
  line.promise().scope = &unit.scope;
  line.resume();
  const bool failed = !unit.ended || !unit.result;
  if (connection_->idle())  // disk full, I/O error: SQLite has rolled back everything
    return std::unexpected(unit.ended && !unit.result ? unit.result.error()
                                                      : Error{&kUnavailable}.because("sqlite rolled back"));
  if (failed)
    if (auto undone = connection_->run("ROLLBACK TO unit", {}, nullptr); !undone) return undone;
  return connection_->run("RELEASE unit", {}, nullptr);
}

void SqliteWriter::answer(Unit& unit, const Result<>& group) {
  if (unit.ended) {
    if (!group && unit.result) unit.result = group;
  } else {
    unit.result = std::unexpected(UnitSession::strayed());
    if (!unit.left_by_one.exchange(true, std::memory_order_acq_rel)) return;
  }
  unit.answer();
}

void SqliteWriter::commit_together(std::vector<Unit*>& units) {
  auto group = begin_now();
  std::size_t run = 0;
  for (; group && run < units.size(); ++run) group = run_unit(*units[run]);
  const auto begun = Clock::now();
  if (group) group = connection_->run("COMMIT", {}, nullptr);
  const auto took = Clock::now() - begun;
  if (!connection_->idle()) (void)connection_->run("ROLLBACK", {}, nullptr);
  ended(group.has_value());
  {
    std::lock_guard lock(mutex_);  // before anybody is answered: who is here now writes beside those of this group
    gathering_.committed(units.size(), units_.size(), took);
  }
  if (group) commits_.fetch_add(1, std::memory_order_relaxed);
  units_done_.fetch_add(run, std::memory_order_relaxed);
  running_.store(0, std::memory_order_relaxed);
  for (auto* unit : std::span(units).subspan(run)) unit->ended = true;  // never begun
  for (auto* unit : units) answer(*unit, group);
}

void SqliteWriter::execute(Statement& statement) {
  using enum Statement::Kind;
  switch (statement.kind) {
    case query:
      statement.result = connection_->run(statement.sql, statement.parameters, &statement.keeper);
      if (connection_->idle() && statement.result)
        statement.result = std::unexpected(Error{&kInternal}.because("a transaction is ended by whoever began it"));
      break;
    case script: statement.result = connection_->script(statement.sql); break;
    case commit:
      statement.result = connection_->idle()
                             ? std::unexpected(Error{&kUnavailable}.because("sqlite: the transaction was rolled back"))
                             : connection_->run("COMMIT", {}, nullptr);
      if (statement.result) commits_.fetch_add(1, std::memory_order_relaxed);
      units_done_.fetch_add(1, std::memory_order_relaxed);
      break;
    case roll_back: break;
  }
}

void SqliteWriter::hold(std::shared_ptr<Lease> lease, std::unique_lock<std::mutex>& lock) {
  const auto until = Clock::now() + transaction_limit_;
  for (bool ends = false; !ends;) {
    const bool woken = ready_.wait_until(lock, until, [&] { return lease->next || lease->abandoned; });
    if (!woken || lease->abandoned) break;
    auto* statement = std::exchange(lease->next, nullptr);
    lock.unlock();
    ends = statement->kind == Statement::Kind::commit || statement->kind == Statement::Kind::roll_back;
    execute(*statement);
    if (ends && !connection_->idle()) (void)connection_->run("ROLLBACK", {}, nullptr);
    if (ends) running_.store(0, std::memory_order_relaxed);
    if (ends) this->ended(statement->kind == Statement::Kind::commit && statement->result.has_value());
    statement->answer();  // gone from here on
    lock.lock();
  }
  lease->over = true;
  lock.unlock();
  if (!connection_->idle()) (void)connection_->run("ROLLBACK", {}, nullptr);
  ended(false);
  running_.store(0, std::memory_order_relaxed);
  lock.lock();
}

}  // namespace plimsoll::database
