#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/message.hpp"
#include "plimsoll/net/tls.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace plimsoll::edge {

/// What the edge hands requests to. One for all threads; calls come from any I/O thread, each exchange stays on its
/// own.
class Service {
 public:
  virtual ~Service() = default;
  /// Whether `choose` gives others than this. The same for as long as it lives.
  virtual bool chooses() const noexcept { return false; }
  /// The one that answers a request whose head has been read, before a context is made for it: one of several versions
  /// of an API. It lives as long as this. What could not be read as a request may have no path yet.
  virtual Service& choose(const Request&) noexcept { return *this; }
  /// Whether any request can open a WebSocket: connections of HTTP/2 say so. The same for as long as it lives.
  virtual bool offers_websockets() const noexcept { return false; }
  /// Finds out what the request is for, before anything is done for it: how important it is when there is much to do.
  virtual Importance route(Request&, Context&) { return Importance::normal; }
  /// Answers one exchange, routed before or not; errors are rendered already. The edge adds Date, framing and
  /// connection headers, and drops the body of an answer to HEAD. The request and the context outlive the task.
  virtual Task<Response> serve(Request&, Context&) = 0;
  /// A request that could not be read (malformed, over a limit): the problem document to send before the connection
  /// closes. What was read of the request is in it, at least the peer.
  virtual Response refused(const Error&, Request&, Context&) = 0;
  /// The last byte is sent or the client is gone; `context.outcome` is filled. Not called for `refused` before a head
  /// was read.
  virtual void finished(const Request&, Context&) noexcept = 0;
  virtual const Services& services() const = 0;
};

/// Limits of the listener and its connections. Each is on from the first connection.
struct Limits {
  config::Size head = config::kibibytes(32);
  std::int64_t header_count = 100;
  config::Size target{kUsualTarget};
  config::Size body = config::mebibytes(1);
  config::Duration first_byte = config::seconds(10);
  config::Duration head_time = config::seconds(10);
  config::Size body_rate = {500};      ///< bytes a second, over any 5 s in which we wait for it
  config::Size response_rate = {500};  ///< bytes a second, over any 12 s in which we wait for the reader
  config::Duration idle = config::seconds(60);
  config::Duration lifetime = config::hours(1);
  config::Size bodies = config::mebibytes(64);
  config::Size bodies_on_disk = config::mebibytes(1024);
  std::int64_t connections = 20'000;
  bool connections_chosen = false;  ///< no option: else they are fewer where the system has too few descriptors
  std::int64_t connections_per_address = 1'000;
  std::int64_t requests_per_connection = 100'000;
  config::Duration drain = config::seconds(30);
  config::Duration shutdown_delay{};                      ///< of the process: not ready, still accepting
  config::Duration start_patience = config::seconds(30);  ///< of the process
  // Of one HTTP/2 connection:
  std::int64_t http2_streams = 100;
  config::Size http2_stream_window = config::kibibytes(64);
  config::Size http2_connection_window = config::kibibytes(256);
  std::int64_t http2_continuations = 8;
  config::Size http2_header_block = config::kibibytes(48);
  config::Rate http2_resets{100, config::seconds(2)};
  config::Rate http2_settings{16, config::seconds(8)};
  config::Rate http2_pings{100, config::seconds(5)};
  config::Rate http2_window_updates{2000, config::seconds(4)};
  config::Rate http2_empty_data{100, config::seconds(10)};
  config::Rate http2_other_frames{200, config::seconds(4)};
};
extern const std::span<const config::Field> kLimitFields;

/// Proxies in front of a listener, and how they tell who the client is. Of others nothing is believed.
struct Proxies {
  std::vector<std::string> networks;
  std::string header = "x-forwarded-for";  ///< or `forwarded`
  bool protocol = false;
};
extern const std::span<const config::Field> kProxyFields;
/// Null: none. A list of networks, or an object with the fields.
Result<Proxies> read_proxies(const json::Value*);

struct Listen {
  /// `127.0.0.1:8080`, `[::1]:0`, `:8080` (IPv4 and IPv6), `unix:/run/x.sock`, `systemd` or `systemd:NAME` (inherited)
  std::string address;
  std::string certificate, key;  ///< short for those of `tls`; empty there too: in clear
  net::TlsOptions tls{};
  Proxies proxies{};
  /// Another process may listen there too, for a restart in which the old and the new one overlap; otherwise an address
  /// that is taken is an error, though the system could divide what comes.
  bool overlap = false;
};

/// Listeners and their I/O threads. `start` binds all, or says which could not be bound and why.
class Server {
 public:
  virtual ~Server() = default;
  /// The addresses bound, in the order given, with the port the system chose.
  virtual std::vector<std::string> addresses() const = 0;
  /// Stops accepting, lets what is in flight finish within the limit, ends the threads. Safe from any thread; returns
  /// at once.
  virtual void drain() = 0;
  /// Ends the wait of a drain: what is still in flight is broken off. Safe from any thread; returns at once.
  virtual void cut() = 0;
  /// Listeners that were opened, from which nobody accepts yet. They are closed where it is not used.
  class Change {
   public:
    virtual ~Change() = default;
  };
  /// The first step to listen on `listen` instead: opens all that is not listened on yet, or says what cannot be opened
  /// and opens none. Addresses that are written alike are the same, whatever else is said of them. By one thread.
  virtual Result<std::unique_ptr<Change>> prepare(const std::vector<Listen>& listen) = 0;
  /// The second: accepts on the new ones, then closes those that `listen` does not have; their connections end with
  /// what is under way on them, within the time of a drain. By the thread that prepared it, which is no loop's; returns
  /// when all loops accept on the new ones, or after 1 s.
  virtual void apply(std::unique_ptr<Change> change) = 0;
  /// Exchanges that begin from now on are given to this service. One that was replaced is kept until its last exchange
  /// is over. By any thread but a loop's; returns when all loops know, or after 1 s.
  virtual void serve(std::shared_ptr<Service> service) = 0;
  /// Reads the certificates again; an error is that of the first that could not be used, and those then stay as they
  /// were. Without TLS: nothing to do.
  virtual Result<> reload_certificates() = 0;
  /// When the first certificate in use expires, Unix seconds; 0: no TLS.
  virtual std::int64_t certificates_expire() const = 0;
  /// Connections that are open now, those of trusted proxies included.
  virtual std::int64_t connections() const = 0;
  /// Waits until every thread has ended.
  virtual void wait() = 0;
  /// Runs `f` on one of the loops (for background work of policies and handlers).
  virtual Loop& any_loop() = 0;
  /// All of them. They live as long as the server.
  virtual std::vector<Loop*> loops() = 0;
};

/// What `start` would reject of these, without opening a listener: addresses as they are written, certificates, proxies
/// and limits.
Result<> check(const std::vector<Listen>& listen, const Limits& limits);

/// `threads` 0: one per core.
Result<std::unique_ptr<Server>> start(std::shared_ptr<Service> service, const std::vector<Listen>& listen,
                                      const Limits& limits, unsigned threads);
/// The same; the service outlives the server.
Result<std::unique_ptr<Server>> start(Service& service, const std::vector<Listen>& listen, const Limits& limits,
                                      unsigned threads);

}  // namespace plimsoll::edge
