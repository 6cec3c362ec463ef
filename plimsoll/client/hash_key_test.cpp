#include "plimsoll/client/hash_key.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/principal.hpp"
#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace plimsoll::client {
namespace {

struct HashKeys : testing::Test {
  Arena arena;
  Loop loop;
  Services services;
  Context context{arena, loop, services};
  Request request{.method = "GET", .target = "/", .headers = Headers{arena}};
  std::optional<std::uint64_t> key(std::string_view by) {
    const auto made = HashKey::read(by);
    EXPECT_TRUE(made) << by;
    return made->of(request, context);
  }
};

TEST_F(HashKeys, AreReadFromHeadersCookiesAndClaims) {
  for (const auto* by : {"header:X-Tenant", "cookie:session", "claim:team", "claim:number", "caller"})
    EXPECT_EQ(key(by), std::nullopt) << by;
  request.headers.add("x-tenant", "north");
  request.headers.add("cookie", "other=1; session=north; session=south; sessions=2");
  const auto claims = json::parse(R"({"team":"north","number":5,"none":null})", arena);
  Principal caller{.subject = "north", .claims = &*claims};
  context.principal = &caller;
  const auto expected = key("header:x-tenant");
  ASSERT_TRUE(expected);
  for (const auto* by : {"header:X-Tenant", "cookie:session", "claim:team", "caller"})
    EXPECT_EQ(key(by), expected) << by << ": the same text has the same hash";
  EXPECT_NE(key("claim:number"), std::nullopt);
  EXPECT_NE(key("claim:number"), expected);
  EXPECT_EQ(key("claim:none"), std::nullopt);
  EXPECT_EQ(key("cookie:essio"), std::nullopt);
}

using CallerHash = HashKeys;

TEST_F(CallerHash, IsOfTenantAndSubjectElseOfTheAddress) {
  const auto of = [&](std::string_view service = "reviews") { return caller_hash(service, request, context); };
  EXPECT_EQ(of(), std::nullopt);
  const auto from = [&](std::string_view address) {
    request.peer.address = address;
    return of();
  };
  EXPECT_NE(from("192.0.2.1"), from("192.0.2.2"));
  EXPECT_EQ(from("192.0.2.1"), from("::ffff:192.0.2.1"));
  EXPECT_EQ(from("2001:db8::1"), from("2001:db8::2")) << "one household has one network";
  EXPECT_NE(from("2001:db8::1"), from("2001:db8:0:1::1"));
  Principal anna{.subject = "anna"}, of_north{.subject = "anna", .tenant = "north"}, joined{.subject = "hanna"};
  joined.tenant = "nort";
  std::vector<std::uint64_t> all;
  for (const auto* caller : {&anna, &of_north, &joined}) {
    context.principal = caller;
    all.push_back(*from("192.0.2.1"));
    EXPECT_EQ(from("192.0.2.2"), all.back()) << "who calls counts, and not from where";
  }
  all.push_back(*of("orders"));
  std::ranges::sort(all);
  EXPECT_EQ(std::ranges::unique(all).begin(), all.end());
}

TEST_F(HashKeys, WhatIsNoneIsRefused) {
  for (const auto* by : {"", "session", "cookie:", "header:a b", "header", "claim:", "cookie:a=b", "Caller"}) {
    const auto made = HashKey::read(by);
    ASSERT_FALSE(made) << by;
    EXPECT_TRUE(made.error().starts_with("`hash-by` is header:NAME"));
  }
}

TEST(Cookies, AreFoundByTheirWholeName) {
  EXPECT_EQ(cookie_in("a=1; b=2", "b"), "2");
  EXPECT_EQ(cookie_in("a=1;b=2=3 ; c", "b"), "2=3");
  EXPECT_EQ(cookie_in("ab=1; b", "b"), std::nullopt);
  EXPECT_EQ(cookie_in("b=", "b"), "");
  EXPECT_EQ(cookie_in(";;=;", "b"), std::nullopt);
}

}  // namespace
}  // namespace plimsoll::client
