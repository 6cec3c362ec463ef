#include "plimsoll/http/prefer.hpp"

#include <gtest/gtest.h>

#include <string>

namespace plimsoll::http {
namespace {

std::string parts(std::string_view field) {
  std::string text;
  for (PreferReader reader{field}; reader.next();)
    text += std::string(reader.parameter ? ";" : ",") + std::string(reader.name) + "=" + std::string(reader.value);
  return text;
}

TEST(Prefer, PartsAreReadWithTheirParameters) {
  EXPECT_EQ(parts("return=minimal"), ",return=minimal");
  EXPECT_EQ(parts(" respond-async , wait = 10;a=\"b, c;d\" , x"), ",respond-async=,wait=10;a=b, c;d,x=");
  EXPECT_EQ(parts(""), "");
  EXPECT_EQ(parts("a=\"never closed, b"), ",a=\"never closed, b");
}

TEST(Prefer, TheFirstPreferenceOfANameCounts) {
  for (const auto* yes : {"return=minimal", "Return=minimal", "respond-async, return=\"minimal\"",
                          "return=minimal; unknown=1", "return = minimal, return=representation"})
    EXPECT_TRUE(prefers(yes, "return", "minimal")) << yes;
  for (const auto* no : {"", "return", "return=representation, return=minimal", "foo;return=minimal", "return=Minimal",
                         "handling=strict", "returns=minimal"})
    EXPECT_FALSE(prefers(no, "return", "minimal")) << no;
}

}  // namespace
}  // namespace plimsoll::http
