#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/database/sqlite_connection.hpp"

#include <array>
#include <memory>
#include <mutex>

namespace plimsoll::database {

/// Short reads of one I/O thread, on a connection of its own. The reads of one turn of the loop share a snapshot, and
/// with it the two locks that each snapshot costs, as long as it is the newest state of the file: before each read the
/// header of the WAL index, which every commit of every process changes (sqlite.org/walformat.html, section 2.2), is
/// compared with what it was. So a read sees each commit that was acknowledged before it, whoever made it.
///
/// A turn's first read stands alone: where reads are rare nothing is gained, and nothing paid. Nothing is shared while
/// the log is longer than `most_frames`, so that a moment comes at which the writer can begin it anew.
///
/// A value that is longer than kLongestValue ends a read as too many steps do, before it is read, and so do rows with
/// more text than kMostText: other connections of the thread are waiting.
///
/// Of its thread alone, but for `close`.
class SqliteTurnReader final : public Deferred, public std::enable_shared_from_this<SqliteTurnReader> {
 public:
  static constexpr std::size_t kLongestValue = 256 << 10;
  static constexpr std::size_t kMostText = 1 << 20;  ///< of the rows of one read

  explicit SqliteTurnReader(std::uint32_t most_frames);

  /// Reads `file` from now on, as SqliteGate numbers it.
  void use(std::unique_ptr<SqliteConnection> connection, std::uint64_t file);
  std::uint64_t file() const { return file_; }
  /// Closes the connection, from any thread: reads are refused until there is another one. `leaves_log`: as
  /// SqliteConnection::leave_log.
  void close(bool leaves_log);

  Result<> read(Loop& loop, std::string_view sql, std::span<const Cell> parameters, RowSink& into, StepLimit limit);
  Result<bool> only_reads(std::string_view sql);
  /// The last read was on a snapshot of its turn.
  bool sharing() const { return open_; }

 private:
  using Header = std::array<std::uint64_t, 6>;
  Header header() const;
  bool newest() const { return header() == seen_; }
  void begin(Loop& loop);
  void end();

  std::uint32_t most_frames_;
  std::uint64_t file_ = 0;
  std::mutex mutex_;  ///< of what follows, between its thread and `close`: nobody else ever has it
  std::unique_ptr<SqliteConnection> connection_;
  std::uint64_t* index_ = nullptr;  ///< the WAL index in shared memory; null: not to be had
  Header seen_{};                   ///< its header when the snapshot was begun
  bool open_ = false;
  Nanoseconds turn_ = -1;                             ///< of the last read
  std::shared_ptr<SqliteTurnReader> until_deferred_;  ///< this, while the loop refers to it
};

}  // namespace plimsoll::database
