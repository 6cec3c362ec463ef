#include "plimsoll/policy/authentication/jwt.hpp"

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>
#include <map>

namespace plimsoll::policy {
namespace {

constexpr Nanoseconds kNow = 1'900'000'000 * kSecond;

std::string claims(std::string more = "") { return R"({"sub":"ada","exp":1900000060)" + more + "}"; }

/// Accepted: an empty text, else the reason.
std::string verdict(std::string_view token, const Jwk& key, const JwtRules& rules = {}, Nanoseconds now = kNow) {
  Arena arena;
  auto jwt = verify_jwt(token, std::span(&key, 1), rules, now, arena);
  return jwt ? "" : std::string(name_of(jwt.error()));
}

Jwk public_part(const Jwk& key) {
  Arena arena;
  const auto text = key.to_json(false);
  return Jwk::parse(json::parse(text, arena).value()).value();
}

class EveryAlgorithm : public testing::TestWithParam<int> {
 protected:
  Algorithm algorithm = static_cast<Algorithm>(GetParam());
  const Jwk& key = of(algorithm);

 private:
  static const Jwk& of(Algorithm algorithm) {  // RSA keys take a second to make
    static std::map<Algorithm, Jwk> made;
    const auto found = made.find(algorithm);
    return found != made.end() ? found->second
                               : made.emplace(algorithm, Jwk::generate(algorithm).value()).first->second;
  }
};
INSTANTIATE_TEST_SUITE_P(Jwt, EveryAlgorithm, testing::Range(0, 13),
                         [](auto& info) { return std::string(name_of(static_cast<Algorithm>(info.param))); });

TEST_P(EveryAlgorithm, SignsAndVerifiesAndBreaksWithOneBit) {
  const auto token = issue_jwt(key, claims()).value();
  const auto checker = algorithm >= Algorithm::hs256 ? key : public_part(key);
  EXPECT_EQ(verdict(token, checker), "");
  const auto signature = token.rfind('.') + 1;
  auto bytes = from_base64url(token.substr(signature)).value();
  for (const std::size_t at : {std::size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
    auto flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_EQ(verdict(token.substr(0, signature) + to_base64url(flipped), checker), "bad-signature");
  }
  EXPECT_EQ(verdict(token.substr(0, signature) + to_base64url(bytes.substr(1)), checker), "bad-signature");
  EXPECT_EQ(verdict(token.substr(0, signature) + to_base64url(bytes + "x"), checker), "bad-signature");
  EXPECT_EQ(verdict(token.substr(0, signature), checker), "bad-signature");
}

TEST_P(EveryAlgorithm, SurvivesItsOwnText) {
  Arena arena;
  const auto text = key.to_json(true);
  const auto again = Jwk::parse(json::parse(text, arena).value());
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_TRUE(again->can_sign());
  EXPECT_EQ(again->id(), key.id());
  EXPECT_EQ(verdict(issue_jwt(*again, claims()).value(), key), "");
  EXPECT_EQ(again->to_json(true), text);
}

TEST_P(EveryAlgorithm, IsBoundToItsKey) {
  for (int other = 0; other < 13; ++other)
    EXPECT_EQ(key.fits(static_cast<Algorithm>(other)), other == GetParam()) << other;
}

TEST(Jwt, ATokenMustExpireAndClocksMayDifferBy30Seconds) {
  const auto key = Jwk::generate(Algorithm::hs256).value();
  EXPECT_EQ(verdict(issue_jwt(key, R"({"sub":"ada"})").value(), key), "no-expiry");
  const auto token = issue_jwt(key, R"({"exp":1900000000,"nbf":1899999900})").value();
  EXPECT_EQ(verdict(token, key, {}, kNow), "");
  EXPECT_EQ(verdict(token, key, {}, kNow + 30 * kSecond - 1), "");
  EXPECT_EQ(verdict(token, key, {}, kNow + 30 * kSecond), "expired");
  EXPECT_EQ(verdict(token, key, {}, kNow - 130 * kSecond), "");
  EXPECT_EQ(verdict(token, key, {}, kNow - 130 * kSecond - 1), "not-yet-valid");
}

TEST(Jwt, IssuerAndAudienceMustBeOurs) {
  const auto key = Jwk::generate(Algorithm::hs256).value();
  const JwtRules rules{.issuer = "https://id.example.com/", .audience = {"shop"}};
  const auto judged = [&](std::string more) { return verdict(issue_jwt(key, claims(more)).value(), key, rules); };
  EXPECT_EQ(judged(R"(,"iss":"https://id.example.com/","aud":"shop")"), "");
  EXPECT_EQ(judged(R"(,"iss":"https://id.example.com/","aud":["bank","shop"])"), "");
  EXPECT_EQ(judged(R"(,"iss":"https://id.example.com/","aud":["bank"])"), "wrong-audience");
  EXPECT_EQ(judged(R"(,"iss":"https://id.example.com/","aud":[])"), "wrong-audience");
  EXPECT_EQ(judged(R"(,"iss":"https://id.example.com/")"), "wrong-audience");
  EXPECT_EQ(judged(R"(,"iss":"https://id.example.com","aud":"shop")"), "wrong-issuer");
  EXPECT_EQ(judged(R"(,"aud":"shop")"), "wrong-issuer");
  EXPECT_EQ(judged(R"(,"iss":"https://id.example.com/","aud":{"shop":1})"), "bad-claims");
  EXPECT_EQ(judged(R"(,"iss":["https://id.example.com/"],"aud":"shop")"), "bad-claims");
}

TEST(Jwt, ClaimsOfTheWrongTypeAndDuplicatesAreRefused) {
  const auto key = Jwk::generate(Algorithm::hs256).value();
  const auto judged = [&](std::string payload) { return verdict(issue_jwt(key, payload).value(), key); };
  EXPECT_EQ(judged(R"({"exp":"1900000060"})"), "bad-claims");
  EXPECT_EQ(judged(R"({"exp":-1})"), "bad-claims");
  EXPECT_EQ(judged(R"({"exp":1900000060.5})"), "");
  EXPECT_EQ(judged(R"({"exp":99999999999999999999})"), "");
  EXPECT_EQ(judged(R"({"exp":1900000060,"nbf":null})"), "bad-claims");
  EXPECT_EQ(judged(R"({"exp":1900000060,"sub":7})"), "bad-claims");
  EXPECT_EQ(judged(R"({"exp":1,"exp":1900000060})"), "malformed");
  EXPECT_EQ(judged(R"([1900000060])"), "malformed");
  EXPECT_EQ(judged("exp"), "malformed");
}

TEST(Jwt, TheHeaderDecidesNothing) {
  const auto key = Jwk::generate(Algorithm::hs256).value();
  const auto judged = [&](std::string header) {
    const auto message = to_base64url(header) + "." + to_base64url(claims());
    return verdict(message + "." + to_base64url(key.sign(Algorithm::hs256, message).value()), key);
  };
  EXPECT_EQ(judged(R"({"alg":"HS256"})"), "");
  EXPECT_EQ(judged(R"({"alg":"HS256","jwk":{"kty":"oct","k":"AA"},"jku":"https://evil.example"})"), "");
  EXPECT_EQ(judged(R"({"alg":"HS256","crit":["exp"],"exp":1})"), "critical-extension");
  EXPECT_EQ(judged(R"({"alg":"HS256","crit":[]})"), "critical-extension");
  EXPECT_EQ(judged(R"({"alg":"HS256","b64":false})"), "critical-extension");
  EXPECT_EQ(judged(R"({"alg":"HS256","kid":"another"})"), "unknown-key");
  EXPECT_EQ(judged(R"({"alg":"HS256","kid":"../../dev/null"})"), "unknown-key");
  EXPECT_EQ(judged(R"({"alg":"HS256","kid":7})"), "malformed");
  EXPECT_EQ(judged(R"({"alg":"HS384"})"), "algorithm-not-allowed");
  for (const auto none : {"none", "None", "NONE", "nOnE", "", "hs256", "HS256 "})
    EXPECT_EQ(judged(std::string(R"({"alg":")") + none + "\"}"), "algorithm-not-allowed") << none;
  EXPECT_EQ(judged(R"({"typ":"JWT"})"), "algorithm-not-allowed");
  EXPECT_EQ(judged(R"({"alg":"HS256","alg":"HS256"})"), "malformed");
}

TEST(Jwt, AWeakOrOtherwiseMeantKeyIsNoKey) {
  Arena arena;
  const auto parsed = [&](std::string_view text) { return Jwk::parse(json::parse(text, arena).value()); };
  EXPECT_FALSE(parsed(R"({"kty":"oct","k":"c2hvcnQ"})"));
  EXPECT_FALSE(parsed(R"({"kty":"RSA","n":"AQAB","e":"AQAB"})"));
  EXPECT_FALSE(parsed(R"({"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"})"));
  const auto secret = to_base64url(std::string(64, 's'));
  for (const std::string more : {R"("use":"enc")", R"("key_ops":["encrypt"])", R"("alg":"A256GCM")", R"("use":7)"}) {
    const auto key = parsed(R"({"kty":"oct","k":")" + secret + "\"," + more + "}");
    ASSERT_TRUE(key) << more;
    EXPECT_FALSE(key->fits(Algorithm::hs256)) << more;
  }
  EXPECT_TRUE(parsed(R"({"kty":"oct","k":")" + secret + "\"}")->fits(Algorithm::hs512));
}

TEST(Jwt, NonsenseIsMalformedAndNeverMore) {
  const auto key = Jwk::generate(Algorithm::es256).value();
  for (const std::string_view token : {"", ".", "..", "...", "a.b.c", "e30.e30.", "e30=.e30=.", "e30.e30.e30.e30.e30"})
    EXPECT_NE(verdict(token, key), "") << token;
  EXPECT_EQ(verdict(std::string(1 << 20, 'a'), key), "too-large");
}

// RFC 7515, appendix A.3: a public key and a signature of somebody else's making.
TEST(Jwt, AcceptsTheRfcsEcdsaExample) {
  Arena arena;
  const auto key =
      Jwk::parse(json::parse(R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
                             arena)
                     .value())
          .value();
  EXPECT_EQ(
      verdict(
          "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp"
          "0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
          key, {}, 1300819000 * kSecond),
      "");
}

}  // namespace
}  // namespace plimsoll::policy
