#pragma once

#include "plimsoll/database/fair_queue.hpp"
#include "plimsoll/database/sqlite_ask.hpp"
#include "plimsoll/database/sqlite_turn_reader.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace plimsoll::database {

/// A few threads for reads of unknown length, which callers share fairly (FairQueue), and one connection for each
/// thread that reads where it stands.
class SqliteReaders {
 public:
  explicit SqliteReaders(const SqliteOptions& options);
  ~SqliteReaders();

  /// Opens the readers' connections.
  Result<> start();
  Task<Result<>> read(Loop& loop, std::string_view sql, std::span<const Cell> parameters, const Reading& reading,
                      RowSink& into);
  /// On the calling thread's own connection.
  Result<bool> only_reads(std::string_view sql);
  /// Lets no more reads to the threads, or lets them again: what waits goes on waiting.
  void hold_back(bool held);
  /// Ends the reads that run on the threads: they are refused, to be repeated.
  void end_running();
  void count(Counts& counts) const;
  void load(Load& load) const noexcept;
  /// How many reads were made on the snapshot of another read of the same turn, or began one for those behind.
  std::uint64_t shared() const { return shared_.load(std::memory_order_relaxed); }

 private:
  struct Query;
  void serve(SqliteConnection& connection);
  void execute(Query& query, SqliteConnection& connection);
  /// The calling thread's own connection, opened at its first read.
  Result<SqliteTurnReader*> own();

  /// The file under the name is the one that was opened at the start. A connection to another one would recover and
  /// delete the log of ours.
  bool same_file() const;

  SqliteOptions options_;
  std::uint64_t device_ = 0, inode_ = 0;
  std::uint64_t id_;
  std::mutex mutex_;
  std::condition_variable ready_;
  FairQueue queries_;
  bool closing_ = false, held_back_ = false;
  std::vector<Query*> on_threads_;
  std::vector<std::unique_ptr<SqliteConnection>> connections_;
  std::vector<std::shared_ptr<SqliteTurnReader>> turn_readers_;
  std::vector<std::thread> threads_;
  std::atomic<std::uint64_t> inline_{0}, shared_{0}, moved_{0}, queued_{0}, refused_{0};
  std::atomic<std::int64_t> waiting_{0}, running_{0};
};

}  // namespace plimsoll::database
