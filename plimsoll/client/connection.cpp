#include "plimsoll/client/connection.hpp"

#include "plimsoll/async/watched.hpp"
#include "plimsoll/base/spares.hpp"
#include "plimsoll/client/call_state.hpp"
#include "plimsoll/http/h1_response.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace plimsoll::client {
namespace {

[[gnu::cold]] std::unexpected<Error> broken(int error) {
  return fail(net::kNetwork, std::generic_category().message(error));
}

/// What stands before a chunk of so many bytes.
std::string chunk_line(std::size_t size) {
  char text[20];
  return {text, h1::chunk_line(text, size)};
}

iovec piece_of(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

}  // namespace

/// What a connection holds while it has a call.
struct Connection::Buffers {
  h1::Outbox out{};  ///< the head of the request
  ResponseReader reader{};
  char in[16 * 1024];
};
/// Those of a thread that no connection holds.
struct Connection::SpareBuffers : Spares<Buffers> {
  explicit SpareBuffers(Loop&) : Spares(64) {}
};

class Connection::InTime {
 public:
  InTime(net::Transport& transport, net::Want want, Nanoseconds left)
      : wait_(transport.wait(want, left)), left_(left) {}
  bool await_ready() const noexcept { return left_ < 0 || wait_.await_ready(); }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> waiting) noexcept {
    scope_ = waiting.promise().scope;
    return wait_.await_suspend(waiting);
  }
  Result<> await_resume() const {
    const auto woken = left_ < 0 ? Wake::late : wait_.await_resume();
    if (woken == Wake::ready) return {};
    return std::unexpected(error_of(woken == Wake::late ? Stop::deadline : scope_->stopped()));
  }

 private:
  Readiness::Wait wait_;
  Nanoseconds left_;  ///< 0: no limit
  Scope* scope_ = nullptr;
};
Connection::InTime Connection::in_time(net::Want want, Nanoseconds until) {
  if (until == kNever) return {*transport_, want, 0};
  const auto left = until - loop_.now();
  return {*transport_, want, left > 0 ? left : -1};
}

Connection::Connection(Loop& loop, std::unique_ptr<net::Transport> transport)
    : loop_(loop), transport_(std::move(transport)), continued_(loop) {}
Connection::~Connection() { rest(); }

ResponseReader& Connection::reader() const noexcept { return buffers_->reader; }
std::string_view Connection::unread() const noexcept { return {buffers_->in + at_, filled_ - at_}; }
bool Connection::whole() const noexcept { return reader().whole(); }
bool Connection::begun() const noexcept { return buffers_ && reader().begun(); }
bool Connection::reusable() const noexcept { return sent_ && buffers_ && reader().reusable() && at_ == filled_; }

std::uint16_t Connection::head(Headers& fields) {
  reader().put_fields(fields);
  return reader().status();
}

std::vector<std::pair<std::string, std::string>> Connection::take_trailers() { return reader().take_trailers(); }

Task<Result<>> Connection::exchange(const Outgoing& request, CallState& state) {
  if (!buffers_) buffers_ = loop_.own<SpareBuffers>().take();
  buffers_->out.clear();
  if (auto written = write_http1_head(buffers_->out, request); !written) [[unlikely]]
    co_return written;
  const Progress progress{state, *this};
  reader().begin(request.method == "HEAD", request.upgrade);
  interim_ = request.interim;
  head_.reset();
  continued_.forget();
  sent_ = body_failed_ = false;
  at_ = filled_ = 0;
  idle_ = state.timeouts.idle;
  until_ = state.until;
  auto pieces = known_pieces(request);
  std::span<iovec> left(pieces);
  Result<> sent;
  if (auto pushed = push(left); !pushed) [[unlikely]]
    sent = std::unexpected(std::move(pushed).error());
  else if (!left.empty() || request.rest)
    sent = co_await watched(send(request, left), watch_head(), Stop::lost_race);
  sent_ = sent.has_value();
  if (body_failed_) [[unlikely]]
    co_return std::unexpected(std::move(sent).error());
  if (!head_) {
    // Told to stop, or too late; a connection that broke may have brought an answer before.
    if (!sent && sent.error().problem != &net::kNetwork) [[unlikely]]
      co_return std::unexpected(std::move(sent).error());
    const auto head_until = std::min(until_, loop_.now() + state.timeouts.first_byte);
    while (!read_head()) {  // without a coroutine of its own: each request comes here
      auto ready = co_await in_time(wants_, head_until);
      if (!ready) [[unlikely]]
        head_ = std::move(ready);
    }
  }
  // A broken connection is told as it was first seen.
  if (!*head_ && !begun() && !sent && sent.error().problem == &net::kNetwork) [[unlikely]]
    co_return sent;
  co_return std::move(*head_);
}

/// The head, which is written, and what is known of the body.
std::array<iovec, 2> Connection::known_pieces(const Outgoing& request) {
  auto& out = buffers_->out;
  if (request.rest || !request.chunked()) return {piece_of(out.text()), piece_of(request.body)};
  if (!request.body.empty()) {
    out.append(chunk_line(request.body.size()));
    out.append(request.body);
    out.append("\r\n");
  }
  out.append(http1_last_chunk(request));
  return {piece_of(out.text()), {}};
}

Task<> Connection::watch_head() {
  while (!read_head()) {
    auto ready = co_await in_time(wants_, until_);
    const Scope* scope = co_await this_scope();
    if (!ready && scope->stopped() == Stop::none) head_ = std::move(ready);
    if (!ready) co_return;
  }
}

bool Connection::read_head() {
  while (!head_ && !reader().head_complete()) {
    if (at_ == filled_) {
      const auto moved = fill();
      if (moved.want != net::Want::nothing) return false;
      if (moved.failed())
        head_ = broken(moved.error);
      else if (moved.ended && !reader().begun())
        head_ = fail(net::kNetwork, "the connection ended");
      else if (moved.ended)
        head_ = reader().end();
      continue;
    }
    auto step = reader().read(unread());
    if (!step) {
      head_ = std::unexpected(std::move(step).error());
      break;
    }
    at_ += step->consumed;
    if (reader().continued()) continued_.happen();
    for (auto& answer : reader().take_interim())
      if (interim_) interim_->interim(std::move(answer));
  }
  if (!head_) head_.emplace();
  return true;
}

Task<Result<std::string_view>> Connection::piece() {
  while (!reader().whole()) {
    if (at_ == filled_) {
      const auto moved = fill();
      if (moved.failed()) co_return broken(moved.error);
      if (moved.ended) {
        if (auto ended = reader().end(); !ended) co_return std::unexpected(std::move(ended).error());
        break;
      }
      if (moved.want != net::Want::nothing) {
        auto ready = co_await in_time(wants_, idle_ ? std::min(until_, loop_.now() + idle_) : until_);
        if (!ready) co_return std::unexpected(std::move(ready).error());
        continue;
      }
    }
    auto step = reader().read(unread());
    if (!step) co_return std::unexpected(std::move(step).error());
    at_ += step->consumed;
    if (!step->data.empty()) co_return step->data;
  }
  co_return std::string_view{};
}

net::Moved Connection::fill() noexcept {
  const auto moved = transport_->read(buffers_->in);
  at_ = 0;
  filled_ = moved.bytes;
  wants_ = moved.want;
  return moved;
}

/// What is left of the head and of the body that is known, and the rest of the body.
Task<Result<>> Connection::send(const Outgoing& request, std::span<iovec> begun) {
  auto written = co_await write(begun);
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
    const auto want = push(pieces);
    if (!want) co_return std::unexpected(want.error());
    if (*want == net::Want::nothing) co_return Result<>{};
    auto ready = co_await in_time(*want, std::min(until_, loop_.now() + idle_));
    if (!ready) co_return ready;
  }
}

Result<net::Want> Connection::push(std::span<iovec>& pieces) {
  for (;;) {
    while (!pieces.empty() && pieces.front().iov_len == 0) pieces = pieces.subspan(1);
    while (!pieces.empty() && pieces.back().iov_len == 0) pieces = pieces.first(pieces.size() - 1);
    if (pieces.empty()) return net::Want::nothing;
    const auto moved = transport_->write(pieces);
    if (moved.failed()) return broken(moved.error);
    if (moved.want != net::Want::nothing) return moved.want;
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

std::string_view Connection::short_body(std::size_t most) {
  const auto length = reader().content_length();
  if (whole() || !length || *length > std::min(most, unread().size())) return {};
  const auto step = reader().read(unread());
  at_ += step->consumed;
  return step->data;
}

/// The other side has neither closed it nor said something that nobody asked for. In TLS something may stand there that
/// is no answer (a ticket for resumption).
bool Connection::open(bool ask) noexcept {
  if (!ask && !transport_->descriptor().can_read()) return true;
  char byte = 0;
  const auto got = ::recv(transport_->descriptor().get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 ? errno == EAGAIN || errno == EWOULDBLOCK : got > 0 && transport_->secure();
}

void Connection::rest() noexcept {
  if (buffers_) loop_.own<SpareBuffers>().give(std::move(buffers_));
  head_.reset();
}

}  // namespace plimsoll::client
