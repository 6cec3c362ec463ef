#include "plimsoll/policy/cache/cache_key.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/key_text.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>

namespace plimsoll::policy {
namespace {

void put_grants(std::string& key, const Principal& caller) {
  if (!caller.grants_key.empty())
    key += caller.grants_key;
  else
    put_sorted(key, 'g', caller.scopes), put_sorted(key, 'r', caller.roles);
}

void put_claims(std::string& key, const Principal& caller) {
  if (!caller.claims_key.empty())
    key += caller.claims_key;
  else
    put_value(key, caller.claims);
}

}  // namespace

bool is_negotiated(const contract::Operation& operation) {
  return std::ranges::any_of(operation.responses, [](auto& response) {
    return response.status.starts_with('2') && response.content.size() > 1;
  });
}

std::optional<std::string_view> cookie_as_sent(std::string_view line, std::string_view name) {
  while (!line.empty()) {
    const auto end = std::min(line.find(';'), line.size());
    const auto pair = trimmed(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
    const auto equals = pair.find('=');
    if (equals != pair.npos && trimmed(pair.substr(0, equals)) == name) return pair.substr(equals + 1);
  }
  return std::nullopt;
}

bool has_parameters(const contract::Operation& operation, const Context& context) {
  const auto& values = context.input.parameters;
  return values.size() == operation.parameters.size() && (!values.empty() || context.path_values.empty());
}

DocumentIdentity::DocumentIdentity(const json::Value& root) : hash(hash64(json::to_string(root))) {}

CacheKey::CacheKey(const contract::Operation& operation, const Audience& audience, std::uint64_t document, bool hosts)
    : operation_(operation),
      audience_(audience),
      identity_(
          hash64(operation.id + '\n' + operation.method + ' ' + operation.path + '\n' + std::to_string(document))),
      negotiated_(is_negotiated(operation)),
      hosts_(hosts) {}

void CacheKey::write(std::string& key, const Request& request, const Context& context) const {
  key.append(reinterpret_cast<const char*>(&identity_), sizeof identity_);
  const auto& values = context.input.parameters;
  if (has_parameters(operation_, context)) {
    for (auto* each : values) put_value(key, each);
  } else {  // nobody has read them: as they were sent
    put_part(key, 'p', request.path);
    put_part(key, 'q', request.query);
    for (auto& parameter : operation_.parameters) {
      if (parameter.in == contract::In::header) {
        put_part(key, request.headers.contains(parameter.name) ? 'H' : '-', request.headers.joined(parameter.name));
      } else if (parameter.in == contract::In::cookie) {
        const auto sent = cookie_as_sent(request.headers.joined("cookie"), parameter.name);
        put_part(key, sent ? 'C' : '-', sent.value_or(""));
      }
    }
  }
  if (hosts_) {
    put_part(key, 'S', request.scheme);
    put_authority(key, 'A', request.authority);
  }
  if (negotiated_) put_part(key, 'a', request.headers.joined("accept"));
  auto* caller = context.principal;
  if (!caller) return put_part(key, '!', {});
  if (audience_.subject) put_part(key, 'v', caller->scheme), put_part(key, 'u', caller->subject);
  if (audience_.tenant) put_part(key, 'T', caller->tenant);
  if (audience_.grants) put_grants(key, *caller);
  if (audience_.claims) put_claims(key, *caller);
}

void CacheKey::vary(std::string& key, const std::vector<std::string>& names, const Request& request) {
  for (auto& name : names) {
    put_part(key, 'V', name);
    put_part(key, request.headers.contains(name) ? 'h' : '-', request.headers.joined(name));
  }
}

}  // namespace plimsoll::policy
