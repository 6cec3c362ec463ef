#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/client/response_reader.hpp"
#include "plimsoll/http/message.hpp"
#include "plimsoll/net/transport.hpp"

#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::client {

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

/// One request as it is sent.
struct Outgoing {
  std::string_view head;        ///< request line and fields, the empty line included
  std::string_view body{};      ///< what is known of the body; sent together with the head
  Stream* rest = nullptr;       ///< what follows it, null: nothing
  bool chunked = false;         ///< how `rest` is framed
  std::uint64_t rest_size = 0;  ///< of `rest`, when it is not chunked
  bool head_request = false;    ///< the answer has no body
  bool upgrade = false;         ///< it asks for another protocol, so that 101 is an answer
};

/// One HTTP/1.1 connection to another server: one request at a time. The answer is read while the request is being
/// sent, because a server may refuse a body that it has not read.
class Connection {
 public:
  static constexpr Nanoseconds kNever = std::numeric_limits<Nanoseconds>::max();

  Connection(Loop& loop, std::unique_ptr<net::Transport> transport);

  /// Sends the request and receives the head of its answer. `until`: an instant of the loop's clock, for all of the
  /// call. Errors: `network`, `bad-answer`, `deadline-exceeded`, and whatever `rest` fails with (`body_failed`).
  Task<Result<>> exchange(const Outgoing& request, const Timeouts& timeouts, Nanoseconds until);
  /// The next piece of the answer's body, good until the next call; empty: its end.
  Task<Result<std::string_view>> piece();

  /// The body of this answer may come for as long as it likes; where it is `idle` by its nature, as slowly as it likes.
  void unbounded(bool idle) noexcept {
    if (idle) idle_ = 0;
    until_ = kNever;
  }

  Answer take_head() { return reader_->take(); }
  /// Lets go of the connection, which speaks another protocol now.
  std::unique_ptr<net::Transport> release() noexcept { return std::move(transport_); }
  /// Bytes that were read behind the answer, until it is used again.
  std::string_view unread() const noexcept { return {buffer_.get() + at_, filled_ - at_}; }
  const ResponseReader& response() const noexcept { return *reader_; }
  /// Some of an answer came, so that the request must not be sent again.
  bool begun() const noexcept { return reader_ && reader_->begun(); }
  bool body_failed() const noexcept { return body_failed_; }
  /// All of the request was sent.
  bool written() const noexcept { return sent_; }
  /// The request was sent and its answer read to the end; another can follow.
  bool reusable() const noexcept { return sent_ && reader_ && reader_->reusable() && at_ == filled_; }
  /// Whether an idle connection can still be used, as far as can be known here.
  bool open() const noexcept;
  /// While nobody uses it.
  void rest() noexcept;

  Nanoseconds idle_until = 0;  ///< of the loop's clock, while nobody uses it

 private:
  Task<Result<>> send(const Outgoing& request);
  Task<Result<>> send_rest(const Outgoing& request);
  Task<Result<>> write(std::span<iovec> pieces);
  Task<Result<>> receive_head(Nanoseconds until);
  Task<> watch_head();
  /// Reads once more into the buffer; false: the other end has said that it sends no more.
  Task<Result<bool>> fill(Nanoseconds until);

  Loop& loop_;
  std::unique_ptr<net::Transport> transport_;
  std::optional<ResponseReader> reader_;
  std::optional<Result<>> head_;  ///< how reading the head ended
  std::unique_ptr<char[]> buffer_;
  std::size_t at_ = 0, filled_ = 0;
  Nanoseconds idle_ = 0, until_ = kNever;
  bool sent_ = false, body_failed_ = false;
};

}  // namespace plimsoll::client
