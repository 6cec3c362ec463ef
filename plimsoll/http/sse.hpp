#pragma once

#include "plimsoll/http/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::http {

inline constexpr std::string_view kEventStream = "text/event-stream";

/// One event of a `text/event-stream` (WHATWG HTML, section 9.2).
struct ServerEvent {
  std::string_view data{};
  std::string_view event{};             ///< its type; empty: `message`
  std::string_view id{};                ///< comes back as `Last-Event-ID` when the client connects again
  std::optional<std::int64_t> retry{};  ///< milliseconds the client waits before it connects again
};

/// Appends the event. Line breaks of any kind in `data` become lines of the event; in `event` and `id`, which are one
/// line, they and NUL are left out, so that no value can forge another field.
void append(std::string& out, const ServerEvent& event);
/// Appends a comment, which clients pass over: it keeps the connection alive through proxies and shows a dead one.
void append_heartbeat(std::string& out);
/// Where a client that connects again wants to go on; empty: from now.
inline std::string_view last_event_id(const Headers& headers) { return headers.find("last-event-id"); }

}  // namespace plimsoll::http
