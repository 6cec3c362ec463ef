#include "plimsoll/policy/authentication/signature.hpp"

#include "plimsoll/base/signature.hpp"

namespace plimsoll::policy {
namespace {

SignatureMethod method_of(Algorithm algorithm) {
  using Kind = SignatureMethod::Kind;
  SignatureMethod made{.hash_bits = signature_hash_bits(algorithm)};
  if (algorithm >= Algorithm::ps256 && algorithm <= Algorithm::ps512) made.kind = Kind::rsa_pss;
  if (algorithm >= Algorithm::es256 && algorithm <= Algorithm::es512) {
    made.kind = Kind::ecdsa;
    made.coordinate = algorithm == Algorithm::es256 ? 32 : algorithm == Algorithm::es384 ? 48 : 66;
  }
  if (algorithm == Algorithm::eddsa) made.kind = Kind::eddsa;
  return made;
}

}  // namespace

unsigned signature_hash_bits(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::rs256:
    case Algorithm::ps256:
    case Algorithm::es256:
    case Algorithm::hs256: return 256;
    case Algorithm::rs384:
    case Algorithm::ps384:
    case Algorithm::es384:
    case Algorithm::hs384: return 384;
    default: return 512;
  }
}

bool verify_signature(Algorithm algorithm, evp_pkey_st& key, std::string_view message, std::string_view signature) {
  return plimsoll::verify_signature(method_of(algorithm), key, message, signature);
}

std::string make_signature(Algorithm algorithm, evp_pkey_st& key, std::string_view message) {
  return plimsoll::make_signature(method_of(algorithm), key, message);
}

std::string hmac(Algorithm algorithm, std::string_view secret, std::string_view message) {
  return make_hmac(signature_hash_bits(algorithm), secret, message);
}

}  // namespace plimsoll::policy
