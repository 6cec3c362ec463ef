#include "plimsoll/exchange/job_payload.hpp"

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

namespace plimsoll {
namespace {

bool is_json(std::string_view media_type) {
  const auto type = media_type.substr(0, media_type.find(';'));
  return type == "application/json" || type.ends_with("+json") || type == "text/json";
}

void write_parameters(json::Writer& out, const Context& context) {
  const auto& values = context.input.parameters;
  const auto& declared = context.operation->parameters;
  out.key("parameters").begin_object();
  for (std::size_t i = 0; i < values.size() && i < declared.size(); ++i)
    if (values[i]) out.key(declared[i].name).value(*values[i]);
  out.end_object();
}

void write_claims(json::Writer& out, const json::Value* all, std::span<const std::string> wanted) {
  if (!all || wanted.empty()) return;
  out.key("claims").begin_object();
  for (auto& name : wanted)
    if (const auto* claim = all->find(name)) out.key(name).value(*claim);
  out.end_object();
}

/// Parsed first: text that only begins as JSON could otherwise close the member and write another `caller`.
void write_response(json::Writer& out, const Response& response) {
  const auto body = whole_text(response.body).value_or("");
  if (body.empty() || !is_json(response.headers.find("content-type"))) return;
  Arena arena;
  if (auto value = json::parse(body, arena)) out.key("response").value(*value);
}

}  // namespace

std::string job_payload(const Context& context, std::span<const std::string> claims, const Response* response) {
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
    write_claims(out, caller->claims, claims);
    out.end_object();
  }
  if (context.input.body) out.key("body").value(*context.input.body);
  if (response) write_response(out, *response);
  out.end_object();
  return text;
}

std::string job_owner(const Principal* principal) {
  if (!principal) return "*";
  std::string text;
  json::Writer{text}
      .begin_array()
      .string(principal->tenant)
      .string(principal->scheme)
      .string(principal->subject)
      .end_array();
  return text;
}

}  // namespace plimsoll
