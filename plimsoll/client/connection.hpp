#pragma once

#include "plimsoll/async/event.hpp"
#include "plimsoll/async/loop.hpp"
#include "plimsoll/client/attempt.hpp"
#include "plimsoll/net/transport.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::client {

/// One HTTP/1.1 connection to another server: one request at a time. The answer is read while the request is being
/// sent, because a server may refuse a body that it has not read.
class Connection final : public Attempt {
 public:
  Connection(Loop& loop, std::unique_ptr<net::Transport> transport);

  /// Sends the request and receives the head of its answer. `until`: an instant of the loop's clock, for all of the
  /// call. Errors: `network`, `bad-answer`, `deadline-exceeded`, and whatever `rest` fails with (`body_failed`).
  Task<Result<>> exchange(const Outgoing& request, const Timeouts& timeouts, Nanoseconds until);

  Task<Result<std::string_view>> piece() override;
  void unbounded(bool idle) noexcept override {
    if (idle) idle_ = 0;
    until_ = kNever;
  }

  Answer take_head() override { return reader_->take(); }
  std::unique_ptr<net::Channel> channel(std::unique_ptr<Attempt>) override { return std::move(transport_); }
  /// Bytes that were read behind the answer, until it is used again.
  std::string_view unread() const noexcept { return {buffer_.get() + at_, filled_ - at_}; }
  std::vector<std::pair<std::string, std::string>> take_trailers() override { return reader_->take_trailers(); }
  bool whole() const noexcept override { return reader_->whole(); }
  Connection* connection() noexcept override { return this; }
  /// Some of an answer came, so that the request must not be sent again.
  bool begun() const noexcept { return reader_ && reader_->begun(); }
  bool body_failed() const noexcept override { return body_failed_; }
  bool written() const noexcept override { return sent_; }
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
  InterimTaker* interim_ = nullptr;
  std::unique_ptr<char[]> buffer_;
  std::size_t at_ = 0, filled_ = 0;
  Nanoseconds idle_ = 0, until_ = kNever;
  bool sent_ = false, body_failed_ = false;
  Event continued_;
};

}  // namespace plimsoll::client
