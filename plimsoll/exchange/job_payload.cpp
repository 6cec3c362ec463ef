#include "plimsoll/exchange/job_payload.hpp"

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/write.hpp"

namespace plimsoll {
namespace {

bool is_json(std::string_view media_type) {
  const auto type = media_type.substr(0, media_type.find(';'));
  return type == "application/json" || type.ends_with("+json") || type == "text/json";
}

std::string_view text_of(const Response& response) {
  if (auto* text = std::get_if<std::string_view>(&response.body)) return *text;
  if (auto* buffer = std::get_if<Buffer>(&response.body)) return as_text(buffer->bytes);
  return {};
}

void write_parameters(json::Writer& out, const Context& context) {
  const auto& values = context.input.parameters;
  const auto& declared = context.operation->parameters;
  out.key("parameters").begin_object();
  for (std::size_t i = 0; i < values.size() && i < declared.size(); ++i)
    if (values[i]) out.key(declared[i].name).value(*values[i]);
  out.end_object();
}

}  // namespace

std::string job_payload(const Context& context, const Response* response) {
  std::string text;
  json::Writer out{text};
  out.begin_object();
  if (context.operation) {
    out.key("operation").string(context.operation->id);
    write_parameters(out, context);
  }
  if (auto* caller = context.principal) {
    out.key("caller").begin_object().key("subject").string(caller->subject);
    if (!caller->tenant.empty()) out.key("tenant").string(caller->tenant);
    out.end_object();
  }
  if (context.input.body) out.key("body").value(*context.input.body);
  if (response)
    if (const auto body = text_of(*response); !body.empty() && is_json(response->headers.find("content-type")))
      out.key("response").raw(body);
  out.end_object();
  return text;
}

std::string job_owner(const Principal* principal) {
  if (!principal) return "*";
  std::string text;
  json::Writer{text}.begin_array().string(principal->tenant).string(principal->subject).end_array();
  return text;
}

}  // namespace plimsoll
