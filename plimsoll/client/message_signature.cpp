#include "plimsoll/client/message_signature.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/base/signature.hpp"
#include "plimsoll/http/characters.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>

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
  void operator()(BIO* bio) const { BIO_free(bio); }
};

SignatureMethod method_of(config::SignatureAlgorithm algorithm) {
  using enum config::SignatureAlgorithm;
  using Kind = SignatureMethod::Kind;
  switch (algorithm) {
    case ecdsa_p256_sha256: return {.kind = Kind::ecdsa};
    case rsa_pss_sha512: return {.kind = Kind::rsa_pss, .hash_bits = 512};
    case rsa_v1_5_sha256: return {.kind = Kind::rsa};
    default: return {.kind = Kind::eddsa};
  }
}

}  // namespace

std::string_view name_of(config::SignatureAlgorithm algorithm) {
  return config::Words<config::SignatureAlgorithm>::words[static_cast<std::size_t>(algorithm)];
}

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

std::expected<SigningKey, std::string> SigningKey::read(config::SignatureAlgorithm algorithm, std::string_view key) {
  using enum config::SignatureAlgorithm;
  SigningKey made;
  made.algorithm_ = algorithm;
  if (algorithm == hmac_sha256) {
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
      pem && (algorithm == ed25519             ? EVP_PKEY_is_a(pem, "ED25519") == 1
              : algorithm == ecdsa_p256_sha256 ? EVP_PKEY_is_a(pem, "EC") == 1 && EVP_PKEY_get_bits(pem) == 256
                                               : EVP_PKEY_is_a(pem, "RSA") == 1 || EVP_PKEY_is_a(pem, "RSA-PSS") == 1);
  if (!fits) return std::unexpected("`key` is no private key in PEM for " + std::string(name_of(algorithm)));
  return made;
}

Result<std::string> SigningKey::sign(std::string_view base) const {
  if (algorithm_ == config::SignatureAlgorithm::hmac_sha256) return to_base64(as_text(hmac_sha256(secret_, base)));
  const auto signature = make_signature(method_of(algorithm_), *key_, base);
  if (signature.empty()) return fail(kInternal, "a request cannot be signed");
  return to_base64(signature);
}

}  // namespace plimsoll::client
