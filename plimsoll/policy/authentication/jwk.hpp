#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/json/value.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct evp_pkey_st;

namespace plimsoll::policy {

/// Algorithms of signatures (RFC 7518, section 3.1; RFC 8037). `none` is not among them.
enum class Algorithm : std::uint8_t {
  rs256,
  rs384,
  rs512,
  ps256,
  ps384,
  ps512,
  es256,
  es384,
  es512,
  eddsa,
  hs256,
  hs384,
  hs512
};
/// By its registered name, to the letter.
std::optional<Algorithm> algorithm_of(std::string_view name);
std::string_view name_of(Algorithm);

inline constexpr Problem kBadKey{
    "bad-key", 500, "The key cannot be used",
    "Give a JWK (RFC 7517): RSA of 2048 bits or more, EC P-256, P-384 or P-521, OKP Ed25519 or "
    "Ed448, or a secret as long as the hash."};

/// A key that checks or makes signatures (RFC 7517). What it may be used for is bound to the key: its type and curve,
/// its `alg`, `use` and `key_ops`, never to what a token says of itself. Immutable; safe from several threads.
class Jwk {
 public:
  static Result<Jwk> parse(const json::Value&);
  /// A shared secret: HS256, HS384, HS512 by its length (RFC 7518, section 3.2).
  static Result<Jwk> of_secret(std::string secret, std::string id = {});
  static Result<Jwk> generate(Algorithm);

  const std::string& id() const { return id_; }  ///< `kid`; empty: none
  /// Whether signatures of this algorithm may be checked by this key.
  bool fits(Algorithm) const;
  /// The algorithm it signs with: its `alg`, or the first that fits.
  std::optional<Algorithm> algorithm() const;
  bool verify(Algorithm, std::string_view message, std::string_view signature) const;
  bool can_sign() const { return private_; }
  Result<std::string> sign(Algorithm, std::string_view message) const;
  /// As a JWK, with a thumbprint (RFC 7638) as `kid` where it had none. The private part only when said.
  std::string to_json(bool with_private) const;

 private:
  enum class Type : std::uint8_t { rsa, ec, okp, oct };
  std::string thumbprint() const;

  std::string id_, curve_;
  Type type_ = Type::oct;
  bool verifies_ = true, private_ = false;
  std::optional<Algorithm> only_;
  unsigned bits_ = 0;  ///< of the modulus, the curve, the secret
  std::shared_ptr<evp_pkey_st> key_;
  std::string secret_;
};

/// A set of keys (RFC 7517, section 5), or a single key. Keys of unknown type are passed over, as the RFC says; keys
/// that are too weak or malformed are passed over and told in `complaints`.
struct JwkSet {
  std::vector<Jwk> keys;
  std::vector<std::string> complaints;
};
Result<JwkSet> parse_jwk_set(const json::Value&);

}  // namespace plimsoll::policy
