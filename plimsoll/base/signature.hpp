#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

struct evp_pkey_st;

namespace plimsoll {

/// How a key pair signs: RSA (PKCS #1 v1.5, or PSS with a salt as long as the hash), ECDSA with r and s side by side,
/// or EdDSA (RFC 8032).
struct SignatureMethod {
  enum class Kind : std::uint8_t { rsa, rsa_pss, ecdsa, eddsa } kind = Kind::rsa;
  unsigned hash_bits = 256;     ///< 256, 384, 512; not of EdDSA
  std::size_t coordinate = 32;  ///< bytes of r and of s, of ECDSA
};

/// Anything wrong is false, never an error.
bool verify_signature(const SignatureMethod& method, evp_pkey_st& key, std::string_view message,
                      std::string_view signature);
/// Empty when it cannot be made.
std::string make_signature(const SignatureMethod& method, evp_pkey_st& key, std::string_view message);
/// RFC 2104, with SHA-1 (160), SHA-256, SHA-384 or SHA-512.
std::string make_hmac(unsigned hash_bits, std::string_view secret, std::string_view message);

}  // namespace plimsoll
