#pragma once

#include "plimsoll/base/clock.hpp"

#include <pthread.h>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace plimsoll::telemetry {
class Log;
}

namespace plimsoll::server {

/// The signals of the process, and the bound on its end. One thread waits for them, so that no signal interrupts a call
/// or runs code in a handler:
///
/// - SIGTERM, SIGINT: terminate. A second one skips the waits.
/// - SIGHUP, SIGUSR1: what `on_hangup` and `on_reopen` say.
/// - every other signal that would end the process by default and is no fault of the program itself: ignored.
///
/// From the first SIGTERM on a deadline stands: when the process has not ended by then, whatever hangs, the log is
/// flushed and the process ends with status 0. Made before any other thread, which inherit the mask; one per process.
class Keeper {
 public:
  /// Between the end of all waits and the forced end.
  static constexpr Nanoseconds kMargin = 2 * kSecond;

  Keeper();
  ~Keeper();  ///< the process ends in order: no forced end any more
  Keeper(const Keeper&) = delete;

  /// Where events are written; set once it exists, null before it ends. Waits for a write that is under way.
  void log(telemetry::Log* log);
  void on_hangup(std::function<void()> f) { set(hangup_, std::move(f)); }
  void on_reopen(std::function<void()> f) { set(reopen_, std::move(f)); }
  /// Called again and again, four times a second, from the first SIGTERM until it is replaced by null: breaks off what
  /// the start is waiting for.
  void on_interrupt(std::function<void()> f) { set(interrupt_, std::move(f)); }
  /// Called once by the second SIGTERM.
  void on_hurry(std::function<void()> f) { set(hurry_, std::move(f)); }

  /// How long the waits after a SIGTERM may take: `shutdown-delay` and `drain`. During the start: nothing.
  void waits(Nanoseconds span) noexcept { waits_.store(span, std::memory_order_relaxed); }
  /// What the process is doing, for the log of a slow start and of a forced end. `what` is static, or empty: nothing to
  /// report.
  void phase(std::string_view what, std::string_view detail = {});

  bool terminating() const noexcept { return terminating_.load(std::memory_order_acquire); }
  bool hurried() const noexcept { return hurried_.load(std::memory_order_acquire); }
  /// Waits until `ready`, asked after each `notify` and at least every `span`, or the first SIGTERM; false: it has
  /// come.
  bool wait(Nanoseconds span, const std::function<bool()>& ready);
  /// Who waits asks again.
  void notify();
  /// Waits so long, or until the first SIGTERM; false: it has come.
  bool rest(Nanoseconds span);
  /// Waits so long, or until the second SIGTERM.
  void delay(Nanoseconds span);

 private:
  void set(std::function<void()>& which, std::function<void()> f) {
    const std::scoped_lock lock(actions_);
    which = std::move(f);
  }
  void run();
  void taken(int signal);
  void tick(Nanoseconds now);
  void force_end();

  sigset_t set_{}, before_{};
  std::mutex actions_;  ///< held while one of them runs
  std::function<void()> hangup_, reopen_, interrupt_, hurry_;
  telemetry::Log* log_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> terminating_{false}, hurried_{false}, ended_{false};
  std::atomic<Nanoseconds> waits_{0};
  Nanoseconds deadline_ = 0;  ///< of the thread alone
  std::string_view phase_ = "reading the contract";
  std::string detail_;
  Nanoseconds phase_since_ = system_clock().steady(), reported_ = phase_since_;
  std::thread thread_;
};

/// `EX_TEMPFAIL` of sysexits.h: the environment refuses to let the process start; starting it again may succeed.
inline constexpr int kTemporaryFailure = 75;

}  // namespace plimsoll::server
