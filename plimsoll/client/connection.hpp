#pragma once

#include "plimsoll/async/event.hpp"
#include "plimsoll/async/loop.hpp"
#include "plimsoll/client/attempt.hpp"
#include "plimsoll/net/transport.hpp"

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::client {

struct CallState;

/// One HTTP/1.1 connection to another server: one request at a time. The answer is read while the request is being
/// sent, because a server may refuse a body that it has not read.
class Connection final : public Attempt {
 public:
  Connection(Loop& loop, std::unique_ptr<net::Transport> transport);
  ~Connection() override;

  /// Sends the request and receives the head of its answer. `state` gives the limits, and is told how far it came.
  /// Errors: `internal` (it cannot be sent, and nothing was), `network`, `bad-answer`, `deadline-exceeded`, and
  /// whatever `rest` fails with (`body_failed`).
  Task<Result<>> exchange(const Outgoing& request, CallState& state);

  Task<Result<std::string_view>> piece() override;
  void unbounded(bool idle) noexcept override {
    if (idle) idle_ = 0;
    until_ = kNever;
  }

  std::uint16_t head(Headers& fields) override;
  std::string_view short_body(std::size_t most) override;
  std::unique_ptr<net::Channel> channel(std::unique_ptr<Attempt>) override { return std::move(transport_); }
  /// Bytes that were read behind the answer, until it is used again.
  std::string_view unread() const noexcept;
  std::vector<std::pair<std::string, std::string>> take_trailers() override;
  bool whole() const noexcept override;
  Connection* connection() noexcept override { return this; }
  /// Some of an answer came, so that the request must not be sent again.
  bool begun() const noexcept;
  bool body_failed() const noexcept override { return body_failed_; }
  bool written() const noexcept override { return sent_; }
  /// The request was sent and its answer read to the end; another can follow.
  bool reusable() const noexcept;
  /// Whether an idle connection can still be used, as far as the loop has been told; `ask`: as the system knows now, by
  /// a call.
  bool open(bool ask) noexcept;
  /// While nobody uses it, it has no buffers.
  void rest() noexcept;

  Nanoseconds idle_until = 0;  ///< of the loop's clock, while nobody uses it

 private:
  struct Buffers;
  struct SpareBuffers;
  ResponseReader& reader() const noexcept;
  std::array<iovec, 2> known_pieces(const Outgoing& request);
  Task<Result<>> send(const Outgoing& request, std::span<iovec> begun);
  Task<Result<>> send_rest(const Outgoing& request);
  Task<Result<>> write(std::span<iovec> pieces);
  /// Writes as much of them as the socket takes, and leaves the rest in `pieces`; what has to be waited for to go on.
  Result<net::Want> push(std::span<iovec>& pieces);
  /// Reads the head of the answer as far as it has come; true: `head_` says how that has ended.
  bool read_head();
  Task<> watch_head();
  /// Reads once more into the buffer, which is empty.
  net::Moved fill() noexcept;
  class InTime;
  /// A wait for `want`, until that instant at most: an error where it is late, or the line of work is to stop.
  InTime in_time(net::Want want, Nanoseconds until);

  Loop& loop_;
  std::unique_ptr<net::Transport> transport_;
  std::optional<Result<>> head_;  ///< how reading the head ended
  InterimTaker* interim_ = nullptr;
  std::unique_ptr<Buffers> buffers_;  ///< null: nobody uses it
  std::size_t at_ = 0, filled_ = 0;
  net::Want wants_ = net::Want::nothing;  ///< what has to be waited for before the buffer is filled again
  Nanoseconds idle_ = 0, until_ = kNever;
  bool sent_ = false, body_failed_ = false;
  Event continued_;
};

}  // namespace plimsoll::client
