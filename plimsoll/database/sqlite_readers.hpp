#pragma once

#include "plimsoll/database/fair_queue.hpp"
#include "plimsoll/database/sqlite_ask.hpp"
#include "plimsoll/database/sqlite_connection.hpp"
#include "plimsoll/database/sqlite_disk.hpp"
#include "plimsoll/database/sqlite_gate.hpp"
#include "plimsoll/database/sqlite_turn_reader.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace plimsoll::database {

/// A few threads for reads of unknown length, which callers share fairly (FairQueue), and one connection for each
/// thread that reads where it stands. A thread that waits for the disk is left behind when a read's time is over: it
/// works on copies, and touches nothing of whoever asked once that has been told to stop.
class SqliteReaders {
 public:
  static constexpr Nanoseconds kHanging = 3 * kSecond;  ///< a read that waits longer for the disk hangs

  SqliteReaders(const SqliteOptions& options, SqliteGate& gate);
  ~SqliteReaders();

  /// Opens the readers' connections.
  Result<> start();
  Task<Result<>> read(Loop& loop, std::string_view sql, std::span<const Cell> parameters, const Reading& reading,
                      RowSink& into);
  /// On the calling thread's own connection.
  Result<bool> only_reads(std::string_view sql);
  /// Ends the reads that run on the threads and closes all connections: the gate lets nobody pass. Each thread opens
  /// the file that is at the place when this returns at its next read.
  void close();
  /// The file that is at the place now is the one to read.
  void take_file();
  /// What is closed from now on writes nothing of the log into the file, and leaves the log.
  void leave_log() { leaves_log_ = true; }
  /// Lets no more reads to the threads, or lets them again: what waits goes on waiting.
  void hold_back(bool held);
  /// Ends the reads that run on the threads: they are refused, to be repeated.
  void end_running();
  void count(Counts& counts) const;
  const SqliteDisk& disk() const noexcept { return disk_; }
  void load(Load& load) const noexcept;
  /// How many reads were made on the snapshot of another read of the same turn, or began one for those behind.
  std::uint64_t shared() const { return shared_.load(std::memory_order_relaxed); }

 private:
  struct Query;
  struct Worker;
  void serve(Worker& worker);
  Result<> execute(Worker& worker);
  /// The read where it stands; nothing where it has to be made on a reader thread.
  std::optional<Result<>> read_inline(Loop& loop, std::string_view sql, std::span<const Cell> parameters,
                                      const Reading& reading, RowSink& into, std::uint64_t file);
  /// The calling thread's own connection to that file, opened at its first read.
  Result<SqliteTurnReader*> own(std::uint64_t file);
  Result<std::unique_ptr<SqliteConnection>> open();

  /// The file under the name is the one that is to be read. A connection to another one would recover and delete the
  /// log of ours.
  bool same_file();

  SqliteOptions options_;
  SqliteGate& gate_;
  std::uint64_t id_;
  std::mutex mutex_;
  std::condition_variable ready_, idle_;
  SqliteConnection::Identity file_;  ///< to read
  FairQueue queries_;
  bool closing_ = false, held_back_ = false, leaves_log_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::shared_ptr<SqliteTurnReader>> turn_readers_;
  SqliteDisk disk_;
  std::vector<std::thread> threads_;
  std::atomic<std::uint64_t> inline_{0}, shared_{0}, moved_{0}, queued_{0}, refused_{0};
  std::atomic<std::int64_t> waiting_{0}, running_{0};
};

}  // namespace plimsoll::database
