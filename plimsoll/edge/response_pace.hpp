#pragma once

#include "plimsoll/edge/pace.hpp"
#include "plimsoll/net/transport.hpp"

namespace plimsoll::edge {

/// How fast a client takes an answer: by what has left the system's buffer, because that buffer lets a writer go on
/// only when a large part of it is free.
class ResponsePace {
 public:
  ResponsePace(net::Transport& transport, std::uint64_t rate) : transport_(transport), pace_(rate, kResponseWindow) {}

  void wrote(std::uint64_t bytes) { written_ += bytes; }
  /// Before a wait: how long it may last.
  Nanoseconds patience() {
    if (!waiting_) mark_ = taken();
    waiting_ = true;
    return pace_.patience();
  }
  /// After it: false when the client has been too slow.
  bool waited(Nanoseconds span) {
    if (span >= pace_.patience()) {
      const auto all = taken();
      pace_.moved(all - mark_);
      mark_ = all;
    }
    return pace_.waited(span);
  }

 private:
  std::uint64_t taken() const {
    const auto unsent = transport_.unsent();
    return written_ > unsent ? written_ - unsent : 0;
  }
  net::Transport& transport_;
  Pace pace_;
  std::uint64_t written_ = 0, mark_ = 0;
  bool waiting_ = false;
};

}  // namespace plimsoll::edge
