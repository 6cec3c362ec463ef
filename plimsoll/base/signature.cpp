#include "plimsoll/base/signature.hpp"

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>

#include <memory>

namespace plimsoll {
namespace {

using Kind = SignatureMethod::Kind;

struct Free {
  void operator()(EVP_MD_CTX* p) const noexcept { EVP_MD_CTX_free(p); }
  void operator()(ECDSA_SIG* p) const noexcept { ECDSA_SIG_free(p); }
};
template <class T>
using Held = std::unique_ptr<T, Free>;

const unsigned char* octets(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

const EVP_MD* hash_of(unsigned bits) {
  switch (bits) {
    case 160: return EVP_sha1();
    case 256: return EVP_sha256();
    case 384: return EVP_sha384();
    default: return EVP_sha512();
  }
}
const EVP_MD* hash_of(const SignatureMethod& method) {
  return method.kind == Kind::eddsa ? nullptr : hash_of(method.hash_bits);
}

bool set_padding(const SignatureMethod& method, EVP_PKEY_CTX* context) {
  if (method.kind == Kind::rsa) return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  return method.kind != Kind::rsa_pss || (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
                                          EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1 &&
                                          EVP_PKEY_CTX_set_rsa_mgf1_md(context, hash_of(method)) == 1);
}

/// r and s side by side → DER. Zero and values of the order or above are left to the verification, which refuses them.
std::string to_der(std::size_t size, std::string_view raw) {
  if (raw.size() != 2 * size) return {};
  const Held<ECDSA_SIG> pair(ECDSA_SIG_new());
  auto* r = BN_bin2bn(octets(raw), static_cast<int>(size), nullptr);
  auto* s = BN_bin2bn(octets(raw) + size, static_cast<int>(size), nullptr);
  if (!pair || !r || !s || ECDSA_SIG_set0(pair.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  unsigned char* at = nullptr;
  const int length = i2d_ECDSA_SIG(pair.get(), &at);
  if (length <= 0) return {};
  std::string der(reinterpret_cast<char*>(at), static_cast<std::size_t>(length));
  OPENSSL_free(at);
  return der;
}

std::string from_der(std::size_t size, std::string_view der) {
  const auto* at = octets(der);
  const Held<ECDSA_SIG> pair(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (!pair) return {};
  std::string raw(2 * size, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  if (BN_bn2binpad(ECDSA_SIG_get0_r(pair.get()), out, static_cast<int>(size)) < 0 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(pair.get()), out + size, static_cast<int>(size)) < 0)
    return {};
  return raw;
}

}  // namespace

bool verify_signature(const SignatureMethod& method, evp_pkey_st& key, std::string_view message,
                      std::string_view signature) {
  std::string der;
  if (method.kind == Kind::ecdsa) {
    der = to_der(method.coordinate, signature);
    signature = der;
  } else if (signature.size() != static_cast<std::size_t>(EVP_PKEY_get_size(&key))) {
    return false;
  }
  if (signature.empty()) return false;
  const Held<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* settings = nullptr;
  const bool right =
      context && EVP_DigestVerifyInit(context.get(), &settings, hash_of(method), nullptr, &key) == 1 &&
      set_padding(method, settings) &&
      EVP_DigestVerify(context.get(), octets(signature), signature.size(), octets(message), message.size()) == 1;
  if (!right) ERR_clear_error();
  return right;
}

std::string make_signature(const SignatureMethod& method, evp_pkey_st& key, std::string_view message) {
  const Held<EVP_MD_CTX> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* settings = nullptr;
  std::size_t size = 0;
  if (!context || EVP_DigestSignInit(context.get(), &settings, hash_of(method), nullptr, &key) != 1 ||
      !set_padding(method, settings) ||
      EVP_DigestSign(context.get(), nullptr, &size, octets(message), message.size()) != 1) {
    ERR_clear_error();
    return {};
  }
  std::string made(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(made.data()), &size, octets(message),
                     message.size()) != 1) {
    ERR_clear_error();
    return {};
  }
  made.resize(size);
  return method.kind == Kind::ecdsa ? from_der(method.coordinate, made) : made;
}

std::string make_hmac(unsigned hash_bits, std::string_view secret, std::string_view message) {
  unsigned size = 0;
  std::string made(EVP_MAX_MD_SIZE, '\0');
  ::HMAC(hash_of(hash_bits), secret.data(), static_cast<int>(secret.size()), octets(message), message.size(),
         reinterpret_cast<unsigned char*>(made.data()), &size);
  made.resize(size);
  return made;
}

}  // namespace plimsoll
