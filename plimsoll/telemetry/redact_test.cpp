#include "plimsoll/telemetry/redact.hpp"

#include "plimsoll/telemetry/redact_check.hpp"

#include <gtest/gtest.h>
#include <random>

namespace plimsoll::telemetry {
namespace {

const std::string kMore[] = {"iban"};

TEST(Redact, HidesTheValuesOfSecretMembersAtAnyDepth) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"a":1,"password":"x","b":2})", R"({"a":1,"password":"[redacted]","b":2})"},
      {R"({"Token" : {"a":["}",1]}, "b":[1]})", R"({"Token" : "[redacted]", "b":[1]})"},
      {R"([{"user":{"api_key":12.5}},{"IBAN":null}])", R"([{"user":{"api_key":"[redacted]"}},{"IBAN":"[redacted]"}])"},
      {R"({"password":"a\"b","note":"password: x"})", R"({"password":"[redacted]","note":"password: x"})"},
      {R"({"pass\u0077ord":"x"})", R"({"pass\u0077ord":"[redacted]"})"},
      {R"({"secret":"cut off he)", R"({"secret":"[redacted]")"},
      {R"({"names":["password","x"]})", R"({"names":["password","x"]})"},
      {"no JSON at all", "no JSON at all"},
      {"\"", "\""},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(redact_json(text, kMore, 1000), expected);
}

TEST(Redact, HidesTheValuesOfSecretPairs) {
  EXPECT_EQ(redact_form("a=1&password=x%20y&iban=DE1&b", kMore, 1000), "a=1&password=[redacted]&iban=[redacted]&b");
  EXPECT_EQ(redact_form("pass%77ord=x", kMore, 1000), "pass%77ord=[redacted]");
}

TEST(Redact, CutsBetweenCharacters) {
  EXPECT_EQ(redact_json("\"\u00e4\u00e4\"", kMore, 4), "\"\u00e4");
  EXPECT_EQ(redact_json("{}", kMore, 0), "");
}

TEST(Redact, ShowsNoSecretWhateverStandsBesideIt) {
  const auto seed = std::random_device{}();
  std::mt19937 random{seed};
  constexpr std::string_view kPieces[] = {"\"", "\\", "{",     "}", "[", "]",  ":",   ",",
                                          " ",  "a",  "token", "=", "&", "%7", "\xc3"};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (auto n = random() % 12; n > 0; --n) text += kPieces[random() % std::size(kPieces)];
    EXPECT_TRUE(redaction_holds(text)) << "seed " << seed << ": " << text;
  }
}

}  // namespace
}  // namespace plimsoll::telemetry
