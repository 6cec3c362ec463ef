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

Task<Result<std::unique_ptr<Connection>>> Connections::begin(const Peer& peer, const Outgoing& request,
                                                             const Timeouts& timeouts, Nanoseconds until,
                                                             bool repeatable) {
  if (auto kept = pool_.take(peer.origin)) {
    auto done = co_await kept->exchange(request, timeouts, until);
    if (done) co_return kept;
    // The server may have closed it before it saw the request.
    const bool closed = !kept->begun() && !kept->body_failed() && done.error().problem == &net::kNetwork;
    if (!closed || !repeatable) co_return std::unexpected(unreachable(peer.url, std::move(done).error()));
  }
  auto connection = co_await within(loop_, timeouts.connect, connect(peer, loop_.now() + timeouts.connect));
  if (!connection) co_return std::unexpected(unreachable(peer.url, std::move(connection).error()));
  auto done = co_await (*connection)->exchange(request, timeouts, until);
  if (!done) co_return std::unexpected(unreachable(peer.url, std::move(done).error()));
  co_return connection;
}

void Connections::give(const Peer& peer, std::unique_ptr<Connection> connection) {
  if (connection->reusable()) pool_.give(peer.origin, std::move(connection), peer.idle);
}

}  // namespace plimsoll::client
