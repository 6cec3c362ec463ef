#include "plimsoll/handler/table/file_sweep.hpp"

#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/relation.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <chrono>

namespace plimsoll::table {
namespace {

constexpr Nanoseconds kLongestRest = 3600 * kSecond;  ///< between two passes

}  // namespace

FileSweep::FileSweep(database::Database& database, std::shared_ptr<FileFolder> folder, Nanoseconds keep,
                     const Model& model, const Clock& clock, telemetry::Log* log, telemetry::Counter* removed)
    : database_(database), folder_(std::move(folder)), keep_(keep), clock_(clock), log_(log), removed_(removed) {
  for (const auto& table : model.tables)
    for (const auto& file : table.files)
      if (file.in_folder()) areas_.push_back({FileFolder::area_of(table.name, file.name), table.name, file.bytes.name});
}

Result<> FileSweep::start() {
  if (!areas_.empty()) thread_ = std::thread([this] { work(); });
  return {};
}

void FileSweep::stop() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool FileSweep::rested(Nanoseconds span) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::nanoseconds(span), [&] { return stopping_; });
}

void FileSweep::work() {
  do {
    Result<> done;
    try {
      done = pass();
    } catch (...) { done = std::unexpected(error_from_current_exception()); }
    try {
      if (!done && log_ && rested(0))
        log_->write(telemetry::Level::warning, "files-not-swept",
                    [&](telemetry::Line& line) { line.add("why", database::reason_of(done.error())); });
    } catch (const std::bad_alloc&) { rest_of_memory(); }
  } while (rested(std::min(kLongestRest, keep_ / 4)));
}

Result<> FileSweep::pass() {
  const auto before = (clock_.wall() - keep_) / kSecond;
  auto removed = folder_->sweep_incoming(before);
  if (!removed) return std::unexpected(std::move(removed).error());
  for (const auto& area : areas_) {
    auto swept = folder_->sweep(area.folder, before, kNames,
                                [&](const std::vector<std::string>& names) { return unnamed(area, names); });
    if (!swept) return std::unexpected(std::move(swept).error());
    *removed += *swept;
    if (removed_) removed_->add(std::exchange(*removed, 0));
  }
  return {};
}

/// Those that no row names. Asked of the primary, which alone knows of all that is committed.
Result<std::vector<std::string>> FileSweep::unnamed(const Area& area, const std::vector<std::string>& names) {
  std::vector<std::string> none;
  if (!rested(kRest)) return std::unexpected(Error{&database::kUnavailable}.because("the server ends"));
  std::string sql = "SELECT " + database::quoted(area.column) + " FROM " + database::quoted(area.table) + " WHERE " +
                    database::quoted(area.column) + " IN (";
  for (std::size_t i = 0; i < names.size(); ++i) sql += i == 0 ? "?" : ",?";
  sql += ')';
  std::vector<database::Cell> cells(names.begin(), names.end());
  auto rows = database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
    auto read = co_await database_.read(loop, sql, cells, false);
    co_return read;
  });
  if (!rows) return std::unexpected(std::move(rows).error());
  std::vector<std::string> named;
  for (const auto& row : *rows) named.push_back(database::text_at(row, 0));
  std::ranges::sort(named);
  for (const auto& name : names)
    if (!std::ranges::binary_search(named, name)) none.push_back(name);
  return none;
}

}  // namespace plimsoll::table
