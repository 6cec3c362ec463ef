#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/database/database.hpp"

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

namespace plimsoll::telemetry {
class Log;
}

namespace plimsoll::server {

/// Whether a database takes writes: a row is written and committed, on a thread of its own, so that readiness is known
/// before it is asked for and no request waits for the answer.
///
/// At most once a second while somebody asks for readiness or something is wrong, else every 10 s; not at all while
/// commits of others succeed. A write that does not end is found by a second line of work beside the first.
class WriteProbe {
 public:
  /// `file`: of the database, where it has one on this machine; a file system that is full is found by it.
  WriteProbe(database::Database& database, telemetry::Log* log, const Clock& clock, std::string file = {})
      : database_(database), log_(log), clock_(clock), file_(std::move(file)) {}
  ~WriteProbe() { stop(); }

  /// The first probe, which is part of the start: blocks.
  Result<> first();
  void start();
  /// Returns when the probe that is under way has ended.
  void stop() noexcept;

  struct Status {
    bool well = true;
    std::string reason{};
  };
  /// What is known now. Somebody asks: from now on the answer is kept fresh. Safe from any thread.
  Status status() const;

 private:
  Task<> probe();
  Task<> probe_once();
  Task<> watch();
  Task<Result<>> write(Loop& loop);
  bool due();
  void judge();
  /// A row of the probe may fit where what requests write does not: into the part of the log that is made already.
  std::string lacks_room() const;

  database::Database& database_;
  telemetry::Log* log_;
  const Clock& clock_;
  const std::string file_;
  Loop loop_;
  Scope probing_, watching_;
  std::thread thread_;
  mutable std::atomic<Nanoseconds> asked_{0};

  // Of the thread alone.
  Nanoseconds begun_ = 0, ended_ = 0;  ///< steady; `begun_` 0: no probe is under way
  std::uint64_t commits_ = 0;          ///< when the last probe began, or others had last succeeded
  std::string failure_;                ///< of the last probe; empty: it succeeded
  bool prepared_ = false;              ///< its table is there

  mutable std::mutex mutex_;
  Status status_;
};

}  // namespace plimsoll::server
