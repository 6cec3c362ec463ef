#include "plimsoll/policy/cache/cache_key.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/policy/cache/key_text.hpp"

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

DocumentIdentity::DocumentIdentity(const json::Value& root) : hash(hash64(json::to_string(root))) {}

CacheKey::CacheKey(const contract::Operation& operation, const Audience& audience, std::uint64_t document)
    : operation_(operation),
      audience_(audience),
      identity_(
          hash64(operation.id + '\n' + operation.method + ' ' + operation.path + '\n' + std::to_string(document))) {
  for (auto& response : operation.responses)
    if (response.status.starts_with('2')) negotiated_ = negotiated_ || response.content.size() > 1;
}

void CacheKey::write(std::string& key, const Request& request, const Context& context) const {
  key.append(reinterpret_cast<const char*>(&identity_), sizeof identity_);
  const auto& values = context.input.parameters;
  if (values.size() == operation_.parameters.size() && (!values.empty() || context.path_values.empty())) {
    for (auto* each : values) put_value(key, each);
  } else {  // nobody has read them: as they were sent
    put_part(key, 'p', request.path);
    put_part(key, 'q', request.query);
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
