#include "plimsoll/client/wire.hpp"

#include "plimsoll/client/failure.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/sent_once.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_name.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/http/websocket.hpp"

#include <algorithm>
#include <optional>

namespace plimsoll::client {
namespace {

/// A body of known length up to this is sent together with the head, and can be sent again.
constexpr std::uint64_t kHeld = 64 * 1024;

/// What frames the request or belongs to one connection (RFC 9110, section 7.6.1): made here, never passed on, in any
/// spelling that a server may take for it.
bool is_made_here(std::string_view name) {
  static constexpr std::string_view names[] = {
      "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"};
  return std::ranges::any_of(names, [&](auto each) { return same_variable(name, each); });
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; });
}

/// Request line and fields, without the fields that frame the body and without the empty line.
Result<std::string> head_text(const Request& request, const Url& url) {
  if (!is_token(request.method)) return fail(kInternal, "no method: " + std::string(request.method));
  if (has_control(request.target) || request.target.contains(' ') || request.target.contains('#'))
    return fail(kInternal, "a target that cannot be sent");
  const std::string_view host = request.authority.empty() ? url.authority : request.authority;
  if (has_control(host) || host.contains(' ')) return fail(kInternal, "a host that cannot be sent");
  std::string text(request.method);
  text.append(" ").append(target_text(request, url)).append(" HTTP/1.1\r\nhost: ").append(host).append("\r\n");
  for (const auto& [name, value] : request.headers) {
    if (is_made_here(name)) continue;
    if (!is_token(name) || find_control(value.data(), 0, value.size()) != value.size())
      return fail(kInternal, "a header that cannot be sent: " + std::string(name));
    text.append(name).append(": ").append(value).append("\r\n");
  }
  return text;
}

/// The body of an answer while it is read: then its connection is given back. A body that is not read to its end takes
/// its connection along.
class AnswerBody final : public Stream, public Abandonable {
 public:
  AnswerBody(Connections& connections, std::shared_ptr<const Peer> peer, std::unique_ptr<Connection> connection,
             CallState& state)
      : connections_(connections), peer_(std::move(peer)), connection_(std::move(connection)), state_(state) {}

  Task<Result<Bytes>> read() override {
    if (failed_) co_return std::unexpected(*failed_);
    if (!connection_) co_return Bytes{};
    auto piece = co_await connection_->piece();
    if (!piece) {
      connection_.reset();
      state_.finished();
      failed_ = unreachable(peer_->url, std::move(piece).error());
      if (failed_->problem == &kDeadlineExceeded && !failed_->more_)
        failed_ =
            std::move(*failed_).because(peer_->url.authority + ": the rest of the answer's body did not come within " +
                                        std::to_string(state_.timeouts.idle / kMillisecond) + " ms");
      co_return std::unexpected(*failed_);
    }
    if (piece->empty()) {
      connections_.give(*peer_, std::move(connection_));
      state_.finished();
    }
    co_return as_bytes(*piece);
  }

  Task<> drain(std::size_t most) override {
    for (std::size_t taken = 0; connection_ && taken <= most;) {
      const auto piece = co_await read();
      if (!piece || piece->empty()) break;
      taken += piece->size();
    }
  }
  void abandon() noexcept override { connection_.reset(); }
  Switched take_over() override {
    Switched taken{.transport = nullptr};
    if (!connection_) return taken;
    taken.early = connection_->unread();
    taken.transport = connection_->release();
    taken.at_target = std::move(state_.at_target);
    connection_.reset();
    state_.finished();
    return taken;
  }

 private:
  Connections& connections_;
  const std::shared_ptr<const Peer> peer_;
  std::unique_ptr<Connection> connection_;
  CallState& state_;
  std::optional<Error> failed_;
};

}  // namespace

std::string target_text(const Request& request, const Url& url) {
  if (request.target.empty()) return url.target;
  auto base = std::string_view(url.target).substr(0, url.target.find('?'));
  while (base.ends_with('/')) base.remove_suffix(1);
  return std::string(base).append(request.target);
}

Task<Result<>> hold_body(Request& request, Context& context) {
  auto& state = call_state(request, context);
  if (!request.body || state.held || !request.content_length || *request.content_length > kHeld) co_return Result<>{};
  std::string read;
  while (read.size() <= *request.content_length) {
    auto piece = co_await request.body->read();
    if (!piece) {
      state.body_failed = true;
      co_return std::unexpected(std::move(piece).error());
    }
    if (piece->empty()) break;
    read += as_text(*piece);
  }
  if (read.size() != *request.content_length) {
    state.body_failed = true;
    co_return fail(kInternal, "the body of a request does not have its declared length");
  }
  state.held = context.keep<std::string>(std::move(read));
  co_return Result<>{};
}

Task<Result<Response>> Wire::handle(Request& request, Context& context) {
  auto& state = call_state(request, context);
  // With the body of the answer, which may be read when the service that was called has gone.
  const std::shared_ptr<const Peer> peer{peers_, &(*peers_)[state.target]};
  auto head = head_text(request, peer->url);
  if (!head) co_return std::unexpected(std::move(head).error());
  const bool upgrade = !state.websocket_key.empty();
  Outgoing out{.head = {}, .head_request = request.method == "HEAD", .upgrade = upgrade};
  auto kept = co_await hold_body(request, context);
  if (!kept) co_return std::unexpected(std::move(kept).error());
  if (state.held) {
    out.body = *state.held;
  } else if (request.body) {
    out.rest = request.body;
    out.chunked = !request.content_length;
    out.rest_size = request.content_length.value_or(0);
  }
  const bool has_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (out.chunked)
    head->append("transfer-encoding: chunked\r\n");
  else if (state.held || request.body || has_body)
    head->append("content-length: ").append(std::to_string(out.body.size() + out.rest_size)).append("\r\n");
  if (upgrade) head->append("connection: upgrade\r\nupgrade: websocket\r\n");
  head->append("\r\n");
  out.head = *head;

  auto& connections = context.loop.own<Connections>();
  // A body that comes as a stream is gone once it is read.
  const bool repeatable = !out.rest && is_repeatable(request, state);
  auto begun = co_await connections.begin(*peer, out, state, repeatable);
  if (out.rest && state.connected) state.spent = true;
  if (!begun) co_return std::unexpected(std::move(begun).error());
  auto& connection = *begun;
  const auto answer = connection->take_head();
  if (says_nothing_done(answer.status)) state.nothing_done();
  Response response{.status = answer.status, .headers = Headers{context.arena}};
  for (const auto& [name, value] : answer.headers) response.headers.add(name, value);
  const bool switched = upgrade && answer.status == 101;
  if (switched) {
    const http::WebSocketAnswer said{.upgrade = response.headers.joined("upgrade"),
                                     .connection = response.headers.joined("connection"),
                                     .accept = response.headers.joined("sec-websocket-accept")};
    if (const auto why = http::refusal_of(said, state.websocket_key); !why.empty())
      co_return fail(kBadAnswer, std::string(why));
  }
  if (state.timeouts.passed_on)
    connection->unbounded(http::essence(response.headers.find("content-type")) == "text/event-stream");
  if (connection->response().whole() && !switched) {
    connections.give(*peer, std::move(connection));
  } else {
    auto& body = context.arena.make<AnswerBody>(connections, peer, std::move(connection), state);
    state.answer = &body;
    response.body = lasting(body);
  }
  co_return response;
}

}  // namespace plimsoll::client
