#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/edge/overload.hpp"
#include "plimsoll/exchange/context.hpp"

#include <array>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdint>

namespace plimsoll::edge {

/// How many requests wait for their turn on all loops of a server, by importance. Each loop says it once a round.
struct WaitingEverywhere {
  std::array<std::atomic<std::int64_t>, 3> count{};  ///< critical, normal, sheddable
};

/// The requests of one loop whose heads have been read, and that nobody has begun. While little comes, each is begun as
/// it comes, and answered while it lies in the nearest cache of the processor. Where a turn of the loop takes longer,
/// first all that has happened is looked at, so that the loop knows what it has to do; then they are begun, the most
/// important first, for a few milliseconds or for as long as it took to look; then the loop looks again (for new
/// connections, other sockets, timers). Where they are more than the loop can do, the excess is marked as refused
/// before anything is done for it (`Admission`): the least important first, among those by cohorts of client addresses,
/// which change every few seconds, and the oldest first.
class ReadyQueue final : public Work {
 public:
  ReadyQueue(Loop& loop, WaitingEverywhere& everywhere);
  ReadyQueue(const ReadyQueue&) = delete;

  class Turn;
  /// `co_await queue.turn(context, peer, importance);` before a request is begun. Nobody waits on a loop that has
  /// little to do.
  Turn turn(Context& context, const Peer& peer, Importance importance) noexcept;
  /// `co_await queue.again();` before a request that has begun goes on with what has come of its body.
  Turn again() noexcept;
  std::size_t size() const noexcept { return size_; }

  /// What comes so soon after the first of a turn is begun as it comes, as long as nobody waits.
  static constexpr Nanoseconds kAtOnce = kMillisecond / 2;
  /// What is worked on before the loop looks at other things again.
  static constexpr Nanoseconds kRound = 2 * kMillisecond;
  /// The same where reading what has come took longer than `kRound`: so long as that, at most.
  static constexpr Nanoseconds kLongestRound = 20 * kMillisecond;
  /// How long the same clients are the first to be refused.
  static constexpr Nanoseconds kCohortTime = 10 * kSecond;
  static constexpr std::size_t kCohorts = 128;

 private:
  /// In the order in which they are begun.
  enum Place : std::uint8_t { first, resumed, refused, unbounded, critical, normal, sheddable, kPlaces };
  struct List {
    Turn *oldest = nullptr, *newest = nullptr;
    std::size_t size = 0;
    void add(Turn& turn) noexcept;
    void remove(Turn& turn) noexcept;
  };
  bool at_once() noexcept;
  void wait(Turn& turn) noexcept;
  bool round();
  void refuse_excess(Nanoseconds now) noexcept;
  void refuse(List& list, Turn& turn) noexcept;
  void refuse_least(List& list, std::size_t excess, Nanoseconds now) noexcept;
  Turn* next(bool but_refused) noexcept;
  void begin(Turn& turn);
  std::int64_t ahead_of(Place place) const noexcept;
  void publish() noexcept;

  Loop& loop_;
  WaitingEverywhere& everywhere_;
  std::array<std::int64_t, 3> published_{};
  std::array<List, kPlaces> lists_;
  std::size_t size_ = 0;
  Nanoseconds turn_ = 0;   ///< when the first was begun in this turn of the loop
  bool caught_up_ = true;  ///< none was begun in this turn, and nobody waits
  bool working_ = false, newest_first_ = false, critical_too_ = false;
  Overload overload_;
};

class ReadyQueue::Turn {
 public:
  Turn(ReadyQueue& queue, Context* context, const Peer* peer, Place place) noexcept
      : queue_(queue), context_(context), peer_(peer), place_(place) {}
  Turn(const Turn&) = delete;
  bool await_ready() noexcept { return queue_.at_once(); }
  void await_suspend(std::coroutine_handle<> waiting) noexcept {
    waiting_ = waiting;
    queue_.wait(*this);
  }
  void await_resume() const noexcept {}

 private:
  friend class ReadyQueue;
  std::size_t cohort(Nanoseconds now) const noexcept;
  ReadyQueue& queue_;
  Context* context_;  ///< null: of a request that has begun
  const Peer* peer_;
  Turn *newer_ = nullptr, *older_ = nullptr;
  std::coroutine_handle<> waiting_;
  Nanoseconds since_ = 0;
  Place place_;
};

inline ReadyQueue::Turn ReadyQueue::turn(Context& context, const Peer& peer, Importance importance) noexcept {
  constexpr Place places[] = {first, unbounded, critical, normal, sheddable};
  return {*this, &context, &peer, places[static_cast<std::size_t>(importance)]};
}
inline ReadyQueue::Turn ReadyQueue::again() noexcept { return {*this, nullptr, nullptr, resumed}; }

}  // namespace plimsoll::edge
