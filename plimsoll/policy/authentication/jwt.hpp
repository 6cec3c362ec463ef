#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/policy/authentication/jwk.hpp"

#include <span>

namespace plimsoll::policy {

/// Why a token is not accepted.
enum class JwtFault : std::uint8_t {
  too_large,
  malformed,
  algorithm_not_allowed,
  critical_extension,
  unknown_key,
  bad_signature,
  bad_claims,
  no_expiry,
  expired,
  not_yet_valid,
  wrong_issuer,
  wrong_audience,
};
/// `bad-signature`
std::string_view name_of(JwtFault);

/// What is asked of a token beside its signature.
struct JwtRules {
  std::string issuer;                 ///< `iss`; empty: any
  std::vector<std::string> audience;  ///< `aud` names one of them; empty: any
  std::vector<Algorithm> algorithms;  ///< allowed; empty: all that fit the keys
  Nanoseconds leeway = 30 * kSecond;  ///< for clocks that differ
  std::size_t most_bytes = 16 * 1024;
};

/// A token that was accepted. `claims` and what it refers to are in the arena given.
struct Jwt {
  json::Value claims;
  Nanoseconds expires = 0;  ///< Unix, leeway not added
};

/// Checks a compact JWS with JSON claims (RFC 7515, 7519, 8725) at `now` (Unix). The key is chosen by `kid` among ours
/// and decides which algorithms there are; what the header offers (`jwk`, `jku`, `x5c`, `x5u`) is never looked at; any
/// `crit` is refused, because we know no extension. A token without expiry is refused.
std::expected<Jwt, JwtFault> verify_jwt(std::string_view token, std::span<const Jwk> keys, const JwtRules& rules,
                                        Nanoseconds now, Arena& arena);

/// A compact JWS over `claims` (JSON).
Result<std::string> issue_jwt(const Jwk& key, std::string_view claims);

}  // namespace plimsoll::policy
