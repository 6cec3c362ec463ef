#include "plimsoll/http/sse.hpp"

namespace plimsoll::http {
namespace {

void append_line(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  for (char c : value)
    if (c != '\n' && c != '\r' && c != '\0') out += c;
  out += '\n';
}

}  // namespace

void append(std::string& out, const ServerEvent& event) {
  if (!event.id.empty()) append_line(out, "id: ", event.id);
  if (!event.event.empty()) append_line(out, "event: ", event.event);
  if (event.retry) append_line(out, "retry: ", std::to_string(*event.retry));
  auto rest = event.data;
  for (;;) {  // an event without a data line would not be dispatched
    const auto end = std::min(rest.find_first_of("\r\n"), rest.size());
    out.append("data: ").append(rest.substr(0, end)).append("\n");
    if (end == rest.size()) break;
    rest.remove_prefix(rest.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  }
  out += '\n';
}

void append_heartbeat(std::string& out) { out += ":\n\n"; }

}  // namespace plimsoll::http
