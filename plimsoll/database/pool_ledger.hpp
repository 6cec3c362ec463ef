#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/database/fair_queue.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace plimsoll::database {

/// What a pool is allowed.
struct PoolLimits {
  std::size_t least = 5;            ///< connections that are kept although nobody needs them
  std::size_t most = 20;            ///< connections, those being opened included
  Nanoseconds idle = 30 * kSecond;  ///< after which a connection beyond `least` is closed
  Nanoseconds life =
      1800 * kSecond;       ///< of a connection; each lives up to a tenth shorter, so that not all end at once
  std::size_t room = 1024;  ///< the most that wait for a connection
};

/// The book of a connection pool: which connections there are, who waits, and what is to be done next. Decisions only,
/// without a clock, a lock or a socket: its owner locks it, opens and closes connections, and says what came of it.
///
/// Whoever waits stands in a FairQueue, so that callers take turns and one of them has at most half of the connections.
/// The server is up until a connection cannot be opened; then it is down: whoever waits is refused, as is everybody who
/// asks, and one connection at a time is tried, soon at first, at least twice a second, until one opens.
template <class Connection>
class PoolLedger {
 public:
  using Entry = FairQueue::Entry;

  explicit PoolLedger(const PoolLimits& limits) : limits_(limits), queue_(limits.most, limits.room) {
    idle_.reserve(limits.most);
  }

  /// Somebody asks for a connection; `next` tells when it is its turn. Gives who has to be refused because the queue is
  /// full, perhaps the entry itself; null: nobody. Not to be called while the server is down.
  Entry* ask(Entry& entry) { return queue_.push(entry); }
  /// Nobody waits for it any longer; false when `next` has given it a connection already.
  bool leave(Entry& entry) { return queue_.remove(entry); }

  /// One who gets a connection now, and which: null when nobody can be served.
  struct Served {
    Entry* entry = nullptr;
    Connection* connection = nullptr;
  };
  Served next() {
    if (idle_.empty()) return {};
    auto* entry = queue_.take();
    if (!entry) return {};
    auto* connection = idle_.back().connection;  // used last: the others may grow old
    idle_.pop_back();
    ++in_use_;
    return {entry, connection};
  }

  /// A connection is being opened.
  void opens() { ++opening_; }
  /// It is open.
  void opened(Connection& connection, Nanoseconds now, Nanoseconds until) {
    --opening_;
    down_ = false;
    attempts_ = 0;
    retry_at_ = 0;
    answered_at_ = now;
    idle_.push_back({&connection, now, until});
  }
  /// It could not be opened. `full`: the server has too many connections, and those that are open can be used. They can
  /// be too where one has answered since this one was begun: the server, or this machine, is only slow.
  void failed(Nanoseconds began, Nanoseconds now, bool full) {
    --opening_;
    constexpr Nanoseconds kFirst = 50 * kMillisecond, kLongest = 400 * kMillisecond;
    retry_at_ = now + std::min(kLongest, kFirst << std::min(attempts_, 4));
    ++attempts_;
    const bool lives = full || answered_at_ > began;
    if (!lives || in_use_ + idle_.size() == 0) down_ = true;
  }
  /// Opening was given up because the pool is closed.
  void given_up() { --opening_; }

  /// Who gets no connection because the server is down: null when nobody waits.
  Entry* refuse() {
    if (!down_) return nullptr;
    // Taken in turn, whoever may not have one more yet too.
    auto* entry = queue_.any();
    if (entry) queue_.remove(*entry);
    return entry;
  }

  /// A connection comes back. False: it is to be closed, which `closed` is for.
  bool give_back(Connection& connection, ReadClass order, std::uint64_t caller, Nanoseconds now, Nanoseconds until,
                 bool usable) {
    --in_use_;
    queue_.ended(order, caller);
    if (usable) answered_at_ = now;
    if (!usable || down_ || now >= until) return false;
    idle_.push_back({&connection, now, until});
    return true;
  }

  /// A connection that has been idle for too long, is too old, or of a server that is down; no longer in the book.
  /// Null: none.
  Connection* to_close(Nanoseconds now) {
    const auto total = idle_.size() + in_use_;
    for (auto at = idle_.begin(); at != idle_.end(); ++at)
      if (down_ || now >= at->until || (total > limits_.least && now - at->since >= limits_.idle)) {
        auto* connection = at->connection;
        idle_.erase(at);
        return connection;
      }
    return nullptr;
  }
  /// Takes those that `gone` says are closed by the server out of the book.
  template <class F>
  void sift(F gone) {
    std::erase_if(idle_, [&](const Idle& one) { return gone(*one.connection); });
  }

  /// How many connections to open now.
  std::size_t to_open(Nanoseconds now) const {
    if (now < retry_at_) return 0;
    if (down_) return opening_ == 0 ? 1 : 0;
    const auto total = in_use_ + idle_.size() + opening_;
    if (total >= limits_.most) return 0;
    // Whoever waits beside an idle connection has as many as it may.
    const auto waiting = idle_.empty() ? queue_.size() : 0;
    const auto missing = limits_.least > total ? limits_.least - total : 0;
    const auto wanted = waiting > opening_ ? waiting - opening_ : 0;
    return std::min(limits_.most - total, std::max(missing, wanted));
  }
  /// When to look again, where nothing happens before; at most `longest` from now.
  Nanoseconds look_again(Nanoseconds now, Nanoseconds longest) const {
    auto at = now + longest;
    if (retry_at_ > now) at = std::min(at, retry_at_);
    for (const auto& one : idle_) {
      at = std::min(at, one.until);
      if (idle_.size() + in_use_ > limits_.least) at = std::min(at, one.since + limits_.idle);
    }
    return std::max(at, now);
  }

  bool down() const { return down_; }
  std::size_t in_use() const { return in_use_; }
  std::size_t idle() const { return idle_.size(); }
  std::size_t opening() const { return opening_; }
  std::size_t waiting() const { return queue_.size(); }

 private:
  struct Idle {
    Connection* connection;
    Nanoseconds since, until;
  };
  PoolLimits limits_;
  FairQueue queue_;
  std::vector<Idle> idle_;
  std::size_t in_use_ = 0, opening_ = 0;
  bool down_ = false;
  int attempts_ = 0;
  Nanoseconds retry_at_ = 0;
  Nanoseconds answered_at_ = -1;  ///< when a connection was opened or came back usable, last
};

}  // namespace plimsoll::database
