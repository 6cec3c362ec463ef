#include "plimsoll/client/attempt.hpp"

#include "plimsoll/http/field_name.hpp"

#include <algorithm>

namespace plimsoll::client {

bool is_made_here(std::string_view name) {
  static constexpr std::string_view names[] = {
      "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"};
  return std::ranges::any_of(names, [&](auto each) { return same_variable(name, each); });
}

std::string http1_head(const Outgoing& request) {
  std::string text;
  text.reserve(512);  // most are shorter
  text.append(request.method)
      .append(" ")
      .append(request.target)
      .append(" HTTP/1.1\r\nhost: ")
      .append(request.authority)
      .append("\r\n");
  for (const auto& [name, value] : *request.fields)
    if (!is_made_here(name)) text.append(name).append(": ").append(value).append("\r\n");
  if (request.chunked())
    text.append("transfer-encoding: chunked\r\n");
  else if (request.says_length)
    text.append("content-length: ").append(std::to_string(request.body.size() + request.rest_size)).append("\r\n");
  if (!request.trailer.empty()) text.append("trailer: ").append(request.trailer).append("\r\n");
  if (request.expects) text.append("expect: 100-continue\r\n");
  if (request.upgrade) text.append("connection: upgrade\r\nupgrade: websocket\r\n");
  return text.append("\r\n");
}

std::string http1_last_chunk(const Outgoing& request) {
  std::string text = "0\r\n";
  if (request.trailing)
    for (const auto& [name, value] : request.trailing->trailers())
      text.append(name).append(": ").append(value).append("\r\n");
  return text.append("\r\n");
}

}  // namespace plimsoll::client
