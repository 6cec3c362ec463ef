#include "plimsoll/async/pause.hpp"
#include "plimsoll/base/letters.hpp"
#include "plimsoll/client/chain.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/client/wire.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <random>
#include <set>

namespace plimsoll::client {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct SetClock final : Clock {
  std::atomic<Nanoseconds> at{1'700'000'000 * kSecond};
  Nanoseconds steady() const override { return at; }
  Nanoseconds wall() const override { return at; }
};

struct Reply {
  std::uint16_t status = 200;
  Fields fields{};
  std::string body{};
};

/// Stands where requests are sent.
struct FakeService final : Handler {
  std::function<Reply(const Request&)> says;
  Nanoseconds takes = 0;
  std::vector<Fields> seen{};
  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto& fields = seen.emplace_back();
    for (const auto& [name, value] : request.headers) fields.emplace_back(name, value);
    if (takes) co_await pause(context.loop, takes);
    auto reply = says(request);
    if (reply.status == 0) co_return fail(kUnreachable);
    Response made{.status = reply.status, .headers = Headers{context.arena}};
    for (const auto& [name, value] : reply.fields) made.headers.add(name, value);
    if (!reply.body.empty()) made.body = context.stream<TextStream>(context.keep<std::string>(std::move(reply.body)));
    co_return made;
  }
  std::string_view last(std::string_view name) const {
    for (const auto& [key, value] : seen.back())
      if (key == name) return value;
    return {};
  }
};

struct Called {
  int status = 0;
  std::string code{}, body{}, how{}, age{}, etag{};
  bool refused = false;  ///< the credential of this server
};

struct ClientCache : testing::Test {
  void SetUp() override { use(R"({"cache":"16MiB"})"); }
  void use(std::string_view options) {
    auto value = json::parse(arena.keep(options), arena);
    ASSERT_TRUE(value) << options;
    auto made = plan(service, &arena.make<json::Value>(std::move(*value)),
                     {.service = "rates", .timeouts = {}, .services = services, .shared = shared});
    ASSERT_TRUE(made) << made.error().detail;
    chain = std::move(*made);
  }
  std::string refused(std::string_view options) {
    auto value = json::parse(arena.keep(options), arena);
    auto made = plan(service, &arena.make<json::Value>(std::move(*value)),
                     {.service = "rates", .timeouts = {}, .services = services, .shared = shared});
    return made ? "" : made.error().detail;
  }
  Task<Called> call(Loop& loop, Fields fields = {}, std::string target = "/rates", std::string method = "GET") {
    Arena own;
    Context context{own, loop, services};
    context.scope = co_await this_scope();
    context.now = clock.steady(), context.wall = clock.wall();
    context.input.body_text = body_of_exchange;
    Request request{.method = method, .target = target, .headers = Headers{own}};
    for (const auto& [name, value] : fields) request.headers.add(name, value);
    begin_call(request, context);
    auto answer = co_await Next{chain.links.data()}(request, context);
    if (!answer)
      co_return Called{.status = answer.error().problem->status, .code = std::string(answer.error().problem->code)};
    Called made{.status = answer->status,
                .how = std::string(answer->headers.find("cache-status")),
                .age = std::string(answer->headers.find("age")),
                .etag = std::string(answer->headers.find("etag")),
                .refused = call_state(request, context).credential_refused};
    auto whole = co_await whole_body(*answer, 1 << 20);
    if (whole) made.body = std::move(*whole);
    co_return made;
  }
  Called get(Fields fields = {}, std::string target = "/rates", std::string method = "GET") {
    Called made;
    Loop loop;
    Scope scope;
    const auto work = [&]() -> Task<> {
      auto called = co_await call(loop, fields, target, method);
      made = std::move(called);
    };
    loop.spawn(scope, work());
    loop.run();
    return made;
  }
  std::string body(Fields fields = {}, std::string target = "/rates") { return get(std::move(fields), target).body; }
  /// Numbered bodies with these fields.
  void answers(Fields fields, std::uint16_t status = 200) {
    service.says = [this, fields, status](const Request&) {
      return Reply{.status = status, .fields = fields, .body = "run " + std::to_string(service.seen.size())};
    };
  }
  void advance(std::int64_t seconds) { clock.at += seconds * kSecond; }
  std::uint64_t counted(std::string_view source) {
    const telemetry::Label labels[] = {{"service", "rates"}, {"source", source}};
    return registry.counter("plimsoll_client_cache_answers_total", "", labels).value();
  }
  std::size_t sent() const { return service.seen.size(); }

  SetClock clock;
  std::string_view body_of_exchange{};
  Arena arena;
  telemetry::Registry registry;
  Services services{.metrics = &registry, .clock = &clock};
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  FakeService service;
  Plan chain;
};

TEST_F(ClientCache, AFreshResponseNeedsNoCall) {
  answers({{"cache-control", "max-age=60"}});
  EXPECT_EQ(body(), "run 1");
  advance(30);
  const auto again = get();
  EXPECT_EQ(again.body, "run 1");
  EXPECT_EQ(again.age, "30");
  EXPECT_EQ(again.how, "plimsoll-client; hit; ttl=30");
  advance(31);
  EXPECT_EQ(body(), "run 2");
  EXPECT_EQ(body({}, "/rates?of=EUR"), "run 3");
  EXPECT_EQ(counted("hit"), 1u);
  EXPECT_EQ(counted("miss"), 3u);
  const auto text = registry.expose();
  EXPECT_TRUE(text.contains("plimsoll_client_cache_entries{service=\"rates\"} 2\n")) << text;
}

TEST_F(ClientCache, IsOffUnlessItIsWritten) {
  use("{}");
  answers({{"cache-control", "max-age=60"}});
  EXPECT_EQ(body(), "run 1");
  EXPECT_EQ(body(), "run 2");
  use(R"({"cache":"off"})");
  EXPECT_EQ(body(), "run 3");
}

TEST_F(ClientCache, AStaleResponseIsConfirmedByTheService) {
  service.says = [](const Request& request) -> Reply {
    if (request.headers.find("if-none-match") == "\"a\"")
      return {.status = 304, .fields = {{"etag", "\"a\""}, {"cache-control", "max-age=5"}, {"x-of", "the 304"}}};
    return {.fields = {{"etag", "\"a\""}, {"cache-control", "max-age=1"}}, .body = "first"};
  };
  EXPECT_EQ(body(), "first");
  advance(2);
  const auto again = get();
  EXPECT_EQ(again.body, "first");
  EXPECT_EQ(again.status, 200);
  EXPECT_TRUE(again.how.contains("fwd-status=304")) << again.how;
  EXPECT_EQ(sent(), 2u);
  advance(3);
  EXPECT_EQ(body(), "first");
  EXPECT_EQ(sent(), 2u) << "the 304 has made it fresh for 5 s";
  EXPECT_EQ(counted("validated"), 1u);
  EXPECT_EQ(get({{"if-none-match", "\"a\""}}).status, 304) << "a condition of the call is judged by what is stored";
}

TEST_F(ClientCache, WhatIsSaidToSharedCachesIsNotFollowed) {
  answers({{"cache-control", "s-maxage=60"}});
  EXPECT_EQ(body(), "run 1");
  EXPECT_EQ(body(), "run 2");
  answers({{"cache-control", "max-age=60"}, {"cdn-cache-control", "no-store"}});
  EXPECT_EQ(body({}, "/other"), "run 3");
  EXPECT_EQ(body({}, "/other"), "run 3");
}

TEST_F(ClientCache, APrivateResponseIsStoredForItsUser) {
  answers({{"cache-control", "private, max-age=60"}});
  EXPECT_EQ(body({{"authorization", "Bearer a"}}), "run 1");
  EXPECT_EQ(body({{"authorization", "Bearer a"}}), "run 1");
  EXPECT_EQ(body({{"authorization", "Bearer b"}}), "run 2");
  EXPECT_EQ(body(), "run 3");
  EXPECT_EQ(body({{"x-user", "b"}}), "run 4") << "the service may know its user by any field";
  EXPECT_EQ(body({{"x-user", "b"}, {"x-request-id", "1"}}), "run 4");
  EXPECT_EQ(body({{"authorization", "Bearer a"}}), "run 1");
}

TEST_F(ClientCache, TheCredentialsThatAreReplacedDoNotCount) {
  use(R"({"cache":"16MiB","authentication":{"bearer":"own"}})");
  answers({{"cache-control", "max-age=60"}});
  EXPECT_EQ(body({{"authorization", "Bearer a"}}), "run 1");
  EXPECT_EQ(body({{"authorization", "Bearer b"}}), "run 1");
  EXPECT_EQ(service.last("authorization"), "Bearer own");
  EXPECT_EQ(body({{"cookie", "session=b"}}), "run 2");
  use(R"({"cache":"16MiB","authentication":{"bearer":"another"}})");
  EXPECT_EQ(body({{"authorization", "Bearer a"}}), "run 3") << "this server is somebody else now";
  use(R"({"cache":"16MiB","authentication":{"header":"X-Key","value":"own"}})");
  EXPECT_EQ(body({{"authorization", "Bearer a"}}), "run 4");
  EXPECT_EQ(body({{"authorization", "Bearer b"}}), "run 5") << "it is passed on";
}

// Random pairs of calls: what one is given that another has caused was made for its own credentials, and what is
// `private` from all that it says itself.
TEST_F(ClientCache, NothingIsSharedBetweenCallersWhoseCredentialsDiffer) {
  const auto* said = std::getenv("PLIMSOLL_SEED");
  const auto seed = said ? static_cast<unsigned>(std::strtoul(said, nullptr, 10)) : std::random_device{}();
  SCOPED_TRACE("PLIMSOLL_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  const auto any = [&](std::initializer_list<const char*> of) { return std::string(of.begin()[random() % of.size()]); };
  constexpr std::string_view credentials[] = {"Authorization", "Cookie",         "X-Api-Key",
                                              "x_api_key",     "X-Access-Token", "Private-Token",
                                              "X-User",        "X-Tenant",       "Ocp-Apim-Subscription-Key"};
  constexpr std::string_view others[] = {"X-Forwarded-For", "Accept-Language", "User-Agent"};
  constexpr std::string_view of_one_request[] = {"X-Request-Id", "traceparent", "Cache-Control"};
  const auto is_of = [](std::string_view name, auto& names) {
    return std::ranges::any_of(names, [&](auto each) { return equal_ignoring_case(each, name); });
  };
  const auto text = [](const Fields& fields, auto which) {
    std::multiset<std::string> lines;
    for (const auto& [name, value] : fields)
      if (which(name)) lines.insert(lowered(name) + "=" + value);
    std::string whole;
    for (const auto& line : lines) whole += line + ";";
    return whole;
  };
  const auto whose = [&](const Fields& fields) {
    return text(fields, [&](std::string_view name) { return is_of(name, credentials); });
  };
  const auto everything = [&](const Fields& fields) {
    return text(fields, [&](std::string_view name) { return is_of(name, credentials) || is_of(name, others); });
  };
  service.says = [&](const Request& request) -> Reply {
    Fields fields;
    for (const auto& [name, value] : request.headers) fields.emplace_back(name, value);
    // Of some resources no response is `private`: they are not told apart by all fields.
    const bool open = request.target.ends_with("open");
    Fields head{
        {"cache-control", open ? any({"max-age=60", "public, max-age=60", "max-age=1, stale-while-revalidate=60"})
                               : any({"private, max-age=60", "private, no-cache", "max-age=60",
                                      "private, max-age=1, stale-if-error=60"})},
        {"etag", {}}};
    if (random() % 4 == 0) head.emplace_back("vary", any({"Accept-Language", "X-User", "Cookie", "Authorization"}));
    const bool is_private = head[0].second.contains("private");
    const auto body = whose(fields) + "\n" + (is_private ? everything(fields) : "");
    // A service that confirms must mean the same representation: its tag says whose it is.
    head[1].second = "\"" + std::to_string(std::hash<std::string>{}(body)) + "\"";
    if (request.headers.find("if-none-match") == head[1].second) return {.status = 304, .fields = head};
    if (random() % 8 == 0) return {.status = 503};
    return {.fields = head, .body = body};
  };
  std::uint64_t reused = 0;
  for (int i = 0; i < 4000; ++i) {
    Fields fields;
    for (auto name : credentials)
      if (random() % 12 == 0) fields.emplace_back(name, any({"a", "b"}));
    for (auto name : others)
      if (random() % 4 == 0) fields.emplace_back(name, any({"a", "b"}));
    for (auto name : of_one_request)
      if (random() % 4 == 0)
        fields.emplace_back(name, equal_ignoring_case(name, "cache-control")
                                      ? any({"max-age=30", "max-stale", "no-cache"})
                                      : std::to_string(random()));
    std::ranges::shuffle(fields, random);
    const auto before = sent();
    const auto given = get(fields, "/" + std::to_string(random() % 20) + any({"", "open"}));
    advance(static_cast<std::int64_t>(random() % 3));
    if (given.status != 200) continue;
    reused += sent() == before;
    const auto line = given.body.find('\n');
    ASSERT_EQ(given.body.substr(0, line), whose(fields)) << given.how;
    const auto rest = given.body.substr(line + 1);
    if (!rest.empty()) ASSERT_EQ(rest, everything(fields)) << given.how;
  }
  EXPECT_GT(reused, 100u);
}

TEST_F(ClientCache, ANewSessionIsNeverGivenTwice) {
  answers({{"cache-control", "max-age=60"}, {"set-cookie", "session=1"}});
  EXPECT_EQ(body(), "run 1");
  EXPECT_EQ(body(), "run 2");
  answers({{"cache-control", "public, max-age=60"}, {"set-cookie", "seen=1"}});
  advance(11);
  EXPECT_EQ(body(), "run 3");
  EXPECT_EQ(body(), "run 3") << "the service says that it is for all";
}

TEST_F(ClientCache, DirectivesOfTheCallAreFollowed) {
  answers({{"cache-control", "max-age=60"}});
  EXPECT_EQ(get({{"cache-control", "only-if-cached"}}).code, "not-cached");
  EXPECT_EQ(sent(), 0u);
  EXPECT_EQ(body({{"cache-control", "no-store"}}), "run 1");
  EXPECT_EQ(body(), "run 2") << "what no-store has brought is not stored";
  EXPECT_EQ(body({{"cache-control", "only-if-cached"}}), "run 2");
  EXPECT_EQ(body({{"cache-control", "no-cache"}}), "run 3");
  advance(30);
  EXPECT_EQ(body({{"cache-control", "max-age=20"}}), "run 4");
  advance(30);
  EXPECT_EQ(body({{"cache-control", "min-fresh=40"}}), "run 5");
  advance(70);
  EXPECT_EQ(body({{"cache-control", "max-stale=20"}}), "run 5");
  EXPECT_EQ(body({{"cache-control", "max-stale=5"}}), "run 6");
  use(R"({"cache":{"obey-requests":false}})");
  EXPECT_EQ(body({{"cache-control", "no-cache"}}), "run 6");
}

TEST_F(ClientCache, AStaleResponseComesBeforeAFailure) {
  answers({{"cache-control", "max-age=1, stale-if-error=60"}});
  EXPECT_EQ(body(), "run 1");
  for (const std::uint16_t status : {503, 500, 0}) {  // 0: no response
    answers({}, status);
    advance(2);
    const auto given = get();
    EXPECT_EQ(given.status, 200);
    EXPECT_EQ(given.body, "run 1");
    EXPECT_TRUE(given.how.contains("stale-if-error")) << given.how;
  }
  advance(60);
  EXPECT_EQ(get().code, "unreachable");
  EXPECT_EQ(counted("stale"), 3u);
}

TEST_F(ClientCache, ForHowLongIsAlsoAnOption) {
  use(R"({"cache":{"stale-if-error":"1h"}})");
  for (const auto* control : {"max-age=1", "max-age=1, must-revalidate"}) {
    const std::string target = std::string("/") + std::to_string(std::string_view(control).size());
    answers({{"cache-control", control}});
    EXPECT_EQ(get({}, target).status, 200);
    answers({}, 503);
    advance(100);
    EXPECT_EQ(get({}, target).status, std::string_view(control).contains("must") ? 503 : 200);
  }
}

TEST_F(ClientCache, AStaleResponseIsUsedWhileANewOneComes) {
  answers({{"cache-control", "max-age=1, stale-while-revalidate=60"}});
  EXPECT_EQ(body(), "run 1");
  advance(2);
  EXPECT_EQ(body(), "run 1");
  EXPECT_EQ(sent(), 2u);
  EXPECT_EQ(body(), "run 2");
  EXPECT_EQ(sent(), 2u);
}

TEST_F(ClientCache, ManyCallsAtOnceAreOne) {
  answers({{"cache-control", "max-age=60"}});
  service.takes = 20 * kMillisecond;
  Loop loop;
  Scope scope;
  std::vector<std::string> bodies;
  const auto work = [&]() -> Task<> {
    auto called = co_await call(loop);
    bodies.push_back(called.body);
  };
  for (int i = 0; i < 10; ++i) loop.spawn(scope, work());
  loop.run();
  EXPECT_EQ(bodies, std::vector<std::string>(10, "run 1"));
  EXPECT_EQ(sent(), 1u);
  EXPECT_EQ(counted("collapsed"), 9u);
}

TEST_F(ClientCache, AnUnsafeCallMakesItsResourceOld) {
  answers({{"cache-control", "max-age=60"}});
  EXPECT_EQ(body(), "run 1");
  EXPECT_EQ(body({}, "/rates?of=EUR"), "run 2");
  EXPECT_EQ(body({}, "/other"), "run 3");
  EXPECT_EQ(get({}, "/rates", "POST").status, 200);
  EXPECT_EQ(body(), "run 5");
  EXPECT_EQ(body({}, "/rates?of=EUR"), "run 6");
  EXPECT_EQ(body({}, "/other"), "run 3");
}

TEST_F(ClientCache, ResponsesVaryByWhatTheServiceNames) {
  service.says = [](const Request& request) -> Reply {
    return {.fields = {{"cache-control", "max-age=60"}, {"vary", "Accept-Language"}},
            .body = std::string(request.headers.find("accept-language"))};
  };
  for (const auto* language : {"de", "en", "de", "en"}) EXPECT_EQ(body({{"accept-language", language}}), language);
  EXPECT_EQ(sent(), 2u);
}

TEST_F(ClientCache, AHeadIsAnsweredByWhatIsStored) {
  answers({{"cache-control", "max-age=60"}, {"etag", "\"a\""}});
  EXPECT_EQ(body(), "run 1");
  EXPECT_EQ(get({}, "/rates", "HEAD").etag, "\"a\"");
  EXPECT_EQ(sent(), 1u);
}

TEST_F(ClientCache, ARefusedCredentialIsKnownToTheCall) {
  use(R"({"cache":"16MiB","authentication":{"bearer":"own"}})");
  answers({}, 401);
  EXPECT_TRUE(get().refused);
}

TEST_F(ClientCache, HasAsManyResponsesAsItMayHave) {
  use(R"({"cache":{"entries":10}})");
  answers({{"cache-control", "max-age=60"}});
  for (int i = 0; i < 100; ++i) get({}, "/" + std::to_string(i));
  const auto text = registry.expose();
  EXPECT_TRUE(text.contains("plimsoll_client_cache_entries{service=\"rates\"} 10\n")) << text;
}

TEST_F(ClientCache, ACallOfAnExchangeWithABodyHasNone) {
  answers({{"cache-control", "max-age=60"}});
  body_of_exchange = "{}";
  EXPECT_EQ(body(), "run 1");
  EXPECT_EQ(body(), "run 1");
}

TEST_F(ClientCache, IsOfTheServiceAndItsPlace) {
  answers({{"cache-control", "max-age=60"}});
  const auto at = [&](std::string_view text) {
    std::vector<Peer> peers(1);
    peers[0].url = *parse_url(text);
    auto value = json::parse(R"({"cache":"16MiB"})", arena);
    chain = *plan(service, &arena.make<json::Value>(std::move(*value)),
                  {.service = "rates", .timeouts = {}, .services = services, .shared = shared, .peers = peers});
    return body();
  };
  EXPECT_EQ(at("http://one.example/a"), "run 1");
  EXPECT_EQ(at("http://one.example/a/"), "run 1");
  EXPECT_EQ(at("http://one.example/b"), "run 2");
  EXPECT_EQ(at("http://two.example/a"), "run 3");
}

TEST_F(ClientCache, OutlivesTheChain) {
  answers({{"cache-control", "max-age=60"}});
  EXPECT_EQ(body(), "run 1");
  const auto before = std::move(chain);  // a reload: both are there for a while
  use(R"({"cache":"16MiB","retry":{}})");
  EXPECT_EQ(body(), "run 1");
}

TEST_F(ClientCache, WhatItCannotDoIsTold) {
  EXPECT_TRUE(refused(R"({"cache":"60s"})").contains("is the service's to say"));
  EXPECT_TRUE(refused(R"({"cache":"origin"})").contains("is the service's to say"));
  EXPECT_TRUE(refused(R"({"cache":{"memory":"1KiB"}})").contains("at least 1MiB"));
  EXPECT_NE(refused(R"({"cache":{"ttl":"60s"}})"), "");
  EXPECT_NE(refused(R"({"cache":{"entires":5}})"), "");
}

}  // namespace
}  // namespace plimsoll::client
