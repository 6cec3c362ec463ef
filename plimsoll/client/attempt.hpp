#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/client/response_reader.hpp"
#include "plimsoll/http/message.hpp"
#include "plimsoll/http/trailing.hpp"
#include "plimsoll/net/channel.hpp"

#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::h1 {
class Outbox;
}

namespace plimsoll::client {

class Connection;

/// Who is told of interim answers (1xx) other than `100 Continue` and `101 Switching Protocols`.
class InterimTaker {
 public:
  virtual void interim(Answer answer) = 0;

 protected:
  ~InterimTaker() = default;
};

/// How long the parts of a call may take; over that it is `deadline-exceeded`.
struct Timeouts {
  Nanoseconds connect = 2 * kSecond;      ///< name lookup, connection and TLS handshake together
  Nanoseconds first_byte = 10 * kSecond;  ///< from the last byte of the request to the head of the answer
  Nanoseconds idle = 10 * kSecond;        ///< between bytes of a body, in both directions
  Nanoseconds total = 30 * kSecond;       ///< from the call to the last byte of the answer; 0: no limit
  /// The answer is passed on: `total` limits its head alone, because how fast its body goes is its reader's matter, and
  /// of an event stream `idle` does not count either. For who ends it when its reader goes.
  bool passed_on = false;
};
/// As an instant: there is no limit.
inline constexpr Nanoseconds kNever = std::numeric_limits<Nanoseconds>::max();

/// One request, before a protocol writes it. What it refers to outlives its attempts.
struct Outgoing {
  std::string_view method, target;
  std::string_view authority;       ///< what `Host` says
  const Headers* fields = nullptr;  ///< of the request; those that `is_made_here` are left out
  std::string_view body{};          ///< what is known of the body; sent together with the head
  Stream* rest = nullptr;           ///< what follows it, null: nothing
  bool unknown_length = false;      ///< of `rest`
  std::uint64_t rest_size = 0;      ///< of `rest`, when it is known
  bool says_length = false;         ///< the request has a body, if perhaps one of no bytes, of known length
  bool expects = false;             ///< `rest` is read when the other side asks for it, or after `kContinue`
  bool upgrade = false;             ///< it asks for a WebSocket, so that 101 is an answer
  /// Fields that follow the body, once it has ended; null: none.
  const http::Trailing* trailing = nullptr;
  /// What `Trailer` says of them. HTTP/1.1 sends a body chunked then, whatever is known of its length.
  std::string_view trailer{};
  InterimTaker* interim = nullptr;  ///< null: nobody

  bool has_content() const noexcept { return rest || !body.empty() || !trailer.empty(); }
  /// In HTTP/1.1.
  bool chunked() const noexcept { return unknown_length || !trailer.empty(); }
};
/// How long a body waits for `100 Continue` (RFC 9110, section 10.1.1): servers need not send it.
inline constexpr Nanoseconds kContinue = kSecond;
/// What frames the request or belongs to one connection (RFC 9110, section 7.6.1): made by the protocol, never passed
/// on, in any spelling that a server may take for it.
bool is_made_here(std::string_view name);
/// Whether all of its fields can be sent, by any protocol. Error: `internal`, one that would not be one field line.
Result<> check_fields(const Outgoing& request);
/// Request line and fields, the empty line included. Error: that of `check_fields`; nothing is written.
Result<> write_http1_head(h1::Outbox& out, const Outgoing& request);
/// The last chunk of a body that has ended, and the fields that follow it.
std::string http1_last_chunk(const Outgoing& request);

/// One request that was sent and its answer, whatever the protocol. Destroying it ends what is under way: the
/// connection of HTTP/1.1, or the stream of HTTP/2.
class Attempt {
 public:
  virtual ~Attempt() = default;
  /// The next piece of the answer's body, good until the next call; empty: its end.
  virtual Task<Result<std::string_view>> piece() = 0;
  /// The body of this answer may come for as long as it likes; where it is `idle` by its nature, as slowly as it likes.
  virtual void unbounded(bool idle) noexcept = 0;
  /// The status of the answer; its fields are added to `fields`.
  virtual std::uint16_t head(Headers& fields) = 0;
  /// The whole body of the answer, where it is of up to `most` bytes and came together with the head; the answer is
  /// then read to its end. Empty: it comes by `piece`. Before anything of the body was read.
  virtual std::string_view short_body([[maybe_unused]] std::size_t most) { return {}; }
  /// Fields behind the body of the answer, once it has ended: names in lower case.
  virtual std::vector<std::pair<std::string, std::string>> take_trailers() = 0;
  /// The answer is read to its end.
  virtual bool whole() const noexcept = 0;
  /// All of the request was sent.
  virtual bool written() const noexcept = 0;
  /// What was to be sent could not be had.
  virtual bool body_failed() const noexcept = 0;
  /// After an answer 101: what the other protocol is spoken over, which owns `self`, this attempt, as far as it needs
  /// it.
  virtual std::unique_ptr<net::Channel> channel(std::unique_ptr<Attempt> self) = 0;
  /// The connection of HTTP/1.1, which this is; null: it is none of one's own.
  virtual Connection* connection() noexcept { return nullptr; }
};

}  // namespace plimsoll::client
