#include "plimsoll/exchange/cache/detached_exchange.hpp"

#include "plimsoll/database/database.hpp"
#include "plimsoll/exchange/reading.hpp"
#include "plimsoll/json/value.hpp"

namespace plimsoll {
namespace {

/// Texts included, which may be views into the request.
json::Value copied(const json::Value& value, Arena& arena) {
  switch (value.type()) {
    case json::Type::string: return json::Value::of(arena.keep(value.string()));
    case json::Type::number: {
      const auto text = arena.keep(value.number_text());
      const auto integer = value.integer();
      return integer ? json::Value::integer_of(text, *integer) : json::Value::number(text);
    }
    case json::Type::array: {
      const auto items = value.array();
      auto* copies = arena.array<json::Value>(items.size());
      for (std::size_t i = 0; i < items.size(); ++i) ::new (&copies[i]) json::Value(copied(items[i], arena));
      return json::Value::array({copies, items.size()});
    }
    case json::Type::object: {
      const auto members = value.object();
      auto* copies = arena.array<json::Member>(members.size());
      for (std::size_t i = 0; i < members.size(); ++i)
        ::new (&copies[i]) json::Member{arena.keep(members[i].key), copied(members[i].value, arena)};
      return json::Value::object({copies, members.size()});
    }
    case json::Type::boolean:
    case json::Type::null: break;
  }
  return value;
}
const json::Value* copied(const json::Value* value, Arena& arena) {
  return value ? &arena.make<json::Value>(copied(*value, arena)) : nullptr;
}

std::span<const std::string_view> copied(std::span<const std::string_view> texts, Arena& arena) {
  auto* copy = arena.array<std::string_view>(texts.size() + 1);
  for (std::size_t i = 0; i < texts.size(); ++i) copy[i] = arena.keep(texts[i]);
  return {copy, texts.size()};
}

}  // namespace

DetachedExchange::DetachedExchange(const Request& from, const Context& asked, Fields fields)
    : in_use(asked.services.in_use.lock()),
      entry(asked.services, asked.loop, scope),
      request{.method = "GET", .target = {}, .headers = Headers{arena}},
      context(arena, asked.loop, asked.services) {
  resource = arena.keep(from.path);
  request.target = arena.keep(from.target);
  request.path = resource;
  request.query = arena.keep(from.query);
  request.has_query = from.has_query;
  request.scheme = arena.keep(from.scheme);
  request.authority = arena.keep(from.authority);
  request.version = from.version;
  request.peer = from.peer;
  request.peer.address = arena.keep(from.peer.address);
  request.peer.certificate_subject = arena.keep(from.peer.certificate_subject);
  if (fields == Fields::as_sent)
    for (auto& [name, value] : from.headers) request.headers.add(name, value);

  context.scope = &scope;
  context.started = context.now = asked.services.clock->steady();
  context.wall = asked.services.clock->wall();
  context.operation = asked.operation;
  context.path = request.path;
  context.path_values = copied(asked.path_values, arena);
  context.trace_id = arena.keep(asked.trace_id);
  context.span_id = arena.keep(asked.span_id);
  context.request_id = arena.keep(asked.request_id);
  context.trace_sampled = asked.trace_sampled;
  if (asked.services.database && asked.services.database->has_replicas())
    context.note<Consistency>(Consistency{.safe = true, .kept = true, .site = from.peer.site});
  auto* values = arena.array<const json::Value*>(asked.input.parameters.size() + 1);
  for (std::size_t i = 0; i < asked.input.parameters.size(); ++i) values[i] = copied(asked.input.parameters[i], arena);
  context.input.parameters = {values, asked.input.parameters.size()};
  if (auto* caller = asked.principal) {
    principal = {.subject = arena.keep(caller->subject),
                 .scheme = arena.keep(caller->scheme),
                 .tenant = arena.keep(caller->tenant),
                 .scopes = copied(caller->scopes, arena),
                 .roles = copied(caller->roles, arena),
                 .claims = copied(caller->claims, arena),
                 .grants_key = arena.keep(caller->grants_key),
                 .claims_key = arena.keep(caller->claims_key)};
    context.principal = &principal;
  }
}

}  // namespace plimsoll
