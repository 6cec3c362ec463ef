#include "plimsoll/client/client.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/client/connection.hpp"
#include "plimsoll/client/pool.hpp"
#include "plimsoll/net/dial.hpp"
#include "plimsoll/net/resolver.hpp"
#include "plimsoll/net/tls_client.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::client {
namespace {

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; });
}

/// Request line and fields.
Result<std::string> head_text(const Call& call, const Url& url) {
  if (call.method.empty() || has_control(call.method) || call.method.find(' ') != call.method.npos)
    return fail(kInternal, "no method: " + call.method);
  std::string text = call.method + ' ' + url.target + " HTTP/1.1\r\nhost: " + url.authority + "\r\n";
  for (auto& [name, value] : call.headers) {
    if (name.empty() || has_control(name) || has_control(value) || name.find_first_of(" :") != name.npos)
      return fail(kInternal, "a header that cannot be sent: " + name);
    text += name + ": " + value + "\r\n";
  }
  if (!call.body.empty() || call.method == "POST" || call.method == "PUT" || call.method == "PATCH")
    text += "content-length: " + std::to_string(call.body.size()) + "\r\n";
  return text + "\r\n";
}

Error unreachable(const Url& url, Error error) {
  if (error.problem != &net::kNetwork && error.problem != &net::kNameNotResolved) return error;
  return Error{&kUnreachable, url.authority + ": " + error.detail};
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  Url url;
  auto rest = text;
  if (rest.starts_with("http://"))
    rest.remove_prefix(7);
  else if (rest.starts_with("https://"))
    rest.remove_prefix(8), url.tls = true;
  else
    return fail(kBadUrl, "`" + std::string(text) + "` begins with neither http:// nor https://");
  if (has_control(text) || text.find(' ') != text.npos || text.find('#') != text.npos)
    return fail(kBadUrl, "`" + std::string(text) + "` holds a blank, a control or a fragment");
  const auto slash = std::min(rest.find('/'), rest.find('?'));
  url.authority = rest.substr(0, slash);
  url.target = slash == rest.npos ? "/" : std::string(rest.substr(slash));
  if (url.target.starts_with('?')) url.target.insert(0, "/");
  std::string_view authority = url.authority;
  if (authority.find('@') != authority.npos) return fail(kBadUrl, "credentials in a URL are not sent");
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto close = authority.find(']');
    if (close == authority.npos) return fail(kBadUrl, "no ] in `" + std::string(text) + "`");
    url.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    port = colon == authority.npos ? std::string_view{} : authority.substr(colon);
  }
  url.port = url.tls ? "443" : "80";
  if (!port.empty()) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    if (port[0] != ':' || port.size() < 2 || error != std::errc{} || end != port.data() + port.size() || number == 0 ||
        number > 65535)
      return fail(kBadUrl, "no port in `" + std::string(text) + "`");
    url.port = std::to_string(number);
  }
  if (url.host.empty()) return fail(kBadUrl, "no host in `" + std::string(text) + "`");
  return url;
}

struct Client::State {
  State(Loop& on, ClientOptions how) : loop(on), options(std::move(how)), pool(on, options.idle, options.idle_for) {}

  Loop& loop;
  const ClientOptions options;
  std::shared_ptr<net::TlsClient> tls;
  Pool pool;

  static std::string origin(const Url& url) { return (url.tls ? "https " : "http ") + url.host + ' ' + url.port; }

  Task<Result<std::unique_ptr<Connection>>> connect(const Url& url, Nanoseconds until) {
    if (url.tls && !tls) {
      auto loaded = net::TlsClient::load({.authorities = options.authorities, .protocols = {"http/1.1"}});
      if (!loaded) co_return std::unexpected(std::move(loaded).error());
      tls = std::move(*loaded);
    }
    auto addresses = co_await net::system_resolver()->resolve(loop, url.host);
    if (!addresses) co_return std::unexpected(std::move(addresses).error());
    std::uint16_t port = 0;
    std::from_chars(url.port.data(), url.port.data() + url.port.size(), port);
    auto socket = co_await net::dial(loop, std::move(*addresses), port);
    if (!socket) co_return std::unexpected(std::move(socket).error());
    auto transport =
        url.tls ? tls->transport(loop, socket->release(), url.host) : net::clear_transport(loop, socket->release());
    auto opened = co_await transport->open(until - loop.now());
    if (!opened) co_return std::unexpected(std::move(opened).error());
    co_return std::make_unique<Connection>(loop, std::move(transport));
  }

  /// A connection on which the head of the answer has come.
  Task<Result<std::unique_ptr<Connection>>> begin(const Url& url, const Outgoing& request, const Timeouts& timeouts,
                                                  Nanoseconds until, bool repeatable) {
    if (auto kept = pool.take(origin(url))) {
      auto done = co_await kept->exchange(request, timeouts, until);
      if (done) co_return kept;
      // The server may have closed it before it saw the request.
      const bool closed = !kept->begun() && !kept->body_failed() && done.error().problem == &net::kNetwork;
      if (!closed || !repeatable) co_return std::unexpected(unreachable(url, std::move(done).error()));
    }
    auto connection = co_await within(loop, timeouts.connect, connect(url, loop.now() + timeouts.connect));
    if (!connection) co_return std::unexpected(unreachable(url, std::move(connection).error()));
    auto done = co_await (*connection)->exchange(request, timeouts, until);
    if (!done) co_return std::unexpected(unreachable(url, std::move(done).error()));
    co_return connection;
  }

  Task<Result<Answer>> whole(const Call& call, const Url& url, std::string_view head) {
    const Timeouts timeouts{
        .connect = call.connect, .first_byte = call.first_byte, .idle = call.total, .total = call.total};
    const Outgoing request{.head = head, .body = call.body, .head_request = call.method == "HEAD"};
    auto connection = co_await begin(url, request, timeouts, loop.now() + call.total, call.repeatable);
    if (!connection) co_return std::unexpected(std::move(connection).error());
    auto answer = (*connection)->take_head();
    const auto length = (*connection)->response().content_length();
    const bool told = length && !request.head_request;
    if (told && *length > call.limit && !(*connection)->response().whole()) co_return fail(kAnswerTooLarge);
    for (;;) {
      auto piece = co_await (*connection)->piece();
      if (!piece) co_return std::unexpected(unreachable(url, std::move(piece).error()));
      if (piece->empty()) break;
      if (piece->size() > call.limit - answer.body.size()) co_return fail(kAnswerTooLarge);
      answer.body += *piece;
    }
    if ((*connection)->reusable()) pool.give(origin(url), std::move(*connection));
    co_return answer;
  }
};

Client::Client(Loop& loop, ClientOptions options) : state_(std::make_unique<State>(loop, std::move(options))) {}
Client::~Client() = default;

Task<Result<Answer>> Client::call(const Call& call) {
  auto url = parse_url(call.url);
  if (!url) co_return std::unexpected(std::move(url).error());
  auto request = head_text(call, *url);
  if (!request) co_return std::unexpected(std::move(request).error());
  auto answer = co_await within(state_->loop, call.total, state_->whole(call, *url, *request));
  co_return answer;
}

}  // namespace plimsoll::client
