#include "plimsoll/client/wire.hpp"

#include "plimsoll/client/timeout.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/negotiate.hpp"

#include <algorithm>
#include <optional>

namespace plimsoll::client {
namespace {

/// A body of known length up to this is sent together with the head, and can be sent again.
constexpr std::uint64_t kHeld = 64 * 1024;

bool is_any(std::string_view name, std::span<const std::string_view> names) {
  return std::ranges::any_of(names, [&](auto each) { return same_as_lower(name, each); });
}

/// What frames the request or belongs to one connection (RFC 9110, section 7.6.1): made here, never passed on.
bool is_made_here(std::string_view name) {
  static constexpr std::string_view names[] = {
      "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"};
  return is_any(name, names);
}

/// Methods whose effect is the same once or twice (RFC 9110, section 9.2.2), or a key by which the server can tell.
bool is_repeatable(const Request& request) {
  constexpr std::string_view methods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
  return std::ranges::find(methods, request.method) != std::end(methods) || request.headers.contains("idempotency-key");
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; });
}

/// Request line and fields, without the fields that frame the body and without the empty line.
Result<std::string> head_text(const Request& request, const Url& url) {
  if (!is_token(request.method)) return fail(kInternal, "no method: " + std::string(request.method));
  if (has_control(request.target) || request.target.contains(' ') || request.target.contains('#'))
    return fail(kInternal, "a target that cannot be sent");
  std::string text(request.method);
  text += ' ';
  if (request.target.empty()) {
    text += url.target;
  } else {
    auto base = std::string_view(url.target).substr(0, url.target.find('?'));
    while (base.ends_with('/')) base.remove_suffix(1);
    text.append(base).append(request.target);
  }
  text.append(" HTTP/1.1\r\nhost: ").append(url.authority).append("\r\n");
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
class AnswerBody final : public Stream {
 public:
  AnswerBody(Connections& connections, std::shared_ptr<const Peer> peer, std::unique_ptr<Connection> connection)
      : connections_(connections), peer_(std::move(peer)), connection_(std::move(connection)) {}

  Task<Result<Bytes>> read() override {
    if (failed_) co_return std::unexpected(*failed_);
    if (!connection_) co_return Bytes{};
    auto piece = co_await connection_->piece();
    if (!piece) {
      connection_.reset();
      failed_ = unreachable(peer_->url, std::move(piece).error());
      co_return std::unexpected(*failed_);
    }
    if (piece->empty()) connections_.give(*peer_, std::move(connection_));
    co_return as_bytes(*piece);
  }

 private:
  Connections& connections_;
  const std::shared_ptr<const Peer> peer_;
  std::unique_ptr<Connection> connection_;
  std::optional<Error> failed_;
};

}  // namespace

Task<Result<Response>> Wire::handle(Request& request, Context& context) {
  const auto* noted = context.noted<CallLimits>();
  const auto limits = noted ? *noted : CallLimits{};
  const auto peer = peer_;
  auto head = head_text(request, peer->url);
  if (!head) co_return std::unexpected(std::move(head).error());
  Outgoing out{.head = {}, .head_request = request.method == "HEAD"};
  std::string held;
  if (request.body && request.content_length && *request.content_length <= kHeld) {
    while (held.size() <= *request.content_length) {
      auto piece = co_await request.body->read();
      if (!piece) co_return std::unexpected(std::move(piece).error());
      if (piece->empty()) break;
      held += as_text(*piece);
    }
    if (held.size() != *request.content_length)
      co_return fail(kInternal, "the body of a request is not as long as was told");
    out.body = held;
  } else if (request.body) {
    out.rest = request.body;
    out.chunked = !request.content_length;
    out.rest_size = request.content_length.value_or(0);
  }
  const bool has_body = request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (out.chunked)
    head->append("transfer-encoding: chunked\r\n");
  else if (request.body || has_body)
    head->append("content-length: ").append(std::to_string(held.size() + out.rest_size)).append("\r\n");
  head->append("\r\n");
  out.head = *head;

  auto& connections = context.loop.own<Connections>();
  // A body that comes as a stream is gone once it is read.
  const bool repeatable = !out.rest && is_repeatable(request);
  auto begun = co_await connections.begin(*peer, out, limits.timeouts, limits.until, repeatable);
  if (!begun) co_return std::unexpected(std::move(begun).error());
  auto& connection = *begun;
  const auto answer = connection->take_head();
  Response response{.status = answer.status, .headers = Headers{context.arena}};
  for (const auto& [name, value] : answer.headers)
    response.headers.add(context.arena.keep(name), context.arena.keep(value));
  if (limits.timeouts.endless_events && http::essence(response.headers.find("content-type")) == "text/event-stream")
    connection->endless();
  if (connection->response().whole())
    connections.give(*peer, std::move(connection));
  else
    response.body = &context.arena.make<AnswerBody>(connections, peer, std::move(connection));
  co_return response;
}

}  // namespace plimsoll::client
