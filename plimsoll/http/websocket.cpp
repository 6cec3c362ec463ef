#include "plimsoll/http/websocket.hpp"

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/letters.hpp"
#include "plimsoll/base/sha1.hpp"
#include "plimsoll/http/characters.hpp"

#include <algorithm>
#include <cstring>

namespace plimsoll::http {

bool lists(std::string_view list, std::string_view member) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    const auto one = trimmed(list.substr(0, comma));
    if (same_as_lower(one.substr(0, one.find('/')), member)) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

bool asks_for_websocket(const Request& request) {
  if (!request.protocol.empty()) return true;
  return request.headers.contains("upgrade") && request.version == 11 && request.method == "GET" &&
         lists(request.headers.joined("upgrade"), "websocket") &&
         lists(request.headers.joined("connection"), "upgrade");
}

Result<> check_websocket(const Request& request) {
  const auto& headers = request.headers;
  if (const auto version = headers.only("sec-websocket-version"); version != kWebSocketVersionNumber)
    return fail(kWebSocketVersion,
                version && version->empty() ? "There is no Sec-WebSocket-Version." : "Version 13 alone is supported.");
  if (!request.protocol.empty()) {  // there is no key (RFC 8441, section 5.1)
    // What follows is the WebSocket's, however long it is.
    if (headers.contains("content-length")) return fail(kWebSocketHandshake, "The request has a Content-Length.");
    return {};
  }
  const auto key = headers.only("sec-websocket-key");
  if (!key) return fail(kWebSocketHandshake, "There are several Sec-WebSocket-Key.");
  if (!is_websocket_key(*key)) return fail(kWebSocketHandshake, "Sec-WebSocket-Key is not 16 bytes in Base64.");
  if (request.body) return fail(kWebSocketHandshake, "The request has a body.");
  return {};
}

bool is_websocket_key(std::string_view text) {
  const auto bytes = from_base64(text);
  return bytes && bytes->size() == 16;
}

std::string websocket_accept(std::string_view key) {
  const auto digest = sha1(std::string(key).append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
  return to_base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string new_websocket_key(std::uint64_t random, std::uint64_t more_random) {
  char bytes[16];
  std::memcpy(bytes, &random, 8);
  std::memcpy(bytes + 8, &more_random, 8);
  return to_base64({bytes, sizeof bytes});
}

std::string_view refusal_of(const WebSocketAnswer& answer, std::string_view key) {
  if (!lists(answer.upgrade, "websocket")) return "it changes to another protocol than WebSocket";
  if (!lists(answer.connection, "upgrade")) return "its Connection does not list `upgrade`";
  if (answer.accept != websocket_accept(key)) return "its Sec-WebSocket-Accept is not that of the key";
  return {};
}

}  // namespace plimsoll::http
