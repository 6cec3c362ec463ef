#pragma once

#include "plimsoll/async/abandonable.hpp"
#include "plimsoll/base/clock.hpp"
#include "plimsoll/exchange/background.hpp"
#include "plimsoll/handler/table/file_folder.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace plimsoll::telemetry {
class Gauge;
class Log;
}  // namespace plimsoll::telemetry

namespace plimsoll::table {

/// What is known of the folder of files, for readiness: one for the process (`Services::shared`). Safe from any thread.
class FolderState {
 public:
  /// A probe begins or ends to watch the folder. A new plan begins before the old one ends.
  void watched(bool begins);
  /// A check has ended, or hangs: what is wrong, empty: nothing. Whether that has changed between well and not.
  bool checked(std::string failure);
  bool failing() const;
  /// What is wrong; empty: nothing. Nothing: there is no folder.
  std::optional<std::string> reason() const;

 private:
  mutable std::mutex mutex_;
  int probes_ = 0;
  std::string failure_;
};

/// Watches the folder of files for readiness, on a thread of its own: once a second whether it is there, every 10 s
/// (each second while something is wrong) whether it takes a file. One that was replaced is used again by it
/// (FileFolder::check). The check itself runs on a further thread, so that one that hangs is seen, and holds up no end.
class FolderProbe final : public Background {
 public:
  FolderProbe(std::shared_ptr<FileFolder> folder, std::shared_ptr<FolderState> state, const Clock& clock,
              telemetry::Log* log, telemetry::Gauge* up)
      : folder_(std::move(folder)), state_(std::move(state)), clock_(clock), log_(log), up_(up) {}
  ~FolderProbe() override { stop(); }
  Result<> start() override;
  void stop() noexcept override;

 private:
  struct Look;
  void work(std::stop_token stop);
  Result<> check(std::shared_ptr<Look>& look, const std::stop_token& stop, bool writing);
  void judge(const Result<>& found);

  const std::shared_ptr<FileFolder> folder_;
  const std::shared_ptr<FolderState> state_;
  const Clock& clock_;
  telemetry::Log* log_;
  telemetry::Gauge* up_;
  AbandonableThreads threads_{1};
  std::jthread thread_;  // last: it uses the others
};

}  // namespace plimsoll::table
