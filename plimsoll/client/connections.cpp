#include "plimsoll/client/connections.hpp"

#include "plimsoll/net/dial.hpp"
#include "plimsoll/net/tls_client.hpp"

namespace plimsoll::client {

Error unreachable(const Url& url, Error error) {
  if (error.problem != &net::kNetwork && error.problem != &net::kNameNotResolved) return error;
  return Error{&kUnreachable, url.authority + ": " + error.detail};
}

Task<Result<std::unique_ptr<Connection>>> Connections::connect(const Peer& peer, Nanoseconds until) {
  auto addresses = co_await peer.resolver->resolve(loop_, peer.url.host);
  if (!addresses) co_return std::unexpected(std::move(addresses).error());
  auto socket = co_await net::dial(loop_, std::move(*addresses), peer.url.port);
  if (!socket) co_return std::unexpected(std::move(socket).error());
  auto transport = peer.tls ? peer.tls->transport(loop_, socket->release(), peer.url.host)
                            : net::clear_transport(loop_, socket->release());
  auto opened = co_await transport->open(until - loop_.now());
  if (!opened) co_return std::unexpected(std::move(opened).error());
  co_return std::make_unique<Connection>(loop_, std::move(transport));
}

namespace {

/// Tells the call how far it came, whether the exchange ends well or is given up.
struct Progress {
  CallState& state;
  const Connection& connection;
  Progress(CallState& state, const Connection& connection) : state(state), connection(connection) { state.reached(); }
  ~Progress() {
    state.written = connection.written();
    state.body_failed = connection.body_failed();
  }
};

Task<Result<>> exchange(Connection& connection, const Outgoing& request, CallState& state) {
  const Progress progress{state, connection};
  auto done = co_await connection.exchange(request, state.timeouts, state.until);
  co_return done;
}

}  // namespace

Task<Result<std::unique_ptr<Connection>>> Connections::begin(const Peer& peer, const Outgoing& request,
                                                             CallState& state, bool repeatable) {
  if (auto kept = pool_.take(peer.origin)) {
    state.await(CallState::Awaits::answer, loop_.now());
    auto done = co_await exchange(*kept, request, state);
    if (done) co_return kept;
    // The server may have closed it before it saw the request.
    const bool closed = !kept->begun() && !kept->body_failed() && done.error().problem == &net::kNetwork;
    if (!closed || !repeatable) co_return std::unexpected(unreachable(peer.url, std::move(done).error()));
  }
  const auto patience = state.timeouts.connect;
  state.await(CallState::Awaits::connection, loop_.now());
  auto connection = co_await within(loop_, patience, connect(peer, loop_.now() + patience));
  if (!connection) co_return std::unexpected(unreachable(peer.url, std::move(connection).error()));
  state.await(CallState::Awaits::answer, loop_.now());
  auto done = co_await exchange(**connection, request, state);
  if (!done) co_return std::unexpected(unreachable(peer.url, std::move(done).error()));
  co_return connection;
}

void Connections::give(const Peer& peer, std::unique_ptr<Connection> connection) {
  if (connection->reusable()) pool_.give(peer.origin, std::move(connection), peer.idle);
}

}  // namespace plimsoll::client
