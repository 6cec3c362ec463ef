#include "plimsoll/client/attempt.hpp"

#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_name.hpp"
#include "plimsoll/http/h1_head_writer.hpp"
#include "plimsoll/http/h1_response.hpp"

namespace plimsoll::client {
namespace {

[[gnu::cold]] std::unexpected<Error> refused(const Header& field) {
  return fail(kInternal, "a header that cannot be sent: " + std::string(field.name));
}

}  // namespace

bool is_made_here(std::string_view name) {
  static constexpr FieldNames names{{"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te",
                                     "trailer", "upgrade", "expect"}};
  return names.has(name);
}

Result<> check_fields(const Outgoing& request) {
  for (const auto& field : *request.fields) {
    const auto [name, value] = field;
    if ((!is_token(name) || find_control(value.data(), 0, value.size()) != value.size()) && !is_made_here(name))
      return refused(field);
  }
  return {};
}

Result<> write_http1_head(h1::Outbox& out, const Outgoing& request) {
  std::size_t size =
      256 + request.method.size() + request.target.size() + request.authority.size() + request.trailer.size();
  for (const auto& [name, value] : *request.fields) size += name.size() + value.size() + 4;
  auto* const begin = out.room(size);
  h1::HeadWriter head{begin};
  head.put(request.method);
  head.put(" ");
  head.put(request.target);
  head.put(" HTTP/1.1\r\nhost: ");
  head.put(request.authority);
  for (const auto& field : *request.fields)
    if (!is_made_here(field.name) && !head.field(field)) return refused(field);
  if (request.chunked()) {
    head.put("\r\ntransfer-encoding: chunked");
  } else if (request.says_length) {
    head.put("\r\ncontent-length: ");
    head.number(request.body.size() + request.rest_size);
  }
  if (!request.trailer.empty()) {
    head.put("\r\ntrailer: ");
    head.put(request.trailer);
  }
  if (request.expects) head.put("\r\nexpect: 100-continue");
  if (request.upgrade) head.put("\r\nconnection: upgrade\r\nupgrade: websocket");
  head.put("\r\n\r\n");
  out.wrote(static_cast<std::size_t>(head.at - begin));
  return {};
}

std::string http1_last_chunk(const Outgoing& request) {
  std::string text = "0\r\n";
  if (request.trailing)
    for (const auto& [name, value] : request.trailing->trailers())
      text.append(name).append(": ").append(value).append("\r\n");
  return text.append("\r\n");
}

}  // namespace plimsoll::client
