#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/http/date.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/policy/authentication/api_key.hpp"
#include "plimsoll/policy/authentication/development_key.hpp"
#include "plimsoll/policy/authentication/jwt.hpp"
#include "plimsoll/policy/authentication/key_refresh.hpp"
#include "plimsoll/policy/trial.hpp"

namespace plimsoll::policy {
extern const Part authenticate;
namespace {

constexpr const Part* kParts[] = {&authenticate};
constexpr std::string_view kContract = R"(
openapi: 3.1.0
info: {title: Shop, version: '1'}
components:
  securitySchemes:
    bearer: {type: http, scheme: bearer}
    key: {type: apiKey, in: header, name: X-API-Key}
    basic: {type: http, scheme: basic}
paths:
  /public: {get: {operationId: public, security: [], responses: {'200': {description: ok}}}}
  /token: {get: {operationId: token, security: [{bearer: [read]}], responses: {'200': {description: ok}}}}
  /key: {get: {operationId: key, security: [{key: []}], responses: {'200': {description: ok}}}}
  /either: {get: {operationId: either, security: [{bearer: []}, {key: []}], responses: {'200': {description: ok}}}}
  /both: {get: {operationId: both, security: [{bearer: [], key: []}], responses: {'200': {description: ok}}}}
  /perhaps: {get: {operationId: perhaps, security: [{}, {bearer: []}], responses: {'200': {description: ok}}}}
  /basic: {get: {operationId: basic, security: [{basic: []}], responses: {'200': {description: ok}}}}
)";
const std::string kSecret(32, 's');
const std::string kDeployment = "authentication: {bearer: {issuer: us, audience: shop, secret: " + kSecret +
                                "}}\nroles: {support: ['orders:read', 'orders:write']}\n";

struct House : Trial {
  explicit House(std::string_view deployment = kDeployment) : Trial(kContract, kParts, deployment) {
    database = database::open_sqlite({.path = folder / "t.db"}).value();
    services.database = database.get();
  }

  std::string token(std::string more = "", std::string subject = "ada") {
    const auto expires = clock.wall() / kSecond + 60;
    return issue_jwt(Jwk::of_secret(kSecret).value(), R"({"sub":")" + subject + R"(","iss":"us","aud":"shop","exp":)" +
                                                          std::to_string(expires) + more + "}")
        .value();
  }
  std::string key(ApiKey like) {
    return database::wait_for([&](Loop& loop) -> Task<Result<std::string>> {
             ApiKeys keys(*database);
             if (auto ready = co_await keys.prepare(loop); !ready) co_return std::unexpected(std::move(ready).error());
             auto made = co_await keys.create(loop, like, "shop", clock.wall());
             co_return made;
           })
        .value();
  }

  struct Answer final : Handler {
    Task<Result<Response>> handle(Request&, Context& context) override {
      co_return Response{.status = 200, .headers = Headers{context.arena}};
    }
  };

  /// The status, and the exchange in `last`.
  int ask(std::string_view operation, std::initializer_list<Header> headers, std::string_view address = "192.0.2.1") {
    auto& policy = built[std::string(operation)];
    if (!policy) {
      auto made = build(authenticate, operation);
      if (!made) throw std::runtime_error(made.error().detail);
      policy = std::move(*made);
    }
    last = std::make_unique<Exchange>(*this, operation, address, headers);
    if (!policy) return 200;
    Answer answer;
    const Link links[] = {policy->link(), {.handler = &answer}};
    const auto result = database::wait_for([&](Loop&) -> Task<Result<Response>> {
      auto given = co_await Next{links}(last->request, last->context);
      co_return given;
    });
    detail = result ? "" : result.error().detail;
    return result ? result->status : result.error().problem->status;
  }
  std::string subject() const {
    return last->context.principal ? std::string(last->context.principal->subject) : "nobody";
  }

  database::TestFolder folder;
  std::unique_ptr<database::Database> database;
  std::map<std::string, std::unique_ptr<Policy>> built;
  std::unique_ptr<Exchange> last;
  std::string detail;
};

std::string bearer(const std::string& token) { return "Bearer " + token; }

TEST(Authenticate, AValidTokenNamesThePrincipal) {
  House house;
  EXPECT_EQ(house.ask("token", {{"authorization",
                                 bearer(house.token(R"(,"scope":"read write","roles":["support"],"tenant":"t1")"))}}),
            200);
  const auto& principal = *house.last->context.principal;
  EXPECT_EQ(principal.subject, "ada");
  EXPECT_EQ(principal.scheme, "bearer");
  EXPECT_EQ(principal.tenant, "t1");
  EXPECT_TRUE(principal.has_scope("write"));
  EXPECT_TRUE(principal.has_scope("orders:read"));  // of the role
  EXPECT_FALSE(principal.has_scope("admin"));
  EXPECT_EQ(principal.claims->find("iss")->string(), "us");
}

TEST(Authenticate, WithoutCredentialsItSaysWhatIsNeeded) {
  House house;
  EXPECT_EQ(house.ask("token", {}), 401);
  EXPECT_EQ(house.last->promised("www-authenticate"), "Bearer realm=\"Shop\"");
  EXPECT_EQ(house.ask("token", {{"authorization", "Basic YTpi"}}), 401);
  EXPECT_EQ(house.ask("either", {}), 401);
  EXPECT_EQ(house.last->promised("www-authenticate"),
            "Bearer realm=\"Shop\", ApiKey realm=\"Shop\", in=\"header\", name=\"X-API-Key\"");
}

TEST(Authenticate, ABadTokenIsRefusedWithItsReason) {
  House house;
  auto token = house.token();
  EXPECT_EQ(house.ask("token", {{"authorization", bearer(token + "x")}}), 401);
  house.clock.now += 91 * kSecond;
  EXPECT_EQ(house.ask("token", {{"authorization", bearer(token)}}), 401);
  EXPECT_EQ(house.detail, "the token has expired");
  EXPECT_EQ(house.last->promised("www-authenticate"),
            "Bearer realm=\"Shop\", error=\"invalid_token\", error_description=\"the token has expired\"");
}

TEST(Authenticate, ARememberedTokenStillExpires) {
  House house;
  const auto token = house.token();
  EXPECT_EQ(house.ask("token", {{"authorization", bearer(token)}}), 200);
  house.clock.now += 60 * kSecond;
  EXPECT_EQ(house.ask("token", {{"authorization", bearer(token)}}), 200);  // within the leeway
  house.clock.now += 30 * kSecond;
  EXPECT_EQ(house.ask("token", {{"authorization", bearer(token)}}), 401);
}

TEST(Authenticate, TwoAuthorizationsAreNone) {
  House house;
  const auto token = bearer(house.token());
  EXPECT_EQ(house.ask("token", {{"authorization", token}, {"authorization", token}}), 401);
}

TEST(Authenticate, AKeyIsLookedUpAndRemembered) {
  House house;
  const auto key = house.key({.name = "nightly", .subject = "robot", .scopes = {"read"}, .roles = {"support"}});
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 200);
  EXPECT_EQ(house.subject(), "robot");
  EXPECT_TRUE(house.last->context.principal->has_scope("orders:write"));
  const auto reads = house.database->counts();
  for (int i = 0; i < 20; ++i) EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 200);
  const auto after = house.database->counts();
  EXPECT_EQ(after.reads_inline + after.reads_queued, reads.reads_inline + reads.reads_queued);
}

TEST(Authenticate, ARevokedKeyIsRefusedWithinSeconds) {
  House house;
  const auto key = house.key({.name = "n", .subject = "robot"});
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 200);
  database::wait_for([&](Loop& loop) -> Task<Result<bool>> {
    ApiKeys keys(*house.database);
    auto all = co_await keys.list(loop);
    if (!all) co_return std::unexpected(std::move(all).error());
    auto done = co_await keys.revoke(loop, all->at(0).id, house.clock.wall());
    co_return done;
  }).value();
  house.clock.now += ApiKeyCache::kFresh;
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 401);
}

TEST(Authenticate, AnExpiredKeyIsRefusedThoughRemembered) {
  House house;
  const auto key = house.key({.name = "n", .subject = "robot", .expires = house.clock.wall() + 2 * kSecond});
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 200);
  house.clock.now += 2 * kSecond;
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 401);
}

TEST(Authenticate, ARotatedKeyOverlapsWithItsSuccessor) {
  House house;
  const auto old = house.key({.name = "n", .subject = "robot", .scopes = {"read"}});
  const auto fresh = database::wait_for([&](Loop& loop) -> Task<Result<std::string>> {
                       ApiKeys keys(*house.database);
                       auto all = co_await keys.list(loop);
                       if (!all) co_return std::unexpected(std::move(all).error());
                       auto made = co_await keys.rotate(loop, all->at(0).id, 3600 * kSecond, house.clock.wall());
                       co_return made;
                     }).value();
  EXPECT_EQ(house.ask("key", {{"x-api-key", old}}), 200);
  EXPECT_EQ(house.ask("key", {{"x-api-key", fresh}}), 200);
  EXPECT_TRUE(house.last->context.principal->has_scope("read"));
  house.clock.now += 3600 * kSecond;
  EXPECT_EQ(house.ask("key", {{"x-api-key", old}}), 401);
  EXPECT_EQ(house.ask("key", {{"x-api-key", fresh}}), 200);
}

TEST(Authenticate, AMistypedKeyNeverReachesTheDatabase) {
  House house;
  auto key = house.key({.name = "n", .subject = "robot"});
  EXPECT_TRUE(looks_like_api_key(key));
  key[10] = key[10] == 'a' ? 'b' : 'a';
  EXPECT_FALSE(looks_like_api_key(key));
  const auto before = house.database->counts();
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 401);
  EXPECT_EQ(house.detail, "the key is mistyped");
  EXPECT_EQ(house.database->counts().reads_inline + house.database->counts().reads_queued,
            before.reads_inline + before.reads_queued);
}

TEST(Authenticate, AlternativesAndCombinationsAreObeyed) {
  House house;
  const auto key = house.key({.name = "n", .subject = "robot", .scopes = {"k"}});
  const auto token = bearer(house.token(R"(,"scope":"t")"));
  EXPECT_EQ(house.ask("either", {{"authorization", token}}), 200);
  EXPECT_EQ(house.subject(), "ada");
  EXPECT_EQ(house.ask("either", {{"x-api-key", key}}), 200);
  EXPECT_EQ(house.subject(), "robot");
  EXPECT_EQ(house.ask("both", {{"x-api-key", key}}), 401);
  EXPECT_EQ(house.ask("both", {{"authorization", token}}), 401);
  EXPECT_EQ(house.ask("both", {{"authorization", token}, {"x-api-key", key}}), 200);
  EXPECT_TRUE(house.last->context.principal->has_scope("k"));
  EXPECT_TRUE(house.last->context.principal->has_scope("t"));
  EXPECT_EQ(house.ask("public", {}), 200);
}

TEST(Authenticate, OptionalCredentialsMayBeAbsentButNotWrong) {
  House house;
  EXPECT_EQ(house.ask("perhaps", {}), 200);
  EXPECT_EQ(house.subject(), "nobody");
  EXPECT_EQ(house.ask("perhaps", {{"authorization", bearer(house.token())}}), 200);
  EXPECT_EQ(house.subject(), "ada");
  EXPECT_EQ(house.ask("perhaps", {{"authorization", "Bearer nonsense"}}), 401);
}

TEST(Authenticate, InvalidCredentialsNeverLockOutTheCallersOfTheirAddress) {
  House house;
  const auto known = bearer(house.token()), fresh = bearer(house.token("", "new")),
             late = bearer(house.token("", "late"));
  const auto remembered = house.key({.name = "k", .subject = "robot"}),
             other = house.key({.name = "o", .subject = "other"});
  EXPECT_EQ(house.ask("token", {{"authorization", known}}), 200);
  EXPECT_EQ(house.ask("key", {{"x-api-key", remembered}}), 200);
  int number = 0, verified = 0, refused = 0;
  const auto bad = [&] {  // never the same twice
    const auto status = house.ask("token", {{"authorization", "Bearer nonsense" + std::to_string(++number)}});
    (status == 401 ? verified : refused) += 1;
    EXPECT_TRUE(status == 401 || status == 429) << status;
  };
  for (int i = 0; i < 10; ++i) bad();
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(house.ask("token", {{"authorization", fresh}}), 200);  // past the limit, unknown, and still verified
  EXPECT_EQ(house.ask("key", {{"x-api-key", other}}), 200);
  for (int i = 0; i < 1000; ++i) bad();
  EXPECT_EQ(verified, 10 + 200 - 2);  // a burst of 200 verifications, and the clock stands still
  EXPECT_EQ(refused, 1000 - 198);
  EXPECT_EQ(house.ask("token", {{"authorization", late}}), 429);  // unknown, beyond the rate
  EXPECT_EQ(house.ask("token", {{"authorization", known}}), 200);
  EXPECT_EQ(house.ask("token", {{"authorization", fresh}}), 200);
  EXPECT_EQ(house.ask("key", {{"x-api-key", remembered}}), 200);
  EXPECT_EQ(house.ask("token", {}), 401);  // who presents nothing guesses nothing
  EXPECT_EQ(house.ask("token", {{"authorization", late}}, "192.0.2.2"), 200);
  // For 20 seconds at 500 a second: known callers are served, and 200 unknown credentials a second are verified.
  verified = refused = 0;
  for (int second = 0; second < 20; ++second) {
    for (int i = 0; i < 500; ++i) house.clock.now += kSecond / 500, bad();
    ASSERT_EQ(house.ask("key", {{"x-api-key", remembered}}), 200) << second;  // also when it must be looked up anew
    ASSERT_EQ(house.ask("token", {{"authorization", known}}), 200) << second;
  }
  EXPECT_NEAR(verified, 20 * 200, 20);
}

TEST(Authenticate, AKeyThatIsRevokedIsNoLongerRememberedWhereFailuresAreLimited) {
  House house("authentication: {failures: 1/hour}");
  const auto key = house.key({.name = "k", .subject = "robot"});
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 200);
  database::wait_for([&](Loop& loop) -> Task<Result<>> {
    ApiKeys keys(*house.database);
    auto all = co_await keys.list(loop);
    if (!all) co_return std::unexpected(std::move(all).error());
    auto revoked = co_await keys.revoke(loop, all->at(0).id, house.clock.wall());
    if (!revoked) co_return std::unexpected(std::move(revoked).error());
    co_return Result<>{};
  }).value();
  house.clock.now += 6 * kSecond;
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 401);
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 429);  // the same again
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}, "192.0.2.2"), 429);
}

TEST(Authenticate, OneInvalidCredentialIsLimitedWhateverAddressItComesFrom) {
  House house;
  int refused = 0;
  for (int i = 0; i < 20; ++i)
    refused += house.ask("token", {{"authorization", "Bearer stolen"}}, "192.0.2." + std::to_string(i)) == 429;
  EXPECT_EQ(refused, 10);
}

TEST(Authenticate, TheLimitOfFailuresCanBeSetAndSwitchedOff) {
  House off(kDeployment + "x: 1\n");
  House few("authentication: {failures: 2/minute, bearer: {secret: " + kSecret + "}}");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(few.ask("token", {{"authorization", "Bearer nonsense"}}), 401);
  EXPECT_EQ(few.ask("token", {{"authorization", "Bearer nonsense"}}), 429);
  House none("authentication: {failures: off, bearer: {secret: " + kSecret + "}}");
  for (int i = 0; i < 50; ++i) EXPECT_EQ(none.ask("token", {{"authorization", "Bearer nonsense"}}), 401);
}

TEST(Authenticate, WithoutAVerifierTheStartIsRefused) {
  House house("");
  auto built = house.build(authenticate, "token");
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().problem->code, "no-verifier");
  EXPECT_NE(built.error().problem->remedy.find("--dev"), std::string_view::npos);
  EXPECT_FALSE(house.build(authenticate, "basic"));
  EXPECT_TRUE(house.build(authenticate, "key"));
  house.services.database = nullptr;
  house.services.of_plan = std::make_shared<Shared>();
  EXPECT_FALSE(house.build(authenticate, "key"));
}

TEST(Authenticate, DevelopmentMakesCredentialsThatWork) {
  House house("");
  house.services.development = true;
  EXPECT_EQ(house.ask("token", {}), 401);
  EXPECT_EQ(house.ask("key", {}), 401);
  const auto made = development_credentials(*house.contract, house.services);
  ASSERT_EQ(made.size(), 2u);
  const std::string token = made[0].header.substr(std::string_view("Authorization: ").size());
  const std::string key = made[1].header.substr(std::string_view("X-API-Key: ").size());
  EXPECT_EQ(house.ask("token", {{"authorization", token}}), 200);
  EXPECT_TRUE(house.last->context.principal->has_scope("anything"));
  EXPECT_EQ(house.ask("key", {{"x-api-key", key}}), 200);
  EXPECT_EQ(house.subject(), "developer");
}

TEST(Authenticate, WhatIsWrongInTheDeploymentIsRefused) {
  const std::pair<std::string, std::string> wrong[] = {
      {"{baerer: {secret: x}}", "did you mean \"bearer\"?"},
      {"{bearer: {secret: short}}", "shorter than 32 bytes"},
      {"{bearer: {issuer: us}}", "neither `jwks` nor `secret`"},
      {"{bearer: {jwks: /nowhere.json}}", "cannot be read"},
      {"{bearer: {jwks: 'http://id.example.com/jwks.json'}}", "plain http is for this machine only"},
      {"{bearer: {isuer: us}}", "did you mean \"issuer\"?"},
      {"{bearer: {secret: " + kSecret + ", algorithms: [none]}}", "not an algorithm that can be allowed"},
      {"{failures: 0/minute, bearer: {secret: " + kSecret + "}}", "at least 1"},
  };
  for (const auto& [value, expected] : wrong) {
    House house("authentication: " + value);
    auto built = house.build(authenticate, "token");
    ASSERT_FALSE(built) << value;
    EXPECT_NE(built.error().detail.find(expected), std::string::npos) << value << ": " << built.error().detail;
  }
}

TEST(Authenticate, KeysAreFetchedAgainWhenTheirResponseIsNoLongerFresh) {
  constexpr std::int64_t kNow = 1'800'000'000;
  const auto at = [](std::int64_t unix) { return std::string(http::as_text(http::format_date(unix))); };
  const auto after = [](Nanoseconds refresh, std::initializer_list<std::pair<std::string_view, std::string>> said) {
    Arena arena;
    Headers fields{arena};
    for (const auto& [name, value] : said) fields.add(name, value);
    return KeyRefresh::interval(refresh, fields, kNow, kNow) / kSecond;
  };
  constexpr auto kHour = 3600 * kSecond;
  EXPECT_EQ(after(kHour, {}), 3600) << "nothing is said";
  EXPECT_EQ(after(kHour, {{"cache-control", "public"}, {"etag", "\"1\""}}), 3600);
  EXPECT_EQ(after(kHour, {{"cache-control", "public, max-age=600"}}), 600);
  EXPECT_EQ(after(kHour, {{"cache-control", "max-age=600"}, {"age", "500"}}), 100)
      << "what a cache between has used up";
  EXPECT_EQ(after(kHour, {{"cache-control", "max-age=600"}, {"age", "590"}}), 30) << "the issuer is spared";
  EXPECT_EQ(after(kHour, {{"cache-control", "max-age=600"}, {"age", "6000"}}), 30);
  EXPECT_EQ(after(kHour, {{"cache-control", "max-age=86400"}}), 3600) << "`refresh` is the most";
  EXPECT_EQ(after(kHour, {{"cache-control", "max-age=99999999999999999999"}}), 3600);
  EXPECT_EQ(after(kHour, {{"cache-control", "max-age=1"}}), 30);
  EXPECT_EQ(after(kHour, {{"cache-control", "s-maxage=60"}}), 3600) << "that is for shared caches";
  EXPECT_EQ(after(kHour, {{"cache-control", "no-store"}}), 30);
  EXPECT_EQ(after(kHour, {{"cache-control", "no-cache, max-age=600"}}), 30);
  EXPECT_EQ(after(kHour, {{"date", at(kNow)}, {"expires", at(kNow + 120)}}), 120);
  EXPECT_EQ(after(kHour, {{"date", at(kNow)}, {"expires", at(kNow + 120)}, {"cache-control", "max-age=240"}}), 240);
  EXPECT_EQ(after(kHour, {{"expires", "0"}}), 30) << "no date is already over";
  EXPECT_EQ(after(kSecond, {{"cache-control", "max-age=600"}}), 1) << "what the deployment says is not made longer";
  EXPECT_EQ(after(kSecond, {{"cache-control", "no-store"}}), 1);
}

TEST(Authenticate, KeysAreReadAnewWhenTheirFileChanges) {
  database::TestFolder folder;
  const auto file = folder / "jwks.json";
  const auto first = Jwk::generate(Algorithm::eddsa).value(), second = Jwk::generate(Algorithm::eddsa).value();
  const auto write = [&](const Jwk& key) { std::ofstream(file) << R"({"keys":[)" + key.to_json(false) + "]}"; };
  write(first);
  House house("authentication: {failures: off, bearer: {jwks: '" + std::string(file) + "'}}");
  const auto token = [&](const Jwk& key) {
    return bearer(
        issue_jwt(key, R"({"sub":"ada","exp":)" + std::to_string(house.clock.wall() / kSecond + 3600) + "}").value());
  };
  const auto old = token(first), fresh = token(second);
  EXPECT_EQ(house.ask("token", {{"authorization", old}}), 200);
  EXPECT_EQ(house.ask("token", {{"authorization", fresh}}), 401);
  write(second);
  EXPECT_EQ(house.ask("token", {{"authorization", fresh}}), 401);  // looked at within the last 30 seconds
  house.clock.now += 30 * kSecond;
  EXPECT_EQ(house.ask("token", {{"authorization", fresh}}), 200);
  EXPECT_EQ(house.ask("token", {{"authorization", old}}), 401);  // remembered no longer
}

}  // namespace
}  // namespace plimsoll::policy
