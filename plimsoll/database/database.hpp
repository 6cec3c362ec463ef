#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/function_ref.hpp"
#include "plimsoll/database/versions.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace plimsoll {
class Loop;
}

namespace plimsoll::database {

inline constexpr Problem kUnavailable{"database-unavailable", 503, "The database is not available", "Try again later.",
                                      true};
inline constexpr Problem kConflict{"conflict", 409, "Conflict with existing data",
                                   "Read the current state and adapt the request."};
inline constexpr Problem kConstraint{"constraint", 422, "The data violates a constraint of the database",
                                     "Correct the named fields and send the request again."};

inline constexpr Problem kResponseTooLarge{
    "response-too-large", 400, "The response would be larger than allowed",
    "Read less: name the members you need in `fields`, embed fewer tables, or use a smaller `limit`. Of a change, "
    "request no body with `Prefer: return=minimal`, or send fewer items."};
/// A read took more steps than `Reading::steps` allows, or than it may where it stands. Never leaves the server.
inline constexpr Problem kOverBudget{"over-budget", 500, "The read takes more steps than allowed", ""};
inline constexpr Problem kBusy{"database-busy", 503, "Too many requests are waiting for the database",
                               "Repeat the request after Retry-After.", true};

inline constexpr Problem kWriteTooLong{
    "write-too-long", 503, "The change takes too long",
    "Send less at once: fewer items in a batch, smaller values, or a filter that matches fewer rows."};

/// COMMIT was sent and no answer came: of all that a database refuses with, this alone says nothing about what was
/// done.
inline constexpr Problem kOutcomeUnknown{"outcome-unknown", 503, "It is not known whether the change was made",
                                         "Read the resource to see whether the change is there, or repeat the request "
                                         "with the same `Idempotency-Key`, which takes effect once.",
                                         true};

/// Too many wait already.
inline Error busy() {
  Error error{&kBusy};
  error.more().retry_after = 1;
  return error;
}

/// All a database can refuse with.
inline constexpr const Problem* kProblems[] = {&kUnavailable, &kConflict,     &kConstraint,    &kResponseTooLarge,
                                               &kBusy,        &kWriteTooLong, &kOutcomeUnknown};

/// Between the two in the cause of an error that brings its own remedy.
inline constexpr std::string_view kRemedyFollows = "; remedy: ";
/// For operators, never for callers: why the database refused, and what to do about it.
std::string reason_of(const Error& error);
std::string remedy_of(const Error& error);
/// What the cause brings; empty: it brings none.
std::string_view own_remedy_of(const Error& error);
/// A statement was refused by the database itself, though nothing in the request is wrong: a right is missing, or an
/// object that it names.
bool is_refused_statement(const Error& error);

using Cell = std::variant<std::monostate, std::int64_t, double, std::string>;
using Rows = std::vector<std::vector<Cell>>;
/// A value of a row while it is read: a text is a view, good until the next row.
using Field = std::variant<std::monostate, std::int64_t, double, std::string_view>;

/// Takes rows as they come, without a copy in between. May be called on another thread while its owner waits: it
/// touches nothing but its own, least of all an exchange's arena.
class RowSink {
 public:
  /// Before the first row, and again where a read starts over: forget what came before.
  virtual void begin() = 0;
  /// False: enough, the read ends here and has succeeded.
  virtual bool row(std::span<const Field> fields) = 0;

 protected:
  ~RowSink() = default;
};

/// Keeps rows as `Rows`, as long as they take no more memory than `kMost`.
class RowKeeper final : public RowSink {
 public:
  static constexpr std::size_t kMost = 256u << 20;  ///< bytes, texts and cells

  void begin() override {
    rows.clear();
    bytes_ = 0;
  }
  bool row(std::span<const Field> fields) override;
  /// It has ended early: there are more rows than it keeps.
  bool too_large() const { return bytes_ > kMost; }
  Rows rows;

 private:
  std::size_t bytes_ = 0;
};

class RowCopier;
struct CopiedRows;

/// Statements inside a transaction that somebody else begins and ends. On PostgreSQL a query waits on the I/O thread;
/// on SQLite it is answered at once, on the writer's thread. Whoever writes the statements does not see the difference.
/// Parameters are `?` in order; statements are prepared once and kept.
class Session {
 public:
  virtual ~Session() = default;
  virtual Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> parameters) = 0;
  /// An INSERT, UPDATE or DELETE that gives no rows: how many it has inserted, updated or deleted. On SQLite this costs
  /// less than to count what `RETURNING` gives, for which SQLite makes a table of its own.
  Task<Result<std::int64_t>> execute(std::string_view sql, std::span<const Cell> parameters);
  /// Several statements without parameters, as they stand in a file; what they give is dropped. They must not end the
  /// transaction.
  virtual Task<Result<>> script(std::string_view sql) = 0;
  /// Nobody else, of any process, is behind this call with the same name until this transaction ends, and what those
  /// before have committed is seen. Called before any statement. Where there is one writer nothing has to be done.
  virtual void alone(std::string_view what) { (void)what; }
  /// What stores many such rows at once; null: they have to be inserted, since the database has nothing for it, or
  /// would store them otherwise (defaults, triggers, rules, types that change what they are given). Asks the database.
  virtual Task<Result<std::unique_ptr<RowCopier>>> copier(const CopiedRows& rows);
  /// How many rows the last INSERT, UPDATE or DELETE has changed.
  virtual std::int64_t changed() const = 0;
};

/// One unit of work: all of it becomes durable, or none. Must wait for nothing but its session: other waits are
/// refused where they can be, and the work then fails. It may be called again when what it did was lost through no
/// fault of its own, so it keeps nothing from one call to the next.
using Work = FunctionRef<Task<Result<>>(Session&)>;

/// How long a piece of work may have the only writer: as long as `database.writer` says (every exchange), after which
/// its statement is interrupted, it is rolled back and fails with `write-too-long`; or until it is done (the start,
/// migrations, jobs). Either ends when its line of work is told that its deadline has passed.
enum class Hold : std::uint8_t { brief, patient };

/// A transaction over several waits; rolls back unless committed. On SQLite it holds the one writer: keep it short. It
/// is rolled back when it stays open too long.
class Transaction : public Session {
 public:
  virtual Task<Result<>> end(bool commit) = 0;
};

/// How much the reads of one exchange may give: rows, those embedded in others included, and bytes of the text that is
/// made of embedded rows. A read that would exceed it ends with `response-too-large`, while it reads; what a read used
/// is taken off `rows` when it has ended. A read that ended so has given only rows that are whole.
struct ReadBudget {
  std::int64_t rows = INT64_MAX;
  std::int64_t bytes = INT64_MAX;
};

/// Which reads go first where reads wait: those of a row before those of a page, these before searches and counts.
enum class ReadClass : std::uint8_t { key, list, search };

/// A place in the log of changes of the primary server, which grows with each: a replica that has replayed it shows all
/// that was committed before. 0: nothing.
using Position = std::uint64_t;

/// How a read is scheduled, and what it may cost. Of a write: who it is for.
struct Reading {
  /// The plan knows it to be short (a key, an indexed page): it may run where it stands, under a step budget.
  bool quick = false;
  ReadClass order = ReadClass::list;
  /// Who pays: the subject of the caller, or where nobody is authenticated the hash of the client's address. Callers
  /// of one class take turns. All empty: the server itself.
  std::string_view tenant{}, scheme{}, subject{};
  std::uint64_t site = 0;
  std::span<const std::string_view> roles{};  ///< of the caller
  std::string_view operation{};               ///< of the contract, for which it runs; empty: for none
  bool exchange = false;                      ///< somebody asks, though it may not be known who; else the server itself
  ReadBudget* budget = nullptr;               ///< null: none
  /// Steps that it may take, as the database counts them (SQLite: of its virtual machine, to the thousand): then it
  /// ends with kOverBudget, and what it has given is a beginning of its rows. 0, and where no steps are counted: any
  /// number.
  std::int64_t steps = 0;
  /// A replica may answer it, which shows what the primary had at some earlier time: of the writes of this caller that
  /// this process has made it shows all, and all before `after`.
  bool anywhere = false;
  /// What it gives is kept for others: it shows all that this process has written.
  bool kept = false;
  Position after = 0;
  Position* wrote = nullptr;  ///< of a write: where the position behind its commit goes; null: nowhere
};

/// A server that answers reads beside the primary, as it was seen last.
struct ReplicaState {
  std::string name;  ///< host and port
  bool usable = false;
  std::string reason;   ///< why it is not; empty: it is
  Nanoseconds lag = 0;  ///< how long ago it had all that the primary has; negative: not known
  std::uint64_t reads = 0;
};

/// What a database has done so far, for metrics and tests.
struct Counts {
  std::uint64_t commits = 0;           ///< of units and transactions
  std::uint64_t units = 0;             ///< pieces of work, several to a commit
  std::uint64_t reads_inline = 0;      ///< on the thread that asked
  std::uint64_t reads_moved = 0;       ///< begun inline, over budget or not in memory, run again on a reader's thread
  std::uint64_t reads_queued = 0;      ///< on a reader's thread
  std::uint64_t reads_replica = 0;     ///< by replicas
  std::uint64_t reads_ahead = 0;       ///< by the primary, since no replica had replayed what they must show
  std::uint64_t reads_returned = 0;    ///< by the primary, since a replica had failed
  std::uint64_t reads_refused = 0;     ///< too many waited for a reader's thread
  std::uint64_t writes_refused = 0;    ///< too many waited for the writer
  std::uint64_t writes_ended = 0;      ///< took the writer for longer than allowed and were rolled back
  std::uint64_t outcomes_unknown = 0;  ///< writes whose commit had not ended, or not answered, in their time
};

/// How long the log of committed changes is that is not yet written back into the file.
struct LogState {
  std::int64_t bytes = 0;
  std::uint64_t restarts = 0;  ///< how often it was written back whole and began anew
  std::uint64_t held = 0;      ///< how often readers, of this process or another, kept it from that
};

/// What waits for a database and what it works on at this moment. Cheap: some atomic counters, read from any thread at
/// any time, without a lock and without a system call. Load shedding counts it as load; metrics show it.
struct Load {
  std::int64_t reads_waiting = 0;   ///< in the queue of the reader threads
  std::int64_t reads_running = 0;   ///< on reader threads; reads on I/O threads are not counted
  std::int64_t readers = 0;         ///< reader threads: the most that run at the same time
  std::int64_t writes_waiting = 0;  ///< units and transactions in the queue of the writer
  std::int64_t writes_running = 0;  ///< units of the commit under way, or 1 for an open transaction
};

class Dialect;

/// The connections of a pool at this moment; all zero where there is none.
struct PoolState {
  std::int64_t in_use = 0, idle = 0, opening = 0, waiting = 0, most = 0;
  bool down = false;  ///< the server cannot be reached, as far as is known
};

/// A database. Constraint violations are `conflict` (409: unique) or `constraint` (422: not null, check, foreign key,
/// type) and name the column in the error's fields where the database does; a database that is locked, full, read-only
/// or gone is `database-unavailable`.
class Database {
 public:
  virtual ~Database() = default;
  /// How it is spoken to. Lives as long as the process.
  virtual const Dialect& dialect() const noexcept = 0;
  /// Runs and commits `work`, perhaps in one commit with the work of others, each in its own savepoint. Resumes after
  /// the commit.
  virtual Task<Result<>> write(Loop&, Work work, Hold hold) = 0;
  Task<Result<>> write(Loop&, Work work);  ///< patient
  /// The same for a caller: where writes wait for a connection, callers take turns. `who` outlives the wait.
  PLIMSOLL_FORWARDS virtual Task<Result<>> write_for(const Reading& who, Loop& loop, Work work, Hold hold) {
    (void)who;
    return write(loop, work, hold);
  }
  virtual Task<Result<std::unique_ptr<Transaction>>> begin(Loop&) = 0;
  PLIMSOLL_FORWARDS virtual Task<Result<std::unique_ptr<Transaction>>> begin_for(const Reading& who, Loop& loop) {
    (void)who;
    return begin(loop);
  }
  /// A read outside any transaction: sees every commit acknowledged before. It ends when its exchange is told to stop.
  /// `reading` outlives the wait.
  virtual Task<Result<>> read(Loop&, std::string_view sql, std::span<const Cell> parameters, const Reading& reading,
                              RowSink& into) = 0;
  /// The same for the server's own reads, and those of a program.
  Task<Result<>> read(Loop&, std::string_view sql, std::span<const Cell> parameters, bool quick, RowSink& into);
  Task<Result<Rows>> read(Loop&, std::string_view sql, std::span<const Cell> parameters, bool quick);
  /// Whether a statement changes nothing, as the database sees it: it can then be read on any connection. An error
  /// where it cannot be prepared. Answered at once.
  virtual Result<bool> only_reads(std::string_view sql) = 0;
  /// How it would run a statement with so many parameters, whatever their values, one step in a line: the statement is
  /// not run. Empty: it does not say.
  virtual Task<Result<std::string>> plan_of(Loop&, std::string_view sql, std::size_t parameters) {
    (void)sql, (void)parameters;
    co_return std::string{};
  }
  virtual Counts counts() const = 0;
  virtual Load load() const noexcept = 0;
  virtual LogState log_state() const noexcept { return {}; }
  /// What is known to be wrong with it, for operators, whether or not writes succeed; empty: nothing. From any thread.
  virtual std::string trouble() const { return {}; }
  virtual PoolState pool_state() const noexcept { return {}; }
  /// Servers that answer reads beside the primary; none where there are none.
  virtual std::vector<ReplicaState> replicas() const { return {}; }
  virtual bool has_replicas() const noexcept { return false; }
  /// Where the primary was when it was seen last, which is behind all that this process has committed.
  virtual Position known_position() const noexcept { return 0; }
  /// Where the primary is now: behind all that is committed. 0 where there are no replicas.
  virtual Task<Result<Position>> position(Loop&) { co_return Position{0}; }
  /// Tells the clusters of a deployment apart whose positions mean nothing to each other.
  virtual std::string cluster() const { return {}; }
  /// Breaks off the write that runs now, if any: it fails and is rolled back. For a process that is told to end while
  /// it prepares its tables. Safe from any thread.
  virtual void interrupt() noexcept {}
  /// What it is in was moved, deleted or replaced, and is refused until it is back, or `reopen` has opened what is
  /// there now and `admit` has said that it is good. Cheap, from any thread.
  virtual bool lost() const noexcept { return false; }
  /// Opens what is at its place now, where that is its own, for the calling thread alone: all others are still refused.
  /// An error says why it cannot be used. Where nothing has changed since, nothing is opened. By one thread at a time.
  virtual Result<> reopen() { return {}; }
  /// All may use what was opened again; or, with `refuse`, nobody yet: why, for operators.
  virtual void admit() {}
  virtual void refuse(std::string reason) { (void)reason; }
  /// Which tables were written when. Kept by whoever commits: the unit of work for the tables its exchange names
  /// (Context::wrote), an implementation for those it sees by itself.
  virtual TableVersions& versions() noexcept { return versions_; }

 private:
  TableVersions versions_;
};

}  // namespace plimsoll::database
