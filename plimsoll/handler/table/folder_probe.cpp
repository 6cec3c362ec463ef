#include "plimsoll/handler/table/folder_probe.hpp"

#include "plimsoll/database/database.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <chrono>
#include <condition_variable>
#include <new>

namespace plimsoll::table {
namespace {

constexpr std::chrono::seconds kPeriod{1};     ///< between two looks
constexpr int kQuiet = 10;                     ///< looks to a write, while all is well
constexpr Nanoseconds kHanging = 3 * kSecond;  ///< a check that takes longer hangs

}  // namespace

void FolderState::watched(bool begins) {
  const std::scoped_lock lock(mutex_);
  probes_ += begins ? 1 : -1;
  if (probes_ == 0) failure_.clear();
}
void FolderState::checking(Nanoseconds now) {
  const std::scoped_lock lock(mutex_);
  begun_ = now;
}
bool FolderState::checked(std::string failure) {
  const std::scoped_lock lock(mutex_);
  begun_ = 0;
  const bool changed = failure.empty() != failure_.empty();
  failure_ = std::move(failure);
  return changed;
}
bool FolderState::failing() const {
  const std::scoped_lock lock(mutex_);
  return !failure_.empty();
}
std::optional<std::string> FolderState::reason(Nanoseconds now) const {
  const std::scoped_lock lock(mutex_);
  if (probes_ == 0) return std::nullopt;
  if (const auto waited = begun_ ? now - begun_ : 0; waited > kHanging)
    return "files: the folder has not answered for " + std::to_string(waited / kSecond) + " s";
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
  for (int look = 1; rested(); ++look) {
    state_->checking(clock_.steady());
    Result<> found;
    try {
      found = folder_->check(state_->failing() || look % kQuiet == 0);
    } catch (...) { found = std::unexpected(error_from_current_exception()); }
    judge(found);
  }
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
