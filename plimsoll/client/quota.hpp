#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/problem.hpp"
#include "plimsoll/http/message.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace plimsoll::client {

inline constexpr Problem kQuotaExhausted{"quota-exhausted", 503, "The quota at a required service is used up",
                                         "Repeat the request after `Retry-After`.", true};

/// What one answer says of the limits that the other side has for us. Instants are spans from now on.
struct QuotaNews {
  std::optional<std::int64_t> limit{}, remaining{};
  std::optional<Nanoseconds> reset{};        ///< until `remaining` is `limit` again
  std::optional<Nanoseconds> window{};       ///< of the limit
  std::optional<Nanoseconds> retry_after{};  ///< of an answer 429
};

/// Reads `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, in its present form and that of
/// draft 7), `RateLimit-Limit`, `-Remaining` and `-Reset` (its draft 6), `X-RateLimit-*` and `X-Rate-Limit-*` with the
/// reset in seconds from now or since 1970 (perhaps in milliseconds), and `Retry-After`. Of several limits the one of
/// which the least is left counts. `wall`: nanoseconds since 1970. Spans are at most one day.
QuotaNews quota_news(std::uint16_t status, const Headers& headers, Nanoseconds wall);

/// The quota that is left at another side: a pure value, told the time.
///
/// Each answer says what was left at its own call. Calls that began after that one are subtracted; what older calls
/// say that are answered later is not looked at. When the quota is used up, no call begins before it is reset, but for
/// one in each `kAskAgain`: what an answer said may be wrong, and without a call nobody would learn that it is.
class QuotaTracker {
 public:
  static constexpr Nanoseconds kAskAgain = 60 * kSecond;
  struct Admission {
    bool allowed = false;
    std::uint64_t number = 0;  ///< of the call
    Nanoseconds until = 0;     ///< where it is not allowed: when to ask again
  };

  Admission take(Nanoseconds now) {
    renew(now);
    Nanoseconds until = 0;
    if (remaining_ && *remaining_ <= 0) until = reset_at_;
    if (now < blocked_until_) until = std::max(until, blocked_until_);
    if (until > 0) {
      until = std::min(until, told_at_ + kAskAgain);
      if (now < until) return {.until = until};
      told_at_ = now;
      asking_ = last_ + 1;
    } else if (remaining_) {
      --*remaining_;
    }
    return {.allowed = true, .number = ++last_};
  }

  /// The call was answered, and not because of a limit: if it was sent although nothing should be left, something is.
  void passed(std::uint64_t number) {
    if (number != asking_) return;
    remaining_.reset();
    blocked_until_ = 0;
    asking_ = 0;
  }

  void note(std::uint64_t number, const QuotaNews& news, Nanoseconds now) {
    told_at_ = now;
    if (news.retry_after) blocked_until_ = std::max(blocked_until_, now + *news.retry_after);
    if (!news.remaining || !news.reset || number < newest_) return;
    newest_ = number;
    remaining_ = std::max<std::int64_t>(0, *news.remaining - static_cast<std::int64_t>(last_ - number));
    reset_at_ = now + *news.reset;
    limit_ = news.limit;
    if (news.window) reset_at_ = std::min(reset_at_, now + *news.window);  // no reset is later than a whole window
    // Where it says no window, the longest time until a reset that was seen is nearly one.
    window_ = news.window ? *news.window : std::max(window_, *news.reset);
  }

  /// Nothing while the other side says nothing of it.
  std::optional<std::int64_t> limit() const { return limit_; }
  std::optional<std::int64_t> remaining(Nanoseconds now) {
    renew(now);
    return remaining_;
  }

 private:
  /// After a reset the quota is whole, but for calls under way, which may have come after it; where nobody has said how
  /// much the whole is, the next answer tells.
  void renew(Nanoseconds now) {
    if (!remaining_ || now < reset_at_) return;
    if (limit_ && window_ > 0) {
      remaining_ = std::max<std::int64_t>(1, *limit_ - static_cast<std::int64_t>(last_ - newest_));
      reset_at_ = now + window_;
    } else {
      remaining_.reset();
    }
  }

  std::optional<std::int64_t> remaining_, limit_;
  Nanoseconds reset_at_ = 0, window_ = 0, blocked_until_ = 0;
  Nanoseconds told_at_ = 0;              ///< when the other side last said something, or was last asked
  std::uint64_t last_ = 0, newest_ = 0;  ///< call begun, and the latest that was answered
  std::uint64_t asking_ = 0;             ///< the call that was sent although nothing should be left
};

}  // namespace plimsoll::client
