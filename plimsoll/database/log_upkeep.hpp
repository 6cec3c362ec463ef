#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace plimsoll::database {

/// When the write-ahead log is written back into the file, so that it begins anew and stays bounded. A log can begin
/// anew only at a moment at which no reader stands in it; under constant reads that moment has to be waited for, and
/// where it does not come, made: first no new reads are let to the reader threads, then those that run are ended. A
/// reader of another process can only be reported.
///
/// A value without a clock: told the length of the log after each commit, it says what to do.
class LogUpkeep {
 public:
  using Instant = std::chrono::steady_clock::time_point;
  struct Step {
    bool restart = false;                   ///< write the log back and begin it anew
    std::chrono::milliseconds patience{0};  ///< for readers to leave it
    bool shorten = false;                   ///< cut its file too
    bool hold_back = false;                 ///< let no more reads to the reader threads
    bool end_reads = false;                 ///< end those that run
  };

  static constexpr std::uint32_t kHoldBack = 3, kEndReads = 5;  ///< times the usual length
  static constexpr std::chrono::seconds kReport{10};            ///< between two reports of a log that others hold

  /// `usual`: frames at which the log is written back.
  explicit LogUpkeep(std::uint32_t usual) : usual_(std::max<std::uint32_t>(1, usual)) {}

  /// After a commit that left a log of `frames`.
  Step committed(std::uint32_t frames, Instant now) {
    using namespace std::chrono_literals;
    if (frames < usual_) return {};
    const auto times = frames / usual_;
    if (now < in_vain_until_) {  // nobody of ours holds it: look now and then, and disturb nobody
      if (now < again_) return {};
      return {.restart = true, .shorten = times >= kHoldBack};
    }
    // Each attempt costs a sync of the file: one for an eighth of the usual length, or a second.
    if (tried_ && frames < tried_ + std::max<std::uint32_t>(1, usual_ / 8) && now < again_) return {};
    return {.restart = true,
            .patience = times < kHoldBack   ? 5ms
                        : times < kEndReads ? 50ms
                                            : 100ms,
            .shorten = times >= kHoldBack,
            .hold_back = times >= kHoldBack,
            .end_reads = times >= kEndReads};
  }
  /// What came of it. True: it is to be reported that readers of somebody else hold the log.
  bool attempted(const Step& step, bool began_anew, std::uint32_t frames, Instant now) {
    if (began_anew) {
      tried_ = 0;
      in_vain_until_ = {};
      return false;
    }
    tried_ = frames;
    again_ = now + std::chrono::seconds{1};
    if (!step.end_reads) return false;
    in_vain_until_ = now + kReport;
    return true;
  }

 private:
  std::uint32_t usual_, tried_ = 0;
  Instant again_{}, in_vain_until_{};
};

}  // namespace plimsoll::database
