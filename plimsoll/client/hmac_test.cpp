#include "plimsoll/client/hmac.hpp"

#include <gtest/gtest.h>

namespace plimsoll::client {
namespace {

using enum config::HmacEncoding;
using enum config::HmacHash;

/// The examples that GitHub publishes for its webhooks, and those of RFC 2202 and RFC 4231 (test case 2).
TEST(Hmac, SignaturesAreThoseOfPublishedExamples) {
  EXPECT_EQ(hmac_text(sha256, hex, "It's a Secret to Everybody", "Hello, World!"),
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
  EXPECT_EQ(hmac_text(sha1, hex, "Jefe", "what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  EXPECT_EQ(
      hmac_text(sha512, hex, "Jefe", "what do ya want for nothing?"),
      "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b"
      "4b636e070a38bce737");
  EXPECT_EQ(hmac_text(sha256, base64, "Jefe", "what do ya want for nothing?"),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
}

TEST(Hmac, ATemplateIsFilledWithWhatIsSent) {
  Arena arena;
  Headers headers{arena};
  headers.add("content-type", "application/json");
  const HmacValues values{.method = "POST",
                          .target = "/base/a%20b?x=1&y",
                          .host = "api.example:8443",
                          .body = "{}",
                          .timestamp = "1700000000",
                          .timestamp_ms = "1700000000123",
                          .nonce = "00ff",
                          .fields = &headers};
  const auto filled = [&](std::string_view text) {
    const auto made = HmacTemplate::read(text);
    return made ? made->fill(values) : "error: " + made.error();
  };
  EXPECT_EQ(filled("{timestamp}.{body}"), "1700000000.{}");
  EXPECT_EQ(filled("{method}\n{host}\n{path}\n{query}\n{target}"),
            "POST\napi.example:8443\n/base/a%20b\nx=1&y\n/base/a%20b?x=1&y");
  EXPECT_EQ(filled("{header:Content-Type}|{header:x-none}|{nonce}|{timestamp-ms}"),
            "application/json||00ff|1700000000123");
  EXPECT_EQ(filled("{body-sha256}"), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
  EXPECT_EQ(filled("plain"), "plain");
  EXPECT_EQ(filled(""), "");
  EXPECT_TRUE(filled("{bdy}").contains("{bdy} is none of the names"));
  EXPECT_EQ(filled("{body"), "error: a { is not closed");
}

}  // namespace
}  // namespace plimsoll::client
