#pragma once

#include "plimsoll/base/clock.hpp"

#include <algorithm>
#include <cstdint>

namespace plimsoll::client {

/// When a token is used, renewed and given up: a pure value, told the time.
///
/// A token is renewed a fifth of its life before its end (a minute at most) while calls go on with it, and not used in
/// its last twentieth (5 s at most), because a call takes time. After a fetch that failed there is none for 1 s, 2 s,
/// 4 s … 30 s.
class TokenLease {
 public:
  enum class Advice : std::uint8_t {
    use,    ///< the token is good
    renew,  ///< it is good, and the time for another has come
    fetch,  ///< there is none that can be used
    refuse  ///< nor is one to be fetched now, because that has just failed
  };
  Advice look(Nanoseconds now) const noexcept {
    const bool good = number_ > 0 && !rejected_ && now < ends_at_;
    const bool may_fetch = now >= fetch_at_;
    if (!good) return may_fetch ? Advice::fetch : Advice::refuse;
    return now >= renew_at_ && may_fetch ? Advice::renew : Advice::use;
  }

  /// A token was fetched that is good for so long; returns its number. Numbers begin with 1.
  std::uint64_t fetched(Nanoseconds now, Nanoseconds life) noexcept {
    life = std::max<Nanoseconds>(life, 0);
    renew_at_ = now + life - std::min<Nanoseconds>(life / 5, 60 * kSecond);
    ends_at_ = now + life - std::min<Nanoseconds>(life / 20, 5 * kSecond);
    rejected_ = false;
    failures_ = 0;
    fetch_at_ = now;
    return ++number_;
  }
  void failed(Nanoseconds now) noexcept {
    fetch_at_ = now + std::min<Nanoseconds>(kSecond << std::min(failures_, 5), 30 * kSecond);
    ++failures_;
  }
  /// A call with the token of that number was answered 401. Returns whether it should be sent again: there is another
  /// token already, or one is fetched. That is done for one 401 in 30 s; a service that takes no token at all does not
  /// make this one fetch for each call.
  bool rejected(std::uint64_t number, Nanoseconds now) noexcept {
    if (number != number_ || rejected_) return true;
    if (anew_ && now - anew_at_ < 30 * kSecond) return false;
    anew_ = true, anew_at_ = now;
    return rejected_ = true;
  }
  /// When a fetch may be tried next.
  Nanoseconds fetch_at() const noexcept { return fetch_at_; }

 private:
  std::uint64_t number_ = 0;
  Nanoseconds renew_at_ = 0, ends_at_ = 0, fetch_at_ = 0, anew_at_ = 0;
  bool rejected_ = false, anew_ = false;
  int failures_ = 0;
};

}  // namespace plimsoll::client
