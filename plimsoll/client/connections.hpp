#pragma once

#include "plimsoll/client/call_state.hpp"
#include "plimsoll/client/connection.hpp"
#include "plimsoll/client/pool.hpp"
#include "plimsoll/client/url.hpp"

#include <memory>
#include <string>

namespace plimsoll::net {
class Resolver;
class TlsClient;
}  // namespace plimsoll::net

namespace plimsoll::client {

inline constexpr Problem kUnreachable{"unreachable", 502, "The called service cannot be reached",
                                      "Check the service that was called.", true};

/// A server as connections are made to it.
struct Peer {
  Url url;
  std::shared_ptr<net::TlsClient> tls;  ///< null: in clear
  std::shared_ptr<net::Resolver> resolver;
  IdleLimits idle;
  /// Of the pool: connections are shared by whoever calls the same server in the same way.
  std::string origin;
};

/// The connections of one loop to other servers: `loop.own<Connections>()`.
class Connections {
 public:
  explicit Connections(Loop& loop) : loop_(loop), pool_(loop) {}

  /// Sends a request, on a kept connection or a new one, and receives the head of its answer. A kept connection that
  /// the server closed before it answered is replaced once, where `repeatable`. `state` gives the limits, and is told
  /// how far it came. Errors: `unreachable`, `bad-answer`, `deadline-exceeded`, and whatever the body of the request
  /// fails with.
  Task<Result<std::unique_ptr<Connection>>> begin(const Peer& peer, const Outgoing& request, CallState& state,
                                                  bool repeatable);
  /// Takes a connection back whose answer was read to its end.
  void give(const Peer& peer, std::unique_ptr<Connection> connection);
  std::size_t idle() const noexcept { return pool_.size(); }

 private:
  Task<Result<std::unique_ptr<Connection>>> connect(const Peer& peer, Nanoseconds until);
  Loop& loop_;
  Pool pool_;
};

/// As the caller is told it: which server cannot be reached, and why.
Error unreachable(const Url& url, Error error);

}  // namespace plimsoll::client
