#include "plimsoll/client/connection.hpp"

#include "plimsoll/async/watched.hpp"
#include "plimsoll/http/h1_response.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace plimsoll::client {
namespace {

constexpr std::size_t kBuffer = 16 * 1024;

std::unexpected<Error> broken(int error) { return fail(net::kNetwork, std::generic_category().message(error)); }

/// What stands before a chunk of so many bytes.
std::string chunk_line(std::size_t size) {
  char text[20];
  return {text, h1::chunk_line(text, size)};
}

iovec piece_of(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

}  // namespace

Connection::Connection(Loop& loop, std::unique_ptr<net::Transport> transport)
    : loop_(loop), transport_(std::move(transport)), continued_(loop) {}

Task<Result<>> Connection::exchange(const Outgoing& request, const Timeouts& timeouts, Nanoseconds until) {
  reader_.emplace(request.method == "HEAD", request.upgrade);
  interim_ = request.interim;
  head_.reset();
  continued_.forget();
  sent_ = body_failed_ = false;
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(kBuffer);
  at_ = filled_ = 0;
  idle_ = timeouts.idle;
  until_ = until;
  auto sent = co_await watched(send(request), watch_head(), Stop::lost_race);
  sent_ = sent.has_value();
  if (body_failed_) co_return std::unexpected(std::move(sent).error());
  if (!head_) {
    // Told to stop, or too late; a connection that broke may have brought an answer before.
    if (!sent && sent.error().problem != &net::kNetwork) co_return std::unexpected(std::move(sent).error());
    head_ = co_await receive_head(std::min(until, loop_.now() + timeouts.first_byte));
  }
  // A broken connection is told as it was first seen.
  if (!*head_ && !begun() && !sent && sent.error().problem == &net::kNetwork) co_return sent;
  co_return std::move(*head_);
}

Task<> Connection::watch_head() {
  auto read = co_await receive_head(until_);
  const Scope* scope = co_await this_scope();
  if (read || scope->stopped() == Stop::none) head_ = std::move(read);
}

Task<Result<>> Connection::receive_head(Nanoseconds until) {
  while (!reader_->head_complete()) {
    if (at_ == filled_) {
      auto more = co_await fill(until);
      if (!more) co_return std::unexpected(std::move(more).error());
      if (!*more) {
        if (!reader_->begun()) co_return fail(net::kNetwork, "the connection ended");
        co_return reader_->end();
      }
    }
    auto step = reader_->read({buffer_.get() + at_, filled_ - at_});
    if (!step) co_return std::unexpected(std::move(step).error());
    at_ += step->consumed;
    if (reader_->continued()) continued_.happen();
    for (auto& answer : reader_->take_interim())
      if (interim_) interim_->interim(std::move(answer));
  }
  co_return Result<>{};
}

Task<Result<std::string_view>> Connection::piece() {
  while (!reader_->whole()) {
    if (at_ == filled_) {
      auto more = co_await fill(idle_ ? std::min(until_, loop_.now() + idle_) : until_);
      if (!more) co_return std::unexpected(std::move(more).error());
      if (!*more) {
        if (auto ended = reader_->end(); !ended) co_return std::unexpected(std::move(ended).error());
        break;
      }
    }
    auto step = reader_->read({buffer_.get() + at_, filled_ - at_});
    if (!step) co_return std::unexpected(std::move(step).error());
    at_ += step->consumed;
    if (!step->data.empty()) co_return step->data;
  }
  co_return std::string_view{};
}

Task<Result<bool>> Connection::fill(Nanoseconds until) {
  at_ = filled_ = 0;
  for (;;) {
    const auto moved = transport_->read({buffer_.get(), kBuffer});
    if (moved.failed()) co_return broken(moved.error);
    if (moved.ended) co_return false;
    if (moved.bytes > 0) {
      filled_ = moved.bytes;
      co_return true;
    }
    const auto left = until == kNever ? 0 : until - loop_.now();
    if (until != kNever && left <= 0) co_return std::unexpected(error_of(Stop::deadline));
    const auto woken = co_await transport_->wait(moved.want, left);
    if (woken == Wake::late) co_return std::unexpected(error_of(Stop::deadline));
    if (woken == Wake::stopped) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    }
  }
}

Task<Result<>> Connection::send(const Outgoing& request) {
  const auto head = http1_head(request);
  if (!request.rest && request.chunked()) {
    auto text = head;
    if (!request.body.empty()) text.append(chunk_line(request.body.size())).append(request.body).append("\r\n");
    text += http1_last_chunk(request);
    std::array<iovec, 1> all{piece_of(text)};
    auto done = co_await write(all);
    co_return done;
  }
  std::array<iovec, 2> pieces{piece_of(head), piece_of(request.body)};
  auto written = co_await write(pieces);
  if (!written || !request.rest) co_return written;
  if (request.expects) {
    const auto woken = co_await continued_.within(kContinue);
    if (woken == Wake::stopped) {
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    }
  }
  auto rest = co_await send_rest(request);
  co_return rest;
}

Task<Result<>> Connection::send_rest(const Outgoing& request) {
  for (auto left = request.rest_size;;) {
    auto read = co_await request.rest->read();
    if (!read) {
      const Scope* scope = co_await this_scope();
      body_failed_ = !scope || scope->stopped() == Stop::none;
      co_return std::unexpected(std::move(read).error());
    }
    const auto text = as_text(*read);
    if (!request.unknown_length && (text.size() > left || (text.empty() && left > 0))) {
      body_failed_ = true;
      co_return fail(kInternal, "the body of a request does not have its declared length");
    }
    if (!request.unknown_length) left -= text.size();
    if (text.empty() && !request.chunked()) co_return Result<>{};
    const auto before = !request.chunked() ? std::string{}
                        : text.empty()     ? http1_last_chunk(request)
                                           : chunk_line(text.size());
    std::array<iovec, 3> pieces{piece_of(before), piece_of(text),
                                piece_of(request.chunked() && !text.empty() ? "\r\n" : "")};
    auto written = co_await write(pieces);
    if (!written || text.empty()) co_return written;
  }
}

Task<Result<>> Connection::write(std::span<iovec> pieces) {
  for (;;) {
    while (!pieces.empty() && pieces.front().iov_len == 0) pieces = pieces.subspan(1);
    if (pieces.empty()) co_return Result<>{};
    const auto moved = transport_->write(pieces);
    if (moved.failed()) co_return broken(moved.error);
    if (moved.want != net::Want::nothing) {
      const auto left = std::min(idle_, until_ - loop_.now());
      if (left <= 0) co_return std::unexpected(error_of(Stop::deadline));
      const auto woken = co_await transport_->wait(moved.want, left);
      if (woken == Wake::late) co_return std::unexpected(error_of(Stop::deadline));
      if (woken == Wake::stopped) {
        const Scope* scope = co_await this_scope();
        co_return std::unexpected(error_of(scope->stopped()));
      }
      continue;
    }
    for (auto taken = moved.bytes; taken > 0;) {
      auto& first = pieces.front();
      const auto part = std::min(taken, first.iov_len);
      first.iov_base = static_cast<char*>(first.iov_base) + part;
      first.iov_len -= part;
      taken -= part;
      if (first.iov_len == 0) pieces = pieces.subspan(1);
    }
  }
}

/// The other side has neither closed it nor said something that nobody asked for. In TLS something may stand there that
/// is no answer (a ticket for resumption).
bool Connection::open() const noexcept {
  char byte = 0;
  const auto got = ::recv(transport_->descriptor().get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 ? errno == EAGAIN || errno == EWOULDBLOCK : got > 0 && transport_->secure();
}

void Connection::rest() noexcept {
  buffer_.reset();
  reader_.reset();
  head_.reset();
}

}  // namespace plimsoll::client
