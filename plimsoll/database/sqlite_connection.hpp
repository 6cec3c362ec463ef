#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/sqlite_words.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

struct sqlite3;
struct sqlite3_stmt;
struct stat;

namespace plimsoll::database {

class SqliteGate;

/// What may end a statement early.
struct StepLimit {
  std::int64_t steps = 0;                   ///< of SQLite's virtual machine, to the thousand; 0: any number
  const std::atomic<bool>* stop = nullptr;  ///< asked to end
  std::chrono::steady_clock::time_point until = std::chrono::steady_clock::time_point::max();
  ReadBudget* budget = nullptr;  ///< what the rows may be; null: anything
  std::size_t bytes = 0;         ///< of the texts of its rows; 0: any number
};

/// What the rows of a statement have come to. Embedded rows are counted by the SQL functions through which their text
/// goes (`plimsoll_rows`, `plimsoll_row`), so that a statement ends before it has made more text than allowed.
class EmbeddedRows {
 public:
  static constexpr std::size_t kLevels = 8;  ///< more than lists can nest

  void begin(const ReadBudget* budget) {
    *this = {};
    if (budget) budget_ = *budget;
  }
  /// A row of the statement itself: all text below it is part of it.
  bool row() {
    open_ = {};
    return count();
  }
  /// A row of `level` (1: embedded in rows of the statement), as text: what was made below it is part of it.
  bool row(std::size_t level, std::int64_t bytes) {
    level = std::min(level, kLevels - 1);
    open_[level] += bytes;
    std::int64_t all = 0;
    for (std::size_t i = 0; i < kLevels; ++i) all += i <= level ? open_[i] : open_[i] = 0;
    too_large_ |= all > budget_.bytes;
    return count();
  }
  bool too_large() const { return too_large_; }
  std::int64_t rows() const { return rows_; }

 private:
  bool count() {
    too_large_ |= ++rows_ > budget_.rows;
    return !too_large_;
  }
  ReadBudget budget_{};
  std::int64_t rows_ = 0;
  std::array<std::int64_t, kLevels> open_{};  ///< text of each level that is not yet part of a row above it
  bool too_large_ = false;
};

/// Adds `plimsoll_row(level, json)`, the text itself, and `plimsoll_rows(level, json)`, the texts of a group as a JSON
/// array, which count into `embedded`.
void add_row_functions(sqlite3* db, EmbeddedRows& embedded);
/// Adds the orders of decimals and instants, in which columns and indexes stand.
void add_collations(sqlite3* db);

/// The absolute path as SQLite's URI, without a query (https://www.sqlite.org/uri.html).
std::string sqlite_uri(const std::string& path);

/// One connection to a SQLite file, used by one thread at a time, with the statements it has prepared.
class SqliteConnection {
 public:
  /// A file by what it is, not by its name.
  struct Identity {
    std::uint64_t device = 0, inode = 0;  ///< 0: there is none
    static Identity of(const std::string& path);
    static Identity of(const struct stat& is);
    friend bool operator==(const Identity&, const Identity&) = default;
  };

  enum class Role : std::uint8_t { writer, reader };
  static Result<std::unique_ptr<SqliteConnection>> open(const SqliteOptions& options, Role role);
  ~SqliteConnection();
  SqliteConnection(const SqliteConnection&) = delete;

  /// Runs one statement to its end. `into` may be null. Where memory is not to be had it and `script` are
  /// `out-of-memory`, and the connection goes on.
  Result<> run(std::string_view sql, std::span<const Cell> parameters, RowSink* into, StepLimit limit = {});
  /// Statements without parameters, several of them, result ignored. Inside a transaction none may end it.
  Result<> script(std::string_view sql, StepLimit limit = {});
  /// Whether the statement changes nothing; an error where it cannot be prepared.
  Result<bool> only_reads(std::string_view sql);
  /// Rows of the last statement, those embedded in others included.
  std::int64_t rows() const { return embedded_.rows(); }
  /// A statement was ended early since the last call. One that changes rows has taken its transaction with it.
  bool interrupted() { return std::exchange(interrupted_, false); }
  /// It is of a reader: it takes no lock of writers.
  bool reads() const { return role_ == Role::reader; }
  /// No transaction is open: SQLite has rolled it back by itself after some errors (disk full, I/O error).
  bool idle() const;
  /// Frames in the log after the last commit of this connection.
  std::uint32_t log_frames() const { return log_frames_; }
  struct Restarted {
    bool anew = false;         ///< the whole log is in the file and nobody reads it: the next commit begins it anew
    std::uint32_t frames = 0;  ///< in the log
    int failure = 0;           ///< SQLite's code where the disk refused it; 0: it did not
  };
  /// Writes the log back, waiting so long for readers to leave it. `shorten`: the file of the log is cut too.
  Restarted restart_log(std::chrono::milliseconds patience, bool shorten);
  /// Why what is written would be lost: the file under our name, or its log, is no longer the one that was opened, or
  /// another program has written into it past SQLite. Empty: nothing is wrong. Of the writer.
  std::string_view lost();
  /// Errors that show damage of the file are told to `gate`, which outlives this.
  void report_to(SqliteGate& gate) { gate_ = &gate; }
  /// Where another program has written into the file: it begins as before and has its size, as after a change of its
  /// times alone.
  bool begins_as_before();
  /// Another program has cut the log: it is shorter than what the index says to be in it.
  bool log_is_cut();
  /// Closing it writes nothing of its log into the file, and leaves the log.
  void leave_log();
  /// From now on a value that is longer ends its statement as too many steps do, before it is read.
  void longest_value(std::size_t bytes);
  /// Its tables by name, without those that SQLite and virtual tables make for themselves.
  Result<std::vector<std::string>> tables();
  /// The log at its place is still the one of this file.
  bool has_its_log() const { return log_.inode != 0 && Identity::of(log_path_) == log_; }
  /// Writes the log back into the file, wherever that is now, unless another program has written into it: how many
  /// frames could not be. `patient`: waits a second for readers, and leaves the log empty.
  Result<std::int64_t> write_back(bool patient);
  /// Before a connection to another file of this name is opened: writes the log back into the file that was moved, and
  /// takes what was left of it, a log and its index, from beside the new one. Whose they are is not written in them:
  /// they would be applied to it. No other connection of this process is open.
  struct LeftLog {
    std::int64_t frames = 0;  ///< that could not be written back
    std::string kept{};       ///< file that holds them; empty: none, or the log was deleted by others
  };
  Result<LeftLog> leave();
  /// Rows changed so far, those that were rolled back included.
  std::int64_t changes() const noexcept;
  /// Rows that the last INSERT, UPDATE or DELETE has changed.
  std::int64_t changed() const noexcept;
  sqlite3* handle() const { return db_; }
  /// Where the WAL index is mapped (sqlite.org/walformat.html, section 2.2), as long as the connection is open; null:
  /// it is not to be had.
  std::uint64_t* wal_index();
  /// Tables that statements of the writer may have changed since `forget_written`, each once: what SQLite names when it
  /// compiles them, triggers and cascades included.
  std::span<const std::string> written() const { return written_; }
  void forget_written() { written_.clear(); }

 private:
  /// What each write changes of a file.
  struct Written {
    std::int64_t size = 0, time = 0;  ///< nanoseconds since 1970
    friend bool operator==(const Written&, const Written&) = default;
  };
  static Written written_of(const struct stat& is);
  static Written written_to(const std::string& path);
  /// How far the log is written back into the file, as the WAL index says (sqlite.org/walformat.html, section 2.2): no
  /// process writes to the file without a change of it.
  struct Checkpoints {
    std::uint64_t salts = 0;
    std::uint32_t done = 0, attempted = 0;  ///< frames
    friend bool operator==(const Checkpoints&, const Checkpoints&) = default;
  };
  using Beginning = std::array<char, 100>;  ///< the header of a file
  std::optional<Checkpoints> checkpoints();
  Beginning beginning() const;
  explicit SqliteConnection(Role role) : role_(role) {}
  struct Kept {
    std::string sql;
    sqlite3_stmt* statement;
    std::vector<std::string> writes;  ///< tables
  };
  /// Readers: the file was moved or deleted. Asks the file system twice a second at most.
  bool gone();
  bool has_moved() const;
  /// Of a table with AUTOINCREMENT, which SQLite tells as a full disk.
  bool has_used_up_keys() const;
  /// There is nothing in it: it was cut.
  bool is_empty() const;
  /// Bytes of the log that the index says to be in use; 0: none.
  std::int64_t log_size();
  /// Notes what the file is like: all that was written to it so far was written by SQLite.
  void remember();
  /// Once it was, it remains so; a log that was cut counts as well: nothing of it may get into the file.
  bool overwritten();
  void report(int code) const;
  Result<> run_now(std::string_view sql, std::span<const Cell> parameters, RowSink* into, const StepLimit& limit);
  Result<sqlite3_stmt*> prepare(std::string_view sql);
  Error error_now(std::string_view sql) const;
  static int progress(void* self);
  static int committed(void* self, sqlite3*, const char* name, int frames);
  static int authorize(void* self, int action, const char* table, const char*, const char*, const char*);
  static void add(std::vector<std::string>& tables, std::string_view table);

  static constexpr std::size_t kStatements = 256;
  sqlite3* db_ = nullptr;
  Role role_;
  std::string path_;
  std::string log_path_;         ///< empty: not watched
  Identity file_, log_, index_;  ///< when it was opened
  Written known_{};              ///< of the file, when only SQLite had written to it
  Checkpoints checkpoints_{};    ///< at that time
  Beginning beginning_{};        ///< at that time
  bool overwritten_ = false;
  std::uint64_t* mapped_ = nullptr;                 ///< the WAL index; null: not yet
  SqliteGate* gate_ = nullptr;                      ///< null: nobody is told of damage
  std::chrono::steady_clock::time_point looked_{};  ///< when a reader last saw the file under its name
  bool gone_ = false;
  std::list<Kept> kept_;  ///< most recently used first
  std::unordered_map<std::string_view, std::list<Kept>::iterator> by_sql_;
  std::vector<std::string> written_;
  std::vector<std::string>* compiled_ = &written_;  ///< where the tables of what is being compiled go
  StepLimit limit_{};
  std::int64_t spent_ = 0;
  bool bounds_values_ = false;
  EmbeddedRows embedded_;
  TextBudget texts_;
  bool out_of_memory_ = false;  ///< in a call-back of SQLite
  bool interrupted_ = false;
  std::uint32_t log_frames_ = 0;
  int busy_milliseconds_ = 0;
};

/// Pages of a size, at least one: how SQLite counts its log.
std::uint32_t pages_of(config::Size size);

/// What a caller may know of SQLite's result: `code` extended, `message` as sqlite3_errmsg gives it.
Error sqlite_error(int code, std::string_view message);

}  // namespace plimsoll::database
