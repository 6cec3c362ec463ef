#pragma once

#include "plimsoll/base/clock.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace plimsoll::http {

/// So many each period, and all of them at once where none came before.
struct H2Allowance {
  std::int64_t limit = 0;
  Nanoseconds per = kSecond;
};

/// What one HTTP/2 connection may ask of us beside requests and bodies. Frames of these kinds cost their sender
/// nothing and us an answer, a wake-up or a cancelled handler.
struct H2Allowances {
  H2Allowance resets{100, 2 * kSecond};           ///< RST_STREAM that comes, or that the peer's errors make us send
  H2Allowance settings{16, 8 * kSecond};          ///< each is answered
  H2Allowance pings{100, 5 * kSecond};            ///< each is answered
  H2Allowance window_updates{2000, 4 * kSecond};  ///< beside four for each DATA frame we sent
  H2Allowance empty_data{100, 10 * kSecond};      ///< DATA without content that does not end its stream
  H2Allowance others{200, 4 * kSecond};           ///< PRIORITY and frames of unknown types
  std::int64_t continuations = 8;                 ///< of one header block
  std::int64_t header_block = 48 << 10;           ///< compressed bytes of one header block
};

/// Watches the frame headers of a connection, and says when there is too much of one kind. Pure: it takes the time and
/// gives a word.
class H2Guard {
 public:
  explicit H2Guard(const H2Allowances& allowances) : allowed_(allowances) {}

  /// Of a frame that begins to arrive. Empty: go on. Else what there was too much of, for GOAWAY's debug data.
  std::string_view arrived(std::uint8_t type, std::uint8_t flags, std::size_t length, Nanoseconds now) {
    constexpr std::uint8_t kAck = 1, kEndStream = 1;
    switch (type) {
      case kData:
        if (length == 0 && !(flags & kEndStream) && !empty_data_.take(allowed_.empty_data, now)) return "empty DATA";
        return {};
      case kHeaders:
        block_ = static_cast<std::int64_t>(length);
        continuations_ = 0;
        return block_ > allowed_.header_block ? "header block too long" : "";
      case kContinuation:
        block_ += static_cast<std::int64_t>(length);
        if (++continuations_ > allowed_.continuations) return "too many CONTINUATION frames";
        return block_ > allowed_.header_block ? "header block too long" : "";
      case kReset: return reset(now);
      case kSettings: return flags & kAck || settings_.take(allowed_.settings, now) ? "" : "too many SETTINGS frames";
      case kPing: return flags & kAck || pings_.take(allowed_.pings, now) ? "" : "too many PING frames";
      case kWindowUpdate:
        if (earned_updates_ > 0) return --earned_updates_, "";
        return window_updates_.take(allowed_.window_updates, now) ? "" : "too many WINDOW_UPDATE frames";
      default: return others_.take(allowed_.others, now) ? "" : "too many frames of no use";
    }
  }
  /// We had to reset a stream because of what the peer sent.
  std::string_view reset(Nanoseconds now) { return resets_.take(allowed_.resets, now) ? "" : "too many resets"; }
  /// A DATA frame was sent: its reader may answer with window updates.
  void sent_data() { earned_updates_ = std::min<std::int64_t>(earned_updates_ + 4, 100'000); }

 private:
  static constexpr std::uint8_t kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kWindowUpdate = 8,
                                kContinuation = 9;

  /// The generic cell rate algorithm (ITU-T I.371): the instant at which the whole burst is there again.
  struct Bucket {
    Nanoseconds full_at = 0;
    bool take(const H2Allowance& allowed, Nanoseconds now) {
      const auto interval = allowed.per / allowed.limit;
      const auto after = std::max(full_at, now) + interval;
      if (after - now > interval * allowed.limit) return false;
      full_at = after;
      return true;
    }
  };
  H2Allowances allowed_;
  Bucket resets_, settings_, pings_, window_updates_, empty_data_, others_;
  std::int64_t continuations_ = 0, block_ = 0, earned_updates_ = 0;
};

}  // namespace plimsoll::http
