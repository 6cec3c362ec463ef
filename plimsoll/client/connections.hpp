#pragma once

#include "plimsoll/async/wait_list.hpp"
#include "plimsoll/client/call_state.hpp"
#include "plimsoll/client/http2_connection.hpp"
#include "plimsoll/client/http_versions.hpp"
#include "plimsoll/client/pool.hpp"
#include "plimsoll/client/url.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace plimsoll::net {
class Resolver;
class TlsClient;
}  // namespace plimsoll::net

namespace plimsoll::client {

inline constexpr Problem kUnreachable{
    "unreachable", 502, "The called service cannot be reached", "Check the service that was called.", true, true};

/// A server as connections are made to it.
struct Peer {
  Url url;
  std::shared_ptr<net::TlsClient> tls;  ///< null: in clear
  std::shared_ptr<net::Resolver> resolver;
  IdleLimits idle;
  HttpVersions versions = HttpVersions::one;
  /// Of the pool: connections are shared by whoever calls the same server in the same way.
  std::string origin;

  /// Requests may go by HTTP/2.
  bool may_use_http2() const noexcept {
    return versions == HttpVersions::two || (versions == HttpVersions::negotiated && tls);
  }
};

/// The connections of one loop to other servers: `loop.own<Connections>()`.
class Connections final : public Http2Keeper {
 public:
  explicit Connections(Loop& loop) : loop_(loop), pool_(loop) {}

  /// Sends a request, on a kept connection or a new one, and receives the head of its answer. A kept connection that
  /// the server closed before it answered is replaced once, where `repeatable`; what the server did not process by its
  /// own word is sent again whatever its method. `state` gives the limits, and is told how far it came. Errors:
  /// `unreachable`, `bad-answer`, `deadline-exceeded`, and whatever the body of the request fails with.
  PLIMSOLL_FORWARDS Task<Result<std::unique_ptr<Attempt>>> begin(const Peer& peer, const Outgoing& request,
                                                                 CallState& state, bool repeatable);
  /// Takes back what has read its answer to the end.
  void give(const Peer& peer, std::unique_ptr<Attempt> attempt);
  /// Connections without calls.
  std::size_t idle() const noexcept { return pool_.size() + resting(); }

  bool may_rest(const Http2Connection& connection) override;
  void over(Http2Connection& connection) override;

 private:
  /// The connections of HTTP/2 to one origin, and who waits for one.
  struct Origin {
    std::vector<std::shared_ptr<Http2Connection>> connections{};
    std::size_t connecting = 0, waiting = 0;
    std::size_t expected = Http2Connection::kStreams;  ///< calls that a new connection takes, as the last one did
    std::uint64_t attempts = 0;                        ///< to connect, that have ended
    Nanoseconds http1_until = 0;  ///< the last connection spoke HTTP/1.1: until then no other is asked what it speaks
    WaitList connected{};
  };
  /// What a call goes over: one of both.
  struct Way {
    std::shared_ptr<Http2Connection> http2{};
    std::unique_ptr<Connection> http1{};  ///< where both are null: one of HTTP/1.1, kept or new
  };

  Task<Result<std::unique_ptr<Attempt>>> begin_http2(const Peer& peer, const Outgoing& request, CallState& state,
                                                     bool repeatable);
  Task<Result<std::unique_ptr<Attempt>>> begin_http1(const Peer& peer, const Outgoing& request, CallState& state,
                                                     bool repeatable);
  Task<Result<std::unique_ptr<Attempt>>> over_http1(const Peer& peer, std::unique_ptr<Connection> connection,
                                                    const Outgoing& request, CallState& state);
  Task<Result<Way>> way_to(const Peer& peer, Nanoseconds until);
  Task<Result<Way>> connect_either(const Peer& peer, Origin& origin, Nanoseconds until);
  Task<Result<std::unique_ptr<net::Transport>>> connect(const Peer& peer, bool http1, Nanoseconds until);
  static std::shared_ptr<Http2Connection> room(Origin& origin);
  void forget_unused();
  std::size_t resting() const noexcept;

  Loop& loop_;
  Pool pool_;
  std::map<std::string, Origin> origins_;
};

/// As the caller is told it: which server cannot be reached, and why.
Error unreachable(const Url& url, Error error);

}  // namespace plimsoll::client
