#pragma once

#include "plimsoll/client/tunnel.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/exchange/cross_site.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/http/websocket.hpp"

#include <memory>

namespace plimsoll::handler::forwarding {

/// `websocket` of an operation's `upstream`, where it is an object; `true`: all of these.
struct WebSocketOptions {
  config::Duration idle = config::seconds(300), lifetime = config::seconds(0);
  std::int64_t at_most = 10'000;
};
inline constexpr config::Field kWebSocketFields[] = {
    config::field<&WebSocketOptions::idle>(
        "idle", "How long a WebSocket stays open without a byte in either direction; pings count.",
        {kMillisecond, 7 * 86400 * kSecond}),
    config::field<&WebSocketOptions::lifetime>("lifetime",
                                               "How long it may be open at all, so that the credential of its "
                                               "handshake is checked again; 0s: as long as it is used.",
                                               {0, 30 * 86400 * kSecond}),
    config::field<&WebSocketOptions::at_most>("at-most", "WebSockets of the operation that are open at the same time.",
                                              {1, 10'000'000}),
};
inline constexpr std::string_view kWebSocketShort = R"("type":"boolean")";

inline constexpr Problem kTooManyWebSockets{"too-many-websockets", 503, "Too many WebSockets are open",
                                            "Repeat the handshake after Retry-After.", true};
/// What a handshake can be answered with, beside what any call of an upstream can.
inline constexpr const Problem* kWebSocketProblems[] = {&http::kWebSocketHandshake, &http::kWebSocketVersion,
                                                        &kCrossSite, &kTooManyWebSockets, &http::kWebSocketNotOpened};
inline constexpr Metric kWebSocketMetrics[] = {
    {"plimsoll_websockets_open", "1", "WebSockets that are open."},
    {"plimsoll_websockets_opened_total", "1", "WebSockets that were opened."},
    {"plimsoll_websocket_bytes_total", "bytes", "Bytes that passed, `received` from clients and `sent` to them."},
};

/// The WebSockets of one operation: how many are open, over all plans of the process, and how long they may be.
class WebSockets {
 public:
  /// Null: `websocket: false`. Error: `configuration`.
  static Result<std::shared_ptr<const WebSockets>> make(const json::Value& from, std::string_view service,
                                                        const Build& build);
  WebSockets(const WebSocketOptions& options, std::string_view service, const Build& build);

  /// What the request lacks to be served, before anything is sent on: of its handshake, of its page's origin, of room.
  /// Errors: `websocket-handshake`, `websocket-version`, `cross-site-request`, `too-many-websockets`.
  Result<client::Permit> enter(const Request& request, Context& context) const;
  const client::TunnelOptions& tunnel() const noexcept { return tunnel_; }

 private:
  struct Open : client::Permit::Counter {};
  const std::int64_t at_most_;
  const std::shared_ptr<Open> open_;
  client::TunnelOptions tunnel_;
};

}  // namespace plimsoll::handler::forwarding
