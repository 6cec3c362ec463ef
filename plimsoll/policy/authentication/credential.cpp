#include "plimsoll/policy/authentication/credential.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/contract/parameters.hpp"

namespace plimsoll::policy {
namespace {

/// What stands in the place of a credential that comes twice: neither is believed, and nothing verifies this.
constexpr std::string_view kTwo = "two";

/// The value of `name` in pieces `name=value`; names and values of a query are percent-decoded.
std::string_view value_in(std::string_view text, std::string_view name, contract::In in, Arena& arena) {
  const bool query = in == contract::In::query;
  const auto plain = [&](std::string_view raw) {
    return query ? contract::decode(raw, arena, true).value_or(raw) : raw;
  };
  std::string_view found;
  for (const auto& pair : contract::split_pairs(text, arena, query ? "&" : ";")) {
    if (plain(pair.name) != name || pair.value.empty()) continue;
    if (!found.empty()) return kTwo;
    found = plain(pair.value);
  }
  return found;
}

}  // namespace

std::string_view credential(const contract::SecurityScheme& scheme, const Request& request) {
  const auto& headers = request.headers;
  if (scheme.type != "apiKey") {
    constexpr std::string_view kBearer = "bearer ";
    const auto line = headers.only("authorization");
    if (!line) return kTwo;
    auto text = *line;
    if (text.size() <= kBearer.size() || !same_as_lower(text.substr(0, kBearer.size()), kBearer)) return {};
    text.remove_prefix(kBearer.size());
    while (text.starts_with(' ')) text.remove_prefix(1);
    return text;
  }
  switch (scheme.in) {
    case contract::In::header: return headers.only(scheme.parameter).value_or(kTwo);
    case contract::In::query: return value_in(request.query, scheme.parameter, scheme.in, headers.arena());
    default: return value_in(headers.joined("cookie"), scheme.parameter, contract::In::cookie, headers.arena());
  }
}

}  // namespace plimsoll::policy
