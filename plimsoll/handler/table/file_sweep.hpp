#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/exchange/background.hpp"
#include "plimsoll/handler/table/declaration.hpp"
#include "plimsoll/handler/table/file_folder.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace plimsoll::database {
class Database;
}
namespace plimsoll::telemetry {
class Counter;
class Log;
}  // namespace plimsoll::telemetry

namespace plimsoll::table {

/// Removes the files of the folder that no row has named for `keep`: of transactions that failed, of processes that
/// ended in between, of rows that were deleted and of files that were replaced. It has a thread of its own, looks at a
/// hundred names with one statement and rests in between. Files of tables that the contract does not declare are left
/// alone.
class FileSweep final : public Background {
 public:
  FileSweep(database::Database& database, std::shared_ptr<FileFolder> folder, Nanoseconds keep, const Model& model,
            const Clock& clock, telemetry::Log* log, telemetry::Counter* removed);
  ~FileSweep() override { stop(); }
  Result<> start() override;
  void stop() noexcept override;

 private:
  static constexpr Nanoseconds kRest = 20 * kMillisecond;  ///< between two statements
  static constexpr std::size_t kNames = 100;               ///< of one statement

  struct Area {
    std::string folder, table, column;
  };
  void work();
  Result<> pass();
  Result<std::vector<std::string>> unnamed(const Area& area, const std::vector<std::string>& names);
  bool rested(Nanoseconds span);

  database::Database& database_;
  std::shared_ptr<FileFolder> folder_;
  const Nanoseconds keep_;
  std::vector<Area> areas_;
  const Clock& clock_;
  telemetry::Log* log_;
  telemetry::Counter* removed_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace plimsoll::table
