#include "plimsoll/client/message_signature.hpp"

#include "plimsoll/base/encoding.hpp"

#include <gtest/gtest.h>

namespace plimsoll::client {
namespace {

// The request of RFC 9421, appendix B.2.
constexpr std::pair<std::string_view, std::string_view> kFields[] = {
    {"host", "example.com"},
    {"date", "Tue, 20 Apr 2021 02:07:55 GMT"},
    {"content-type", "application/json"},
    {"content-digest",
     "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"},
    {"content-length", "18"}};
constexpr SignedMessage kRequest{.method = "POST",
                                 .scheme = "https",
                                 .authority = "example.com",
                                 .path = "/foo",
                                 .query = "param=Value&Pet=dog",
                                 .has_query = true,
                                 .fields = kFields};

using Algorithm = config::SignatureAlgorithm;

std::string signature(Algorithm algorithm, std::string_view key, const SignatureParameters& parameters) {
  const auto made = SigningKey::read(algorithm, key);
  if (!made) return made.error();
  const auto base = signature_base(kRequest, parameters);
  return base ? made->sign(*base).value() : "no " + base.error();
}

TEST(MessageSignature, TheExampleWithASharedSecret) {  // B.2.5
  const auto key =
      from_base64("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==");
  const SignatureParameters parameters{
      .components = {"date", "@authority", "content-type"}, .created = 1618884473, .key_id = "test-shared-secret"};
  EXPECT_EQ(signature_base(kRequest, parameters),
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": application/json\n"
            "\"@signature-params\": (\"date\" \"@authority\" \"content-type\");created=1618884473;keyid="
            "\"test-shared-secret\"");
  EXPECT_EQ(signature(Algorithm::hmac_sha256, *key, parameters), "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
}

TEST(MessageSignature, TheExampleWithEd25519) {  // B.2.6
  constexpr std::string_view key =
      "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
      "-----END PRIVATE KEY-----\n";
  const SignatureParameters parameters{
      .components = {"date", "@method", "@path", "@authority", "content-type", "content-length"},
      .created = 1618884473,
      .key_id = "test-key-ed25519"};
  EXPECT_EQ(signature(Algorithm::ed25519, key, parameters),
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==");
}

TEST(MessageSignature, DerivedComponents) {  // section 2.2
  SignatureParameters parameters{
      .components = {"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query"},
      .created = -1,
      .algorithm = "ed25519",
      .nonce = "a\"b\\",
      .tag = "t"};
  constexpr SignedMessage request{.method = "GET",
                                  .scheme = "https",
                                  .authority = "WWW.Example.com:443",
                                  .path = "/path",
                                  .query = "param=value",
                                  .has_query = true,
                                  .fields = {}};
  EXPECT_EQ(signature_base(request, parameters),
            "\"@method\": GET\n\"@target-uri\": https://WWW.Example.com:443/path?param=value\n"
            "\"@authority\": www.example.com\n\"@scheme\": https\n\"@request-target\": /path?param=value\n"
            "\"@path\": /path\n\"@query\": ?param=value\n\"@signature-params\": (\"@method\" \"@target-uri\" "
            "\"@authority\" \"@scheme\" \"@request-target\" \"@path\" \"@query\");nonce=\"a\\\"b\\\\\";alg=\"ed25519\";"
            "tag=\"t\"");
  parameters.components = {"@query"};
  EXPECT_TRUE(signature_base({.method = "GET", .fields = {}}, parameters)->starts_with("\"@query\": ?\n"))
      << "an empty query (section 2.2.7)";
}

TEST(MessageSignature, FieldsAreJoinedAndMissingOnesSaid) {  // section 2.1
  constexpr std::pair<std::string_view, std::string_view> fields[] = {
      {"cache-control", "max-age=60"}, {"x-empty", ""}, {"cache-control", "  must-revalidate "}};
  const SignedMessage request{.method = "GET", .fields = fields};
  const SignatureParameters parameters{.components = {"cache-control", "x-empty"}, .created = 1};
  EXPECT_TRUE(signature_base(request, parameters)
                  ->starts_with("\"cache-control\": max-age=60, must-revalidate\n\"x-empty\": \n"));
  const auto missing = signature_base(request, {.components = {"date"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error(), "date");
}

TEST(MessageSignature, KeysAndComponentsAreChecked) {
  EXPECT_FALSE(SigningKey::read(Algorithm::hmac_sha256, "short"));
  EXPECT_FALSE(SigningKey::read(Algorithm::ed25519, "no PEM"));
  EXPECT_FALSE(
      SigningKey::read(Algorithm::rsa_pss_sha512,
                       "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
                       "-----END PRIVATE KEY-----\n"))
      << "a key of another kind";
  for (const auto* name : {"@method", "@query", "content-digest", "x-a"}) EXPECT_TRUE(is_component(name)) << name;
  for (const auto* name : {"@status", "@query-param", "Date", "a b", "", "@"}) EXPECT_FALSE(is_component(name)) << name;
}

}  // namespace
}  // namespace plimsoll::client
