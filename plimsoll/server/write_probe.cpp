#include "plimsoll/server/write_probe.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <sys/statvfs.h>

#include <utility>

namespace plimsoll::server {
namespace {

constexpr Nanoseconds kPeriod = kSecond;         ///< between two probes, at least
constexpr Nanoseconds kQuiet = 10 * kSecond;     ///< between two while all is well and nobody asks
constexpr Nanoseconds kInterest = 30 * kSecond;  ///< how long somebody who has asked is expected again
constexpr Nanoseconds kLongest = 10 * kSecond;   ///< of one write: a connection that is dead without a word is given up
constexpr Nanoseconds kHanging = 3 * kSecond;    ///< a write that takes longer, while no other commits, hangs

constexpr database::OwnTable kTable{.name = "plimsoll_probe",
                                    .columns = "id INTEGER PRIMARY KEY CHECK(id = 1), at INTEGER NOT NULL"};
constexpr std::string_view kWrite =
    "INSERT INTO plimsoll_probe(id, at) VALUES(1, ?) ON CONFLICT(id) DO UPDATE SET at = excluded.at";

}  // namespace

Task<Result<>> WriteProbe::write(Loop& loop) {
  const auto wall = clock_.wall() / kMillisecond;
  const auto work = [&](database::Session& session) -> Task<Result<>> {
    if (!prepared_) {
      auto made = co_await database::prepare_own_table(session, database_.dialect(), kTable);
      if (!made) co_return made;
    }
    const database::Cell cells[] = {wall};
    auto written = co_await session.query(kWrite, cells);
    if (!written) co_return std::unexpected(std::move(written).error());
    co_return Result<>{};
  };
  auto done = co_await database_.write(loop, work);
  prepared_ = done.has_value();  // where it has failed, somebody may have dropped the table
  co_return done;
}

Result<> WriteProbe::first() {
  return database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto done = co_await write(loop);
    co_return done;
  });
}

void WriteProbe::start() {
  ended_ = clock_.steady();
  commits_ = database_.counts().commits;
  loop_.spawn(probing_, probe());
  loop_.spawn(watching_, watch());
  thread_ = std::thread([this] { loop_.run(); });
}

void WriteProbe::stop() noexcept {
  if (!thread_.joinable()) return;
  loop_.post([this] {
    probing_.stop(Stop::drain);
    watching_.stop(Stop::drain);
  });
  thread_.join();
}

WriteProbe::Status WriteProbe::status() const {
  asked_.store(clock_.steady(), std::memory_order_relaxed);
  const std::scoped_lock lock(mutex_);
  return status_;
}

bool WriteProbe::due() {
  const auto now = clock_.steady();
  if (!failure_.empty()) return true;
  if (const auto commits = database_.counts().commits; commits != commits_) {
    commits_ = commits;
    ended_ = now;
    return false;
  }
  return now - asked_.load(std::memory_order_relaxed) < kInterest || now - ended_ >= kQuiet;
}

Task<> WriteProbe::probe() {
  for (;;) {
    const bool rested = co_await pause(loop_, kPeriod);
    if (!rested) co_return;
    if (!due()) continue;
    try {
      co_await probe_once();
    } catch (const std::bad_alloc&) {  // the next one follows
      begun_ = 0;
      rest_of_memory();
    }
  }
}

Task<> WriteProbe::probe_once() {
  const auto begun = begun_ = clock_.steady();
  const auto before = std::exchange(commits_, database_.counts().commits);
  auto done = co_await within(loop_, kLongest, write(loop_));
  begun_ = 0;
  ended_ = clock_.steady();
  commits_ = database_.counts().commits;
  // A queue that is full is work, and no fault, while it moves on.
  const bool moves_on = !done && done.error().problem == &database::kBusy && commits_ != before;
  if (done || moves_on)
    failure_.clear();
  else if (ended_ - begun >= kLongest)
    failure_ = "a write has not ended for " + std::to_string(kLongest / kSecond) + " s";
  else
    failure_ = database::reason_of(done.error());
  judge();
}

/// Finds a probe that does not end.
Task<> WriteProbe::watch() {
  for (;;) {
    const bool rested = co_await pause(loop_, kPeriod);
    if (!rested) co_return;
    try {
      judge();
    } catch (const std::bad_alloc&) { rest_of_memory(); }
  }
}

std::string WriteProbe::lacks_room() const {
  constexpr std::uint64_t kLeast = 256 << 10;  // bytes; a commit takes a few pages
  struct statvfs found{};
  if (file_.empty() || ::statvfs(file_.c_str(), &found) != 0) return {};
  const auto left = std::uint64_t{found.f_bavail} * found.f_frsize;
  if (left >= kLeast) return {};
  return "the file system of the database is full: " + std::to_string(left) + " bytes are left";
}

void WriteProbe::judge() {
  const auto waited = begun_ ? clock_.steady() - begun_ : 0;
  const bool hanging = waited > kHanging && database_.counts().commits == commits_;
  // While a probe is under way its predecessor still counts.
  Status now{.well = failure_.empty() && !hanging, .reason = failure_};
  if (hanging) now.reason = "a write has not ended for " + std::to_string(waited / kSecond) + " s";
  if (now.well)
    if (auto trouble = database_.trouble(); !trouble.empty()) now = {.well = false, .reason = std::move(trouble)};
  if (now.well)
    if (auto lacks = lacks_room(); !lacks.empty()) now = {.well = false, .reason = std::move(lacks)};
  bool was;
  {
    const std::scoped_lock lock(mutex_);
    was = status_.well;
    status_ = now;
  }
  if (!log_ || was == now.well) return;
  using telemetry::Level, telemetry::Line;
  if (now.well)
    log_->write(Level::info, "database-writable", [](Line& line) { line.add("effect", "the server is ready again"); });
  else
    log_->write(Level::error, "database-not-writable", [&](Line& line) {
      line.add("reason", now.reason)
          .add("effect", "the server is not ready; what can be read and stored answers are still served");
    });
}

}  // namespace plimsoll::server
