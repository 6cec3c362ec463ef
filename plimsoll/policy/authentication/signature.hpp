#pragma once

#include "plimsoll/policy/authentication/jwk.hpp"

namespace plimsoll::policy {

/// Bits of the hash of an algorithm: 256, 384, 512; 512 of EdDSA.
unsigned signature_hash_bits(Algorithm);

/// Signatures as JWS has them (RFC 7518, section 3): RSA as long as the modulus, PSS with a salt as long as the hash,
/// ECDSA as r and s of fixed length, Ed25519 and Ed448 as RFC 8032. Anything else is false, never an error.
bool verify_signature(Algorithm, evp_pkey_st& key, std::string_view message, std::string_view signature);
/// Empty when it cannot be made.
std::string make_signature(Algorithm, evp_pkey_st& key, std::string_view message);
std::string hmac(Algorithm, std::string_view secret, std::string_view message);

}  // namespace plimsoll::policy
