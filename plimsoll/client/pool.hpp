#pragma once

#include "plimsoll/client/connection.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace plimsoll::client {

struct IdleLimits {
  std::size_t connections = 128;  ///< of HTTP/1.1, kept for each origin: calls in progress at once use so many
  std::size_t shared = 8;         ///< of HTTP/2, each for many calls
  Nanoseconds time = 60 * kSecond;
  /// Of HTTP/2, with calls and without: after so long without a byte of it the other side is asked for a sign of life,
  /// which it has as long again to give.
  Nanoseconds quiet = 10 * kSecond;
};

/// The idle connections of one loop, by origin. Bounded: a connection beyond the bounds is closed. What has been idle
/// too long, or was closed by the other side, is closed here within another half of that time.
class Pool {
 public:
  static constexpr std::size_t kMostIdle = 256;  ///< of all origins

  explicit Pool(Loop& loop);

  /// The one that was used last and is still open, or null. `ask`: as `Connection::open` has it.
  std::unique_ptr<Connection> take(const std::string& origin, bool ask);
  void give(const std::string& origin, std::unique_ptr<Connection> connection, const IdleLimits& limits);
  std::size_t size() const noexcept { return size_; }

 private:
  struct Sweep : Alarm {
    Pool* pool = nullptr;
  };
  void sweep();
  void sweep_in(Nanoseconds span);
  bool usable(Connection& connection, bool ask) const noexcept;

  Loop& loop_;
  /// One without connections is kept until the next sweep: most calls find it so, and leave one behind.
  std::map<std::string, std::vector<std::unique_ptr<Connection>>> by_origin_;
  std::size_t size_ = 0;
  Nanoseconds sweep_every_ = 0;  ///< 0: not armed
  Sweep sweep_;
};

}  // namespace plimsoll::client
