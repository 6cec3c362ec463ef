#include "plimsoll/client/graphql.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/percent.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/negotiate.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/write.hpp"

namespace plimsoll::client {
namespace {

constexpr std::string_view kResponse = "application/graphql-response+json";

std::string hash_of(std::string_view query) {
  const auto digest = sha256(query);
  return to_hex(as_text(digest));
}

std::string persisted_query(const GraphqlCall& call) {
  return R"({"persistedQuery":{"version":1,"sha256Hash":")" + hash_of(call.query) + R"("}})";
}

std::string body_of(const GraphqlCall& call, GraphqlText text) {
  std::string body;
  json::Writer out(body);
  out.begin_object();
  if (text != GraphqlText::hash) out.key("query").string(call.query);
  if (!call.operation.empty()) out.key("operationName").string(call.operation);
  if (!call.variables.empty()) out.key("variables").raw(call.variables);
  if (text != GraphqlText::query) out.key("extensions").raw(persisted_query(call));
  out.end_object();
  return body;
}

std::string query_string(const GraphqlCall& call, GraphqlText text) {
  std::string query;
  const auto add = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    query.append(query.empty() ? "" : "&").append(name).append("=");
    append_encoded(query, value);
  };
  if (text != GraphqlText::hash) add("query", call.query);
  add("operationName", call.operation);
  add("variables", call.variables);
  if (text != GraphqlText::query) add("extensions", persisted_query(call));
  return query;
}

/// Where a query goes by GET; empty where that is too long.
std::string get_target(const GraphqlCall& call, GraphqlText text, std::string_view base) {
  auto target = call.target;
  // What is empty stands behind the path of the service's URL, whose last slash is taken off.
  if (target.empty() && base.substr(0, base.find('?')).ends_with('/')) target = "/";
  target += target.contains('?') ? '&' : '?';
  target += query_string(call, text);
  return target.size() > kUsualTarget ? std::string{} : target;
}

std::unexpected<Error> bad_answer(std::string why) {
  return std::unexpected(Error{&kBadAnswer}.because(std::move(why)));
}

/// A list of names and indices as a JSON pointer; nothing where it is none.
std::optional<std::string> pointer_of(const json::Value& path) {
  if (!path.is(json::Type::array)) return std::nullopt;
  std::string pointer;
  for (const auto& step : path.array()) {
    if (step.is(json::Type::string))
      json::append_token(pointer, step.string());
    else if (const auto index = step.is(json::Type::number) ? step.integer() : std::nullopt; index && *index >= 0)
      json::append_token(pointer, static_cast<std::size_t>(*index));
    else
      return std::nullopt;
  }
  return pointer;
}

/// Nothing where it is no error of GraphQL.
std::optional<GraphqlError> error_of(const json::Value& from) {
  if (!from.is(json::Type::object)) return std::nullopt;
  GraphqlError made;
  const auto* message = from.find("message");
  if (!message || !message->is(json::Type::string)) return std::nullopt;
  made.message = message->string();
  if (const auto* path = from.find("path"); path && !path->is(json::Type::null)) {
    auto pointer = pointer_of(*path);
    if (!pointer) return std::nullopt;
    made.path = std::move(*pointer);
  }
  const auto number = [](const json::Value& of, std::string_view name) {
    const auto* value = of.is(json::Type::object) ? of.find(name) : nullptr;
    return value && value->is(json::Type::number) ? value->integer().value_or(0) : 0;
  };
  if (const auto* locations = from.find("locations"); locations && locations->is(json::Type::array))
    for (const auto& each : locations->array())
      made.locations.push_back({.line = number(each, "line"), .column = number(each, "column")});
  if (const auto* extensions = from.find("extensions"); extensions && extensions->is(json::Type::object))
    made.extensions = *extensions;
  return made;
}

Result<GraphqlResponse> response_of(const json::Value& body) {
  if (!body.is(json::Type::object)) return bad_answer("its body is no response of GraphQL");
  GraphqlResponse made;
  if (const auto* data = body.find("data"); data && !data->is(json::Type::null)) {
    if (!data->is(json::Type::object)) return bad_answer("`data` of its response is no object");
    made.data = *data;
  }
  if (const auto* errors = body.find("errors"); errors && !errors->is(json::Type::null)) {
    if (!errors->is(json::Type::array)) return bad_answer("`errors` of its response is no list");
    for (const auto& each : errors->array()) {
      auto error = error_of(each);
      if (!error) return bad_answer("`errors` of its response has an entry that is no error of GraphQL");
      made.errors.push_back(std::move(*error));
    }
  }
  if (made.data.is(json::Type::null) && made.errors.empty())
    return bad_answer("its response has neither `data` nor `errors`");
  if (const auto* extensions = body.find("extensions"); extensions && extensions->is(json::Type::object))
    made.extensions = *extensions;
  return made;
}

}  // namespace

std::string_view GraphqlError::code() const {
  const auto* said = extensions.find("code");
  return said && said->is(json::Type::string) ? said->string() : std::string_view{};
}

Call graphql_request(const GraphqlCall& call, GraphqlOperation kind, GraphqlText text, std::string_view base) {
  const bool query = kind == GraphqlOperation::query;
  Call made{.target = call.target,
            .headers = call.headers,
            .limit = call.limit,
            .repeats = query ? Repeats::safe : Repeats::never};
  made.headers.emplace_back("accept", std::string(kResponse) + ", application/json;q=0.9");
  if (query && call.get)
    if (auto target = get_target(call, text, base); !target.empty()) {
      made.target = std::move(target);
      return made;
    }
  made.method = "POST";
  made.headers.emplace_back("content-type", "application/json");
  made.body = body_of(call, text);
  return made;
}

Result<GraphqlResponse> graphql_response(const Answer& answer, Arena& arena) {
  const auto type = http::essence(answer.find("content-type"));
  const bool well_formed = type == kResponse;
  const bool success = answer.status >= 200 && answer.status <= 299;
  if (!well_formed && (type != "application/json" || !success))
    return bad_answer("it answered " + std::to_string(answer.status) + " with `" + std::string(type) + "`");
  auto body = json::parse(arena.keep(answer.body), arena);
  if (!body) return bad_answer("its body is not JSON: " + body.error().detail);
  return response_of(*body);
}

std::optional<GraphqlText> asks_for(const Answer& answer) {
  Arena arena;
  const auto body = json::parse(answer.body, arena);
  const auto* errors = body && body->is(json::Type::object) ? body->find("errors") : nullptr;
  if (!errors || !errors->is(json::Type::array)) return std::nullopt;
  for (const auto& each : errors->array()) {
    const auto error = error_of(each);
    if (!error) continue;
    if (error->message == "PersistedQueryNotFound" || error->code() == "PERSISTED_QUERY_NOT_FOUND")
      return GraphqlText::both;
    if (error->message == "PersistedQueryNotSupported" || error->code() == "PERSISTED_QUERY_NOT_SUPPORTED")
      return GraphqlText::query;
  }
  return std::nullopt;
}

Task<Result<GraphqlResponse>> graphql(Service& service, Context& context, GraphqlCall call) {
  const auto kind = graphql_operation(call.query, call.operation);
  if (kind == GraphqlOperation::subscription) co_return fail(kInternal, "a subscription is no call");
  const std::string_view base = service.url().target;
  const auto first = call.persisted ? GraphqlText::hash : GraphqlText::query;
  auto request = graphql_request(call, kind, first, base);
  auto answer = co_await fetch(service, context, std::move(request));
  const auto more = answer && call.persisted ? asks_for(*answer) : std::nullopt;
  if (more) {
    auto whole = graphql_request(call, kind, *more, base);
    auto again = co_await fetch(service, context, std::move(whole));
    answer = std::move(again);
  }
  if (!answer) co_return std::unexpected(std::move(answer).error());
  co_return graphql_response(*answer, context.arena);
}

}  // namespace plimsoll::client
