#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/database/postgres_protocol.hpp"
#include "plimsoll/database/postgres_target.hpp"
#include "plimsoll/net/tls_client.hpp"
#include "plimsoll/net/transport.hpp"

#include <atomic>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace plimsoll::database {

/// One connection to a PostgreSQL server: the protocol over a socket, used by one line of work at a time.
///
/// It belongs to the loop to which it is attached; between two uses it is attached to none, so that any loop can take
/// it. Whoever holds it is the only one to touch it: the pool hands it over under its lock.
///
/// A statement goes in one write with all that belongs to it (BEGIN, settings, savepoints) and one sync behind it. Told
/// to stop, a line of work leaves at once: what it had sent is still under way, and the connection must be recovered
/// (`dirty`) before somebody else can use it.
///
/// A transaction that waits for its next statement for 10 s is ended by the server: a process that stands still (a
/// machine that is paused) would else keep its locks, and no other instance could claim a job.
class PostgresConnection {
 public:
  struct Options {
    bool statements = true;  ///< prepared statements are kept by name
  };
  /// Connects to the first of `endpoints` that is as the target wants it, and sets what our conventions need, by
  /// `until` (steady): each server that does not answer takes a share of the time only. `tls`: null where the target
  /// wants none. Errors: `database-unavailable`; not `retryable` where the server has answered and refuses for good.
  static Task<Result<std::unique_ptr<PostgresConnection>>> open(Loop& loop, const PostgresTarget& target,
                                                                std::span<const PostgresEndpoint> endpoints,
                                                                std::shared_ptr<net::TlsClient> tls, Options options,
                                                                Nanoseconds until);
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;

  void attach(Loop& loop);
  void detach() noexcept;

  /// The most that a statement may take where nobody has set a limit.
  static constexpr Nanoseconds kLongest = 3600 * kSecond;

  struct Statement {
    std::string_view sql;
    std::span<const Cell> parameters{};
    RowSink* into = nullptr;                  ///< null: rows are dropped
    ReadBudget* budget = nullptr;             ///< null: none
    Nanoseconds limit = 0;                    ///< of the statement, where the server waits or works; 0: none
    std::int64_t* rows = nullptr;             ///< where their number goes; null: nowhere
    std::span<const std::string> settings{};  ///< values of kSetCaller, which goes before it; empty: it does not
  };
  /// Runs one statement; before it, in the same write, what `first` has added since the last one.
  Task<Result<>> run(const Statement& statement);
  class Unit;
  struct Kept;
  using Prepared = const Kept*;  ///< a statement that the server knows here; good until the next one is prepared
  // For reads that share this connection, each in a unit of its own, whose answers come in that order.
  /// Prepares the statement and sets its limit, so that `pipe` can follow.
  Task<Result<>> make_ready(const Statement& statement);
  /// Whether it can follow as things are: prepared, with the limit that is set, nothing waiting to go ahead of it.
  /// Null: not.
  Prepared can_pipe(const Statement& statement);
  /// Says it; `flush` or `receive` sends it. `statement` outlives its unit.
  void pipe(const Statement& statement, Prepared prepared, Unit& unit);
  /// The next event that is about a statement or its unit; `none`: `receive` first.
  PostgresProtocol::Event next();
  /// What an event means for the unit whose turn it is. True: the unit has ended, or the connection is lost.
  bool take(Unit& unit, const PostgresProtocol::Event& event);
  /// Sends what is to be sent and waits until something has been received.
  Task<Result<>> receive();
  /// Sends as much as can be sent now. False: the rest has to wait.
  Result<bool> flush();
  /// A plan that no longer fits its table is made anew; while nothing is under way.
  void forget(std::string_view sql);
  /// A statement without parameters and rows that goes with the next one, or with `flush`.
  void first(std::string_view sql);
  /// Begins a transaction, as `first` does. Behind a pooler that gives a session to others after each of them nothing
  /// stays set: how long it may stand idle goes with it.
  void begin(std::string_view how);
  /// Begins the transaction that `begin` has begun otherwise, and `then` before all that has been added since.
  void begin_again(std::string_view how, std::string_view then);
  bool has_first() const { return !first_.empty(); }
  void forget_first() noexcept {
    if (!first_.empty()) timeout_ = -1;  // the setting may be among them
    first_.clear();
  }
  /// Runs what `first` has added, and `sql` behind it; gives the command tag of `sql` (`COMMIT`, `ROLLBACK`).
  Task<Result<std::string>> command(std::string_view sql);
  /// Of the last statement that has ended.
  std::string_view tag() const noexcept { return tag_; }
  /// COMMIT, which gives its tag, and behind it, in the same write, where the log is then; 0: it is not known. An error
  /// is that of COMMIT.
  struct CommitTag {
    std::string tag;
    Position at = 0;
  };
  Task<Result<CommitTag>> commit_and_locate();
  /// Where the log is: what is inserted, and not what is flushed, which a commit need not wait for.
  static constexpr std::string_view kLocate = "SELECT (pg_current_wal_insert_lsn()-'0/0')::bigint";
  /// `COPY … FROM STDIN` of rows for a table, inside a transaction that has begun. They are held a second time until
  /// the server has taken them.
  struct Copy {
    std::string_view sql, table, rows;
    Nanoseconds limit = 0;  ///< as that of a statement
  };
  /// Sends it; what the server cannot take yet is sent by `copied`, which must follow.
  Task<Result<>> copy(const Copy& copy);
  /// Waits until it has ended.
  Task<Result<>> copied(std::string_view sql);
  /// Several statements, as they stand in a file, by the simple protocol.
  Task<Result<>> script(std::string_view sql, Nanoseconds limit);

  /// Waits until what was under way has ended, rolls back what is open. A COPY of which not all was said is given up.
  Task<Result<>> recover();
  /// Something is under way, or a transaction is open.
  bool dirty() const noexcept;
  /// Something is under way that a cancel request may end.
  bool busy() const noexcept { return protocol_.pending() > 0; }
  /// It can no longer be used.
  bool broken() const noexcept;
  void abandon() noexcept { lost_ = true; }
  /// The other end has closed it, or has something to say although nobody asked: it is not to be used.
  bool gone() const noexcept;
  /// Where and how the server is asked to end what is under way here.
  struct CancelKey {
    PostgresEndpoint at{};
    std::shared_ptr<net::TlsClient> tls{};  ///< null: in clear
    std::uint32_t process = 0, secret = 0;
    bool known = false;  ///< the server gave one
  };
  const CancelKey& cancel_key() const noexcept { return cancel_key_; }
  /// Asks it, on a connection of its own.
  static Task<Result<>> cancel(Loop& loop, CancelKey key);
  /// As the last statement left it: inside a transaction, also one that has failed.
  bool in_transaction() const noexcept;

  /// Tables that statements may have changed since `forget_written`, each once, as their texts name them.
  std::span<const std::string> written() const { return written_; }
  void forget_written() { written_.clear(); }

  Nanoseconds until = 0;                 ///< when it is too old
  std::atomic<bool> cancellable = true;  ///< what is under way may be broken off

 private:
  using Protocol = PostgresProtocol;
  PostgresConnection(std::unique_ptr<net::Transport> transport, Options options)
      : transport_(std::move(transport)), options_(options) {}
  static Task<Result<std::unique_ptr<PostgresConnection>>> open_one(Loop& loop, const PostgresTarget& target,
                                                                    const PostgresEndpoint& at,
                                                                    std::shared_ptr<net::TlsClient> tls,
                                                                    Options options);
  Task<Result<>> secure(Loop& loop, const PostgresTarget& target, const PostgresEndpoint& at,
                        std::shared_ptr<net::TlsClient> tls);
  Task<Result<>> greet(const PostgresTarget& target, bool unix_socket);
  Task<Result<>> settle();
  /// Whether the server is what the target wants; an error says what it is.
  Task<Result<>> judge(PostgresTarget::Session wanted);
  struct First {
    std::string sql;
    std::optional<std::span<const std::string>> caller{};  ///< values of kSetCaller, which it is instead
  };
  /// Adds a setting to what `first` holds, so that it holds for the next statement: behind what begins the transaction
  /// or takes it back to a savepoint, and before savepoints that a later ROLLBACK TO would take it back with.
  void ahead(First setting);
  void send_first();
  void send(std::string_view sql);
  Task<Result<const Kept*>> prepare(std::string_view sql);
  const Kept* find(std::string_view sql);
  Task<Result<>> answers(Unit& unit);
  void bind(const Statement& statement, const Kept& kept);
  void take_row(Unit& unit, std::span<const PostgresCell> cells);
  /// Sets the server's limit of the next statement, where it is another one, and notes that it writes a table.
  void limit_next(Nanoseconds limit);
  void note_written(const std::string& table);
  Error error_of_said(const PostgresSaid& said, std::string_view sql);
  Error lost(std::string_view why);
  Nanoseconds patience() const { return limit_ > 0 ? limit_ + kGrace : 0; }

  static constexpr std::size_t kStatements = 256, kCallerValues = 4;
  static constexpr std::string_view kCallerName = "caller";
  static constexpr Nanoseconds kGrace = 5 * kSecond;  ///< beyond the server's own limit, for its answer to arrive

  std::unique_ptr<net::Transport> transport_;
  Protocol protocol_;
  Options options_;
  std::vector<First> first_;
  std::list<Kept> kept_;  ///< most recently used first
  std::unordered_map<std::string_view, std::list<Kept>::iterator> by_sql_;
  std::vector<std::string> stale_;  ///< names that the server still keeps
  std::uint64_t names_ = 0;
  bool caller_kept_ = false;  ///< the server knows kSetCaller by its name
  bool lost_ = false;
  unsigned reads_ = 0;  ///< in a row, without a wait
  Nanoseconds limit_ = kLongest;
  std::int64_t timeout_ = 0;  ///< the server's statement_timeout of this session, in milliseconds
  CancelKey cancel_key_;
  std::string role_;                 ///< as which it has connected
  std::string standby_, read_only_;  ///< `in_hot_standby`, `default_transaction_read_only`, as the server says them
  std::string tag_, tag_before_;     ///< of the last command, and of the one that went just ahead of it
  std::vector<std::string> written_;
  std::vector<Field> fields_;
  std::vector<std::string> scratch_;
  std::vector<PostgresParameter> parameters_;
  std::vector<PostgresType> described_;  ///< columns, where they are described with each execution
};

struct PostgresConnection::Kept {
  std::string sql, name;
  std::string numbered;  ///< the SQL with `$1` for its first `?`
  std::vector<PostgresType> parameters, columns;
  std::vector<std::string> writes;  ///< tables
};

/// A statement under way, with what went ahead of it, up to its sync: what its answers have come to.
class PostgresConnection::Unit {
 public:
  Unit() = default;  ///< one whose answers are dropped
  /// `types` of its rows; `before`: statements that go ahead of it.
  Unit(const Statement& statement, std::span<const PostgresType> types, std::size_t before)
      : statement_(&statement), types_(types), before_(before) {}
  Result<> outcome{};
  std::string_view sql() const { return statement_ ? statement_->sql : std::string_view{}; }

 private:
  friend class PostgresConnection;
  const Statement* statement_ = nullptr;
  std::span<const PostgresType> types_;
  std::size_t before_ = 0, command_ = 0;
  std::int64_t rows_ = 0;
  bool enough_ = false, began_ = false;
};

}  // namespace plimsoll::database
