#include "plimsoll/handler/upstream/fields.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/field_name.hpp"
#include "plimsoll/http/trailing.hpp"

#include <algorithm>
#include <ranges>

namespace plimsoll::handler::forwarding {
namespace {

using Names = std::vector<std::string>;

constexpr std::size_t kAdded = 8;  ///< fields that are written here, and by rules

bool is_any(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

/// What belongs to one connection (RFC 9110, section 7.6.1) and never goes further.
bool is_hop_by_hop(std::string_view name) {
  return is_any(name, {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
                       "te", "trailer", "transfer-encoding", "upgrade"});
}

/// What is said anew on the way: by the policies around the call, the client that sends it, or below.
bool is_made_here(std::string_view name) {
  return is_any(name, {"host", "content-length", "expect", "accept-encoding", "forwarded", "x-forwarded-for",
                       "x-forwarded-proto", "x-forwarded-host", "via", "cookie", "traceparent", "x-request-id"});
}

/// Adds the names that a Connection field lists, as `variable_name` has them.
void list(std::string_view connection, Names& names) {
  each_of(connection, [&](std::string_view name) { names.push_back(variable_name(name)); });
}

bool is_reserved(const Names& reserved, std::string_view name) {
  return std::ranges::any_of(reserved, [&](std::string_view each) {
    return each.ends_with('*') ? name.starts_with(each.substr(0, each.size() - 1)) : name == each;
  });
}

bool named(const Names& names, std::string_view name) { return std::ranges::find(names, name) != names.end(); }

/// The cookies of a field (RFC 6265, section 4.2.1) but for those of these names.
std::string without(const Names& names, std::string_view cookies) {
  if (names.empty()) return std::string(cookies);
  std::string kept;
  for (const auto part : std::views::split(cookies, ';')) {
    const auto pair = trimmed(std::string_view(part));
    if (named(names, trimmed(pair.substr(0, pair.find('='))))) continue;
    if (!kept.empty()) kept += "; ";
    kept += pair;
  }
  return kept;
}

/// A tab within a value is as good as a blank (RFC 9110, section 5.5).
std::string value_of(std::string_view text) {
  std::string out(text);
  std::ranges::replace(out, '\t', ' ');
  return out;
}

/// One element of `Forwarded` (RFC 7239): an address of IPv6 and whatever has a colon stands in quotes.
std::string forwarded(const Request& request) {
  const auto node = request.peer.address == "unix"       ? "unknown"
                    : request.peer.address.contains(':') ? "\"[" + std::string(request.peer.address) + "]\""
                                                         : std::string(request.peer.address);
  auto text = "for=" + node;
  if (!request.authority.empty()) text += ";host=\"" + std::string(request.authority) + "\"";
  return text + ";proto=" + std::string(request.scheme);
}

}  // namespace

bool redirects(std::string_view name) {
  if (name.empty() || !std::string_view("cfptwx").contains(name.front())) return false;  // most are not
  constexpr std::string_view kFamilies[] = {"x-forwarded-", "x-original-", "x-rewrite-", "x-envoy-"};
  return is_any(name, {"x-override-url",
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
                       "x-plimsoll-mirrored"}) ||
         std::ranges::any_of(kFamilies, [&](auto family) { return name.starts_with(family); });
}

void FieldRules::apply(std::vector<std::pair<std::string, std::string>>& fields) const {
  const auto drop = [&](std::string_view name) {
    std::erase_if(fields, [&](const auto& field) { return same_variable(field.first, name); });
  };
  for (const auto& name : remove) drop(name);
  for (const auto& [name, value] : set) {
    drop(name);
    fields.emplace_back(name, value);
  }
}

void FieldRules::apply(Headers& headers) const {
  for (const auto& name : remove) headers.remove(name);
  for (const auto& [name, value] : set) headers.set(lasting(name), lasting(value));
}

std::vector<std::pair<std::string, std::string>> request_fields(const Request& request, const Passing& passing) {
  std::vector<std::pair<std::string, std::string>> fields;
  fields.reserve(request.headers.size() + kAdded);
  Names of_the_connection;
  std::string cookies, via;
  const auto join = [](std::string& all, std::string_view separator, std::string_view one) {
    if (!all.empty()) all += separator;
    all += value_of(one);
  };
  for (const auto& [name, value] : request.headers)
    if (same_as_lower(name, "connection")) list(value, of_the_connection);
  for (const auto& field : request.headers) {
    const auto name = variable_name(field.name);
    if (name == "cookie")  // HTTP/2 may split it (RFC 9113, section 8.2.3)
      if (const auto kept = without(passing.keys_in_cookies, field.value); !kept.empty()) join(cookies, "; ", kept);
    if (name == "via") join(via, ", ", field.value);
    if (is_hop_by_hop(name) || named(of_the_connection, name)) continue;
    auto written = lowered(field.name);
    if (is_made_here(name) && !(passing.coding && written == "accept-encoding")) continue;
    const auto is_known = [&](const std::string& declared) { return same_variable(declared, name); };
    const bool known = std::ranges::any_of(passing.declared, is_known);
    if (known ? !named(passing.declared, written) : redirects(name) || is_reserved(passing.reserved, name)) continue;
    fields.emplace_back(std::move(written), value_of(field.value));
  }
  if (!cookies.empty() && !named(of_the_connection, "cookie")) fields.emplace_back("cookie", std::move(cookies));
  join(via, ", ", request.version == 20 ? "2 plimsoll" : request.version == 10 ? "1.0 plimsoll" : "1.1 plimsoll");
  fields.emplace_back("via", std::move(via));
  // A body in a coding could not be held against the contract, and what our own caller accepts is ours to serve.
  if (!passing.coding) fields.emplace_back("accept-encoding", "identity");
  // The peer is the client, or who a trusted proxy said it is; what the client itself says of it is not passed on.
  if (request.peer.address != "unix") fields.emplace_back("x-forwarded-for", request.peer.address);
  fields.emplace_back("x-forwarded-proto", request.scheme);
  if (!request.authority.empty()) fields.emplace_back("x-forwarded-host", request.authority);
  fields.emplace_back("forwarded", forwarded(request));
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
  Names of_the_connection;
  for (const auto& [name, value] : answer.headers)
    if (name == "connection") list(value, of_the_connection);
  for (const auto& [name, value] : answer.headers) {
    if (is_hop_by_hop(name) || named(of_the_connection, name)) continue;
    if (name == "content-length" && !length) continue;
    out.add(name, value);
  }
}

}  // namespace plimsoll::handler::forwarding
