#include "plimsoll/client/oauth2.hpp"

#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/client/test_server.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace plimsoll::client {
namespace {

std::string http(std::string_view status, std::string_view body) {
  return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         std::string(body);
}

/// Gives tokens t1, t2, … and answers calls 200 with the token that they brought, or 401 where it is not the last one.
struct TokenServer {
  std::atomic<int> fetched{0}, good{0};
  std::atomic<int> failing{0};  ///< fetches that fail yet
  std::atomic<bool> rejects{false};
  std::string life = "3600";
  TestServer tokens{[this](TestLine& line) {
    while (line.request()) {
      if (failing > 0) {
        --failing;
        line.send(http("503 Service Unavailable", "{}"));
        continue;
      }
      line.rest(20 * kMillisecond);  // so that others wait for it
      good = ++fetched;
      line.send(http("200 OK", R"({"access_token":"t)" + std::to_string(fetched) +
                                   R"(","token_type":"Bearer","expires_in":)" + life + "}"));
    }
  }};
  TestServer service{[this](TestLine& line) {
    for (std::string head; !(head = line.head()).empty();) {
      if (!line.body(head)) return;
      const auto at = head.find("authorization: Bearer t");
      const auto number = at == head.npos ? 0 : std::atoi(head.c_str() + at + 23);
      line.send(rejects || (number != good && number + 1 != good) ? http("401 Unauthorized", "no")
                                                                  : http("200 OK", "t" + std::to_string(number)));
    }
  }};

  Services services{.clock = &system_clock()};
  Arena arena;
  std::shared_ptr<Service> made(std::string_view more = "") {
    const auto text = R"({"authentication":{"oauth2":{"token-url":")" + tokens.url("/token") +
                      R"(","client":"shop :","secret":"s3cr&t","scope":"a b")" + std::string(more) + "}}}";
    const auto options = json::parse(arena.keep(text), arena);
    auto service = Service::make({.name = "orders", .url = this->service.url("/")}, services, &*options);
    EXPECT_TRUE(service) << service.error().detail;
    return std::move(*service);
  }
};

/// The outcomes of so many calls at once, on one loop.
std::vector<std::string> calls(Service& service, std::size_t count, const Call& call = {}) {
  Loop loop;
  std::vector<Scope> scopes(count);
  std::vector<std::string> outcomes(count);
  const auto one = [](Service& service, Loop& loop, const Call& call, std::string& outcome) -> Task<> {
    const auto answer = co_await fetch(service, loop, call);
    outcome = answer ? std::to_string(answer->status) + " " + answer->body : std::string(answer.error().problem->code);
  };
  for (std::size_t i = 0; i < count; ++i) loop.spawn(scopes[i], one(service, loop, call, outcomes[i]));
  loop.run();
  return outcomes;
}

TEST(OAuth2, ATokenIsFetchedOnceForAllWhoNeedIt) {
  TokenServer server;
  const auto service = server.made(R"(,"parameters":{"audience":"https://orders"})");
  std::atomic<int> ready{0};
  const auto thread = [&] {
    ++ready;
    while (ready < 3) std::this_thread::yield();
    for (const auto& each : calls(*service, 50)) EXPECT_EQ(each, "200 t1");
  };
  std::thread others[] = {std::thread(thread), std::thread(thread), std::thread(thread)};
  for (auto& each : others) each.join();
  EXPECT_EQ(server.fetched, 1);
  const auto seen = server.tokens.seen();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].head.starts_with("POST /token ")) << seen[0].head;
  EXPECT_TRUE(seen[0].head.contains("authorization: Basic " + std::string("c2hvcCslM0E6czNjciUyNnQ=") + "\r\n"))
      << "each part is form-encoded first (RFC 6749, section 2.3.1): " << seen[0].head;
  EXPECT_EQ(seen[0].body, "grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Forders");
}

TEST(OAuth2, InTheBodyWhereThatIsSaid) {
  TokenServer server;
  const auto service = server.made(R"(,"client-authentication":"body")");
  EXPECT_EQ(calls(*service, 1)[0], "200 t1");
  const auto seen = server.tokens.seen();
  EXPECT_FALSE(seen[0].head.contains("authorization"));
  EXPECT_EQ(seen[0].body, "grant_type=client_credentials&scope=a+b&client_id=shop+%3A&client_secret=s3cr%26t");
}

TEST(OAuth2, A401FetchesOnceAnewAndNoCallFails) {
  TokenServer server;
  const auto service = server.made();
  EXPECT_EQ(calls(*service, 1)[0], "200 t1");
  server.good = 0;  // as if all tokens had been revoked; the next one is good
  const Call post{.method = "POST", .body = "written once"};
  for (const auto& each : calls(*service, 50, post)) EXPECT_EQ(each, "200 t2");
  EXPECT_EQ(server.fetched, 2);
  server.rejects = true;
  for (const auto& each : calls(*service, 50)) EXPECT_EQ(each, "401 no");
  EXPECT_EQ(server.fetched, 2) << "a service that takes no token is not asked for one each time";
}

TEST(OAuth2, ATokenIsRenewedBesideTheCalls) {
  TokenServer server;
  server.life = "1";  // renewed after 0.8 s, given up after 0.95 s
  const auto service = server.made();
  const auto until = system_clock().steady() + 2500 * kMillisecond;
  int most = 0;
  while (system_clock().steady() < until)
    for (const auto& each : calls(*service, 5)) {
      EXPECT_TRUE(each.starts_with("200 t")) << each;
      ++most;
    }
  EXPECT_GE(server.fetched, 2);
  EXPECT_LE(server.fetched, 6) << "and not for each of " << most << " calls";
}

TEST(OAuth2, AFetchThatFailsIsRepeatedAndThenCallsAreRefusedAtOnce) {
  TokenServer server;
  telemetry::Registry registry;
  server.services.metrics = &registry;
  const auto service = server.made();
  server.failing = 2;
  EXPECT_EQ(calls(*service, 1)[0], "200 t1");
  server.failing = 1000;
  server.services.shared = std::make_shared<Shared>();
  const auto other = server.made();
  for (const auto& each : calls(*other, 20)) EXPECT_EQ(each, "no-credential");
  EXPECT_EQ(1000 - server.failing, 3) << "one fetch of three attempts for all of them";
  for (const auto& each : calls(*other, 20)) EXPECT_EQ(each, "no-credential");
  EXPECT_EQ(1000 - server.failing, 3) << "and none at once after that";
  const auto text = registry.expose();
  EXPECT_TRUE(text.contains(R"(plimsoll_client_token_fetches_total{service="orders",outcome="failed"} 1)")) << text;
}

TEST(OAuth2, ATokenOutlivesAReloadThatChangesNothingAndNoOther) {
  TokenServer server;
  const auto before = server.made();
  EXPECT_EQ(calls(*before, 1)[0], "200 t1");
  const auto same = server.made();
  EXPECT_EQ(calls(*same, 1)[0], "200 t1");
  EXPECT_EQ(server.fetched, 1);
  const auto other = server.made(R"(,"parameters":{"audience":"b"})");
  EXPECT_EQ(calls(*other, 1)[0], "200 t2");
}

TEST(OAuth2, AnswersOfTokenServersAreReadStrictly) {
  const auto read = [](std::uint16_t status, std::string_view body) {
    const auto answer = read_token_answer(status, body);
    return answer ? answer->token + " " + std::to_string(answer->life / kSecond) : answer.error();
  };
  EXPECT_EQ(read(200, R"({"access_token":"a","token_type":"bearer"})"), "a 300");
  EXPECT_EQ(read(200, R"({"access_token":"a","token_type":"BEARER","expires_in":60})"), "a 60");
  EXPECT_EQ(read(200, R"({"access_token":"a","token_type":"Bearer","expires_in":99999999999})"), "a 31536000");
  constexpr std::string_view none = "the token server's answer has no `access_token` that can be sent";
  for (const auto* body :
       {"", "[]", "{", R"({"token_type":"Bearer"})", R"({"access_token":"a b","token_type":"Bearer"})",
        R"({"access_token":"a\nb","token_type":"Bearer"})", R"({"access_token":1})",
        R"({"access_token":"","token_type":"Bearer"})"})
    EXPECT_EQ(read(200, body), none) << body;
  EXPECT_EQ(read(200, R"({"access_token":"a","token_type":"DPoP"})"), "the token server gave no bearer token");
  EXPECT_EQ(read(200, R"({"access_token":"a","token_type":"Bearer","expires_in":"60"})"),
            "the token server's `expires_in` is no number of seconds");
  EXPECT_EQ(read(200, R"({"access_token":"a","token_type":"Bearer","expires_in":-1})"),
            "the token server's `expires_in` is no number of seconds");
  EXPECT_EQ(read(401, R"({"error":"invalid_client","error_description":"secret s3cret is wrong"})"),
            "the token server answered 401 invalid_client");
  EXPECT_EQ(read(400, R"({"error":"s3cret!"})"), "the token server answered 400");
}

}  // namespace
}  // namespace plimsoll::client
