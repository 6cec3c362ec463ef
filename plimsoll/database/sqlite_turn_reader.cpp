#include "plimsoll/database/sqlite_turn_reader.hpp"

#include "plimsoll/database/sqlite_gate.hpp"

#include <atomic>

namespace plimsoll::database {

SqliteTurnReader::SqliteTurnReader(std::uint32_t most_frames) : most_frames_(most_frames) {
  Deferred::run = [](Deferred& self) {
    auto& reader = static_cast<SqliteTurnReader&>(self);
    const auto last = std::move(reader.until_deferred_);  // perhaps the last that holds it
    const std::scoped_lock lock(reader.mutex_);
    reader.end();
  };
}

void SqliteTurnReader::use(std::unique_ptr<SqliteConnection> connection, std::uint64_t file) {
  const std::scoped_lock lock(mutex_);
  connection_ = std::move(connection);
  connection_->longest_value(kLongestValue);
  index_ = connection_->wal_index();
  file_ = file;
  open_ = false;
  turn_ = -1;
}

void SqliteTurnReader::close(bool leaves_log) {
  const std::scoped_lock lock(mutex_);
  if (leaves_log && connection_) connection_->leave_log();
  open_ = false;
  index_ = nullptr;
  connection_.reset();
}

Result<bool> SqliteTurnReader::only_reads(std::string_view sql) {
  const std::scoped_lock lock(mutex_);
  return connection_ ? connection_->only_reads(sql) : std::unexpected(moved_error());
}

Result<> SqliteTurnReader::read(Loop& loop, std::string_view sql, std::span<const Cell> parameters, RowSink& into,
                                StepLimit limit) {
  const std::scoped_lock lock(mutex_);
  if (!connection_) return std::unexpected(moved_error());
  if (open_ && !newest()) end();
  if (!open_ && index_ && turn_ == loop.now()) begin(loop);
  turn_ = loop.now();
  auto done = connection_->run(sql, parameters, &into, limit);
  if (!done && done.error().problem != &kOverBudget) end();
  return done;
}

SqliteTurnReader::Header SqliteTurnReader::header() const {
  // Another thread or process may be writing it: what is torn is simply not what it was.
  Header now;
  for (std::size_t i = 0; i < now.size(); ++i) now[i] = std::atomic_ref(index_[i]).load(std::memory_order_acquire);
  return now;
}

void SqliteTurnReader::begin(Loop& loop) {
  // Noted before the snapshot is taken: a commit in between has it taken once more, and none is missed.
  seen_ = header();
  const auto frames = static_cast<std::uint32_t>(seen_[2]);  // `mxFrame`
  if (frames > most_frames_ || !connection_->run("BEGIN", {}, nullptr)) return;
  open_ = true;
  if (deferred()) return;
  until_deferred_ = shared_from_this();
  loop.defer(*this);
}

void SqliteTurnReader::end() {
  if (std::exchange(open_, false)) (void)connection_->run("COMMIT", {}, nullptr);
}

}  // namespace plimsoll::database
