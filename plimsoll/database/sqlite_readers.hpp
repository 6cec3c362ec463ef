#pragma once

#include "plimsoll/database/fair_queue.hpp"
#include "plimsoll/database/sqlite_ask.hpp"
#include "plimsoll/database/sqlite_connection.hpp"
#include "plimsoll/database/sqlite_gate.hpp"
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
  SqliteReaders(const SqliteOptions& options, const SqliteGate& gate);
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
  void serve(std::unique_ptr<SqliteConnection>& connection);
  void execute(Query& query, std::unique_ptr<SqliteConnection>& connection);
  /// The calling thread's own connection to that file, opened at its first read.
  Result<SqliteTurnReader*> own(std::uint64_t file);
  Result<std::unique_ptr<SqliteConnection>> open();

  /// The file under the name is the one that is to be read. A connection to another one would recover and delete the
  /// log of ours.
  bool same_file();

  SqliteOptions options_;
  const SqliteGate& gate_;
  std::uint64_t id_;
  std::mutex mutex_;
  std::condition_variable ready_, idle_;
  SqliteConnection::Identity file_;  ///< to read
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
