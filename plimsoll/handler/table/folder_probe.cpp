#include "plimsoll/handler/table/folder_probe.hpp"

#include "plimsoll/database/database.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <new>

namespace plimsoll::table {
namespace {

constexpr std::chrono::seconds kPeriod{1};  ///< between two looks
constexpr int kQuiet = 10;                  ///< looks to a write, while all is well

}  // namespace

void FolderState::watched(bool begins) {
  const std::scoped_lock lock(mutex_);
  probes_ += begins ? 1 : -1;
  if (probes_ == 0) failure_.clear();
}
bool FolderState::checked(std::string failure) {
  const std::scoped_lock lock(mutex_);
  const bool changed = failure.empty() != failure_.empty();
  failure_ = std::move(failure);
  return changed;
}
bool FolderState::failing() const {
  const std::scoped_lock lock(mutex_);
  return !failure_.empty();
}
std::optional<std::string> FolderState::reason() const {
  const std::scoped_lock lock(mutex_);
  if (probes_ == 0) return std::nullopt;
  return failure_;
}

Result<> FolderProbe::start() {
  state_->watched(true);
  if (up_) up_->set(state_->failing() ? 0 : 1);
  thread_ = std::jthread([this](std::stop_token stop) { work(std::move(stop)); });
  return {};
}

void FolderProbe::stop() noexcept {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
  state_->watched(false);
}

void FolderProbe::work(std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  const auto rested = [&] {
    return !wake.wait_for(lock, stop, kPeriod, [] { return false; }) && !stop.stop_requested();
  };
  std::shared_ptr<Look> look;
  for (int number = 1; rested(); ++number) {
    Result<> found;
    try {
      found = check(look, stop, state_->failing() || number % kQuiet == 0);
    } catch (...) { found = std::unexpected(error_from_current_exception()); }
    if (!stop.stop_requested()) judge(found);
  }
}

struct FolderProbe::Look {
  const Nanoseconds begun;  ///< steady
  std::mutex mutex;
  std::condition_variable_any ended;
  std::optional<Result<>> found{};
};

/// Of the look that is under way, or a new one. One that hangs is waited for again, and no second is begun beside it.
Result<> FolderProbe::check(std::shared_ptr<Look>& look, const std::stop_token& stop, bool writing) {
  if (!look) {
    auto next = std::make_shared<Look>(clock_.steady());
    threads_.post([look = next, folder = folder_, writing] {
      Result<> found;
      try {
        found = folder->check(writing);
      } catch (...) { found = std::unexpected(error_from_current_exception()); }
      const std::scoped_lock lock(look->mutex);
      look->found = std::move(found);
      look->ended.notify_all();
    });
    look = std::move(next);
  }
  std::unique_lock lock(look->mutex);
  const auto waited = clock_.steady() - look->begun;
  const std::chrono::nanoseconds left{std::max(Nanoseconds{0}, FileFolder::kHanging - waited)};
  if (!look->ended.wait_for(lock, stop, left, [&] { return look->found.has_value(); }))
    return std::unexpected(FileFolder::hanging(std::max(waited, FileFolder::kHanging)));
  auto found = std::move(*look->found);
  lock.unlock();
  look.reset();
  return found;
}

void FolderProbe::judge(const Result<>& found) try {
  using telemetry::Level, telemetry::Line;
  const auto failure = found ? std::string{} : database::reason_of(found.error());
  const bool changed = state_->checked(failure);
  if (up_) up_->set(found ? 1 : 0);
  if (!log_ || !changed) return;
  if (found)
    log_->write(Level::info, "files-writable", [](Line& line) { line.add("effect", "the server is ready again"); });
  else
    log_->write(Level::error, "files-not-writable", [&](Line& line) {
      line.add("reason", failure).add("effect", "the server is not ready; uploads are refused");
    });
} catch (const std::bad_alloc&) {}  // said after the next look

}  // namespace plimsoll::table
