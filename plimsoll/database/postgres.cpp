#include "plimsoll/database/postgres.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/engine.hpp"
#include "plimsoll/database/postgres_copy.hpp"
#include "plimsoll/database/postgres_dialect.hpp"
#include "plimsoll/database/postgres_error.hpp"
#include "plimsoll/database/postgres_policies.hpp"
#include "plimsoll/database/postgres_pool.hpp"
#include "plimsoll/database/postgres_replicas.hpp"
#include "plimsoll/database/postgres_sharing.hpp"
#include "plimsoll/database/postgres_statement.hpp"
#include "plimsoll/database/slow_statements.hpp"

#include <charconv>
#include <optional>
#include <random>

namespace plimsoll::config {
template <>
struct Words<database::PostgresOptions::Statements> {
  static constexpr std::string_view words[] = {"off", "on"};
};
}  // namespace plimsoll::config

namespace plimsoll::database {
namespace {

using config::field;

constexpr config::Field kFields[] = {
    field<&PostgresOptions::least>("min", "The number of connections that stay open although they are idle.",
                                   {0, 10'000}),
    field<&PostgresOptions::most>("max",
                                  "The most connections of this process, which all its threads share. One caller has "
                                  "at most half of them, and searches and counts leave one free.",
                                  {1, 10'000}),
    field<&PostgresOptions::idle>("idle", "How long a connection beyond `min` stays open without being used.",
                                  {kMillisecond, 86400 * kSecond}),
    field<&PostgresOptions::life>(
        "life", "How long a connection is used, less a random tenth; then it is closed and another one opened.",
        {kMillisecond, 30 * 86400 * kSecond}),
    field<&PostgresOptions::acquire>("acquire",
                                     "How long a request waits for a connection; then the response is 503 "
                                     "`database-busy`.",
                                     {kMillisecond, 3600 * kSecond}),
    field<&PostgresOptions::queue>(
        "queue", "The most requests that wait for a connection; beyond it the response is 503 `database-busy` at once.",
        {1, 1'000'000}),
    field<&PostgresOptions::statements>("statements",
                                        "Whether statements are prepared once for each connection. `off` behind "
                                        "PgBouncer in transaction mode, which does not know them."),
    field<&PostgresOptions::connect>("connect", "How long opening a connection may take.",
                                     {kMillisecond, 3600 * kSecond}),
    field<&PostgresOptions::transaction>("transaction",
                                         "How long a transaction of a handler may stay open, waits of the handler "
                                         "included.",
                                         {kMillisecond, 3600 * kSecond}),
};

constexpr std::string_view kBegin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
/// How often work is run when others have undone it. Each time somebody else has committed.
constexpr int kAttempts = 24;
constexpr int kLostConnections = 2;
/// After so many the next ones go one at a time; how often they ask for their turn.
constexpr int kTogether = 4;
constexpr int kWaits = 1'000;

/// What is left of the time of this line of work.
Nanoseconds time_left(const Scope* scope, Loop& loop) {
  if (!scope || scope->ends_by() == 0) return PostgresConnection::kLongest;
  return std::max<Nanoseconds>(scope->ends_by() - loop.now(), kMillisecond);
}

/// The key of an advisory lock, the same in every process.
std::int64_t lock_key(std::string_view what) { return static_cast<std::int64_t>(content_hash(what).low); }

/// Begins, ends or names a part of a transaction: it has no rows, and goes with the next statement.
bool is_savepoint(std::string_view sql) {
  return begins_with(sql, "SAVEPOINT ") || begins_with(sql, "RELEASE ") || begins_with(sql, "ROLLBACK TO ");
}
bool ends_transaction(std::string_view sql) {
  return begins_with(sql, "COMMIT") || begins_with(sql, "ROLLBACK") || begins_with(sql, "END") ||
         begins_with(sql, "ABORT") || begins_with(sql, "BEGIN") || begins_with(sql, "START");
}

/// What was sent to be copied must have been asked for first (`RowCopier::stored`).
Error under_way() { return Error{&kInternal}.because("postgres: a COPY is still in progress"); }

/// The statements of one transaction on one connection.
class Statements {
 public:
  /// `settings`: of kSetCaller; empty: nobody is told.
  /// `slow` is told of statements that are, which run for `operation`; null: nobody.
  Statements(PostgresConnection& connection, Loop& loop, std::vector<std::string> settings,
             SlowStatements* slow = nullptr, std::string_view operation = {})
      : connection_(connection),
        loop_(loop),
        settings_(std::move(settings)),
        told_(settings_.empty()),
        slow_(slow),
        operation_(operation) {}

  Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) {
    if (is_savepoint(sql)) {
      if (begins_with(sql, "ROLLBACK TO ")) told_ = settings_.empty();  // what was set inside is as before
      connection_.first(sql);
      co_return Rows{};
    }
    if (ends_transaction(sql))
      co_return std::unexpected(Error{&kInternal}.because("only the caller that began a transaction may end it: " +
                                                          std::string(sql.substr(0, 100))));
    const Scope* scope = co_await this_scope();
    if (scope && scope->stopped() != Stop::none) co_return std::unexpected(error_of(scope->stopped()));
    if (connection_.busy()) co_return std::unexpected(under_way());
    RowKeeper keeper;
    const PostgresConnection::Statement statement{
        .sql = sql,
        .parameters = parameters,
        .into = &keeper,
        .limit = time_left(scope, loop_),
        .settings = told_ ? std::span<const std::string>{} : std::span<const std::string>(settings_)};
    const auto begun = loop_.now();
    auto done = co_await connection_.run(statement);
    if (const auto took = loop_.now() - begun; slow_ && slow_->is_slow(took)) [[unlikely]]
      slow_->add({.sql = sql,
                  .parameters = parameters,
                  .operation = operation_,
                  .took = took,
                  .rows = std::ssize(keeper.rows),
                  .error = done ? nullptr : &done.error()});
    if (!done) co_return std::unexpected(noted(std::move(done).error()));
    told_ = true;
    if (keeper.too_large()) co_return fail(kResponseTooLarge);
    co_return std::move(keeper.rows);
  }
  Task<Result<std::unique_ptr<RowCopier>>> copier(const CopiedRows& rows);
  Task<Result<>> copy(std::string_view sql, std::string_view table, std::string_view rows, std::size_t count) {
    const Scope* scope = co_await this_scope();
    if (scope && scope->stopped() != Stop::none) co_return std::unexpected(error_of(scope->stopped()));
    copy_ = {.sql = sql, .begun = loop_.now(), .rows = static_cast<std::int64_t>(count)};
    const PostgresConnection::Copy copy{.sql = sql, .table = table, .rows = rows, .limit = time_left(scope, loop_)};
    auto begun = co_await connection_.copy(copy);
    if (!begun) {
      note_copy(&begun.error());
      co_return std::unexpected(noted(std::move(begun).error()));
    }
    co_return begun;
  }
  Task<Result<>> copied() {
    auto done = co_await connection_.copied(copy_.sql);
    note_copy(done ? nullptr : &done.error());
    if (!done) co_return std::unexpected(noted(std::move(done).error()));
    co_return done;
  }
  Task<Result<>> script(std::string_view sql) {
    const Scope* scope = co_await this_scope();
    if (scope && scope->stopped() != Stop::none) co_return std::unexpected(error_of(scope->stopped()));
    if (!told_)
      if (auto told = co_await query("SELECT 1", {}); !told) co_return std::unexpected(std::move(told).error());
    // A migration takes as long as it takes.
    auto done = co_await connection_.script(sql, scope && scope->ends_by() ? time_left(scope, loop_) : 0);
    if (!done) co_return std::unexpected(noted(std::move(done).error()));
    co_return done;
  }
  /// Locks that end with the transaction; without a snapshot of before they were to be had.
  void alone(std::string_view what) {
    alone_ = true;
    const auto lock = "SELECT pg_advisory_xact_lock(" + std::to_string(lock_key(what)) + ")";
    if (connection_.in_transaction())
      connection_.first(lock);
    else  // what has been added since it began, as a savepoint, comes behind
      connection_.begin_again("BEGIN ISOLATION LEVEL READ COMMITTED", lock);
  }
  /// From a command tag: `INSERT 0 1`, `UPDATE 3`.
  std::int64_t changed() const {
    const auto tag = connection_.tag();
    std::int64_t rows = 0;
    std::from_chars(tag.data() + tag.rfind(' ') + 1, tag.data() + tag.size(), rows);
    return rows;
  }
  /// `alone` was called.
  bool is_alone() const { return alone_; }
  /// It was undone, or its connection was lost: it may run again.
  bool undone() const { return undone_; }
  bool lost() const { return connection_.broken(); }
  /// The first statement that failed, which is why the transaction cannot be committed.
  const std::optional<Error>& failure() const { return failure_; }

 private:
  Error noted(Error error) {
    undone_ |= error.problem == &kRunAgain || connection_.broken();
    if (!failure_) failure_ = error;
    if (error.problem == &kRunAgain) {
      auto again = busy();
      again.more().cause = reason_of(error);
      return again;
    }
    return error;
  }
  void note_copy(const Error* error) const {
    if (const auto took = loop_.now() - copy_.begun; slow_ && slow_->is_slow(took)) [[unlikely]]
      slow_->add({.sql = copy_.sql,
                  .parameters = {},
                  .operation = operation_,
                  .took = took,
                  .rows = copy_.rows,
                  .error = error});
  }
  struct Copy {
    std::string_view sql{};
    Nanoseconds begun = 0;
    std::int64_t rows = 0;
  };
  PostgresConnection& connection_;
  Loop& loop_;
  Copy copy_{};  ///< that is under way
  const std::vector<std::string> settings_;
  bool told_ = true;  ///< the transaction knows who the caller is, or need not
  SlowStatements* const slow_;
  const std::string_view operation_;
  bool undone_ = false, alone_ = false;
  std::optional<Error> failure_;
};

class PostgresCopier final : public RowCopier {
 public:
  PostgresCopier(Statements& statements, std::string_view table, PostgresCopyText text)
      : statements_(statements), table_(table), text_(std::move(text)) {}
  bool append(std::string& rows, std::span<const Cell* const> values) const override {
    return text_.append(rows, values);
  }
  PLIMSOLL_FORWARDS Task<Result<>> send(std::string_view rows, std::size_t count) override {
    return statements_.copy(text_.sql(), table_, rows, count);
  }
  PLIMSOLL_FORWARDS Task<Result<>> stored() override { return statements_.copied(); }

 private:
  Statements& statements_;
  const std::string table_;
  const PostgresCopyText text_;
};

Task<Result<std::unique_ptr<RowCopier>>> Statements::copier(const CopiedRows& rows) {
  const Cell table[] = {quoted(rows.table)};
  auto catalogue = co_await query(kCopiedColumns, table);
  if (!catalogue) co_return std::unexpected(std::move(catalogue).error());
  auto text = PostgresCopyText::of(rows, *catalogue);
  if (!text) co_return nullptr;
  co_return std::make_unique<PostgresCopier>(*this, rows.table, std::move(*text));
}

class UnitSession final : public Session {
 public:
  UnitSession(PostgresConnection& connection, Loop& loop, std::vector<std::string> settings,
              SlowStatements* slow = nullptr, std::string_view operation = {})
      : statements(connection, loop, std::move(settings), slow, operation) {}
  PLIMSOLL_FORWARDS Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) override {
    return statements.query(sql, parameters);
  }
  PLIMSOLL_FORWARDS Task<Result<>> script(std::string_view sql) override { return statements.script(sql); }
  void alone(std::string_view what) override { statements.alone(what); }
  std::int64_t changed() const override { return statements.changed(); }
  PLIMSOLL_FORWARDS Task<Result<std::unique_ptr<RowCopier>>> copier(const CopiedRows& rows) override {
    return statements.copier(rows);
  }
  Statements statements;
};

/// What became of a commit.
enum class Committed : std::uint8_t { yes, undone, failed };

struct Commit {
  Committed how = Committed::failed;
  Error error{};
  bool empty = false;  ///< there was nothing to commit
};

/// Commits, and tells which tables are written where that may be so. `at`: where the position behind the commit goes, 0
/// where it is not known; null: nobody asks.
Task<Commit> commit(PostgresConnection& connection, const Statements& statements, TableVersions& versions,
                    Position* at) {
  // Not a statement was sent: there is nothing to commit.
  if (!connection.in_transaction() && connection.has_first()) {
    connection.forget_first();
    co_return Commit{.how = Committed::yes, .empty = true};
  }
  const Scope* scope = co_await this_scope();
  if (scope && scope->stopped() != Stop::none) co_return Commit{.error = error_of(scope->stopped())};
  if (connection.broken()) co_return Commit{.error = postgres_unavailable("the connection was lost before COMMIT")};
  if (connection.busy()) co_return Commit{.error = under_way()};
  connection.cancellable = false;
  Result<std::string> tag;
  if (at) {
    auto located = co_await connection.commit_and_locate();
    if (located) *at = located->at;
    tag = located ? Result<std::string>{std::move(located->tag)} : std::unexpected(std::move(located).error());
  } else {
    tag = co_await connection.command("COMMIT");
  }
  connection.cancellable = !connection.busy();
  const bool rolled_back = (tag && *tag != "COMMIT") || (!tag && !connection.broken() && !connection.busy());
  if (!rolled_back)
    for (const auto& table : connection.written()) versions.wrote(table);
  if (tag && *tag == "COMMIT") co_return Commit{.how = Committed::yes};
  if (tag) {
    // A statement had failed, its error was not heeded, and the server has rolled back.
    if (statements.undone()) co_return Commit{.how = Committed::undone, .error = *statements.failure()};
    auto error = statements.failure() ? *statements.failure() : Error{&kInternal};
    if (!statements.failure()) error.more().cause = "postgres: the transaction was rolled back instead of committed";
    co_return Commit{.error = std::move(error)};
  }
  auto error = std::move(tag).error();
  if (error.problem == &kRunAgain) co_return Commit{.how = Committed::undone, .error = std::move(error)};
  // The connection was lost, or the deadline has passed; who has left needs no answer.
  if ((connection.broken() || connection.busy()) && error.problem != &kClientGone) {
    Error unknown{&kOutcomeUnknown};
    unknown.more().retry_after = 1;
    unknown.more().cause = "no answer to COMMIT came: " + reason_of(error);
    co_return Commit{.error = std::move(unknown)};
  }
  co_return Commit{.error = std::move(error)};
}

/// What a commit means for the reads that follow.
void note_commit(PostgresReplicas* replicas, std::uint64_t caller, Position at, Position* wrote) noexcept {
  if (!replicas) return;
  replicas->committed(caller, at);
  if (wrote) *wrote = std::max(*wrote, at);
}

/// Reads that share connections, of one loop: when one connection has as many as it takes, a read brings the next.
class Sharings {
 public:
  explicit Sharings(Loop& loop) {
    for (auto& each : all_) each.emplace(loop);
  }
  /// The first that a read can join, and its statement there; null: none.
  std::pair<PostgresSharing*, PostgresSharing::Prepared> joinable(const PostgresPool& pool,
                                                                  const PostgresSharing::Statement& statement) {
    for (auto& each : all_)
      if (const auto prepared = each->can_join(pool, statement)) return {&*each, prepared};
    return {};
  }
  /// One to which a connection can be brought; null: all are in use.
  PostgresSharing* unused() {
    const auto found = std::ranges::find_if(all_, [](const auto& each) { return each->is_free(); });
    return found == all_.end() ? nullptr : &**found;
  }

 private:
  static constexpr std::size_t kMost = 4;  ///< connections, of all pools
  std::array<std::optional<PostgresSharing>, kMost> all_;
};

/// A transaction of a handler, over several waits.
class OpenTransaction final : public Transaction {
 public:
  OpenTransaction(PostgresPool::Lease lease, Loop& loop, std::vector<std::string> settings, Nanoseconds until,
                  TableVersions& versions, std::atomic<std::uint64_t>& commits, std::atomic<std::uint64_t>& unknown,
                  PostgresReplicas* replicas, const Reading& who, SlowStatements* slow)
      : caller_(caller_of(who)),
        wrote_(who.wrote),
        replicas_(replicas),
        lease_(std::move(lease)),
        loop_(loop),
        statements_(*lease_, loop, std::move(settings), slow, who.operation),
        until_(until),
        versions_(versions),
        commits_(commits),
        unknown_(unknown) {}
  Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) override {
    if (auto may = usable(); !may) co_return std::unexpected(std::move(may).error());
    auto rows = co_await statements_.query(sql, parameters);
    co_return rows;
  }
  Task<Result<>> script(std::string_view sql) override {
    if (auto may = usable(); !may) co_return may;
    auto done = co_await statements_.script(sql);
    co_return done;
  }
  void alone(std::string_view what) override { statements_.alone(what); }
  std::int64_t changed() const override { return statements_.changed(); }
  Task<Result<std::unique_ptr<RowCopier>>> copier(const CopiedRows& rows) override {
    if (auto may = usable(); !may) co_return std::unexpected(std::move(may).error());
    auto made = co_await statements_.copier(rows);
    co_return made;
  }
  Task<Result<>> end(bool commits) override {
    if (!open_) co_return fail(kInternal, "the transaction has ended");
    open_ = false;
    const auto lease = std::move(lease_);
    auto& connection = *lease;
    if (late() && commits) co_return std::unexpected(too_late());
    if (!commits) {
      if (!connection.in_transaction()) {
        connection.forget_first();
        co_return Result<>{};
      }
      auto ended = co_await connection.command("ROLLBACK");
      if (!ended) co_return std::unexpected(std::move(ended).error());
      co_return Result<>{};
    }
    Position at = 0;
    auto done = co_await commit(connection, statements_, versions_, replicas_ ? &at : nullptr);
    if (done.how == Committed::yes) {
      commits_.fetch_add(1, std::memory_order_relaxed);
      if (!done.empty) note_commit(replicas_, caller_, at, wrote_);
      co_return Result<>{};
    }
    // Its handler has answered already what it has read: it cannot be run again here.
    if (done.how == Committed::undone) co_return std::unexpected(busy());
    if (done.error.problem == &kOutcomeUnknown) unknown_.fetch_add(1, std::memory_order_relaxed);
    co_return std::unexpected(std::move(done.error));
  }

 private:
  bool late() const { return loop_.now() >= until_; }
  static Error too_late() {
    return Error{&kUnavailable}.because("the transaction stayed open too long and was rolled back");
  }
  Result<> usable() const {
    if (!open_) return fail(kInternal, "the transaction has ended");
    if (late()) return std::unexpected(too_late());
    return {};
  }
  const std::uint64_t caller_;
  Position* const wrote_;
  PostgresReplicas* const replicas_;
  PostgresPool::Lease lease_;
  Loop& loop_;
  Statements statements_;
  Nanoseconds until_;
  TableVersions& versions_;
  std::atomic<std::uint64_t>&commits_, &unknown_;
  bool open_ = true;
};

class Postgres final : public Database {
 public:
  Postgres(PostgresTarget target, const PostgresOptions& options, std::shared_ptr<net::Resolver> resolver)
      : options_(options), pool_(std::move(target), options, std::move(resolver)) {}
  ~Postgres() override {
    if (options_.slow) options_.slow->stop();
  }
  Result<> start(std::vector<PostgresTarget> replicas, const std::shared_ptr<net::Resolver>& resolver) {
    auto pool = pool_.start();
    if (pool && options_.slow && !options_.trial) options_.slow->start(*this);
    if (!pool || replicas.empty()) return pool;
    auto made = std::make_unique<PostgresReplicas>(pool_, std::move(replicas), options_, resolver);
    if (auto started = made->start(); !started) return started;
    replicas_ = std::move(made);
    return {};
  }

  PLIMSOLL_FORWARDS Task<Result<>> write(Loop& loop, Work work, Hold) override { return write_as({}, loop, work); }
  PLIMSOLL_FORWARDS Task<Result<>> write_for(const Reading& who, Loop& loop, Work work, Hold) override {
    return write_as(who, loop, work);
  }
  Task<Result<>> write_as(Reading who, Loop& loop, Work work) {
    if (options_.trial) {
      auto tried = co_await try_out(loop, work);
      co_return tried;
    }
    Error last = busy();
    std::string turn;  // what locks the tables for those who are repeated; empty: nothing does
    int waited = 0;
    for (int attempt = 0, lost = 0; attempt < kAttempts && waited < kWaits; ++attempt) {
      if (attempt + waited > 1) {
        const bool rested = co_await pause(loop, rest_before(attempt + waited));
        if (!rested) break;
      }
      auto lease = co_await pool_.acquire(loop, ReadClass::key, caller_of(who));
      if (!lease) co_return std::unexpected(std::move(lease).error());
      const Counted counted{writing_};
      auto& connection = **lease;
      connection.forget_written();
      connection.begin(kBegin);
      if (!turn.empty()) {
        const auto got = co_await take_turn(connection, loop, turn);
        if (!got && !connection.broken()) {  // another one has it
          --attempt, ++waited;
          continue;
        }
      }
      UnitSession session{connection, loop, settings_for(who), options_.slow, who.operation};
      auto done = co_await work(session);
      const auto& statements = session.statements;
      const auto again = [&](const Error& error) {
        // Each waited for the other: without an order between them they do so again.
        const bool waits = sqlstate_of(error) == kDeadlock;
        if ((waits || attempt + 1 >= kTogether) && !statements.is_alone()) turn = turn_of(connection.written());
      };
      if (done && !statements.undone()) {
        Position at = 0;
        auto ended = co_await commit(connection, statements, versions(), replicas_ ? &at : nullptr);
        if (ended.how == Committed::yes) {
          if (!ended.empty) note_commit(replicas_.get(), caller_of(who), at, who.wrote);
          commits_.fetch_add(1, std::memory_order_relaxed);
          units_.fetch_add(1, std::memory_order_relaxed);
          co_return Result<>{};
        }
        if (ended.how == Committed::failed) {
          if (ended.error.problem == &kOutcomeUnknown) unknown_.fetch_add(1, std::memory_order_relaxed);
          co_return std::unexpected(std::move(ended.error));
        }
        again(ended.error);
        continue;
      }
      if (connection.broken()) {
        last = statements.failure() ? *statements.failure() : postgres_unavailable("the connection was lost");
        if (!statements.undone() || ++lost > kLostConnections) co_return std::unexpected(std::move(last));
        continue;
      }
      const Scope* scope = co_await this_scope();
      const bool stopped = scope && scope->stopped() != Stop::none;
      if (!stopped) {
        // Whoever is told to stop, or leaves a COPY under way, leaves this to the thread of the pool.
        if (connection.in_transaction() && !connection.busy()) {
          auto ended = co_await connection.command("ROLLBACK");
          (void)ended;
        }
        connection.forget_first();
      }
      if (statements.failure()) again(*statements.failure());
      if (!done && (!statements.undone() || stopped)) co_return std::unexpected(std::move(done).error());
      if (stopped) break;
    }
    const Scope* scope = co_await this_scope();
    if (scope && scope->stopped() != Stop::none) co_return std::unexpected(error_of(scope->stopped()));
    refused_.fetch_add(1, std::memory_order_relaxed);
    co_return std::unexpected(std::move(last));
  }

  PLIMSOLL_FORWARDS Task<Result<std::unique_ptr<Transaction>>> begin(Loop& loop) override { return begin_as({}, loop); }
  PLIMSOLL_FORWARDS Task<Result<std::unique_ptr<Transaction>>> begin_for(const Reading& who, Loop& loop) override {
    return begin_as(who, loop);
  }
  Task<Result<std::unique_ptr<Transaction>>> begin_as(Reading who, Loop& loop) {
    if (options_.trial) co_return fail(kInternal, "a trial has no transactions of handlers");
    auto lease = co_await pool_.acquire(loop, ReadClass::key, caller_of(who));
    if (!lease) co_return std::unexpected(std::move(lease).error());
    (*lease)->forget_written();
    (*lease)->begin(kBegin);
    // The handler may wait for something else: its locks end all the same.
    (*lease)->first("SET LOCAL idle_in_transaction_session_timeout=" +
                    std::to_string(options_.transaction.nanoseconds / kMillisecond));
    co_return std::make_unique<OpenTransaction>(std::move(*lease), loop, settings_for(who),
                                                loop.now() + options_.transaction.nanoseconds, versions(), commits_,
                                                unknown_, replicas_.get(), who, options_.slow);
  }

  PLIMSOLL_FORWARDS Task<Result<>> read(Loop& loop, std::string_view sql, std::span<const Cell> parameters,
                                        const Reading& reading, RowSink& into) override {
    if (replicas_ && reading.anywhere) return read_anywhere(loop, sql, parameters, reading, into);
    return read_on(pool_, loop, sql, parameters, reading, into);
  }
  /// By a replica that shows what the caller has written, else by the primary.
  Task<Result<>> read_anywhere(Loop& loop, std::string_view sql, std::span<const Cell> parameters,
                               const Reading& reading, RowSink& into) {
    const bool placed = replicas_->all_placed();  // first: what is placed meanwhile is part of what the read needs
    const auto& written = replicas_->written();
    const auto needs = std::max(reading.after, reading.kept ? replicas_->known() : written.of(caller_of(reading)));
    auto* replica = placed ? replicas_->ready(needs) : nullptr;
    if (!replica && placed) replica = co_await replicas_->wait_for(loop, needs);
    const Scope* scope = co_await this_scope();
    if (replica) {
      replica->reads.fetch_add(1, std::memory_order_relaxed);
      auto done = co_await read_on(replica->pool(), loop, sql, parameters, reading, into);
      if (done) reads_replica_.fetch_add(1, std::memory_order_relaxed);
      if (done || !may_differ(done.error()) || (scope && scope->stopped() != Stop::none)) co_return done;
      reads_returned_.fetch_add(1, std::memory_order_relaxed);
    } else {
      reads_ahead_.fetch_add(1, std::memory_order_relaxed);
    }
    auto done = co_await read_on(pool_, loop, sql, parameters, reading, into);
    co_return done;
  }
  /// Whether the primary may answer where a replica has failed: it cannot be reached, has no connection left, its
  /// replay was in the way, or it does not have a column yet.
  static bool may_differ(const Error& error) {
    return error.problem == &kUnavailable || error.problem == &kBusy || error.problem == &kInternal;
  }
  Task<Result<>> read_on(PostgresPool& pool, Loop& loop, std::string_view sql, std::span<const Cell> parameters,
                         const Reading& reading, RowSink& into) {
    if (options_.trial) {
      const auto work = [&](Session& session) -> Task<Result<>> {
        auto rows = co_await session.query(sql, parameters);
        if (!rows) co_return std::unexpected(std::move(rows).error());
        give(*rows, into);
        co_return Result<>{};
      };
      auto tried = co_await try_out(loop, work);
      co_return tried;
    }
    const auto caller = caller_of(reading);
    const auto settings = settings_for(reading);
    const Scope* scope = co_await this_scope();
    // A read of one row for an exchange joins those of its loop that are under way, unless it is for a caller that the
    // session is told of. What the server itself reads may take longer than it says.
    const bool shares = reading.order == ReadClass::key && reading.quick && caller != 0 &&
                        options_.statements == PostgresOptions::Statements::on && settings.empty();
    std::int64_t rows = 0;
    const auto look = [&](Nanoseconds begun, const Result<>& done) {
      if (const auto took = loop.now() - begun; options_.slow && options_.slow->is_slow(took)) [[unlikely]]
        options_.slow->add({.sql = sql,
                            .parameters = parameters,
                            .operation = reading.operation,
                            .took = took,
                            .rows = rows,
                            .error = done ? nullptr : &done.error()});
    };
    for (int lost = 0;;) {
      if (shares) {
        const PostgresConnection::Statement statement{.sql = sql,
                                                      .parameters = parameters,
                                                      .into = &into,
                                                      .budget = reading.budget,
                                                      .limit = time_left(scope, loop),
                                                      .rows = &rows};
        if (const auto [sharing, prepared] = loop.own<Sharings>().joinable(pool, statement); sharing) {
          const Counted counted{reading_};
          const auto begun = loop.now();
          auto shared = co_await sharing->join(statement, prepared);
          look(begun, shared.done);
          if (may_end(shared, scope, lost)) co_return std::move(shared.done);
          continue;
        }
      }
      auto lease = co_await pool.acquire(loop, reading.order, caller);
      if (!lease) co_return std::unexpected(std::move(lease).error());
      const Counted counted{reading_};
      auto& connection = **lease;
      const PostgresConnection::Statement statement{.sql = sql,
                                                    .parameters = parameters,
                                                    .into = &into,
                                                    .budget = reading.budget,
                                                    .limit = time_left(scope, loop),
                                                    .rows = &rows,
                                                    .settings = settings};
      const auto begun = loop.now();
      PostgresSharing::Outcome outcome;
      auto* sharing = shares ? loop.own<Sharings>().unused() : nullptr;
      PostgresSharing::Prepared prepared = nullptr;
      if (sharing) {
        prepared = connection.can_pipe(statement);
        if (!prepared) {
          outcome.done = co_await connection.make_ready(statement);
          prepared = outcome.done && sharing->is_free() ? connection.can_pipe(statement) : nullptr;
        }
      }
      if (prepared) {
        sharing->begin(pool, std::move(*lease));
        outcome = co_await sharing->join(statement, prepared);
      } else {
        if (outcome.done) outcome.done = co_await connection.run(statement);
        outcome.lost = connection.broken();
      }
      look(begun, outcome.done);
      if (may_end(outcome, scope, lost)) co_return std::move(outcome.done);
    }
  }

  /// A plan for any values: one for those of the statement would show them.
  Task<Result<std::string>> plan_of(Loop& loop, std::string_view sql, std::size_t parameters) override {
    if (begins_with(sql, "COPY ")) co_return std::string{};  // it has none
    auto lease = co_await pool_.acquire(loop, ReadClass::search, 0);
    if (!lease) co_return std::unexpected(std::move(lease).error());
    auto& connection = **lease;
    // Of its own: where it is left behind it is in nobody's way.
    const auto name = "plimsoll_" + to_hex(random_bytes(8));
    connection.begin("BEGIN READ ONLY");
    auto prepared = co_await connection.script(
        "SET LOCAL lock_timeout='1s';SET LOCAL plan_cache_mode=force_generic_plan;"
        "PREPARE " +
            name + " AS " + numbered_parameters(sql),
        SlowStatements::kPlanLimit);
    if (!prepared) co_return std::unexpected(std::move(prepared).error());
    auto asks = "EXPLAIN EXECUTE " + name;
    for (std::size_t i = 0; i < parameters; ++i) asks += i ? ",NULL" : "(NULL";
    if (parameters) asks += ')';
    RowKeeper keeper;
    const PostgresConnection::Statement statement{.sql = asks, .into = &keeper, .limit = SlowStatements::kPlanLimit};
    auto explained = co_await connection.run(statement);
    connection.forget(asks);
    if (!explained) co_return std::unexpected(std::move(explained).error());
    auto ended = co_await connection.script("DEALLOCATE " + name, SlowStatements::kPlanLimit);
    if (ended) (void)co_await connection.command("ROLLBACK");
    std::string plan;
    for (const auto& step : keeper.rows) plan.append(plan.empty() ? "" : "\n").append(text_at(step, 0));
    co_return plan;
  }
  void interrupt() noexcept override {
    if (options_.statements == PostgresOptions::Statements::on) pool_.interrupt();
  }
  const Dialect& dialect() const noexcept override { return postgres_dialect(); }
  Result<bool> only_reads(std::string_view sql) override { return reads_only(sql); }
  Counts counts() const override {
    Counts counts;
    counts.commits = commits_.load(std::memory_order_relaxed);
    counts.units = units_.load(std::memory_order_relaxed);
    counts.reads_queued = reads_.load(std::memory_order_relaxed);
    counts.reads_replica = reads_replica_.load(std::memory_order_relaxed);
    counts.reads_ahead = reads_ahead_.load(std::memory_order_relaxed);
    counts.reads_returned = reads_returned_.load(std::memory_order_relaxed);
    counts.reads_refused = pool_.refused();
    counts.writes_refused = refused_.load(std::memory_order_relaxed);
    counts.outcomes_unknown = unknown_.load(std::memory_order_relaxed);
    return counts;
  }
  PoolState pool_state() const noexcept override { return pool_.state(); }
  std::vector<ReplicaState> replicas() const override {
    return replicas_ ? replicas_->states() : std::vector<ReplicaState>{};
  }
  bool has_replicas() const noexcept override { return replicas_ != nullptr; }
  Position known_position() const noexcept override { return replicas_ ? replicas_->known() : 0; }
  std::string cluster() const override { return replicas_ ? replicas_->cluster() : std::string{}; }
  Task<Result<Position>> position(Loop& loop) override {
    if (!replicas_) co_return Position{0};
    auto rows = co_await Database::read(loop, PostgresConnection::kLocate, {}, true);
    if (!rows) co_return std::unexpected(std::move(rows).error());
    if (rows->empty()) co_return fail(kInternal);
    co_return static_cast<Position>(number_at(rows->front(), 0));
  }
  Load load() const noexcept override {
    const auto sizes = pool_.state();
    return {.reads_waiting = sizes.waiting,
            .reads_running = reading_.load(std::memory_order_relaxed),
            .readers = sizes.most,
            .writes_waiting = 0,
            .writes_running = writing_.load(std::memory_order_relaxed)};
  }

 private:
  /// False: the read may run again, on another connection.
  bool may_end(PostgresSharing::Outcome& outcome, const Scope* scope, int& lost) {
    auto& done = outcome.done;
    if (done) reads_.fetch_add(1, std::memory_order_relaxed);
    const bool again = !done && (outcome.lost || done.error().problem == &kRunAgain);
    if (!again || (scope && scope->stopped() != Stop::none)) return true;
    if (++lost <= kLostConnections) return false;
    if (done.error().problem == &kRunAgain) done = std::unexpected(busy());
    return true;
  }
  /// What a transaction for this caller is told; nothing where it need not be.
  std::vector<std::string> settings_for(const Reading& who) const {
    return options_.row_security ? caller_settings(who) : std::vector<std::string>{};
  }
  static void give(const Rows& rows, RowSink& into) {
    into.begin();
    std::vector<Field> fields;
    for (const auto& row : rows) {
      fields.clear();
      for (const auto& cell : row) std::visit([&](const auto& value) { fields.emplace_back(value); }, cell);
      if (!into.row(fields)) return;
    }
  }
  /// In a savepoint of the one transaction of a trial, on the one connection that it has.
  Task<Result<>> try_out(Loop& loop, Work work) {
    if (!trial_) {
      auto lease = co_await pool_.acquire(loop, ReadClass::key, 0);
      if (!lease) co_return std::unexpected(std::move(lease).error());
      trial_.emplace(std::move(*lease));
      (*trial_)->begin("BEGIN");
      // What others hold is not waited for: a trial must not stand in the way of a server.
      auto begun = co_await (*trial_)->command("SET LOCAL lock_timeout='2s'");
      if (!begun) {
        trial_.reset();  // while its loop is there
        co_return std::unexpected(std::move(begun).error());
      }
    } else {
      (*trial_)->attach(loop);
    }
    auto& connection = **trial_;
    connection.first("SAVEPOINT trial");
    UnitSession session{connection, loop, settings_for({})};
    auto done = co_await work(session);
    if (!done) connection.first("ROLLBACK TO trial");
    auto ended = co_await connection.command("RELEASE trial");
    connection.detach();
    if (done && !ended) co_return std::unexpected(std::move(ended).error());
    co_return done;
  }
  /// One more, while it lasts.
  struct Counted {
    explicit Counted(std::atomic<std::int64_t>& in) : count(in) { count.fetch_add(1, std::memory_order_relaxed); }
    ~Counted() { count.fetch_sub(1, std::memory_order_relaxed); }
    Counted(const Counted&) = delete;
    std::atomic<std::int64_t>& count;
  };
  /// What those who are repeated ask before all else: one at a time writes such tables. It says whether it is this one,
  /// and does not wait, so that what it goes on to see is no older than its turn.
  static std::string turn_of(std::span<const std::string> tables) {
    std::vector<std::string> names(tables.begin(), tables.end());
    if (names.empty()) names.emplace_back();  // undone as it locked rows, before it wrote
    std::ranges::sort(names);
    std::string asks = "SELECT true";
    for (const auto& name : names)
      asks += " AND pg_try_advisory_xact_lock(" + std::to_string(lock_key("plimsoll.turn." + name)) + ")";
    return asks;
  }
  static Task<bool> take_turn(PostgresConnection& connection, Loop& loop, const std::string& asks) {
    const Scope* scope = co_await this_scope();
    RowKeeper keeper;
    const PostgresConnection::Statement statement{.sql = asks, .into = &keeper, .limit = time_left(scope, loop)};
    auto asked = co_await connection.run(statement);
    if (asked && !keeper.rows.empty() && keeper.rows[0][0] == Cell{std::int64_t{1}}) co_return true;
    if (!connection.broken() && connection.in_transaction()) {
      auto ended = co_await connection.command("ROLLBACK");
      (void)ended;
    }
    co_return false;
  }
  /// Between two attempts: random, so that those who undo each other do not meet again.
  static Nanoseconds rest_before(int attempt) {
    thread_local std::minstd_rand random{std::random_device{}()};
    const auto most = std::min<Nanoseconds>(100 * kMillisecond, (2 * kMillisecond) << std::min(attempt, 8));
    return std::uniform_int_distribution<Nanoseconds>(kMillisecond, most)(random);
  }

  const PostgresOptions options_;
  std::atomic<std::uint64_t> commits_{0}, units_{0}, reads_{0}, refused_{0}, unknown_{0};
  std::atomic<std::int64_t> reading_{0}, writing_{0};
  PostgresPool pool_;
  std::optional<PostgresPool::Lease> trial_;
  std::atomic<std::uint64_t> reads_replica_{0}, reads_ahead_{0}, reads_returned_{0};
  std::unique_ptr<PostgresReplicas> replicas_;  // after the pool, which it looks at
};

}  // namespace

constinit const std::span<const config::Field> kPostgresFields = kFields;

Result<std::unique_ptr<Database>> open_postgres(const PostgresOptions& options) {
  auto target = PostgresTarget::read(options.url);
  if (!target) {
    Error error{&kUnavailable};
    error.retryable = false;
    return std::unexpected(std::move(error).because(target.error().detail));
  }
  std::vector<PostgresTarget> replicas;
  for (const auto& url : options.trial ? std::vector<std::string>{} : options.replicas) {
    auto replica = PostgresTarget::read(url);
    if (!replica) {
      Error error{&kUnavailable};
      error.retryable = false;
      return std::unexpected(std::move(error).because(without_password(url) + ": " + replica.error().detail));
    }
    replicas.push_back(std::move(*replica));
  }
  const auto resolver = net::system_resolver();
  auto made = std::make_unique<Postgres>(std::move(*target), options, resolver);
  if (auto started = made->start(std::move(replicas), resolver); !started)
    return std::unexpected(std::move(started).error());
  return std::unique_ptr<Database>(std::move(made));
}

}  // namespace plimsoll::database
