#include "plimsoll/policy/trial.hpp"

namespace plimsoll::policy {
extern const Part rate_limit;
namespace {

constexpr const Part* kParts[] = {&rate_limit};

/// Both places of the chain, for one operation.
struct Limited : Trial {
  explicit Limited(std::string extension, std::string document = "", std::string security = "",
                   std::string deployment = "")
      : Trial("openapi: 3.1.0\ninfo: {title: T, version: '1'}\n" + document + R"(
components:
  securitySchemes:
    bearer: {type: http, scheme: bearer}
    session: {type: apiKey, in: cookie, name: session}
    key: {type: apiKey, in: query, name: key}
paths:
  /a:
    get: {operationId: a, )" +
                  security + extension + R"( responses: {'200': {description: ok}}}
    post: {operationId: b, x-plimsoll: {rate-limit: {cost: 5}}, responses: {'200': {description: ok}}}
)",
              kParts, deployment) {}

  /// True when both places let it pass. The answer's headers are in `last`.
  bool pass(std::string_view address = "192.0.2.1", std::string_view caller = {},
            std::initializer_list<Header> headers = {}, std::string_view operation = "a",
            std::span<const std::string_view> roles = {}, std::string_view tenant = {}) {
    last = std::make_unique<Exchange>(*this, operation, address, headers);
    refusal.reset();
    for (const unsigned place : {0u, 1u}) {
      auto& policy = built[{place, std::string(operation)}];
      if (!policy) policy = build(rate_limit, operation, place).value();
      if (place == 1 && !caller.empty()) last->principal(caller, roles, tenant);
      if (!policy) continue;
      if (auto verdict = last->check(*policy); !verdict) {
        refusal = std::move(verdict).error();
        return false;
      }
    }
    return true;
  }
  std::map<std::pair<unsigned, std::string>, std::unique_ptr<Policy>> built;
  std::unique_ptr<Exchange> last;
  std::optional<Error> refusal;
};

std::string rates(std::string value) { return "x-plimsoll: {rate-limit: " + value + "},"; }

TEST(RateLimit, TellsWhatIsLeftOnEveryAnswerAndRefusesAboveTheLimit) {
  Limited server(rates("3/minute by address"));
  for (int left = 2; left >= 0; --left) {
    ASSERT_TRUE(server.pass());
    EXPECT_EQ(server.last->promised("ratelimit-policy"), "\"address\";q=3;w=60");
    EXPECT_EQ(server.last->promised("x-ratelimit-limit"), "3");
    EXPECT_EQ(server.last->promised("x-ratelimit-remaining"), std::to_string(left));
  }
  EXPECT_EQ(server.last->promised("ratelimit"), "\"address\";r=0;t=20");
  EXPECT_EQ(server.last->promised("x-ratelimit-reset"), std::to_string(1'700'003'600 + 20));
  server.clock.now += 5 * kSecond;
  ASSERT_FALSE(server.pass());
  EXPECT_EQ(server.refusal->problem->status, 429);
  EXPECT_EQ(server.refusal->more().retry_after, 15);
  EXPECT_EQ(server.last->promised("ratelimit"), "\"address\";r=0;t=15");
  EXPECT_TRUE(server.pass("192.0.2.2"));
  server.clock.now += 15 * kSecond;
  EXPECT_TRUE(server.pass());
}

TEST(RateLimit, EqualSubjectsOfTwoTenantsAreCountedApart) {
  Limited server(rates("1/minute by caller"));
  const auto pass = [&](std::string_view subject, std::string_view tenant) {
    return server.pass("192.0.2.1", subject, {}, "a", {}, tenant);
  };
  EXPECT_TRUE(pass("1", "acme"));
  EXPECT_FALSE(pass("1", "acme"));
  EXPECT_TRUE(pass("1", "umbra"));
  EXPECT_TRUE(pass("1", ""));
  EXPECT_FALSE(pass("1", "umbra"));
  EXPECT_TRUE(pass("acme", "1"));  // not the same the other way round
}

TEST(RateLimit, CountsIpv6By64) {
  Limited server(rates("1/minute by address"));
  EXPECT_TRUE(server.pass("2001:db8::1"));
  EXPECT_FALSE(server.pass("2001:db8::ffff:2"));
  EXPECT_TRUE(server.pass("2001:db8:0:1::1"));
}

TEST(RateLimit, BelievesForwardingHeadersOnlyOfTrustedProxies) {
  Limited server(rates("1/minute by address"), "", "", "trusted-proxies: [10.0.0.0/8]");
  EXPECT_TRUE(server.pass("10.0.0.1", {}, {{"x-forwarded-for", "192.0.2.1"}}));
  EXPECT_FALSE(server.pass("10.0.0.2", {}, {{"x-forwarded-for", "192.0.2.1"}}));
  EXPECT_TRUE(server.pass("10.0.0.2", {}, {{"x-forwarded-for", "192.0.2.2"}}));
  EXPECT_TRUE(server.pass("198.51.100.1", {}, {{"x-forwarded-for", "192.0.2.3"}}));
  EXPECT_FALSE(server.pass("198.51.100.1", {}, {{"x-forwarded-for", "192.0.2.4"}}));
}

TEST(RateLimit, CountsCallersWhereverTheyCallFrom) {
  Limited server(rates("1/minute"));
  EXPECT_TRUE(server.pass("192.0.2.1", "ada"));
  EXPECT_FALSE(server.pass("192.0.2.2", "ada"));
  EXPECT_TRUE(server.pass("192.0.2.1", "grace"));
  EXPECT_TRUE(server.pass("192.0.2.1"));  // nobody in particular: the address
  EXPECT_FALSE(server.pass("192.0.2.1"));
}

TEST(RateLimit, CountsByHeaderAndThoseWithoutItByAddress) {
  Limited server(rates("1/minute by header X-Team"));
  EXPECT_TRUE(server.pass("192.0.2.1", {}, {{"x-team", "red"}}));
  EXPECT_FALSE(server.pass("192.0.2.2", {}, {{"x-team", "red"}}));
  EXPECT_TRUE(server.pass("192.0.2.1", {}, {{"x-team", "blue"}}));
  EXPECT_TRUE(server.pass());
  EXPECT_FALSE(server.pass());
}

TEST(RateLimit, OfSeveralLimitsAllAreAskedBeforeAnyIsCharged) {
  Limited server(rates("[2/minute by caller, 5/minute by address]"));
  EXPECT_TRUE(server.pass("192.0.2.1", "ada"));
  EXPECT_TRUE(server.pass("192.0.2.1", "ada"));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(server.pass("192.0.2.1", "ada"));  // costs the address nothing
  EXPECT_TRUE(server.pass("192.0.2.1", "grace"));
  EXPECT_EQ(server.last->promised("ratelimit-policy"), "\"address\";q=5;w=60, \"caller\";q=2;w=60");
  EXPECT_EQ(server.last->promised("ratelimit"), "\"caller\";r=1;t=30");
  EXPECT_TRUE(server.pass("192.0.2.1", "grace"));
  EXPECT_TRUE(server.pass("192.0.2.1", "alan"));
  EXPECT_EQ(server.last->promised("ratelimit"), "\"address\";r=0;t=12");  // the most restrictive
  EXPECT_FALSE(server.pass("192.0.2.1", "edsger"));
}

TEST(RateLimit, ReportsTheOneThatRefusesLongest) {
  Limited server(rates("[1/second by address, 1/minute by address]"));
  EXPECT_TRUE(server.pass());
  EXPECT_FALSE(server.pass());
  EXPECT_EQ(server.refusal->more().retry_after, 60);
  EXPECT_EQ(server.last->promised("ratelimit"), "\"address-2\";r=0;t=60");
}

TEST(RateLimit, AnOperationMayCostMoreOfTheLimitAroundIt) {
  Limited server("", "x-plimsoll: {rate-limit: 12/minute by address}");
  EXPECT_TRUE(server.pass("192.0.2.1", {}, {}, "b"));
  EXPECT_EQ(server.last->promised("x-ratelimit-remaining"), "7");
  EXPECT_TRUE(server.pass("192.0.2.1", {}, {}, "a"));
  EXPECT_TRUE(server.pass("192.0.2.1", {}, {}, "b"));
  EXPECT_FALSE(server.pass("192.0.2.1", {}, {}, "b"));
  EXPECT_TRUE(server.pass("192.0.2.1", {}, {}, "a"));
}

TEST(RateLimit, PerOperationCountsEachForItself) {
  Limited server("", "x-plimsoll: {rate-limit: 5/minute by address per operation}");
  EXPECT_TRUE(server.pass("192.0.2.1", {}, {}, "b"));
  EXPECT_FALSE(server.pass("192.0.2.1", {}, {}, "b"));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(server.pass("192.0.2.1", {}, {}, "a"));
}

TEST(RateLimit, TiersGiveRolesAndSubjectsTheirOwnLimit) {
  Limited server(rates("{limit: 1/minute, tiers: {gold: 3/minute, admin: off, ada: 2}}"));
  const std::string_view gold[] = {"gold"}, admin[] = {"admin"};
  EXPECT_TRUE(server.pass("192.0.2.1", "plain"));
  EXPECT_FALSE(server.pass("192.0.2.1", "plain"));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(server.pass("192.0.2.1", "rich", {}, "a", gold));
  EXPECT_FALSE(server.pass("192.0.2.1", "rich", {}, "a", gold));
  EXPECT_EQ(server.last->promised("ratelimit-policy"), "\"caller\";q=3;w=60");
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(server.pass("192.0.2.1", "root", {}, "a", admin));
  EXPECT_EQ(server.last->promised("ratelimit"), "");
  EXPECT_TRUE(server.pass("192.0.2.1", "ada"));
  EXPECT_TRUE(server.pass("192.0.2.1", "ada"));
  EXPECT_FALSE(server.pass("192.0.2.1", "ada"));
}

TEST(RateLimit, ATierHasItsLimitAsBurst) {
  Limited server(rates("{limit: 60, per: 60s, burst: 3, tiers: {gold: 20}}"));
  const std::string_view gold[] = {"gold"};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(server.pass("192.0.2.1", "plain"));
  EXPECT_FALSE(server.pass("192.0.2.1", "plain"));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(server.pass("192.0.2.1", "rich", {}, "a", gold));
  EXPECT_FALSE(server.pass("192.0.2.1", "rich", {}, "a", gold));
}

TEST(RateLimit, ARefusalSaysWhenThatRequestWouldBeAllowed) {
  Limited server(rates("{limit: 5, per: 5s, cost: 3}"));
  EXPECT_TRUE(server.pass("192.0.2.1", "ada"));
  EXPECT_EQ(server.last->promised("ratelimit"), "\"caller\";r=2;t=3") << "until the full burst is there";
  EXPECT_FALSE(server.pass("192.0.2.1", "ada"));
  EXPECT_EQ(server.last->promised("ratelimit"), "\"caller\";r=2;t=1") << "until a third unit is there";
  EXPECT_EQ(server.refusal->more_->retry_after, 1);
}

TEST(RateLimit, WithoutAWordCallersHave1000AMinuteAndStrangers600) {
  Limited server("");
  for (int i = 0; i < 600; ++i) ASSERT_TRUE(server.pass()) << i;
  EXPECT_EQ(server.last->promised("ratelimit-policy"), "\"address\";q=600;w=60");
  EXPECT_FALSE(server.pass());
}

TEST(RateLimit, WithoutAWordACallerIsNotCountedAsAStranger) {
  Limited server("", "", "security: [{bearer: []}],");
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(server.pass("192.0.2.1", "ada", {{"authorization", "Bearer x"}})) << i;
  EXPECT_EQ(server.last->promised("ratelimit-policy"), "\"caller\";q=1000;w=60");
  EXPECT_FALSE(server.pass("192.0.2.1", "ada", {{"authorization", "Bearer x"}}));
  EXPECT_TRUE(server.pass("192.0.2.1", "grace", {{"authorization", "Bearer y"}}));
  EXPECT_TRUE(server.pass());
  EXPECT_EQ(server.last->promised("ratelimit"), "\"address\";r=599;t=1");
}

TEST(RateLimit, CredentialsNobodyVouchesForAreAStrangers) {
  Limited server("", "", "security: [{bearer: []}, {}],");
  for (int i = 0; i < 600; ++i) ASSERT_TRUE(server.pass("192.0.2.1", {}, {{"authorization", "Basic x"}})) << i;
  EXPECT_FALSE(server.pass("192.0.2.1", {}, {{"authorization", "Basic y"}}));
}

TEST(RateLimit, WhatTheOperationDoesNotTakeForACredentialIsNone) {
  for (const Header useless : {Header{"authorization", "Basic x"}, Header{"authorization", "Bearer "},
                               Header{"cookie", "theme=dark; session="}}) {
    Limited server("", "", "security: [{bearer: []}, {session: []}, {key: []}],");
    // Only the first place: authentication refuses what gets past it, and the second never sees it.
    auto before = server.build(rate_limit, "a", 0).value();
    const auto passes = [&] {
      Trial::Exchange exchange(server, "a", "192.0.2.1", {useless});
      exchange.request.query = "monkey=1";
      return exchange.check(*before).has_value();
    };
    for (int i = 0; i < 600; ++i) ASSERT_TRUE(passes()) << useless.value << i;
    EXPECT_FALSE(passes()) << useless.value;
  }
}

TEST(RateLimit, AnswersOfARefundedClassCostNothing) {
  Limited server(rates("{limit: 2/minute, by: address, refund: [5xx]}"));
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(server.pass()) << i;
    server.last->context.outcome.status = 503;
  }
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(server.pass());
    server.last->context.outcome.status = 404;
  }
  EXPECT_FALSE(server.pass());
}

TEST(RateLimit, OffRemovesIt) {
  Limited server(rates("off"));
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(server.pass());
  EXPECT_EQ(server.last->promised("ratelimit"), "");
}

TEST(RateLimit, WhatIsWrongIsRefusedAtTheStartWithItsPlace) {
  const std::pair<std::string, std::string> wrong[] = {
      {"100", "a limit is expected"},
      {"100/fortnight", "a limit is expected, such as 100/minute"},
      {"0/minute", "at least 1"},
      {"100/minute by moon", "`by` is caller, address, or header NAME"},
      {"[]", "the list is empty"},
      {"{limit: 10, algorithm: leaky-bucket}", "does not implement that algorithm yet"},
      {"{limit: 10, algoritm: x}", "did you mean \"algorithm\"?"},
      {"{limit: 10, cost: 11}", "it would never pass"},
      {"{burst: 10}", "needs its `limit`"},
      {"{limit: 10/second, per: 1m}", "said twice"},
      {"{limit: 10, refund: [500]}", "text is expected"},
      {"{limit: 10, refund: ['500']}", "classes of status"},
      {"{limit: 10, per: 400d}", "between 1ms and 366d"},
      {"{limit: 1000000000, per: 1d, burst: 1000000000000}", "at most 1000000000"},
      {"{limit: 10, name: 'a\"b'}", "lower case letters"},
  };
  for (const auto& [value, expected] : wrong) {
    Limited server(rates(value));
    auto built = server.build(rate_limit, "a");
    ASSERT_FALSE(built) << value;
    EXPECT_NE(built.error().detail.find(expected), std::string::npos) << value << ": " << built.error().detail;
    EXPECT_TRUE(built.error().detail.starts_with("line ")) << value << ": " << built.error().detail;
  }
}

}  // namespace
}  // namespace plimsoll::policy
