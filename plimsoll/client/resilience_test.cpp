#include "plimsoll/async/pause.hpp"
#include "plimsoll/client/chain.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/client/targets.hpp"
#include "plimsoll/client/test_server.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace plimsoll::client {
namespace {

/// Stands where requests are sent, and does with each attempt what the test says.
struct ScriptedWire final : Handler {
  /// A status; or an error, and whether anything was sent before.
  struct Does {
    std::uint16_t status = 200;
    const Problem* failing = nullptr;
    bool sent = true;
    std::string retry_after{};
    Nanoseconds rest = 0;
  };
  Task<Result<Response>> handle(Request& request, Context& context) override {
    auto& state = call_state(request, context);
    const auto number = attempts++;
    const Does does = script.empty() ? Does{} : script[std::min(number, script.size() - 1)];
    numbers.emplace_back(request.headers.find("x-plimsoll-attempt"));
    targets.push_back(state.target);
    state.connected = state.written = does.sent;
    if (does.rest) {
      const bool rested = co_await pause(context.loop, does.rest);
      if (!rested) {
        const Scope* scope = co_await this_scope();
        co_return std::unexpected(error_of(scope->stopped()));
      }
    }
    if (does.failing) co_return fail(declared(*does.failing));
    Response response{.status = does.status, .headers = Headers{context.arena}};
    if (!does.retry_after.empty()) response.headers.add("retry-after", context.kept(does.retry_after));
    co_return response;
  }
  std::vector<Does> script;
  std::size_t attempts = 0;
  std::vector<std::string> numbers;
  std::vector<std::size_t> targets;
};

struct Asked {
  std::string method = "GET";
  bool keyed = false;
  std::string attempt{};     ///< of an outer layer
  Nanoseconds deadline = 0;  ///< of the exchange, from now
};

struct Resilience : testing::Test {
  Arena arena;  // of the options
  telemetry::Registry registry;
  Services services{.metrics = &registry, .clock = &system_clock()};
  ScriptedWire wire;
  std::shared_ptr<Targets> targets;
  std::optional<Plan> plan;
  std::int64_t retry_after = -1;

  /// The options of the policies, of all calls that follow.
  void begin(std::string_view options) {
    auto value = json::parse(options, arena);
    ASSERT_TRUE(value) << options;
    auto made = client::plan(
        wire, &arena.make<json::Value>(std::move(*value)),
        {.service = "orders", .timeouts = {}, .services = services, .shared = services.shared, .targets = targets});
    ASSERT_TRUE(made) << made.error().detail;
    plan = std::move(*made);
  }
  /// Calls as often at once, each on the same loop; what came of each.
  std::vector<std::string> call(std::size_t times, Asked asked) {
    Loop loop;
    std::vector<std::string> outcomes(times);
    std::vector<Scope> scopes(times);
    const auto one = [](Resilience& self, Loop& loop, Scope& scope, const Asked& asked,
                        std::string& outcome) -> Task<> {
      Arena arena;
      Context context{arena, loop, self.services};
      context.scope = &scope;
      context.now = context.started = loop.now();
      if (asked.deadline) context.deadline(loop.now() + asked.deadline);
      Request request{.method = asked.method, .target = "/", .headers = Headers{arena}};
      if (asked.keyed) request.headers.add("idempotency-key", "k");
      if (!asked.attempt.empty()) request.headers.add("x-plimsoll-attempt", asked.attempt);
      const auto answer = co_await Next{self.plan->links.data()}(request, context);
      outcome = answer ? std::to_string(answer->status) : std::string(answer.error().problem->code);
      if (!answer && answer.error().more_) self.retry_after = answer.error().more_->retry_after;
    };
    for (std::size_t i = 0; i < times; ++i) loop.spawn(scopes[i], one(*this, loop, scopes[i], asked, outcomes[i]));
    loop.run();
    return outcomes;
  }
  std::string call(Asked asked = Asked{}) {
    wire.attempts = 0;
    wire.numbers.clear(), wire.targets.clear();
    return call(1, std::move(asked))[0];
  }
  double value(std::string_view line) {
    const auto text = registry.expose();
    const auto at = text.find(std::string(line) + " ");
    return at == text.npos ? -1 : std::strtod(text.c_str() + at + line.size() + 1, nullptr);
  }
};

using Does = ScriptedWire::Does;
constexpr std::string_view kQuick = R"({"retry":{"base":"1ms","cap":"1ms"}})";

TEST_F(Resilience, ACallThatMayBeRepeatedIsRepeatedUntilItSucceeds) {
  begin(kQuick);
  wire.script = {{.status = 503}, {.failing = &kUnreachable}, {.status = 200}};
  EXPECT_EQ(call(), "200");
  EXPECT_EQ(wire.numbers, (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(value("plimsoll_client_retries_total{service=\"orders\"}"), 2);
  wire.script = {{.status = 502}};
  EXPECT_EQ(call(), "502") << "and in the end the answer is that of the last attempt";
  EXPECT_EQ(wire.attempts, 4u) << "three retries after the first attempt";
}

TEST_F(Resilience, ACallThatTakesLongIsSentTwiceAndTheFirstAnswerCounts) {
  begin(R"({"retry":{"attempts":1,"base":"1ms","cap":"1ms"},"hedge":"p95","timeout":"30s"})");
  for (int i = 0; i < 300; ++i) EXPECT_EQ(call(), "200");
  EXPECT_EQ(value("plimsoll_client_hedges_total{service=\"orders\"}"), 0);
  constexpr Nanoseconds never = 3600 * kSecond;
  wire.script = {{.rest = never}, {.status = 201}};
  EXPECT_EQ(call(), "201");
  EXPECT_EQ(wire.numbers, (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(value("plimsoll_client_hedges_won_total{service=\"orders\"}"), 1);
  wire.script = {{.status = 201, .rest = 60 * kMillisecond}, {.status = 500}};
  EXPECT_EQ(call(), "201") << "the second has failed, and the first is waited for";
  wire.script = {{.status = 500, .rest = 60 * kMillisecond}, {.status = 201, .rest = 120 * kMillisecond}};
  EXPECT_EQ(call(), "201") << "and the other way round";
  wire.script = {{.failing = &kBadAnswer, .rest = 60 * kMillisecond}, {.status = 503, .rest = 80 * kMillisecond}, {}};
  EXPECT_EQ(call(), "200") << "when both have failed, the call is repeated";
  EXPECT_EQ(wire.attempts, 3u);
  wire.script = {{.rest = 60 * kMillisecond}};
  EXPECT_EQ(call({"POST"}), "200");
  EXPECT_EQ(wire.attempts, 1u) << "what changes something is sent once";
  EXPECT_EQ(call({.attempt = "1"}), "200");
  EXPECT_EQ(wire.attempts, 1u) << "and what an outer layer repeats";
}

TEST_F(Resilience, HedgesAreAFewOfTheCallsAndEndWithThem) {
  begin(R"({"retry":"off","hedge":{"after":"p95","at-most":"5%"},"timeout":"200ms"})");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(call(), "200");
  wire.script = {{.rest = 3600 * kSecond}};
  EXPECT_EQ(call(), "deadline-exceeded") << "both hang";
  EXPECT_EQ(wire.attempts, 2u);
  wire.attempts = 0;
  for (const auto& each : call(50, Asked{})) EXPECT_EQ(each, "deadline-exceeded");
  EXPECT_LE(wire.attempts, 50u + 7u) << "5 % of 151 calls, one of which was spent";
  EXPECT_GE(wire.attempts, 50u + 5u);
}

TEST_F(Resilience, OnlyWhatMayBeRepeatedIsRepeated) {
  begin(kQuick);
  struct Case {
    Asked asked;
    Does does;
    std::size_t attempts;
  };
  const Case cases[] = {
      {{"GET"}, {.status = 503}, 4},
      {{"HEAD"}, {.status = 502}, 4},
      {{"PUT"}, {.status = 504}, 4},
      {{"DELETE"}, {.status = 429}, 4},
      {{"POST"}, {.status = 503}, 1},
      {{"PATCH"}, {.status = 503}, 1},
      {{"POST", true}, {.status = 503}, 4},
      {{"PATCH", true}, {.failing = &kUnreachable}, 4},
      {{"GET"}, {.status = 500}, 1},  // it may have been done, and will be no better
      {{"GET"}, {.status = 501}, 1},
      {{"GET"}, {.status = 404}, 1},
      {{"GET"}, {.failing = &kBadAnswer}, 4},
      {{"GET"}, {.failing = &kDeadlineExceeded}, 4},  // of the first byte: the call itself has time left
      {{"GET"}, {.failing = &kClientGone}, 1},
      {{"GET"}, {.failing = &kCircuitOpen}, 1},
      {{"POST"}, {.failing = &kUnreachable}, 1},
      {{"POST"}, {.failing = &kUnreachable, .sent = false}, 4},  // nobody has seen it
      {{"POST"}, {.failing = &kDeadlineExceeded, .sent = false}, 4},
      {{.method = "GET", .attempt = "1"}, {.status = 503}, 1},  // whoever calls repeats it
  };
  for (const auto& [asked, does, attempts] : cases) {
    wire.script = {does};
    (void)call(asked);
    EXPECT_EQ(wire.attempts, attempts) << asked.method << (asked.keyed ? " with a key " : " ") << does.status << ' '
                                       << (does.failing ? does.failing->code : "") << (does.sent ? "" : " unsent");
    if (!asked.attempt.empty()) EXPECT_EQ(wire.numbers[0], asked.attempt) << "it is passed on as it came";
  }
}

TEST_F(Resilience, ARetryWaitsAsLongAsItIsToldAndNeverPastTheDeadline) {
  begin(R"({"retry":{"base":"1ms","cap":"1ms"},"timeout":{"total":"10s"}})");
  wire.script = {{.status = 503, .retry_after = "1"}, {.status = 200}};
  const auto before = system_clock().steady();
  EXPECT_EQ(call(), "200");
  EXPECT_GE(system_clock().steady() - before, 990 * kMillisecond);
  wire.script = {{.status = 503, .retry_after = "11"}};
  EXPECT_EQ(call(), "503") << "at once: it would come too late";
  EXPECT_EQ(wire.attempts, 1u);
  wire.script = {{.status = 503, .retry_after = "5"}};
  EXPECT_EQ(call({.method = "GET", .deadline = 3 * kSecond}), "503") << "the deadline of the exchange counts too";
  EXPECT_EQ(wire.attempts, 1u);
  EXPECT_EQ(value("plimsoll_client_retries_refused_total{service=\"orders\",reason=\"deadline\"}"), 2);
}

TEST_F(Resilience, RetriesOfAllCallsTogetherKeepTheBudget) {
  begin(R"({"retry":{"base":"1ms","cap":"1ms","budget":"20%","floor":0}})");
  wire.script = {{.status = 503}};
  (void)call(500, {});
  EXPECT_EQ(wire.attempts, 600u) << "each of 500, and a fifth of them once more";
  EXPECT_GT(value("plimsoll_client_retries_refused_total{service=\"orders\",reason=\"budget\"}"), 0);
}

TEST_F(Resilience, ACircuitOpensIsCountedAndClosesAgain) {
  begin(R"({"breaker":{"open":"200ms"}})");
  wire.script = {{.status = 503}};
  for (int i = 0; i < 20; ++i) EXPECT_EQ(call(), "503");
  EXPECT_EQ(call(), "circuit-open");
  EXPECT_EQ(wire.attempts, 0u) << "nothing is sent";
  EXPECT_EQ(retry_after, 1);
  const std::string_view of = "{service=\"orders\",operation=\"\"";
  EXPECT_EQ(value("plimsoll_client_breaker_state" + std::string(of) + "}"), 1);
  EXPECT_EQ(value("plimsoll_client_breaker_refused_total" + std::string(of) + "}"), 1);
  wire.script = {{.status = 200}};
  for (const auto until = system_clock().steady() + 20 * kSecond; call() != "200";)
    ASSERT_LT(system_clock().steady(), until);
  EXPECT_EQ(value("plimsoll_client_breaker_state" + std::string(of) + "}"), 0);
  for (const auto* to : {"open", "half-open", "closed"})
    EXPECT_EQ(value("plimsoll_client_breaker_changes_total" + std::string(of) + ",to=\"" + to + "\"}"), 1) << to;
}

TEST_F(Resilience, WhatIsTheCallersFaultOpensNothing) {
  begin(R"({"breaker":{}})");
  for (const auto& does : {Does{.failing = &kClientGone}, Does{.status = 429}, Does{.status = 404}}) {
    wire.script = {does};
    for (int i = 0; i < 100; ++i) EXPECT_NE(call(), "circuit-open");
  }
}

TEST_F(Resilience, ACircuitStaysOpenWhenThePlanIsReplaced) {
  begin(R"({"breaker":{}})");
  wire.script = {{.status = 503}};
  for (int i = 0; i < 20; ++i) (void)call();
  const auto before = std::move(plan);
  begin(R"({"breaker":{}})");
  EXPECT_EQ(call(), "circuit-open");
}

TEST_F(Resilience, CallsBeyondTheLimitAreRefusedAtOnce) {
  begin(R"({"concurrency":3})");
  wire.script = {{.rest = 20 * kMillisecond}};
  auto outcomes = call(5, {});
  std::ranges::sort(outcomes);
  EXPECT_EQ(outcomes, (std::vector<std::string>{"200", "200", "200", "too-many-calls", "too-many-calls"}));
  EXPECT_EQ(value("plimsoll_client_calls_refused_total{service=\"orders\"}"), 2);
  EXPECT_EQ(call(3, {}), (std::vector<std::string>{"200", "200", "200"})) << "and the places are given back";
}

TEST_F(Resilience, ARetryGoesToATargetThatHasNotFailedYet) {
  std::vector<std::shared_ptr<TargetState>> states;
  for (int i = 0; i < 4; ++i) states.push_back(std::make_shared<TargetState>());
  targets = std::make_shared<Targets>("orders", std::vector<TargetNote>{{"a"}, {"b"}, {"c"}, {"d"}}, states, &registry,
                                      nullptr);
  begin(R"({"retry":{"base":"1ms","cap":"1ms"},"balance":{"failures":1000}})");
  for (int i = 0; i < 20; ++i) {
    wire.script = {{.status = 503}, {.status = 503}, {.status = 503}, {.status = 200}};
    EXPECT_EQ(call(), "200");
    std::ranges::sort(wire.targets);
    ASSERT_EQ(wire.targets, (std::vector<std::size_t>{0, 1, 2, 3}));
  }
  for (const auto& state : states) EXPECT_EQ(state->running.load(), 0);
}

TEST_F(Resilience, ATargetThatKeepsFailingIsLeftOutAndNotTheLastOne) {
  std::vector<std::shared_ptr<TargetState>> states{std::make_shared<TargetState>(), std::make_shared<TargetState>()};
  targets = std::make_shared<Targets>("orders", std::vector<TargetNote>{{"a"}, {"b"}}, states, &registry, nullptr);
  begin("{}");
  wire.script = {{.status = 503}};
  for (int i = 0; i < 100; ++i) (void)call();
  const auto out = [&](std::size_t i) { return !targets->usable(i, system_clock().steady()); };
  EXPECT_NE(out(0), out(1)) << "one of two, though both fail";
  EXPECT_EQ(value("plimsoll_client_ejections_total{service=\"orders\",target=\"a\"}") +
                value("plimsoll_client_ejections_total{service=\"orders\",target=\"b\"}"),
            1);
  const std::size_t other = out(0) ? 1 : 0;
  for (int i = 0; i < 10; ++i) {
    (void)call();
    EXPECT_EQ(wire.targets[0], other);
  }
  targets->expect_checks();
  targets->checked(other, false);
  std::vector<std::size_t> used;
  for (int i = 0; i < 100; ++i) {
    (void)call();
    used.push_back(wire.targets[0]);
  }
  EXPECT_TRUE(std::ranges::count(used, 0u) > 0 && std::ranges::count(used, 1u) > 0) << "with none left all are used";
}

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST(ResilientService, ABodyIsSentAgainAndTheConnectionOfAnUnusedAnswerIsUsedAgain) {
  TestServer server{[](TestLine& line) {
    for (int i = 0; line.request(); ++i)
      line.send(i == 0 ? "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nlater" : kOk);
  }};
  const auto made = Service::make({.url = server.url("/"), .resilient = true}, {});
  ASSERT_TRUE(made);
  Loop loop;
  Scope scope;
  std::string outcome;
  loop.spawn(scope, [](Service& service, Loop& loop, std::string& outcome) -> Task<> {
    const Call put{.method = "PUT", .body = "twice"};
    const auto answer = co_await fetch(service, loop, put);
    outcome = answer ? std::to_string(answer->status) + answer->body : std::string(answer.error().problem->code);
  }(**made, loop, outcome));
  loop.run();
  EXPECT_EQ(outcome, "200ok");
  const auto seen = server.seen();
  ASSERT_EQ(seen.size(), 2u);
  for (const auto& each : seen) EXPECT_EQ(each.body, "twice");
  EXPECT_TRUE(seen[1].head.contains("x-plimsoll-attempt: 2\r\n")) << seen[1].head;
  EXPECT_EQ(server.connections(), 1);
}

TEST(ResilientService, OneRequestMayBeCalledWithTwice) {
  TestServer server{[](TestLine& line) {
    while (line.request()) line.send(kOk);
  }};
  const auto made = Service::make({.url = server.url("/"), .resilient = true}, {});
  ASSERT_TRUE(made);
  struct Text final : Stream {
    explicit Text(std::string_view text) : text(text) {}
    Task<Result<Bytes>> read() override { co_return as_bytes(std::exchange(text, {})); }
    std::string_view text;
  };
  Loop loop;
  Scope scope;
  loop.spawn(scope, [](Service& service, Loop& loop) -> Task<> {
    Arena arena;
    Context context{arena, loop, service.services()};
    Request request{.method = "PUT", .target = "/", .headers = Headers{arena}};
    for (const std::string_view text : {"first", "second!"}) {
      Text body{text};
      request.body = &body;
      request.content_length = text.size();
      const auto answer = co_await service.call(request, context);
      EXPECT_TRUE(answer);
      if (!answer) co_return;
      const auto whole = co_await whole_body(*answer, 100);
      EXPECT_TRUE(whole);
    }
  }(**made, loop));
  loop.run();
  const auto seen = server.seen();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].body, "first");
  EXPECT_EQ(seen[1].body, "second!");
}

TEST(ResilientService, WhatWasNeverSentGoesToAnotherTarget) {
  TestServer server{[](TestLine& line) {
    while (line.request()) line.send(kOk);
  }};
  std::uint16_t nobody = 0;
  { nobody = net::TestListener{"127.0.0.2"}.port; }
  const auto made = Service::make(
      {.url = "http://127.0.0.2:" + std::to_string(nobody) + "/", .more_urls = {server.url("/")}, .resilient = true},
      {});
  ASSERT_TRUE(made);
  Loop loop;
  Scope scope;
  std::vector<std::string> outcomes;
  loop.spawn(scope, [](Service& service, Loop& loop, std::vector<std::string>& outcomes) -> Task<> {
    for (int i = 0; i < 20; ++i) {
      const Call post{.method = "POST", .body = "once"};
      const auto answer = co_await fetch(service, loop, post);
      outcomes.push_back(answer ? std::to_string(answer->status) : std::string(answer.error().problem->code));
    }
  }(**made, loop, outcomes));
  loop.run();
  EXPECT_EQ(outcomes, std::vector<std::string>(20, "200"));
  EXPECT_EQ(server.seen().size(), 20u) << "each once";
}

}  // namespace
}  // namespace plimsoll::client
