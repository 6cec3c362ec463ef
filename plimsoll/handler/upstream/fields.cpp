#include "plimsoll/handler/upstream/fields.hpp"

#include "plimsoll/base/arena_text.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_name.hpp"
#include "plimsoll/http/target.hpp"
#include "plimsoll/http/trailing.hpp"

#include <algorithm>
#include <ranges>

namespace plimsoll::handler::forwarding {
namespace {

using Names = std::vector<std::string>;

/// What belongs to one connection (RFC 9110, section 7.6.1) and never goes further.
constexpr FieldNames kHopByHop{{"connection", "keep-alive", "proxy-connection", "proxy-authenticate",
                                "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"}};
/// What is said anew on the way: by the policies around the call, the client that sends it, or below.
constexpr FieldNames kMadeHere{{"host", "content-length", "expect", "accept-encoding", "forwarded", "x-forwarded-for",
                                "x-forwarded-proto", "x-forwarded-host", "via", "cookie", "traceparent",
                                "x-request-id"}};
/// What asks for a part of an answer.
constexpr FieldNames kPartial{{"range", "if-range"}};

/// Adds the names that a Connection field lists, as `variable_name` has them, but for those that never go further.
void list(std::string_view connection, Names& names) {
  each_of(connection, [&](std::string_view name) {
    if (!kHopByHop.has(name)) names.push_back(variable_name(name));
  });
}

bool is_reserved(const Names& reserved, std::string_view name) {
  return std::ranges::any_of(reserved, [&](std::string_view each) {
    return each.ends_with('*') ? name.starts_with(each.substr(0, each.size() - 1)) : name == each;
  });
}

bool named(const Names& names, std::string_view name) { return std::ranges::find(names, name) != names.end(); }

/// The cookies of a field (RFC 6265, section 4.2.1) but for those of these names.
std::string_view without(const Names& names, std::string_view cookies, Arena& arena) {
  if (names.empty()) return cookies;
  std::string kept;
  for (const auto part : std::views::split(cookies, ';')) {
    const auto pair = trimmed(std::string_view(part));
    if (named(names, trimmed(pair.substr(0, pair.find('='))))) continue;
    if (!kept.empty()) kept += "; ";
    kept += pair;
  }
  return arena.keep(kept);
}

/// A tab within a value is as good as a blank (RFC 9110, section 5.5).
std::string_view value_of(std::string_view text, Arena& arena) {
  if (!text.contains('\t')) return text;
  auto* const out = arena.array<char>(text.size());
  std::ranges::replace_copy(text, out, '\t', ' ');
  return {out, text.size()};
}

/// The name as `variable_name` has it; most are so already.
std::string_view variable_in(std::string_view name, Arena& arena) {
  if (std::ranges::all_of(name, [](char c) { return variable_letter(c) == c; })) return name;
  return arena.keep(variable_name(name));
}
std::string_view lowered_in(std::string_view name, Arena& arena) {
  return std::ranges::all_of(name, [](char c) { return lower(c) == c; }) ? name : arena.keep(lowered(name));
}

/// One element of `Forwarded` (RFC 7239): an address of IPv6 and whatever has a colon stands in quotes.
std::string_view forwarded(const Request& request, Arena& arena) {
  const auto address = request.peer.address;
  ArenaText text{arena, 32 + address.size() + request.authority.size() + request.scheme.size()};
  if (address == "unix")
    text << "for=unknown";
  else if (address.contains(':'))
    text << "for=\"[" << address << "]\"";
  else
    text << "for=" << address;
  if (!request.authority.empty()) text << ";host=\"" << request.authority << "\"";
  return (text << ";proto=" << request.scheme).text();
}

/// All that came, and this server behind it.
std::string_view via(const Request& request, Arena& arena) {
  const auto before = value_of(request.headers.joined("via"), arena);
  ArenaText text{arena, before.size() + 16};
  if (!before.empty()) text << before << ", ";
  return (text << (request.version == 20 ? "2" : request.version == 10 ? "1.0" : "1.1") << " plimsoll").text();
}

}  // namespace

bool redirects(std::string_view name) {
  if (name.empty() || !std::string_view("cfptwx").contains(name.front())) return false;  // most are not
  constexpr std::string_view kFamilies[] = {"x-forwarded-", "x-original-", "x-rewrite-", "x-envoy-"};
  static constexpr FieldNames kRedirecting{{"x-override-url",
                                            "x-http-method-override",
                                            "x-http-method",
                                            "x-method-override",
                                            "x-http-path-override",
                                            "x-http-host-override",
                                            "x-host",
                                            "x-script-name",
                                            "x-matched-path",
                                            "x-real-ip",
                                            "x-client-ip",
                                            "x-cluster-client-ip",
                                            "true-client-ip",
                                            "client-ip",
                                            "cf-connecting-ip",
                                            "cf-connecting-ipv6",
                                            "fastly-client-ip",
                                            "proxy-client-ip",
                                            "wl-proxy-client-ip",
                                            "x-originating-ip",
                                            "x-remote-ip",
                                            "x-remote-addr",
                                            "x-forwarded",
                                            "forwarded-for",
                                            "forwarded-for-ip",
                                            "x-url-scheme",
                                            "front-end-https",
                                            "proxy",
                                            "x-plimsoll-mirrored"}};
  return kRedirecting.has(name) ||
         std::ranges::any_of(kFamilies, [&](auto family) { return name.starts_with(family); });
}

void FieldRules::apply_to_request(Headers& headers) const {
  for (const auto& name : remove) remove_alike(headers, name);
  for (const auto& [name, value] : set) set_alone(headers, lasting(name), lasting(value));
}

void FieldRules::apply_to_response(Headers& headers) const {
  for (const auto& name : remove) headers.remove(name);
  for (const auto& [name, value] : set) headers.set(lasting(name), lasting(value));
}

std::string_view passed_query(std::string_view query, Arena& arena, const Passing& passing) {
  if (passing.keys_in_query.empty()) return query;
  std::string kept;
  for (QueryPairs pairs{query}; const auto pair = pairs.next();) {
    // As the policy that verifies keys reads the name.
    if (named(passing.keys_in_query, percent_decode(pair->name, arena, true).value_or(pair->name))) continue;
    if (!kept.empty()) kept += '&';
    kept += pair->name;
    if (pair->has_value) (kept += '=') += pair->value;
  }
  return arena.keep(kept);
}

Headers request_fields(const Request& request, Arena& arena, const Passing& passing) {
  Headers fields{arena};
  const auto add = [&](Lasting name, std::string_view value) { fields.add(name, lasting(value_of(value, arena))); };
  Names of_the_connection;
  for (const auto& [name, value] : request.headers)
    if (same_as_lower(name, "connection")) list(value, of_the_connection);
  for (const auto& field : request.headers) {
    const auto name = variable_in(field.name, arena);
    if (kHopByHop.has(name) || named(of_the_connection, name)) continue;
    // What is spelled as all spellings are is in lower case.
    const auto written = name.data() == field.name.data() ? name : lowered_in(field.name, arena);
    if (kMadeHere.has(name) && !(passing.coding && written == "accept-encoding")) continue;
    if (!passing.parts && kPartial.has(name)) continue;
    const auto is_known = [&](const std::string& declared) { return same_variable(declared, name); };
    const bool known = std::ranges::any_of(passing.declared, is_known);
    if (known ? !named(passing.declared, written) : redirects(name) || is_reserved(passing.reserved, name)) continue;
    add(lasting(written), field.value);
  }
  // HTTP/2 may split it (RFC 9113, section 8.2.3).
  const auto cookies = without(passing.keys_in_cookies, request.headers.joined("cookie"), arena);
  if (!cookies.empty() && !named(of_the_connection, "cookie")) add("cookie", cookies);
  fields.add("via", lasting(via(request, arena)));
  // A body in a coding could not be held against the contract, and what our own caller accepts is ours to serve.
  if (!passing.coding) fields.add("accept-encoding", "identity");
  // The peer is the client, or who a trusted proxy said it is; what the client itself says of it is not passed on.
  if (request.peer.address != "unix") fields.add("x-forwarded-for", lasting(request.peer.address));
  fields.add("x-forwarded-proto", lasting(request.scheme));
  if (!request.authority.empty()) fields.add("x-forwarded-host", lasting(request.authority));
  fields.add("forwarded", lasting(forwarded(request, arena)));
  return fields;
}

bool passes_behind_body(std::string_view name, const Passing& passing, const FieldRules& rules) {
  const auto variable = variable_name(name);
  const auto same = [&](std::string_view other) { return same_variable(other, variable); };
  return http::may_trail(name) && http::may_trail(variable) && !redirects(variable) &&
         !is_reserved(passing.reserved, variable) && !variable.starts_with("x-plimsoll-") &&
         variable != "idempotency-key" && std::ranges::none_of(passing.declared, same) &&
         std::ranges::none_of(rules.remove, same) &&
         std::ranges::none_of(rules.set, [&](const auto& field) { return same(field.first); });
}

void response_fields(const Response& answer, bool length, Headers& out) {
  const bool lasts = &answer.headers.arena() == &out.arena();
  Names of_the_connection;
  for (const auto& [name, value] : answer.headers)
    if (name == "connection") list(value, of_the_connection);
  for (const auto& [name, value] : answer.headers) {
    if (kHopByHop.has(name) || named(of_the_connection, name)) continue;
    if (name == "content-length" && !length) continue;
    if (lasts)
      out.add(lasting(name), lasting(value));
    else
      out.add(name, value);
  }
}

}  // namespace plimsoll::handler::forwarding
