#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/http/sse.hpp"

#include <optional>
#include <string>

namespace plimsoll {

/// Where the events of a stream come from.
class Events {
 public:
  virtual ~Events() = default;
  /// The next event, its views good until the next call; nothing at the end. Told to stop while it waits, it ends with
  /// that error and has taken nothing: it is asked again after a heartbeat.
  virtual Task<Result<std::optional<http::ServerEvent>>> next() = 0;
};

/// Events as a body of type `text/event-stream`. A comment is sent at once, so that the head leaves, and whenever
/// nothing came for `heartbeat`, so that proxies keep the connection and a client that is gone is noticed. One event is
/// one piece: nothing is read ahead of a slow reader.
class EventStream final : public Stream {
 public:
  EventStream(Loop& loop, Events& events, Nanoseconds heartbeat = 15 * kSecond)
      : loop_(loop), events_(events), heartbeat_(heartbeat) {}

  Task<Result<Bytes>> read() override {
    piece_.clear();
    if (!begun_) {
      begun_ = true;
      http::append_heartbeat(piece_);
      co_return as_bytes(piece_);
    }
    const auto event = co_await within(loop_, heartbeat_, events_.next());
    if (!event) {
      const Scope* scope = co_await this_scope();
      const bool silence = event.error().problem == &kDeadlineExceeded && (!scope || scope->stopped() == Stop::none);
      if (!silence) co_return std::unexpected(event.error());
      http::append_heartbeat(piece_);
    } else if (*event) {
      http::append(piece_, **event);
    }
    co_return as_bytes(piece_);
  }

 private:
  Loop& loop_;
  Events& events_;
  Nanoseconds heartbeat_;
  bool begun_ = false;
  std::string piece_;
};

}  // namespace plimsoll
