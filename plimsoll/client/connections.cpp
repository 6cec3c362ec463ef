#include "plimsoll/client/connections.hpp"

#include "plimsoll/net/dial.hpp"
#include "plimsoll/net/tls_client.hpp"

#include <algorithm>

namespace plimsoll::client {
namespace {

/// How often a request that was not processed is sent again at once; what repeats it after that waits in between.
constexpr int kMostRefusals = 2;
/// How long a server that chose HTTP/1.1 is not asked for HTTP/2.
constexpr auto kHttp1 = 60 * kSecond;
/// Origins that are known while there is no connection to them.
constexpr std::size_t kMostOrigins = 1024;

/// As ALPN offers them.
std::string_view protocols_of(HttpVersions versions) {
  switch (versions) {
    case HttpVersions::one: return "\x08http/1.1";
    case HttpVersions::two: return "\x02h2";
    case HttpVersions::negotiated: break;
  }
  return "\x02h2\x08http/1.1";
}

}  // namespace

Error unreachable(const Url& url, Error error) {
  if (error.problem == &kBadAnswer) return Error{&kBadAnswer, url.authority + ": " + error.detail};
  if (error.problem != &net::kNetwork && error.problem != &net::kNameNotResolved) return error;
  return Error{&kUnreachable, url.authority + ": " + error.detail};
}

Task<Result<std::unique_ptr<net::Transport>>> Connections::connect(const Peer& peer, bool http1, Nanoseconds until) {
  auto addresses = co_await peer.resolver->resolve(loop_, peer.url.host);
  if (!addresses) co_return std::unexpected(std::move(addresses).error());
  auto socket = co_await net::dial(loop_, std::move(*addresses), peer.url.port);
  if (!socket) co_return std::unexpected(std::move(socket).error());
  const auto versions = http1 ? HttpVersions::one : peer.versions;
  auto transport = peer.tls ? peer.tls->transport(loop_, socket->release(), peer.url.host, protocols_of(versions))
                            : net::clear_transport(loop_, socket->release());
  auto opened = co_await transport->open(until - loop_.now());
  if (!opened) co_return std::unexpected(std::move(opened).error());
  co_return std::move(transport);
}

Task<Result<std::unique_ptr<Attempt>>> Connections::begin(const Peer& peer, const Outgoing& request, CallState& state,
                                                          bool repeatable) {
  if (!peer.may_use_http2() || (request.upgrade && state.signed_as_it_is))
    return begin_http1(peer, request, state, repeatable);
  return begin_http2(peer, request, state, repeatable);
}

/// By HTTP/2, unless the server turns out not to speak it.
Task<Result<std::unique_ptr<Attempt>>> Connections::begin_http2(const Peer& peer, const Outgoing& request,
                                                                CallState& state, bool repeatable) {
  if (auto good = check_fields(request); !good) co_return std::unexpected(std::move(good).error());
  bool replaced = false;
  for (int refusals = 0;;) {
    const auto patience = state.timeouts.connect;
    state.await(CallState::Awaits::connection, loop_.now());
    auto way = co_await within(loop_, patience, way_to(peer, loop_.now() + patience));
    if (!way) co_return std::unexpected(unreachable(peer.url, std::move(way).error()));
    if (way->http1) {
      auto begun = co_await over_http1(peer, std::move(way->http1), request, state);
      co_return begun;
    }
    if (!way->http2) {
      auto begun = co_await begin_http1(peer, request, state, repeatable);
      co_return begun;
    }
    state.await(CallState::Awaits::answer, loop_.now());
    const bool kept = way->http2->used();
    auto attempt = std::make_unique<Http2Attempt>(loop_, std::move(way->http2));
    if (request.upgrade) {
      const auto connects = co_await within(loop_, patience, attempt->connects());
      if (!connects) co_return std::unexpected(unreachable(peer.url, connects.error()));
      if (!*connects) {
        auto begun = co_await begin_http1(peer, request, state, repeatable);
        co_return begun;
      }
    }
    auto done = co_await attempt->exchange(request, peer.url.tls ? "https" : "http", state);
    if (done) co_return std::move(attempt);
    if (attempt->unprocessed() && !attempt->body_begun()) {
      state.unreached();
      if (attempt->wants_http1() && peer.versions == HttpVersions::negotiated) {
        auto begun = co_await begin_http1(peer, request, state, repeatable);
        co_return begun;
      }
      if (++refusals <= kMostRefusals) continue;
    } else if (attempt->lost() && kept && repeatable && !attempt->body_begun() && !replaced) {
      replaced = true;
      continue;
    }
    co_return std::unexpected(unreachable(peer.url, std::move(done).error()));
  }
}

Task<Result<std::unique_ptr<Attempt>>> Connections::begin_http1(const Peer& peer, const Outgoing& request,
                                                                CallState& state, bool repeatable) {
  // What has come within this turn may not have been looked at yet, and a request that cannot be repeated is sent to no
  // connection that is known to have ended.
  if (auto kept = pool_.take(peer.origin, !repeatable || loop_.more_to_come())) {
    state.await(CallState::Awaits::answer, loop_.now());
    auto done = co_await kept->exchange(request, state);
    if (done) co_return std::move(kept);
    // The server may have closed it before it saw the request.
    const bool closed = !kept->begun() && !kept->body_failed() && done.error().problem == &net::kNetwork;
    if (!closed || !repeatable) co_return std::unexpected(unreachable(peer.url, std::move(done).error()));
  }
  const auto patience = state.timeouts.connect;
  state.await(CallState::Awaits::connection, loop_.now());
  auto transport = co_await within(loop_, patience, connect(peer, true, loop_.now() + patience));
  if (!transport) co_return std::unexpected(unreachable(peer.url, std::move(transport).error()));
  auto begun = co_await over_http1(peer, std::make_unique<Connection>(loop_, std::move(*transport)), request, state);
  co_return begun;
}

/// On a connection that is new.
Task<Result<std::unique_ptr<Attempt>>> Connections::over_http1(const Peer& peer, std::unique_ptr<Connection> connection,
                                                               const Outgoing& request, CallState& state) {
  state.await(CallState::Awaits::answer, loop_.now());
  auto done = co_await connection->exchange(request, state);
  if (!done) co_return std::unexpected(unreachable(peer.url, std::move(done).error()));
  co_return std::move(connection);
}

/// Calls that begin at once share the connection that the first of them makes.
Task<Result<Connections::Way>> Connections::way_to(const Peer& peer, Nanoseconds until) {
  auto& origin = origins_[peer.origin];
  for (;;) {
    if (auto found = room(origin)) co_return Way{.http2 = std::move(found)};
    if (loop_.now() < origin.http1_until) co_return Way{};
    if (origin.waiting >= origin.connecting * origin.expected) break;
    const auto seen = origin.attempts;
    ++origin.waiting;
    const auto woken = co_await origin.connected.wait(loop_, std::max<Nanoseconds>(until - loop_.now(), 1),
                                                      [&origin, seen] { return origin.attempts != seen; });
    --origin.waiting;
    if (!woken) co_return std::unexpected(woken.error());
    if (!*woken) co_return std::unexpected(error_of(Stop::deadline));
  }
  auto made = co_await connect_either(peer, origin, until);
  forget_unused();
  co_return made;
}

Task<Result<Connections::Way>> Connections::connect_either(const Peer& peer, Origin& origin, Nanoseconds until) {
  struct Connecting {
    Origin& origin;
    explicit Connecting(Origin& at) : origin(at) { ++origin.connecting; }
    ~Connecting() {
      --origin.connecting;
      origin.connected.wake_all([this] { ++origin.attempts; });
    }
  };
  const Connecting connecting{origin};
  auto transport = co_await connect(peer, false, until);
  if (!transport) co_return std::unexpected(std::move(transport).error());
  if (peer.tls && (*transport)->protocol() != "h2") {
    if (peer.versions == HttpVersions::two) co_return fail(net::kNetwork, "it does not speak HTTP/2");
    origin.http1_until = loop_.now() + kHttp1;
    co_return Way{.http1 = std::make_unique<Connection>(loop_, std::move(*transport))};
  }
  auto made = std::make_shared<Http2Connection>(loop_, std::move(*transport), *this, peer.origin, peer.idle);
  origin.connections.push_back(made);
  co_return Way{.http2 = std::move(made)};
}

/// The first that has room: so the others come to rest when there is less to do.
std::shared_ptr<Http2Connection> Connections::room(Origin& origin) {
  for (std::size_t i = 0; i < origin.connections.size();) {
    const auto each = origin.connections[i];
    if (!each->calls() && !each->check()) {
      if (i < origin.connections.size() && origin.connections[i] == each) ++i;  // mostly it is not among them any more
      continue;
    }
    // One that has answered nothing yet may not have said what it takes, and is taken to be as the last.
    const bool unknown = !each->used() && each->limit() == Http2Connection::kStreams;
    if (!unknown) origin.expected = std::max<std::size_t>(each->limit(), 1);
    if (each->has_room() && (!unknown || each->calls() < origin.expected)) return each;
    ++i;
  }
  return nullptr;
}

std::size_t Connections::resting() const noexcept {
  std::size_t count = 0;
  for (const auto& [name, origin] : origins_)
    count +=
        static_cast<std::size_t>(std::ranges::count_if(origin.connections, [](auto& each) { return !each->calls(); }));
  return count;
}

bool Connections::may_rest(const Http2Connection& connection) {
  const auto& of_origin = origins_[connection.origin()].connections;
  const auto others =
      std::ranges::count_if(of_origin, [&](const auto& each) { return each.get() != &connection && !each->calls(); });
  return static_cast<std::size_t>(others) < connection.idle().shared && resting() <= Pool::kMostIdle;
}

void Connections::over(Http2Connection& connection) {
  const auto found = origins_.find(connection.origin());
  if (found == origins_.end()) return;
  std::erase_if(found->second.connections, [&](const auto& each) { return each.get() == &connection; });
}

/// What is known of servers without connections is kept for a few of them only.
void Connections::forget_unused() {
  if (origins_.size() <= kMostOrigins) return;
  std::erase_if(origins_, [](const auto& each) {
    const auto& [name, origin] = each;
    return origin.connections.empty() && !origin.connecting && !origin.waiting;
  });
}

void Connections::give(const Peer& peer, std::unique_ptr<Attempt> attempt) {
  if (auto* connection = attempt->connection(); connection && connection->reusable()) {
    (void)attempt.release();
    pool_.give(peer.origin, std::unique_ptr<Connection>(connection), peer.idle);
  }
}

}  // namespace plimsoll::client
