#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/result.hpp"
#include "plimsoll/exchange/principal.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace plimsoll::contract {
struct SecurityScheme;
}

namespace plimsoll::policy {

/// Who a verified credential names and what it grants. Immutable, shared by the exchanges that present it.
struct Identity {
  std::string subject, tenant;
  std::vector<std::string> scopes, roles;  ///< scopes with those of the roles
  Arena arena{1024};                       ///< of the claims
  json::Value claims;
  bool has_claims = false;
  Nanoseconds expires = 0;  ///< Unix; 0: never
  std::vector<std::string_view> scope_views, role_views;
  std::string grants_key, claims_key;  ///< as Principal's

  /// Once all is filled in.
  void seal();
  Principal principal(std::string_view scheme) const {
    return {.subject = subject,
            .scheme = scheme,
            .tenant = tenant,
            .scopes = scope_views,
            .roles = role_views,
            .claims = has_claims ? &claims : nullptr,
            .grants_key = grants_key,
            .claims_key = claims_key};
  }
};
using IdentityPointer = std::shared_ptr<const Identity>;

/// `roles:` of the deployment: each role with its scopes.
class Roles {
 public:
  static Result<Roles> read(const json::Value* deployment);
  /// Adds the scopes of the identity's roles to its own.
  void expand(Identity&) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> scopes_;
};

/// Whether the caller has a scope that `security` names; of schemes without scopes these are roles (OpenAPI 3.1,
/// Security Requirement Object).
inline bool grants(const Principal& principal, std::string_view scope) {
  return principal.has_scope(scope) || std::ranges::find(principal.roles, scope) != principal.roles.end();
}
inline bool grants(const Identity& identity, std::string_view scope) { return grants(identity.principal({}), scope); }

/// What authentication found, noted for authorization: who vouched, by security scheme.
struct Vouched {
  struct By {
    const contract::SecurityScheme* scheme;
    Principal principal;
  };
  std::span<const By> by;
  const Principal* find(const contract::SecurityScheme* scheme) const {
    for (const auto& each : by)
      if (each.scheme == scheme) return &each.principal;
    return nullptr;
  }
};

}  // namespace plimsoll::policy
