#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/base/task.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace plimsoll {

class Loop;

/// Something that runs beside the requests: the workers of a queue, the refresh of a key set. It has a thread or a loop
/// of its own, so that no answer waits for it.
class Background {
 public:
  virtual ~Background() = default;
  /// After everything is built and before the first request. An error refuses the start.
  virtual Result<> start() = 0;
  /// In place of `start`, for tests: does what is due now on the caller's thread, and gives how many pieces of work
  /// that was.
  virtual int run_due() { return 0; }
  /// What it has not got yet and requests need: the server is not ready, and /readyz tells this. Empty: nothing. Asked
  /// from any thread.
  virtual std::string_view lacks() const noexcept { return {}; }
  /// Brings its metrics up to date for whoever scrapes them. May wait; its caller bounds the time.
  virtual Task<> sample(Loop&) { co_return; }
  /// The process has begun to end: takes on nothing new, and what it does has so long (nanoseconds) until `stop`. May
  /// be called again with less. Returns at once; called from any thread.
  virtual void drain(std::int64_t) noexcept {}
  /// The plan it belongs to is replaced: takes on nothing new, and returns when all it has begun has come to its end in
  /// its own time. `drain` may bound that meanwhile, from any thread.
  virtual void retire() noexcept { stop(); }
  /// After the last request. Hands back what is unfinished; returns when it has ended, within a bound of its own.
  virtual void stop() noexcept = 0;
};

/// All that runs beside the requests of one plan.
class Backgrounds {
 public:
  void add(std::unique_ptr<Background> one) { all_.push_back(std::move(one)); }
  /// In the order added; those that began are stopped again when one fails.
  Result<> start() {
    for (; started_ < all_.size(); ++started_)
      if (auto done = all_[started_]->start(); !done) {
        stop();
        return done;
      }
    begun_.store(true, std::memory_order_release);
    return {};
  }
  /// Does what is due, where nothing was started.
  int run_due() {
    int sum = 0;
    if (started_ == 0)
      for (const auto& one : all_) sum += one->run_due();
    return sum;
  }
  /// What the first that lacks something lacks; empty: all have what they need.
  std::string_view lacks() const noexcept {
    for (const auto& one : all_)
      if (const auto what = one->lacks(); !what.empty()) return what;
    return {};
  }
  /// Before all have begun there is nothing to ask, and others may still be added.
  Task<> sample(Loop& loop) {
    if (!begun_.load(std::memory_order_acquire)) co_return;
    for (const auto& one : all_) co_await one->sample(loop);
  }
  void drain(std::int64_t grace) noexcept {
    for (std::size_t i = 0; i < started_; ++i) all_[i]->drain(grace);
  }
  void retire() noexcept {
    for (std::size_t i = started_; i > 0; --i) all_[i - 1]->retire();
  }
  /// Last begun, first stopped.
  void stop() noexcept {
    while (started_ > 0) all_[--started_]->stop();
  }

 private:
  std::vector<std::unique_ptr<Background>> all_;
  std::size_t started_ = 0;
  std::atomic<bool> begun_{false};
};

}  // namespace plimsoll
