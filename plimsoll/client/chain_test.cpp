#include "plimsoll/client/chain.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace plimsoll::client {
namespace {

/// Stands where requests are sent: keeps what arrives, and answers as it is told.
struct FakeWire final : Handler {
  Task<Result<Response>> handle(Request& request, Context& context) override {
    fields.clear();
    for (const auto& [name, value] : request.headers) fields.emplace_back(name, value);
    limits = {call_state(request, context).timeouts, call_state(request, context).until};
    if (rest) {
      const bool rested = co_await pause(context.loop, rest);
      if (!rested) co_return std::unexpected(error_of((co_await this_scope())->stopped()));
    }
    if (failing) co_return fail(declared(*failing));
    co_return Response{.status = status, .headers = Headers{context.arena}};
  }
  std::string_view find(std::string_view name) const {
    for (const auto& [key, value] : fields)
      if (key == name) return value;
    return {};
  }
  std::vector<std::pair<std::string, std::string>> fields;
  struct {
    Timeouts timeouts;
    Nanoseconds until = kNever;
  } limits;
  Nanoseconds rest = 0;
  std::uint16_t status = 200;
  const Problem* failing = nullptr;
};

struct ChainTest : testing::Test {
  Arena arena;  // of the options
  telemetry::Registry registry;
  Services services{.metrics = &registry, .clock = &system_clock()};
  FakeWire wire;
  std::string code, trace_id;

  Result<Plan> build(std::string_view options, Timeouts timeouts = {}) {
    auto value = json::parse(options, arena);
    EXPECT_TRUE(value) << options;
    return plan(wire, &arena.make<json::Value>(std::move(*value)), {"orders", timeouts, services});
  }
  /// Calls once; `prepare` gives the context what the exchange that calls would know.
  void call(std::string_view options, std::string_view method = "GET", void (*prepare)(Request&, Context&) = nullptr) {
    auto made = build(options);
    ASSERT_TRUE(made) << made.error().detail;
    Loop loop;
    Scope scope;
    const auto work = [&]() -> Task<> {
      Arena arena;
      Context context{arena, loop, services};
      Request request{.method = method, .target = "/", .headers = Headers{arena}};
      if (prepare) prepare(request, context);
      const auto answer = co_await Next{made->links.data()}(request, context);
      code = answer ? std::to_string(answer->status) : std::string(answer.error().problem->code);
      trace_id = context.trace_id;
    };
    loop.spawn(scope, work());
    loop.run();
  }
  std::string refused(std::string_view options) {
    auto made = build(options);
    return made ? "" : made.error().detail;
  }
};

TEST_F(ChainTest, TheTraceOfTheExchangeIsPassedOnAndOneIsBegunWhereThereIsNone) {
  call("{}", "GET", [](Request&, Context& context) {
    context.trace_id = "0123456789abcdef0123456789abcdef";
    context.span_id = "fedcba9876543210";
    context.request_id = "mine";
    context.trace_sampled = true;
  });
  EXPECT_EQ(wire.find("traceparent"), "00-0123456789abcdef0123456789abcdef-fedcba9876543210-03");
  EXPECT_EQ(wire.find("x-request-id"), "mine");
  call("{}");
  EXPECT_EQ(trace_id.size(), 32u);
  EXPECT_TRUE(wire.find("traceparent").starts_with("00-" + trace_id + "-")) << wire.find("traceparent");
  EXPECT_EQ(wire.find("traceparent").size(), 55u);
  EXPECT_EQ(wire.find("x-request-id"), trace_id);
  call(R"({"trace":"off"})");
  EXPECT_EQ(wire.find("traceparent"), "");
}

TEST_F(ChainTest, ACredentialReplacesWhatTheRequestBrings) {
  const auto with_one = [](Request& request, Context&) {
    request.headers.add("authorization", "Bearer of-the-caller");
  };
  call(R"({"authentication":{"bearer":"t0ken"}})", "GET", with_one);
  EXPECT_EQ(wire.find("authorization"), "Bearer t0ken");
  EXPECT_EQ(std::ranges::count(wire.fields, "authorization", &std::pair<std::string, std::string>::first), 1);
  call(R"({"authentication":{"user":"Aladdin","password":"open sesame"}})");
  EXPECT_EQ(wire.find("authorization"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");  // RFC 7617, section 2
  call(R"({"authentication":{"header":"X-Key","value":"k"}})");
  EXPECT_EQ(wire.find("x-key"), "k");
  call("{}", "GET", with_one);
  EXPECT_EQ(wire.find("authorization"), "Bearer of-the-caller");
  for (const auto* wrong : {R"({"authentication":{}})", R"({"authentication":{"bearer":"a","user":"b"}})",
                            R"({"authentication":{"user":"a:b"}})", R"({"authentication":{"bearer":"a\r\nx: y"}})",
                            R"({"authentication":{"header":"a b","value":"c"}})",
                            R"({"authentication":{"header":"a"}})", R"({"authentication":{"token":"a"}})"})
    EXPECT_NE(refused(wrong), "") << wrong;
}

TEST_F(ChainTest, CallsAreCountedByServiceMethodAndStatusOrError) {
  call("{}");
  wire.status = 503;
  call("{}", "POST");
  call("{}", "BREW");
  wire.failing = &kDeadlineExceeded;
  call("{}");
  call(R"({"metrics":"off"})");
  const auto text = registry.expose();
  const auto counted = [&](std::string_view method, std::string_view status, std::string_view error) {
    std::string line = "http_client_request_duration_seconds_count{service=\"orders\",http_request_method=\"";
    line.append(method).append("\",http_response_status_code=\"").append(status).append("\",error_type=\"");
    line.append(error).append("\"} 1\n");
    return text.contains(line);
  };
  EXPECT_TRUE(counted("GET", "200", "")) << text;
  EXPECT_TRUE(counted("POST", "503", "")) << text;
  EXPECT_TRUE(counted("_OTHER", "503", "")) << text;
  EXPECT_TRUE(counted("GET", "", "deadline-exceeded")) << text;
  EXPECT_TRUE(text.contains("http_client_active_requests{service=\"orders\"} 0\n")) << text;
}

TEST_F(ChainTest, TimeoutsAreReadAndTheTotalEndsTheCall) {
  call("{}");
  EXPECT_EQ(wire.limits.timeouts.first_byte, 10 * kSecond);
  call(R"({"timeout":"5s"})");
  EXPECT_EQ(wire.limits.timeouts.total, 5 * kSecond);
  EXPECT_EQ(wire.limits.timeouts.first_byte, 5 * kSecond);
  EXPECT_EQ(wire.limits.timeouts.connect, 2 * kSecond);
  call(R"({"timeout":{"connect":"1s","total":"0s"}})");
  EXPECT_EQ(wire.limits.timeouts.connect, kSecond);
  EXPECT_EQ(wire.limits.until, kNever);
  wire.rest = 3600 * kSecond;
  call(R"({"timeout":"20ms"})");
  EXPECT_EQ(code, "deadline-exceeded");
  EXPECT_NE(refused(R"({"timeout":{"connect":"0s"}})"), "");
  EXPECT_NE(refused(R"({"timeout":{"conect":"1s"}})"), "");
  EXPECT_NE(refused(R"({"timeout":7})"), "");
}

TEST_F(ChainTest, EveryPlaceHasItsReasonAndEveryKeyItsSentence) {
  for (const auto& row : rows()) {
    EXPECT_FALSE(row.why.empty()) << row.part->key.name;
    EXPECT_FALSE(row.part->key.sentence.empty()) << row.part->key.name;
  }
  EXPECT_EQ(keys().size(), rows().size());
}

}  // namespace
}  // namespace plimsoll::client
