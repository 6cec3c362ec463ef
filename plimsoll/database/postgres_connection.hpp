#pragma once

#include "plimsoll/async/descriptor.hpp"
#include "plimsoll/database/database.hpp"
#include "plimsoll/database/postgres_value.hpp"

#include <sys/socket.h>

#include <atomic>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

struct pg_conn;
struct pg_result;

namespace plimsoll::database {

/// Where a server is and how to speak to it: keywords of libpq and their values, host names resolved.
using PostgresParameters = std::vector<std::pair<std::string, std::string>>;

/// One connection to a PostgreSQL server through libpq in pipeline mode, used by one line of work at a time.
///
/// It belongs to the loop to which it is attached; between two uses it is attached to none, so that any loop can take
/// it. Whoever holds it is the only one to touch it: the pool hands it over under its lock.
///
/// A statement goes in one write with all that belongs to it (BEGIN, settings, savepoints) and one sync behind it. Told
/// to stop, a line of work leaves at once: what it had sent is still under way, and the connection must be recovered
/// (`dirty`) before somebody else can use it.
class PostgresConnection {
 public:
  struct Options {
    bool statements = true;  ///< prepared statements are kept by name
  };
  /// Connects, and sets what our conventions need. No time limit of its own.
  static Task<Result<std::unique_ptr<PostgresConnection>>> open(Loop& loop, const PostgresParameters& parameters,
                                                                Options options);
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;

  void attach(Loop& loop);
  void detach() noexcept;

  /// The most that a statement may take where nobody has set a limit.
  static constexpr Nanoseconds kLongest = 3600 * kSecond;

  /// How rows are taken: as they come, or all at once when the last has arrived, which costs less where they are few.
  enum class Rows : std::uint8_t { one_by_one, at_once };
  struct Statement {
    std::string_view sql;
    std::span<const Cell> parameters{};
    RowSink* into = nullptr;       ///< null: rows are dropped
    ReadBudget* budget = nullptr;  ///< null: none
    Rows rows = Rows::at_once;
    Nanoseconds limit = 0;  ///< of the statement, where the server waits or works; 0: none
  };
  /// Runs one statement; before it, in the same write, what `first` has added since the last one.
  Task<Result<>> run(const Statement& statement);
  /// A statement without parameters and rows that goes with the next one, or with `flush`.
  void first(std::string_view sql);
  bool has_first() const { return !first_.empty(); }
  void forget_first() noexcept {
    if (!first_.empty()) timeout_ = -1;  // the setting may be among them
    first_.clear();
  }
  /// Runs what `first` has added, and `sql` behind it; gives the command tag of `sql` (`COMMIT`, `ROLLBACK`).
  Task<Result<std::string>> command(std::string_view sql);
  /// Several statements, as they stand in a file, by the simple protocol.
  Task<Result<>> script(std::string_view sql, Nanoseconds limit);

  /// Waits until what was under way has ended, rolls back what is open.
  Task<Result<>> recover();
  /// Something is under way, or a transaction is open.
  bool dirty() const noexcept;
  /// Something is under way that a cancel request may end.
  bool busy() const noexcept { return syncs_ > 0 || simple_; }
  /// It can no longer be used.
  bool broken() const noexcept;
  void abandon() noexcept { lost_ = true; }
  /// The other end has closed it, or has something to say although nobody asked: it is not to be used.
  bool gone() const noexcept;
  /// Where and how the server is asked to end what is under way here.
  struct CancelKey {
    sockaddr_storage address{};
    socklen_t size = 0;
    int pid = 0, key = 0;  ///< of the server's process; 0: it gave none
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
  struct Kept {
    std::string sql, name;
    std::string numbered;  ///< the SQL with `$1` for its first `?`
    std::vector<PostgresType> parameters;
    std::vector<std::string> writes;  ///< tables
  };
  PostgresConnection(pg_conn* conn, Options options) : conn_(conn), options_(options) {}
  Task<Result<>> settle();
  /// Waits until libpq has more to give; sends what is to be sent.
  Task<Result<>> wait();
  void send_first();
  void send(std::string_view sql);
  /// The next answer of libpq; `nothing` counts those that were none, of which there are few.
  pg_result* next_answer(std::size_t& nothing);
  void sync();
  Task<Result<const Kept*>> prepare(std::string_view sql);
  Task<Result<>> answers(const Statement& statement);
  /// False: the sink has enough. `count`: rows given so far.
  Result<bool> take_rows(const pg_result* result, const Statement& statement, std::int64_t& count);
  Error error_of_result(const pg_result* result, std::string_view sql);
  Error lost();
  Nanoseconds patience() const { return limit_ > 0 ? limit_ + kGrace : 0; }

  static constexpr std::size_t kStatements = 256;
  static constexpr Nanoseconds kGrace = 5 * kSecond;  ///< beyond the server's own limit, for its answer to arrive

  pg_conn* conn_;
  Options options_;
  std::optional<Descriptor> descriptor_;
  std::vector<std::string> first_;
  std::list<Kept> kept_;  ///< most recently used first
  std::unordered_map<std::string_view, std::list<Kept>::iterator> by_sql_;
  std::uint64_t names_ = 0;
  std::size_t syncs_ = 0;  ///< sent, whose answers have not come
  bool simple_ = false;    ///< a script is under way
  bool lost_ = false;
  bool waited_ = false;  ///< since something was sent
  Nanoseconds limit_ = kLongest;
  std::int64_t timeout_ = 0;  ///< the server's statement_timeout of this session, in milliseconds
  CancelKey cancel_key_;
  std::string tag_;
  std::vector<std::string> written_;
  std::vector<Field> fields_;
  std::vector<std::string> scratch_;
  std::vector<PostgresType> types_;
};

}  // namespace plimsoll::database
