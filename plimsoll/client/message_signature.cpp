#include "plimsoll/client/message_signature.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/http/characters.hpp"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

namespace plimsoll::client {
namespace {

constexpr std::string_view kDerived[] = {"@method",         "@target-uri", "@authority", "@scheme",
                                         "@request-target", "@path",       "@query"};

/// A string of structured fields (RFC 8941, section 4.1.6).
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

std::string query_of(const SignedMessage& message) { return "?" + std::string(message.query); }
std::string target_of(const SignedMessage& message) {
  return std::string(message.path) + (message.has_query ? query_of(message) : std::string{});
}
/// In small letters, and without the scheme's usual port (RFC 9421, section 2.2.3).
std::string authority_of(const SignedMessage& message) {
  auto text = lowered(message.authority);
  const std::string_view usual = message.scheme == "https" ? ":443" : ":80";
  if (text.ends_with(usual)) text.resize(text.size() - usual.size());
  return text;
}

std::expected<std::string, std::string> value_of(const SignedMessage& message, std::string_view component) {
  if (component == "@method") return std::string(message.method);
  if (component == "@authority") return authority_of(message);
  if (component == "@scheme") return lowered(message.scheme);
  if (component == "@path") return message.path.empty() ? "/" : std::string(message.path);
  if (component == "@query") return query_of(message);
  if (component == "@request-target") return target_of(message);
  if (component == "@target-uri")
    return lowered(message.scheme) + "://" + std::string(message.authority) + target_of(message);
  std::string all;
  bool found = false;
  for (const auto& [name, value] : message.fields) {
    if (name != component) continue;
    if (found) all += ", ";
    all += trimmed(value);
    found = true;
  }
  if (!found) return std::unexpected(std::string(component));
  return all;
}

struct Ended {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};

/// r and s of a signature in ASN.1, 32 bytes each (RFC 9421, section 3.3.4).
std::string raw_of(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const std::unique_ptr<ECDSA_SIG, Ended> read(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  std::string raw(64, '\0');
  if (!read) return {};
  auto* to = reinterpret_cast<unsigned char*>(raw.data());
  if (BN_bn2binpad(ECDSA_SIG_get0_r(read.get()), to, 32) != 32 ||
      BN_bn2binpad(ECDSA_SIG_get0_s(read.get()), to + 32, 32) != 32)
    return {};
  return raw;
}

}  // namespace

bool is_component(std::string_view name) {
  if (name.starts_with('@')) return std::ranges::find(kDerived, name) != std::end(kDerived);
  return is_token(name) && std::ranges::none_of(name, [](char c) { return c >= 'A' && c <= 'Z'; });
}

std::string signature_input(const SignatureParameters& parameters) {
  std::string text = "(";
  for (const auto& component : parameters.components) {
    if (text.size() > 1) text += ' ';
    text += quoted(component);
  }
  text += ')';
  if (parameters.created >= 0) text += ";created=" + std::to_string(parameters.created);
  if (parameters.expires > 0) text += ";expires=" + std::to_string(parameters.expires);
  if (!parameters.nonce.empty()) text += ";nonce=" + quoted(parameters.nonce);
  if (!parameters.algorithm.empty()) text += ";alg=" + quoted(parameters.algorithm);
  if (!parameters.key_id.empty()) text += ";keyid=" + quoted(parameters.key_id);
  if (!parameters.tag.empty()) text += ";tag=" + quoted(parameters.tag);
  return text;
}

std::expected<std::string, std::string> signature_base(const SignedMessage& message,
                                                       const SignatureParameters& parameters) {
  std::string base;
  for (const auto& component : parameters.components) {
    auto value = value_of(message, component);
    if (!value) return value;
    base += quoted(component) + ": " + *value + "\n";
  }
  return base + "\"@signature-params\": " + signature_input(parameters);
}

std::expected<SigningKey, std::string> SigningKey::read(std::string_view algorithm, std::string_view key) {
  constexpr std::pair<std::string_view, Way> ways[] = {{"hmac-sha256", Way::hmac},
                                                       {"ed25519", Way::ed25519},
                                                       {"ecdsa-p256-sha256", Way::ecdsa},
                                                       {"rsa-pss-sha512", Way::rsa_pss},
                                                       {"rsa-v1_5-sha256", Way::rsa}};
  const auto* way = std::ranges::find(ways, algorithm, &std::pair<std::string_view, Way>::first);
  if (way == std::end(ways))
    return std::unexpected("`algorithm` is hmac-sha256, ed25519, ecdsa-p256-sha256, rsa-pss-sha512 or rsa-v1_5-sha256");
  SigningKey made;
  made.way_ = way->second;
  if (made.way_ == Way::hmac) {
    if (key.size() < 32) return std::unexpected("the secret of hmac-sha256 has at least 32 bytes");
    made.secret_ = key;
    return made;
  }
  const std::unique_ptr<BIO, Ended> bio(BIO_new_mem_buf(key.data(), static_cast<int>(key.size())));
  // Without a password that somebody would have to type.
  made.key_.reset(PEM_read_bio_PrivateKey(
                      bio.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr),
                  [](EVP_PKEY* each) { EVP_PKEY_free(each); });
  const auto* pem = made.key_.get();
  const bool fits =
      pem && (made.way_ == Way::ed25519 ? EVP_PKEY_is_a(pem, "ED25519") == 1
              : made.way_ == Way::ecdsa ? EVP_PKEY_is_a(pem, "EC") == 1 && EVP_PKEY_get_bits(pem) == 256
                                        : EVP_PKEY_is_a(pem, "RSA") == 1 || EVP_PKEY_is_a(pem, "RSA-PSS") == 1);
  if (!fits) return std::unexpected("`key` is no private key in PEM for " + std::string(algorithm));
  return made;
}

Result<std::string> SigningKey::sign(std::string_view base) const {
  if (way_ == Way::hmac) return to_base64(as_text(hmac_sha256(secret_, base)));
  const std::unique_ptr<EVP_MD_CTX, Ended> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  const auto* digest = way_ == Way::ed25519 ? nullptr : way_ == Way::rsa_pss ? EVP_sha512() : EVP_sha256();
  bool good = EVP_DigestSignInit(context.get(), &options, digest, nullptr, key_.get()) == 1;
  if (good && way_ == Way::rsa_pss)
    good = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(options, 64) == 1;
  const auto* text = reinterpret_cast<const unsigned char*>(base.data());
  std::size_t size = 0;
  good = good && EVP_DigestSign(context.get(), nullptr, &size, text, base.size()) == 1;
  std::string signature(size, '\0');
  good = good && EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, text,
                                base.size()) == 1;
  signature.resize(good ? size : 0);
  if (good && way_ == Way::ecdsa) signature = raw_of(signature);
  if (signature.empty()) return fail(kInternal, "a request cannot be signed");
  return to_base64(signature);
}

}  // namespace plimsoll::client
