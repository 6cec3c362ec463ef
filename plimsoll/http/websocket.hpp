#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/http/message.hpp"

#include <string>
#include <string_view>

namespace plimsoll::http {

/// The opening handshake of a WebSocket (RFC 6455, section 4), as a gateway has to look at it in both directions.

inline constexpr Problem kWebSocketHandshake{
    "websocket-handshake", 400, "The WebSocket handshake is not valid",
    "Send one Sec-WebSocket-Key of 16 bytes in Base64, and no body (RFC 6455, section 4.1)."};
inline constexpr Problem kWebSocketVersion{"websocket-version", 426, "The WebSocket version is not supported",
                                           "Send `Sec-WebSocket-Version: 13` (RFC 6455)."};

/// The version of the protocol that is spoken, as `Sec-WebSocket-Version` has it.
inline constexpr std::string_view kWebSocketVersionNumber = "13";

/// Whether the list (a field's value, RFC 9110, section 5.6.1) has that member, which is in lower case; case and the
/// version of a protocol (`websocket/13`) do not count.
bool lists(std::string_view list, std::string_view member);

/// Whether a request asks for a WebSocket: GET of HTTP/1.1 with `Upgrade: websocket` and `Connection: upgrade`. Where
/// it is not obeyed the request is an ordinary one (RFC 9110, section 7.8).
bool asks_for_websocket(const Request& request);

/// What is wrong with a request that asks for one. Errors: `websocket-handshake`, `websocket-version`.
Result<> check_websocket(const Request& request);

/// Whether that is 16 bytes in Base64.
bool is_websocket_key(std::string_view text);

/// What the other side answers to a key in `Sec-WebSocket-Accept`.
std::string websocket_accept(std::string_view key);

/// The fields of an answer 101, each with all of its values.
struct WebSocketAnswer {
  std::string_view upgrade, connection, accept;
};
/// Why an answer 101 does not accept the handshake with that key; empty: it does.
std::string_view refusal_of(const WebSocketAnswer& answer, std::string_view key);

}  // namespace plimsoll::http
