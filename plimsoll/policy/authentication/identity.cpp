#include "plimsoll/policy/authentication/identity.hpp"

#include "plimsoll/config/options.hpp"
#include "plimsoll/http/key_text.hpp"

#include <algorithm>

namespace plimsoll::policy {

void Identity::seal() {
  scope_views.assign(scopes.begin(), scopes.end());
  role_views.assign(roles.begin(), roles.end());
  put_sorted(grants_key, 'g', scope_views);
  put_sorted(grants_key, 'r', role_views);
  put_value(claims_key, has_claims ? &claims : nullptr);
}

Result<Roles> Roles::read(const json::Value* deployment) {
  Roles made;
  const auto* roles = deployment ? deployment->find("roles") : nullptr;
  if (!roles) return made;
  if (!roles->is(json::Type::object)) return config::wrong(*roles, "an object is expected: each role with its scopes");
  for (const auto& [role, scopes, at] : roles->object()) {
    auto list = config::Form<std::vector<std::string>>::read(scopes);
    if (!list) return std::unexpected(std::move(list).error());
    for (const auto& scope : *list)
      if (scope.find_first_of(" \t,") != scope.npos)
        return config::wrong(scopes, "\"" + scope + "\" is no scope: it has a blank or a comma",
                             "Write several as a list: `" + std::string(role) + ": ['orders:read', 'orders:write']`.");
    made.scopes_.emplace(role, std::move(*list));
  }
  return made;
}

void Roles::expand(Identity& identity) const {
  for (const auto& role : identity.roles)
    if (const auto found = scopes_.find(role); found != scopes_.end())
      for (const auto& scope : found->second)
        if (std::ranges::find(identity.scopes, scope) == identity.scopes.end()) identity.scopes.push_back(scope);
}

}  // namespace plimsoll::policy
