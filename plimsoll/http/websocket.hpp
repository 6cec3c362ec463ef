#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll::http {

/// The opening handshake of a WebSocket (RFC 6455, section 4), as a gateway has to look at it in both directions.

inline constexpr Problem kWebSocketHandshake{
    "websocket-handshake", 400, "The WebSocket handshake is not valid",
    "Send one Sec-WebSocket-Key of 16 bytes in Base64, and no body (RFC 6455, section 4.1)."};
inline constexpr Problem kWebSocketVersion{"websocket-version", 426, "The WebSocket version is not supported",
                                           "Send `Sec-WebSocket-Version: 13` (RFC 6455)."};

/// To an extended CONNECT any 2xx says that the WebSocket is open: one that says something else is not sent.
inline constexpr Problem kWebSocketNotOpened{"websocket-not-opened", 502, "The WebSocket was not opened",
                                             "Check the service behind: it answered as to an ordinary GET.", true};

/// The version of the protocol that is spoken, as `Sec-WebSocket-Version` has it.
inline constexpr std::string_view kWebSocketVersionNumber = "13";

/// Whether the list (a field's value, RFC 9110, section 5.6.1) has that member, which is in lower case; case and the
/// version of a protocol (`websocket/13`) do not count.
bool lists(std::string_view list, std::string_view member);

/// Whether a request asks for a WebSocket: GET of HTTP/1.1 with `Upgrade: websocket` and `Connection: upgrade`, which
/// is an ordinary one where it is not obeyed (RFC 9110, section 7.8), or CONNECT of HTTP/2 with `:protocol` (RFC 8441).
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
/// A key that nobody has used (section 4.1).
std::string new_websocket_key(std::uint64_t random, std::uint64_t more_random);
/// Why an answer 101 does not accept the handshake with that key; empty: it does.
std::string_view refusal_of(const WebSocketAnswer& answer, std::string_view key);

}  // namespace plimsoll::http
