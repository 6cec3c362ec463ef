#pragma once

#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/services.hpp"
#include "plimsoll/policy/authentication/api_key.hpp"
#include "plimsoll/policy/authentication/token_verifier.hpp"

namespace plimsoll::policy {

/// Verifies API keys of one security scheme.
struct KeyVerifier {
  std::unique_ptr<ApiKeys> table;  ///< null: only the development key
  Roles roles;
  ApiKeyCache cache;
  std::string development;  ///< made by `--dev`; empty: none
  IdentityPointer developer;
};

/// Whatever verifies the credentials of a security scheme: exactly one of the two.
struct Verifier {
  std::shared_ptr<TokenVerifier> tokens;
  std::shared_ptr<KeyVerifier> keys;
};

inline constexpr Problem kUnverifiable{"no-verifier", 500, "No verification is configured for these credentials",
                                       "Use `type: http, scheme: bearer` (tokens), `oauth2`, `openIdConnect` or "
                                       "`apiKey`."};
inline constexpr Problem kNoVerifier{"no-verifier", 500, "No verification is configured for these credentials",
                                     "Configure the issuer in plimsoll.yaml, `authentication: {SCHEME: {issuer: URL, "
                                     "audience: NAME, jwks: FILE}}`, or start with --dev, which generates a key."};

/// Whether each member of `authentication` is of a security scheme of the contract: one that nothing uses is an error
/// with its line.
Result<> check_authentication(std::span<const contract::Contract* const>, const json::Value* deployment);

/// The verifier of a scheme, made from `authentication.<scheme>` of the deployment at its first use and shared by all
/// operations. Without any the start is refused, unless it is a development's, which gets a key of its own.
Result<Verifier> verifier_of(const contract::SecurityScheme&, const contract::Contract&, const Services&);

/// `authentication.failures`: how many invalid credentials an address may present, and how often one of them, before
/// they are throttled. Nullopt: as many as it likes.
Result<std::optional<config::Rate>> failures_allowed(const json::Value* deployment);

}  // namespace plimsoll::policy
