#include "plimsoll/policy/authentication/jwk.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/policy/authentication/signature.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <algorithm>
#include <array>

namespace plimsoll::policy {
namespace {

constexpr std::array<std::string_view, 13> kNames{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
                                                  "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"};
constexpr unsigned kLeastModulus = 2048, kMostModulus = 8192;

struct Curve {
  std::string_view jwk;
  const char* openssl;
  unsigned bits;
  std::size_t bytes;
};
constexpr Curve kCurves[] = {
    {"P-256", "prime256v1", 256, 32}, {"P-384", "secp384r1", 384, 48}, {"P-521", "secp521r1", 521, 66}};

struct Free {
  void operator()(BIGNUM* p) const noexcept { BN_clear_free(p); }
  void operator()(OSSL_PARAM_BLD* p) const noexcept { OSSL_PARAM_BLD_free(p); }
  void operator()(OSSL_PARAM* p) const noexcept { OSSL_PARAM_free(p); }
  void operator()(EVP_PKEY_CTX* p) const noexcept { EVP_PKEY_CTX_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

std::unexpected<Error> bad(std::string what) {
  ERR_clear_error();
  return fail(kBadKey, std::move(what));
}

/// A member of base64url; nullopt when it is absent, empty where it is no base64url.
std::optional<std::string> bytes_of(const json::Value& jwk, std::string_view name) {
  const auto* value = jwk.find(name);
  if (!value || !value->is(json::Type::string)) return std::nullopt;
  return from_base64url(value->string()).value_or(std::string{});
}

std::string text_of(const json::Value& jwk, std::string_view name) {
  const auto* value = jwk.find(name);
  return value && value->is(json::Type::string) ? std::string(value->string()) : std::string{};
}

Owned<BIGNUM> number(std::string_view bytes) {
  return Owned<BIGNUM>(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
}

std::shared_ptr<evp_pkey_st> hold(EVP_PKEY* key) { return {key, EVP_PKEY_free}; }

std::shared_ptr<evp_pkey_st> make(const char* type, OSSL_PARAM_BLD* builder, bool pair) {
  const Owned<OSSL_PARAM> parameters(OSSL_PARAM_BLD_to_param(builder));
  const Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, pair ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
    return nullptr;
  auto held = hold(key);
  const Owned<EVP_PKEY_CTX> check(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  if (!check || EVP_PKEY_public_check(check.get()) != 1) return nullptr;
  if (pair && EVP_PKEY_pairwise_check(check.get()) != 1) return nullptr;
  return held;
}

Result<std::shared_ptr<evp_pkey_st>> make_rsa(const json::Value& jwk, bool& has_private, unsigned& bits) {
  static constexpr std::pair<std::string_view, const char*> kParts[] = {
      {"n", OSSL_PKEY_PARAM_RSA_N},          {"e", OSSL_PKEY_PARAM_RSA_E},
      {"d", OSSL_PKEY_PARAM_RSA_D},          {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
      {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},    {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
      {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1}};
  std::vector<Owned<BIGNUM>> numbers;
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  has_private = jwk.find("d") && jwk.find("p") && jwk.find("qi");
  for (std::size_t i = 0; i < (has_private ? std::size(kParts) : 2); ++i) {
    const auto bytes = bytes_of(jwk, kParts[i].first);
    if (!bytes || bytes->empty() || bytes->size() > kMostModulus / 8 + 1)
      return bad("the RSA key has no usable \"" + std::string(kParts[i].first) + "\"");
    numbers.push_back(number(*bytes));
    if (!numbers.back() || OSSL_PARAM_BLD_push_BN(builder.get(), kParts[i].second, numbers.back().get()) != 1)
      return bad("the RSA key cannot be read");
  }
  bits = static_cast<unsigned>(BN_num_bits(numbers[0].get()));
  if (bits < kLeastModulus || bits > kMostModulus)
    return bad("the RSA key has " + std::to_string(bits) + " bits; 2048 to 8192 are accepted");
  if (!BN_is_odd(numbers[1].get()) || BN_num_bits(numbers[1].get()) < 2 || BN_num_bits(numbers[1].get()) > 64)
    return bad("the RSA key has an unusable exponent");
  auto key = make("RSA", builder.get(), has_private);
  if (!key) return bad("the RSA key is not consistent");
  return key;
}

Result<std::shared_ptr<evp_pkey_st>> make_ec(const json::Value& jwk, const Curve& curve, bool& has_private) {
  const auto x = bytes_of(jwk, "x"), y = bytes_of(jwk, "y"), d = bytes_of(jwk, "d");
  if (!x || !y || x->size() != curve.bytes || y->size() != curve.bytes || (d && d->size() != curve.bytes))
    return bad("the EC key's coordinates are not as long as the curve");
  has_private = d.has_value();
  const auto point = "\x04" + *x + *y;
  const Owned<OSSL_PARAM_BLD> builder(OSSL_PARAM_BLD_new());
  Owned<BIGNUM> secret;
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.openssl, 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  if (has_private) {
    secret = number(*d);
    OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, secret.get());
  }
  auto key = make("EC", builder.get(), has_private);
  if (!key) return bad("the EC key is no point of its curve");
  return key;
}

Result<std::shared_ptr<evp_pkey_st>> make_okp(const json::Value& jwk, const std::string& curve, bool& has_private) {
  const bool short_curve = curve == "Ed25519";
  if (!short_curve && curve != "Ed448") return bad("OKP keys are of Ed25519 or Ed448");
  const std::size_t size = short_curve ? 32 : 57;
  const auto x = bytes_of(jwk, "x"), d = bytes_of(jwk, "d");
  if (!x || x->size() != size || (d && d->size() != size)) return bad("the OKP key is not as long as its curve");
  has_private = d.has_value();
  const auto* bytes = reinterpret_cast<const unsigned char*>(has_private ? d->data() : x->data());
  const int type = short_curve ? EVP_PKEY_ED25519 : EVP_PKEY_ED448;
  auto key = hold(has_private ? EVP_PKEY_new_raw_private_key(type, nullptr, bytes, size)
                              : EVP_PKEY_new_raw_public_key(type, nullptr, bytes, size));
  if (!key) return bad("the OKP key cannot be read");
  return key;
}

std::string public_octets(evp_pkey_st* key) {
  std::size_t size = 0;
  if (EVP_PKEY_get_raw_public_key(key, nullptr, &size) != 1) return {};
  std::string out(size, '\0');
  EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(out.data()), &size);
  return out;
}
std::string private_octets(evp_pkey_st* key) {
  std::size_t size = 0;
  if (EVP_PKEY_get_raw_private_key(key, nullptr, &size) != 1) return {};
  std::string out(size, '\0');
  EVP_PKEY_get_raw_private_key(key, reinterpret_cast<unsigned char*>(out.data()), &size);
  return out;
}
/// A number of the key as base64url; `size` 0: as short as it is.
std::string number_text(evp_pkey_st* key, const char* name, std::size_t size = 0) {
  BIGNUM* raw = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &raw) != 1) return {};
  const Owned<BIGNUM> value(raw);
  std::string out(size ? size : static_cast<std::size_t>(BN_num_bytes(raw)), '\0');
  BN_bn2binpad(raw, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
  return to_base64url(out);
}

}  // namespace

std::optional<Algorithm> algorithm_of(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Algorithm>(found - kNames.begin());
}
std::string_view name_of(Algorithm algorithm) { return kNames[static_cast<std::size_t>(algorithm)]; }

Result<Jwk> Jwk::parse(const json::Value& jwk) {
  if (!jwk.is(json::Type::object)) return bad("a JWK is an object");
  Jwk made;
  made.id_ = text_of(jwk, "kid");
  const auto type = text_of(jwk, "kty");
  made.curve_ = text_of(jwk, "crv");
  Result<std::shared_ptr<evp_pkey_st>> key;
  if (type == "RSA") {
    made.type_ = Type::rsa;
    key = make_rsa(jwk, made.private_, made.bits_);
  } else if (type == "EC") {
    made.type_ = Type::ec;
    const auto curve = std::ranges::find(kCurves, std::string_view(made.curve_), &Curve::jwk);
    if (curve == std::end(kCurves)) return bad("EC keys are of P-256, P-384 or P-521");
    made.bits_ = curve->bits;
    key = make_ec(jwk, *curve, made.private_);
  } else if (type == "OKP") {
    made.type_ = Type::okp;
    key = make_okp(jwk, made.curve_, made.private_);
  } else if (type == "oct") {
    made.secret_ = bytes_of(jwk, "k").value_or(std::string{});
    made.bits_ = static_cast<unsigned>(made.secret_.size() * 8);
    made.private_ = true;
    if (made.bits_ < 256) return bad("the secret is shorter than 256 bits");
  } else {
    return bad("the key type \"" + type + "\" is not known");
  }
  if (made.type_ != Type::oct) {
    if (!key) return std::unexpected(std::move(key).error());
    made.key_ = std::move(*key);
  }
  if (const auto* alg = jwk.find("alg")) {
    made.only_ = alg->is(json::Type::string) ? algorithm_of(alg->string()) : std::nullopt;
    if (!made.only_) made.verifies_ = false;  // for something else: encryption, or an algorithm we do not know
  }
  if (const auto* use = jwk.find("use"); use && !(use->is(json::Type::string) && use->string() == "sig"))
    made.verifies_ = false;
  if (const auto* operations = jwk.find("key_ops"))
    made.verifies_ &= std::ranges::any_of(operations->array(), [](const json::Value& operation) {
      return operation.is(json::Type::string) && (operation.string() == "verify" || operation.string() == "sign");
    });
  return made;
}

Result<Jwk> Jwk::of_secret(std::string secret, std::string id) {
  if (secret.size() < 32) return bad("the secret is shorter than 32 bytes");
  Jwk made;
  made.bits_ = static_cast<unsigned>(secret.size() * 8);
  made.secret_ = std::move(secret);
  made.id_ = std::move(id);
  made.private_ = true;
  return made;
}

Result<Jwk> Jwk::generate(Algorithm algorithm) {
  Jwk made;
  made.only_ = algorithm;
  made.private_ = true;
  if (algorithm >= Algorithm::hs256) {
    made.secret_ = random_bytes(signature_hash_bits(algorithm) / 8);
    made.bits_ = static_cast<unsigned>(made.secret_.size() * 8);
  } else if (algorithm == Algorithm::eddsa) {
    made.type_ = Type::okp;
    made.curve_ = "Ed25519";
    made.key_ = hold(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  } else if (algorithm >= Algorithm::es256) {
    const auto& curve = kCurves[static_cast<std::size_t>(algorithm) - static_cast<std::size_t>(Algorithm::es256)];
    made.type_ = Type::ec;
    made.curve_ = curve.jwk;
    made.bits_ = curve.bits;
    made.key_ = hold(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", curve.openssl));
  } else {
    made.type_ = Type::rsa;
    made.bits_ = 3072;
    made.key_ = hold(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{3072}));
  }
  if (made.type_ != Type::oct && !made.key_) return bad("the key cannot be made");
  made.id_ = made.thumbprint();
  return made;
}

bool Jwk::fits(Algorithm algorithm) const {
  if (!verifies_ || (only_ && *only_ != algorithm)) return false;
  switch (type_) {
    case Type::rsa: return algorithm <= Algorithm::ps512;
    case Type::ec:
      return algorithm == (bits_ == 256 ? Algorithm::es256 : bits_ == 384 ? Algorithm::es384 : Algorithm::es512);
    case Type::okp: return algorithm == Algorithm::eddsa;
    case Type::oct: return algorithm >= Algorithm::hs256 && bits_ >= signature_hash_bits(algorithm);
  }
  return false;
}

std::optional<Algorithm> Jwk::algorithm() const {
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (fits(static_cast<Algorithm>(i))) return static_cast<Algorithm>(i);
  return std::nullopt;
}

bool Jwk::verify(Algorithm algorithm, std::string_view message, std::string_view signature) const {
  if (!fits(algorithm)) return false;
  if (type_ == Type::oct) return equal_in_constant_time(signature, hmac(algorithm, secret_, message));
  return verify_signature(algorithm, *key_, message, signature);
}

Result<std::string> Jwk::sign(Algorithm algorithm, std::string_view message) const {
  if (!private_) return bad("the key is public: it checks signatures and cannot make them");
  if (!fits(algorithm)) return bad("the key is not for " + std::string(name_of(algorithm)));
  if (type_ == Type::oct) return hmac(algorithm, secret_, message);
  auto signature = make_signature(algorithm, *key_, message);
  if (signature.empty()) return bad("the key cannot sign");
  return signature;
}

std::string Jwk::to_json(bool with_private) const {
  std::string out;
  json::Writer writer(out);
  writer.begin_object();
  const auto member = [&](std::string_view name, const std::string& value) { writer.key(name).string(value); };
  static constexpr std::string_view kTypes[] = {"RSA", "EC", "OKP", "oct"};
  writer.key("kty").string(kTypes[static_cast<std::size_t>(type_)]);
  if (!curve_.empty() && type_ != Type::oct) member("crv", curve_);
  if (type_ == Type::rsa) {
    member("n", number_text(key_.get(), OSSL_PKEY_PARAM_RSA_N));
    member("e", number_text(key_.get(), OSSL_PKEY_PARAM_RSA_E));
    if (with_private && private_) {
      member("d", number_text(key_.get(), OSSL_PKEY_PARAM_RSA_D));
      member("p", number_text(key_.get(), OSSL_PKEY_PARAM_RSA_FACTOR1));
      member("q", number_text(key_.get(), OSSL_PKEY_PARAM_RSA_FACTOR2));
      member("dp", number_text(key_.get(), OSSL_PKEY_PARAM_RSA_EXPONENT1));
      member("dq", number_text(key_.get(), OSSL_PKEY_PARAM_RSA_EXPONENT2));
      member("qi", number_text(key_.get(), OSSL_PKEY_PARAM_RSA_COEFFICIENT1));
    }
  } else if (type_ == Type::ec) {
    const std::size_t size = (bits_ + 7) / 8;
    member("x", number_text(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, size));
    member("y", number_text(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, size));
    if (with_private && private_) member("d", number_text(key_.get(), OSSL_PKEY_PARAM_PRIV_KEY, size));
  } else if (type_ == Type::okp) {
    member("x", to_base64url(public_octets(key_.get())));
    if (with_private && private_) member("d", to_base64url(private_octets(key_.get())));
  } else if (with_private) {
    member("k", to_base64url(secret_));
  }
  const auto id = id_.empty() ? thumbprint() : id_;
  if (!id.empty()) member("kid", id);
  if (only_) member("alg", std::string(name_of(*only_)));
  writer.key("use").string("sig");
  writer.end_object();
  return out;
}

/// RFC 7638: SHA-256 over the required members in the order of their names. Of a secret it would tell something:
/// random.
std::string Jwk::thumbprint() const {
  if (type_ == Type::oct) return to_base64url(random_bytes(12));
  std::string text;
  if (type_ == Type::rsa)
    text = R"({"e":")" + number_text(key_.get(), OSSL_PKEY_PARAM_RSA_E) + R"(","kty":"RSA","n":")" +
           number_text(key_.get(), OSSL_PKEY_PARAM_RSA_N) + "\"}";
  else if (type_ == Type::ec)
    text = R"({"crv":")" + curve_ + R"(","kty":"EC","x":")" +
           number_text(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, (bits_ + 7) / 8) + R"(","y":")" +
           number_text(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, (bits_ + 7) / 8) + "\"}";
  else
    text = R"({"crv":")" + curve_ + R"(","kty":"OKP","x":")" + to_base64url(public_octets(key_.get())) + "\"}";
  return to_base64url(as_text(sha256(text)));
}

Result<JwkSet> parse_jwk_set(const json::Value& document) {
  JwkSet set;
  const auto* keys = document.find("keys");
  if (!keys && document.find("kty")) {
    auto key = Jwk::parse(document);
    if (!key) return std::unexpected(std::move(key).error());
    set.keys.push_back(std::move(*key));
    return set;
  }
  if (!keys || !keys->is(json::Type::array)) return bad("a JWK set has an array \"keys\"");
  for (const auto& item : keys->array()) {
    auto key = Jwk::parse(item);
    if (key)
      set.keys.push_back(std::move(*key));
    else
      set.complaints.push_back(key.error().detail);
  }
  return set;
}

}  // namespace plimsoll::policy
