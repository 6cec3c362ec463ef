#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/policy/authentication/identity.hpp"
#include "plimsoll/policy/authentication/jwt.hpp"

#include <array>
#include <atomic>
#include <mutex>

namespace plimsoll::telemetry {
class Log;
}

namespace plimsoll::policy {

/// `authentication.<scheme>` of a deployment, for tokens.
struct TokenOptions {
  std::string issuer;
  std::vector<std::string> audience;
  std::string jwks;
  std::string authorities;
  std::vector<std::string> secret;
  std::vector<std::string> algorithms;
  config::Duration leeway = config::seconds(30);
  config::Duration refresh = config::minutes(10);
  std::string scopes_claim = "scope", roles_claim = "roles", tenant_claim = "tenant", subject_claim = "sub";
};
inline constexpr config::Field kTokenFields[] = {
    config::field<&TokenOptions::issuer>("issuer", "The required `iss` of tokens."),
    config::field<&TokenOptions::audience>("audience", "`aud` must name one of these."),
    config::field<&TokenOptions::jwks>(
        "jwks",
        "The keys, a JWK set: a file, or an https URL. It is read again every `refresh`; from a URL sooner, but not "
        "more often than every 30 s, where the response is fresh for less (`Cache-Control`, `Expires`)."),
    config::field<&TokenOptions::authorities>(
        "authorities", "PEM file of the authorities that sign the certificate of the URL; empty: the system's."),
    config::field<&TokenOptions::secret>("secret",
                                         "Shared secrets for HS256, HS384 and HS512, at least 32 bytes; all verify."),
    config::field<&TokenOptions::algorithms>("algorithms", "Algorithms allowed; empty: all that fit the keys."),
    config::field<&TokenOptions::leeway>("leeway", "How far clocks may differ."),
    config::field<&TokenOptions::refresh>("refresh", "How often the keys are read again."),
    config::field<&TokenOptions::scopes_claim>("scopes-claim",
                                               "Claim with the scopes: a list, or text separated by spaces."),
    config::field<&TokenOptions::roles_claim>("roles-claim", "Claim with the roles."),
    config::field<&TokenOptions::tenant_claim>("tenant-claim", "Claim with the tenant."),
    config::field<&TokenOptions::subject_claim>("subject-claim", "Claim that names the caller."),
};

/// Verifies tokens of one security scheme. Accepted ones are remembered until they expire or the keys change, so that a
/// signature is checked once per token. Never waits: where another thread stands in the way, the token is checked
/// again.
class TokenVerifier {
 public:
  /// Why keys are not taken of which none may verify anything.
  static constexpr std::string_view kNoneAllowed = "no key fits the algorithms that `algorithms` allows";

  static Result<std::shared_ptr<TokenVerifier>> make(TokenOptions options, Roles roles, Nanoseconds now);
  static std::shared_ptr<TokenVerifier> of_keys(std::vector<Jwk> keys, JwtRules rules, Roles roles);

  /// `now`: Unix.
  std::expected<IdentityPointer, JwtFault> verify(std::string_view token, Nanoseconds now);
  /// Whether the token was verified before, and still holds: then `verify` costs nothing. Waits for the shard, since an
  /// answer of "unknown" would cost a valid caller its request where failures are limited.
  bool knows(std::string_view token, Nanoseconds now);
  /// What was wrong with keys that are passed over.
  std::vector<std::string> complaints() const { return keys()->complaints; }
  const TokenOptions& options() const { return options_; }
  /// Told of a key file that was changed and cannot be read; outlives this.
  void log_to(telemetry::Log* log) { log_ = log; }
  /// The keys are at a URL: somebody else fetches them (KeyRefresh) and has them adopted.
  bool remote() const { return remote_; }
  Result<> adopt(JwkSet set, Nanoseconds now);
  /// A token named a key that is not known. Asking forgets it.
  bool wants_keys() { return wants_keys_.exchange(false); }
  /// They have never been had.
  bool lacks_keys() const { return !adopted_.load(std::memory_order_acquire) && remote(); }

 private:
  static constexpr std::size_t kShards = 32, kSlots = 128;
  static constexpr std::size_t kMostCached = 4096;  ///< bytes of a token that is remembered
  static constexpr std::size_t kHashed = 32;        ///< bytes at its end, of the signature, that tell where
  struct Slot {
    std::uint64_t key = 0;  ///< a hash of the token's end, seeded: nobody outside can say which tokens share a place
    std::string token;      ///< compared whole: a hash alone proves nothing
    IdentityPointer identity;
    std::uint64_t generation = 0;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::array<Slot, kSlots> slots;
  };
  static std::uint64_t place_of(std::string_view token);
  std::shared_ptr<const JwkSet> keys() const { return keys_.load(); }
  Result<> load(Nanoseconds now);
  void refresh(Nanoseconds now, Nanoseconds least);
  IdentityPointer remembered(const Shard& shard, std::uint64_t key, std::string_view token, Nanoseconds now) const;
  void remember(std::uint64_t key, std::string_view token, const IdentityPointer&, std::uint64_t generation);

  TokenOptions options_;
  bool remote_ = false;
  JwtRules rules_;
  Roles roles_;
  std::atomic<std::shared_ptr<const JwkSet>> keys_;
  std::atomic<std::uint64_t> generation_{1};
  std::atomic<Nanoseconds> looked_{0};
  std::atomic<bool> wants_keys_{false}, adopted_{false};
  telemetry::Log* log_ = nullptr;  ///< null: none
  std::int64_t changed_ = 0;       ///< of the file, when it was read; written by whoever won `looked_`
  std::unique_ptr<Shard[]> shards_ = std::make_unique<Shard[]>(kShards);
};

}  // namespace plimsoll::policy
