#include "plimsoll/contract/lookalikes.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace plimsoll::contract {
namespace {

unsigned seed() {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto value = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", value);
  return value;
}

Lookalikes of(std::initializer_list<std::string_view> templates) {
  Lookalikes made;
  for (const auto each : templates) made.add(each);
  made.finish();
  return made;
}

TEST(Lookalikes, SpellingsOfADeclaredPathAreKnown) {
  const auto known = of({"/v1/Orders/{id}", "/v1/Orders", "/report.{format}"});
  for (const auto* path :
       {"/v1/orders",      "/V1/ORDERS/5",     "/v1//orders/5",    "/v1/orders/5/",    "/v1/orders/5;jsessionid=1",
        "/v1;x/orders/5",  "/v1/%6frders/5",   "/v1%2Forders%2f5", "/v1/%256Frders/5", "\\v1\\orders\\5",
        "/v1/orders./5",   "/v1/orders%20",    "/v1/orders%3Fa=1", "/v1/orders%23",    "/v1/./orders",
        "/a/../v1/orders", "/a/..;/v1/orders", "/a/%2e%2E/b",      "/a/.%20./..%20/b", "/a%00",
        "/a%0A",           "/REPORT.csv",      "/v1/orders/100%25"})
    EXPECT_TRUE(known.has(path)) << path;
  // Long s, Kelvin sign, full width, spaces of other alphabets, without a width.
  const auto letters = of({"/v1/secrets/k", "/v1/straße"});
  for (const auto* path :
       {"/v1/%C5%BFecrets/k", "/v1/secrets/%E2%84%AA", "/v1/%EF%BD%93ecrets/K", "/v1/secrets%C2%A0/k",
        "/v1/secrets%E2%80%89/k", "/v1/sec%E2%80%8Brets/k", "/v1/sec%C2%ADrets/k", "/v1/secrets%EF%BC%8Fk",
        "/v1/secrets%EF%BC%9Bx/k", "/v1/secrets/k%EF%BC%9Fa", "/v1/STRASSE", "/v1/stra%C3%9Fe", "/v1/stra%E1%BA%9Ee",
        "/a/%EF%BC%8E%EF%BC%8E/v1/secrets/k"})
    EXPECT_TRUE(letters.has(path)) << path;
}

/// Nobody can say where these lead, whatever is declared.
TEST(Lookalikes, ObscurePathsAreRefused) {
  for (const auto* path :
       {"/a/%c0%ae%c0%ae/b", "/a/%C0%AF",    "/a/%e0%80%ae",    "/a/%f0%80%80%ae", "/a/%ff",    "/a/%c3",
        "/a/caf%E9",         "/a/%ed%a0%80", "/a/%f4%90%80%80", "/a/%80",          "/a/%c2%85", "/a/%C2%9b",
        "/a/%c2%80x",        "/a/%00",       "/a/%0d%0a",       "/a/%7f",          "/a/%09",    "/a/%25c0%25ae",
        "/a/%c3%25a9",       "/a/..;/b",     "/a/%2e%2e;x/b",   "/a/%252e%252e/b", "/a/.;x"})
    EXPECT_EQ(fold_path(path), std::nullopt) << path;
  for (const auto* path :
       {"/a/%c2%a0", "/a/%C3%A9", "/a/%E2%82%AC", "/a/%f0%9f%98%80", "/a/..x", "/a/x..", "/a/x;..", "/a/%25"})
    EXPECT_NE(fold_path(path), std::nullopt) << path;
}

TEST(Lookalikes, OtherPathsAreNone) {
  const auto known = of({"/v1/orders/{id}", "/v1/orders"});
  for (const auto* path :
       {"/", "/v1", "/v1/", "/v1/orders/5/lines", "/v1/order", "/orders", "/v2/orders", "/a%2Fb", "/.well-known/x",
        "/100%25", "/100%", "/v1/..orders", "/v1/orders.json", "/%E2%82%AC", "/a;b=1", "/..."})
    EXPECT_FALSE(known.has(path)) << path;
}

/// Random changes that a lenient server undoes leave a path what it was.
TEST(Lookalikes, NoSpellingPassesByADeclaredPath) {
  std::mt19937_64 random(seed());
  const auto among = [&](std::uint64_t n) { return random() % n; };
  const auto known = of({"/api/{tenant}/orders/{id}", "/api/files/{name}.txt", "/Search"});
  const std::vector<std::vector<std::string>> paths = {
      {"api", "acme", "orders", "5-a_b~c"}, {"api", "files", "read me.txt"}, {"Search"}};
  for (int i = 0; i < 20'000; ++i) {
    std::string path;
    for (const auto& segment : paths[among(paths.size())]) {
      for (auto slashes = 1 + (among(4) == 0 ? among(3) : 0); slashes > 0; --slashes)
        path += among(6) == 0 ? "%2f" : among(8) == 0 ? "\\" : "/";
      for (const char c : segment) {
        const char in_case = among(3) == 0 ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
        char coded[8];
        std::snprintf(coded, sizeof coded, among(2) ? "%%%02x" : "%%%02X", static_cast<unsigned>(in_case));
        std::string one = among(4) == 0 ? coded : std::string(1, in_case);
        if (one.size() > 1 && among(4) == 0) one.insert(1, "25");
        path += one;
      }
      if (among(5) == 0) path += among(2) ? "." : "%20";
      if (among(5) == 0) path += ";v=" + std::to_string(among(9));
    }
    if (among(5) == 0) path += "/";
    EXPECT_TRUE(known.has(path)) << path;
    const auto folded = fold_path(path);
    ASSERT_TRUE(folded) << path;
    EXPECT_EQ(fold_path(*folded), folded) << path;
  }
}

/// Whatever comes: folding ends, and what it gives is folded.
TEST(Lookalikes, FoldingTwiceIsFoldingOnce) {
  std::mt19937_64 random(seed());
  constexpr std::string_view letters = "aA/\\.%;?#25eEfF2 0\x01";
  for (int i = 0; i < 50'000; ++i) {
    std::string path = "/";
    for (auto n = random() % 24; n > 0; --n) path += letters[random() % letters.size()];
    const auto folded = fold_path(path);
    if (folded) EXPECT_EQ(fold_path(*folded), folded) << path;
  }
}

}  // namespace
}  // namespace plimsoll::contract
