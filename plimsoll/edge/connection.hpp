#pragma once

#include "plimsoll/async/scope.hpp"
#include "plimsoll/edge/worker.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/message.hpp"
#include "plimsoll/net/transport.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace plimsoll::edge {

/// What speaks on a connection: HTTP/1 or HTTP/2. Replaceable; the connection knows no more of it than this.
class Protocol {
 public:
  virtual ~Protocol() = default;
  /// From the first byte (what has been read already is in `connection.inbox`) to the last.
  virtual Task<> run() = 0;
  /// The server goes down: end what is idle, say so with the next answer (`Connection: close`, GOAWAY).
  virtual void drain() = 0;
};

/// The Content-Length that a response says itself: of a stream, or of what HEAD leaves out.
std::optional<std::uint64_t> declared_length(const Response& response);

class Connection;
std::unique_ptr<Protocol> http1(Connection& connection);
std::unique_ptr<Protocol> http2(Connection& connection);

/// One accepted connection of a worker: its transport, who is at the other end, and the protocol they speak.
class Connection {
 public:
  Connection(Worker& worker, std::unique_ptr<net::Transport> transport, net::Accepted from,
             Worker::Accepting& listener);
  ~Connection();
  Connection(const Connection&) = delete;

  Task<> run();
  /// Who asks, as far as trusted proxies say: in the request's peer, scheme included. By the protocol, head read.
  void identify(Request& request);
  void drain();
  /// It ends with what is under way on it: the server goes down, or the listener that it came to was closed.
  bool draining() const { return draining_; }

  Worker& worker;
  std::unique_ptr<net::Transport> transport;
  std::string address;  ///< of the client: the peer, or whom a trusted proxy named by its PROXY header
  std::uint16_t port;
  Scope scope;                   ///< of everything on it
  std::unique_ptr<Inbox> inbox;  ///< bytes read before the protocol was known, then the protocol's
  Nanoseconds accepted;          ///< steady
  Nanoseconds began = 0;         ///< when the first byte of that came
  std::uint64_t requests = 0;    ///< begun on it

  Peer peer() const { return {address, port, transport->secure(), transport->certificate_subject(), site_}; }

 private:
  friend class Worker;
  enum class Spoken : std::uint8_t { http1, http2, nothing };
  Task<> serve();
  /// Not inlined, or the compiler makes their frames a part of that of `run` as long as the connection is open.
  [[gnu::noinline]] Task<Result<>> introduction();
  [[gnu::noinline]] Task<Spoken> spoken();
  struct Grace : Alarm {
    Scope* scope = nullptr;
  } grace_;
  Connection *next_ = nullptr, *previous_ = nullptr;
  std::unique_ptr<Protocol> protocol_;
  std::string from_;  ///< of the socket
  Worker::Accepting& listener_;
  const Trust& trust_;  ///< of the listener
  // Of the address, once it is known:
  std::uint64_t site_ = 0;
  bool draining_ = false;
  bool trusted_ = false;  ///< what it says of others is believed
};

/// One request and all that is known of it; lives in its arena and is over when that is released.
struct Exchange {
  /// `read(request)` fills in the request, which decides who answers it.
  template <class Read>
  Exchange(Arena& arena, Connection& connection, Read&& read)
      : hold(connection.worker.in_force),
        request{.method = {}, .target = {}, .headers = Headers{arena}, .peer = connection.peer()},
        service((read(request), hold.service(request))),
        context(arena, connection.worker.loop, service.services()) {
    begin(connection);
  }
  InForce::Hold hold;  ///< first: all that follows refers to what is held
  Request request;
  Service& service;  ///< that answers it
  Context context;
  Scope scope;

  /// A long text of the response is counted among the bodies that wait for their readers, or the response becomes the
  /// problem that they have no more room. Inline where it is none: hardly any response waits.
  bool waits(const Response& response) const {
    const auto* text = std::get_if<Buffer>(&response.body);
    return text && text->alone && request.method != "HEAD";
  }
  Task<> make_room(BodyMemory& memory, Response& response);

 private:
  void begin(Connection& connection);
};

}  // namespace plimsoll::edge
