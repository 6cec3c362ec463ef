#include "plimsoll/policy/authentication/jwt.hpp"

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <cmath>

namespace plimsoll::policy {
namespace {

constexpr std::size_t kMostTries = 8;      // keys tried for a token that names none
constexpr double kLatest = 9'000'000'000;  // the year 2255: what nanoseconds in 64 bits can tell

struct Parts {
  std::string_view header, payload, signature, message;
};

std::optional<Parts> split(std::string_view token) {
  const auto first = token.find('.');
  const auto second = first == token.npos ? token.npos : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos) return std::nullopt;
  return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1),
               token.substr(0, second)};
}

std::optional<json::Value> object_of(std::string_view part, Arena& arena) {
  auto* bytes = arena.array<char>(part.size() * 3 / 4 + 1);
  const auto size = from_base64url(part, bytes);
  if (!size) return std::nullopt;
  auto value = json::parse({bytes, *size}, arena, {.depth = 16});
  if (!value || !value->is(json::Type::object)) return std::nullopt;
  return *value;
}

/// A NumericDate: seconds since 1970, perhaps with a fraction. Absent: nullopt inside.
std::expected<std::optional<Nanoseconds>, JwtFault> date(const json::Value& claims, std::string_view name) {
  const auto* value = claims.find(name);
  if (!value) return std::nullopt;
  if (!value->is(json::Type::number)) return std::unexpected(JwtFault::bad_claims);
  const auto seconds = value->number();
  if (!std::isfinite(seconds) || seconds < 0) return std::unexpected(JwtFault::bad_claims);
  return static_cast<Nanoseconds>(std::min(seconds, kLatest) * 1e9);
}

bool names(const json::Value* audience, std::span<const std::string> wanted) {
  const auto is_wanted = [&](const json::Value& value) {
    return value.is(json::Type::string) && std::ranges::find(wanted, value.string()) != wanted.end();
  };
  return audience && (is_wanted(*audience) || std::ranges::any_of(audience->array(), is_wanted));
}

bool well_formed_audience(const json::Value* audience) {
  if (!audience || audience->is(json::Type::string)) return true;
  return audience->is(json::Type::array) &&
         std::ranges::all_of(audience->array(), [](const json::Value& v) { return v.is(json::Type::string); });
}

std::optional<JwtFault> check_signature(const json::Value& header, const Parts& parts, std::span<const Jwk> keys,
                                        const JwtRules& rules) {
  const auto* named = header.find("alg");
  const auto algorithm = named && named->is(json::Type::string) ? algorithm_of(named->string()) : std::nullopt;
  if (!algorithm) return JwtFault::algorithm_not_allowed;
  if (!rules.algorithms.empty() && std::ranges::find(rules.algorithms, *algorithm) == rules.algorithms.end())
    return JwtFault::algorithm_not_allowed;
  if (header.find("crit") || header.find("b64")) return JwtFault::critical_extension;
  const auto* id = header.find("kid");
  if (id && !id->is(json::Type::string)) return JwtFault::malformed;
  const auto signature = from_base64url(parts.signature);
  if (!signature) return JwtFault::malformed;

  std::size_t known = 0, tries = 0;
  for (const auto& key : keys) {
    if (id && !key.id().empty() && key.id() != id->string()) continue;
    ++known;
    if (!key.fits(*algorithm)) continue;
    if (++tries > kMostTries) break;
    if (key.verify(*algorithm, parts.message, *signature)) return std::nullopt;
  }
  if (known == 0) return JwtFault::unknown_key;
  return tries == 0 ? JwtFault::algorithm_not_allowed : JwtFault::bad_signature;
}

}  // namespace

std::string_view name_of(JwtFault fault) {
  static constexpr std::string_view kNames[] = {"too-large",          "malformed",    "algorithm-not-allowed",
                                                "critical-extension", "unknown-key",  "bad-signature",
                                                "bad-claims",         "no-expiry",    "expired",
                                                "not-yet-valid",      "wrong-issuer", "wrong-audience"};
  return kNames[static_cast<std::size_t>(fault)];
}

std::expected<Jwt, JwtFault> verify_jwt(std::string_view token, std::span<const Jwk> keys, const JwtRules& rules,
                                        Nanoseconds now, Arena& arena) {
  const auto refuse = [](JwtFault fault) { return std::unexpected(fault); };
  if (token.size() > rules.most_bytes) return refuse(JwtFault::too_large);
  const auto parts = split(token);
  if (!parts) return refuse(JwtFault::malformed);
  const auto header = object_of(parts->header, arena);
  if (!header) return refuse(JwtFault::malformed);
  if (const auto fault = check_signature(*header, *parts, keys, rules)) return refuse(*fault);

  const auto claims = object_of(parts->payload, arena);
  if (!claims) return refuse(JwtFault::malformed);
  const auto expires = date(*claims, "exp"), not_before = date(*claims, "nbf"), issued = date(*claims, "iat");
  if (!expires || !not_before || !issued) return refuse(JwtFault::bad_claims);
  for (const auto name : {"iss", "sub", "jti"})
    if (const auto* value = claims->find(name); value && !value->is(json::Type::string))
      return refuse(JwtFault::bad_claims);
  if (!well_formed_audience(claims->find("aud"))) return refuse(JwtFault::bad_claims);
  if (!*expires) return refuse(JwtFault::no_expiry);
  if (now - rules.leeway >= **expires) return refuse(JwtFault::expired);
  if (*not_before && now + rules.leeway < **not_before) return refuse(JwtFault::not_yet_valid);
  if (!rules.issuer.empty()) {
    const auto* issuer = claims->find("iss");
    if (!issuer || issuer->string() != rules.issuer) return refuse(JwtFault::wrong_issuer);
  }
  if (!rules.audience.empty() && !names(claims->find("aud"), rules.audience)) return refuse(JwtFault::wrong_audience);
  return Jwt{*claims, **expires};
}

Result<std::string> issue_jwt(const Jwk& key, std::string_view claims) {
  const auto algorithm = key.algorithm();
  if (!algorithm) return fail(kBadKey, "the key is for no algorithm of signatures");
  std::string header;
  json::Writer writer(header);
  writer.begin_object().key("alg").string(name_of(*algorithm)).key("typ").string("JWT");
  if (!key.id().empty()) writer.key("kid").string(key.id());
  writer.end_object();
  auto token = to_base64url(header) + "." + to_base64url(claims);
  auto signature = key.sign(*algorithm, token);
  if (!signature) return std::unexpected(std::move(signature).error());
  return token + "." + to_base64url(*signature);
}

}  // namespace plimsoll::policy
