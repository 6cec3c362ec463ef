#include "plimsoll/client/service.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/pause.hpp"
#include "plimsoll/client/test_server.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/net/resolver.hpp"
#include "plimsoll/net/test_certificate.hpp"
#include "plimsoll/net/test_listener.hpp"
#include "plimsoll/net/tls.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace plimsoll::client {
namespace {

constexpr Nanoseconds kShort = 30 * kMillisecond, kLong = 3600 * kSecond;

/// Runs one line of work to its end; a loop that does not end fails by the test's timeout.
template <class F>
void run(F work) {
  Loop loop;
  Scope scope;
  loop.spawn(scope, work(loop));
  loop.run();
}

std::string told(const Result<Answer>& answer) {
  return answer ? std::to_string(answer->status) + " " + answer->body : std::string(answer.error().problem->code);
}

std::shared_ptr<Service> service(ServiceOptions options) {
  auto made = Service::make(std::move(options), {});
  EXPECT_TRUE(made) << made.error().detail;
  return std::move(made).value();
}

/// What came of one call on a loop of its own.
std::string call(ServiceOptions options, const Call& call = {}) {
  const auto called = service(std::move(options));
  std::string outcome;
  run([&](Loop& loop) -> Task<> {
    const auto answer = co_await fetch(*called, loop, call);
    outcome = told(answer);
  });
  return outcome;
}

/// The outcomes of calls one after another on one loop.
std::vector<std::string> calls(const TestServer& server, int count, const Call& call) {
  const auto called = service({.url = server.url("/")});
  std::vector<std::string> outcomes;
  run([&](Loop& loop) -> Task<> {
    for (int i = 0; i < count; ++i) {
      const auto answer = co_await fetch(*called, loop, call);
      outcomes.push_back(told(answer));
    }
  });
  return outcomes;
}

constexpr std::string_view kHello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

TEST(Service, CallsAndKeepsItsConnection) {
  TestServer server{[](TestLine& line) {
    while (line.request()) line.send(kHello);
  }};
  const auto called = service({.url = server.url("/base/")});
  run([&](Loop& loop) -> Task<> {
    for (int i = 0; i < 5; ++i) {
      const Call get{.target = "/a?b=c", .headers = {{"x-one", "1"}}};
      const auto answer = co_await fetch(*called, loop, get);
      EXPECT_EQ(told(answer), "200 hello");
    }
    const Call post{.method = "POST", .body = std::string(1 << 20, 'x')};
    const auto answer = co_await fetch(*called, loop, post);
    EXPECT_EQ(told(answer), "200 hello");
  });
  EXPECT_EQ(server.connections(), 1);
  const auto seen = server.seen();
  ASSERT_EQ(seen.size(), 6u);
  EXPECT_TRUE(seen[0].head.starts_with("GET /base/a?b=c HTTP/1.1\r\nhost: " + server.authority() +
                                       "\r\nx-one: 1\r\ntraceparent: 00-"))
      << seen[0].head;
  EXPECT_TRUE(seen[5].head.starts_with("POST /base/ HTTP/1.1\r\n")) << seen[5].head;
  EXPECT_EQ(seen[5].body, std::string(1 << 20, 'x'));
}

// Whatever hangs: the deadline that is meant for it ends the call, and so does the drain of the server that calls.
struct Hang {
  std::string name;
  Script script;
  bool tls = false;
};

std::vector<Hang> hangs() {
  const auto until_gone = [](TestLine& line) { line.wait_until_gone(); };
  const auto after = [=](std::string_view text) -> Script {
    return [=](TestLine& line) {
      line.request();
      line.send(text);
      line.wait_until_gone();
    };
  };
  return {
      {"the TLS handshake", until_gone, true},
      {"the first byte", after("")},
      {"half a head", after("HTTP/1.1 200 OK\r\nContent-")},
      {"after an interim answer", after("HTTP/1.1 103 Early Hints\r\n\r\n")},
      {"half a body", after("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")},
      {"half a chunk", after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")},
      {"a body without an end", after("HTTP/1.1 200 OK\r\n\r\nhel")},
      {"a request that is not read", until_gone},
      {"a body that trickles",
       [](TestLine& line) {
         line.request();
         line.send("HTTP/1.1 200 OK\r\n\r\n");
         while (line.send("x")) line.rest(kMillisecond);
       }},
  };
}

ServiceOptions service_that_hangs(const TestServer& server, const Hang& hang) {
  return {.url = hang.tls ? "https" + server.url("/").substr(4) : server.url("/"),
          .timeouts = {.connect = kLong, .first_byte = kLong, .idle = kLong, .total = kLong}};
}
Call call_of(const Hang& hang) {
  // More than the buffers of both ends take.
  if (hang.name == "a request that is not read") return {.method = "POST", .body = std::string(16 << 20, 'x')};
  return {};
}

/// What came of a call that is stopped because the server drains, once `ready`.
std::string drained(ServiceOptions options, const Call& call, const std::function<void()>& ready) {
  const auto called = service(std::move(options));
  Loop loop;
  Scope scope;
  std::string outcome;
  loop.spawn(scope, [](Service& called, Loop& loop, const Call& call, std::string& outcome) -> Task<> {
    const auto answer = co_await fetch(called, loop, call);
    outcome = told(answer);
  }(*called, loop, call, outcome));
  std::thread drain([&] {
    ready();
    loop.post([&] { scope.stop(Stop::drain); });
  });
  loop.run();
  drain.join();
  return outcome;
}

TEST(Service, TheTotalTimeEndsACallWhateverHangs) {
  for (const auto& hang : hangs()) {
    TestServer server{hang.script};
    auto options = service_that_hangs(server, hang);
    options.timeouts.total = kShort;
    EXPECT_EQ(call(options, call_of(hang)), "deadline-exceeded") << hang.name;
  }
}

TEST(Service, EachPartHasALimitOfItsOwn) {
  for (const auto& hang : hangs()) {
    TestServer server{hang.script};
    auto options = service_that_hangs(server, hang);
    const bool head =
        hang.name == "the first byte" || hang.name == "half a head" || hang.name == "after an interim answer";
    if (hang.name == "a body that trickles") continue;
    (hang.tls ? options.timeouts.connect : head ? options.timeouts.first_byte : options.timeouts.idle) = kShort;
    EXPECT_EQ(call(options, call_of(hang)), "deadline-exceeded") << hang.name;
  }
}

TEST(Service, ADrainEndsACallWhateverHangs) {
  for (const auto& hang : hangs()) {
    TestServer server{hang.script};
    const auto outcome =
        drained(service_that_hangs(server, hang), call_of(hang), [&] { server.wait_for_connections(1); });
    EXPECT_EQ(outcome, "draining") << hang.name;
  }
}

TEST(Service, AFullBacklogAndAHangingResolverEndInTimeAndWithTheDrain) {
  const auto over = std::make_shared<std::atomic<bool>>(false);
  const auto hanging = net::threaded_resolver({}, [over](const std::string&) {
    over->wait(false);
    return Result<net::Addresses>{fail(net::kNameNotResolved)};
  });
  const net::TestListener silent{"127.0.0.2"};
  const auto full = silent.fill();
  for (const auto& url : {"http://127.0.0.2:" + std::to_string(silent.port) + "/", std::string("http://a.example/")}) {
    ServiceOptions options{.url = url,
                           .timeouts = {.connect = kLong, .first_byte = kLong, .idle = kLong, .total = kLong},
                           .resolver = hanging};
    EXPECT_EQ(drained(options, {}, [] {}), "draining") << url;
    options.timeouts.connect = kShort;
    EXPECT_EQ(call(options), "deadline-exceeded") << url;
    options.timeouts = {.connect = kLong, .total = kShort};
    EXPECT_EQ(call(options), "deadline-exceeded") << url;
  }
  *over = true;
  over->notify_all();
}

TEST(Service, WhatIsNoAnswerIsAnErrorAndEndsTheConnection) {
  const auto after = [](std::string text) -> Script {
    return [text](TestLine& line) {
      line.request();
      line.send(text);
    };
  };
  const std::pair<Script, std::string> cases[] = {
      {after(""), "unreachable"},
      {after("SSH-2.0-x\r\n"), "bad-answer"},
      {after(std::string(200'000, 'x')), "bad-answer"},
      {after(std::string("\0\xff\x16\x03\x01", 5) + "\n"), "bad-answer"},
      {after("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"), "bad-answer"},
      {after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), "bad-answer"},
      {after("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"), "answer-too-large"},
      {after("HTTP/1.1 200 OK\r\n\r\n" + std::string(1001, 'x')), "answer-too-large"},
      {[](TestLine& line) { line.reset(); }, "unreachable"},
      {[](TestLine& line) {
         line.request();
         line.reset();
       },
       "unreachable"},
      {[](TestLine& line) {
         line.request();
         line.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
         line.reset();
       },
       "unreachable"},
  };
  for (const auto& [script, code] : cases) {
    TestServer server{script};
    EXPECT_EQ(call({.url = server.url("/")}, {.limit = 1000}), code);
    EXPECT_EQ(server.connections(), 1);
  }
}

TEST(Service, NobodyListeningAndNoSuchNameAreUnreachable) {
  std::uint16_t port = 0;
  { port = net::TestListener{"127.0.0.2"}.port; }
  EXPECT_EQ(call({.url = "http://127.0.0.2:" + std::to_string(port) + "/"}), "unreachable");
  const auto nothing = net::threaded_resolver(
      {}, [](const std::string&) { return Result<net::Addresses>{fail(net::kNameNotResolved, "none")}; });
  EXPECT_EQ(call({.url = "http://a.example/", .resolver = nothing}), "unreachable");
}

/// A server that closes each connection after as many answers, without saying so before.
Script closes_after(int answers) {
  return [=](TestLine& line) {
    for (int i = 0; i < answers && line.request(); ++i) line.send(kHello);
    line.request();  // the one that is not answered
  };
}

TEST(Service, AKeptConnectionThatIsClosedDuringARequestIsReplacedOnceWhereItMayBeRepeated) {
  {
    TestServer server{closes_after(1)};
    EXPECT_EQ(calls(server, 3, {}), (std::vector<std::string>{"200 hello", "200 hello", "200 hello"}));
    EXPECT_EQ(server.seen().size(), 5u) << "twice the request was seen on a connection that was then closed";
  }
  {
    TestServer server{closes_after(1)};
    const Call keyed{.method = "POST", .headers = {{"idempotency-key", "a"}}, .body = "x"};
    EXPECT_EQ(calls(server, 3, keyed), (std::vector<std::string>{"200 hello", "200 hello", "200 hello"}));
    for (const auto& seen : server.seen()) EXPECT_EQ(seen.body, "x");
  }
  TestServer server{closes_after(1)};
  EXPECT_EQ(calls(server, 3, {.method = "POST", .body = "x"}),
            (std::vector<std::string>{"200 hello", "unreachable", "200 hello"}));
  EXPECT_EQ(server.seen().size(), 3u);
}

TEST(Service, ARequestIsRepeatedOnceAndNotOnAFreshConnection) {
  TestServer server{[](TestLine& line) {
    if (line.number() == 0 && line.request()) line.send(kHello);
    line.request();
  }};
  EXPECT_EQ(calls(server, 2, {}), (std::vector<std::string>{"200 hello", "unreachable"}));
  EXPECT_EQ(server.connections(), 2);
}

TEST(Service, ARequestIsNotRepeatedOnceSomethingOfItsAnswerHasCome) {
  TestServer server{[](TestLine& line) {
    if (line.request()) line.send(kHello);
    if (line.request()) line.send("HTTP/1.1 2");
  }};
  EXPECT_EQ(calls(server, 2, {}), (std::vector<std::string>{"200 hello", "bad-answer"}));
  EXPECT_EQ(server.connections(), 1);
}

TEST(Service, WhatIsSaidBeyondTheAnswerEndsTheConnection) {
  TestServer server{[](TestLine& line) {
    while (line.request()) line.send(std::string(kHello) + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
  }};
  EXPECT_EQ(calls(server, 3, {}), (std::vector<std::string>{"200 hello", "200 hello", "200 hello"}));
  EXPECT_EQ(server.connections(), 3);
}

TEST(Service, AnAnswerThatComesBeforeTheRequestIsReadIsTheAnswer) {
  TestServer server{[](TestLine& line) {
    line.head();  // not the body
    line.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!");
    line.wait_until_gone();
  }};
  EXPECT_EQ(call({.url = server.url("/")}, {.method = "POST", .body = std::string(16 << 20, 'x')}), "413 no!");
}

TEST(Service, AnInterimAnswerDoesNotEndTheRequest) {
  TestServer server{[](TestLine& line) {
    const auto head = line.head();
    line.send("HTTP/1.1 100 Continue\r\n\r\n");
    line.rest(5 * kMillisecond);
    line.body(head);
    line.send(kHello);
  }};
  EXPECT_EQ(call({.url = server.url("/")}, {.method = "POST", .body = std::string(16 << 20, 'x')}), "200 hello");
  EXPECT_EQ(server.seen().at(0).body.size(), 16u << 20);
}

TEST(Service, IdleConnectionsAreBoundedAndEnd) {
  TestServer server{[](TestLine& line) {
    while (line.request()) line.send(kHello);
  }};
  const auto called = service({.url = server.url("/"), .idle = {.connections = 2, .time = 40 * kMillisecond}});
  run([&](Loop& loop) -> Task<> {
    std::vector<Scope> scopes(5);
    for (auto& scope : scopes)
      loop.spawn(scope, [](Service& called, Loop& loop) -> Task<> {
        const Call get;
        const auto answer = co_await fetch(called, loop, get);
        EXPECT_EQ(told(answer), "200 hello");
      }(*called, loop));
    auto& connections = loop.own<Connections>();
    std::size_t most = 0;
    do {
      (void)co_await pause(loop, kMillisecond);
      most = std::max(most, connections.idle());
    } while (connections.idle() > 0 || loop.running() > 1);
    EXPECT_GE(most, 1u);
    EXPECT_LE(most, 2u);
  });
}

TEST(Service, ConnectionsOfCallsThatWereInProgressAtOnceAreKeptForTheNext) {
  constexpr std::size_t kCalls = 40;
  TestServer server{[](TestLine& line) {
    while (line.request()) line.send(kHello);
  }};
  const auto called = service({.url = server.url("/")});
  run([&](Loop& loop) -> Task<> {
    std::vector<Scope> scopes(3 * kCalls);
    std::size_t begun = 0, done = 0;
    while (begun < scopes.size()) {
      for (std::size_t i = 0; i < kCalls; ++i)
        loop.spawn(scopes[begun++], [](Service& called, Loop& loop, std::size_t& done) -> Task<> {
          const Call get;
          const auto answer = co_await fetch(called, loop, get);
          EXPECT_EQ(told(answer), "200 hello");
          ++done;
        }(*called, loop, done));
      while (done < begun) (void)co_await pause(loop, kMillisecond);
    }
    while (loop.running() > 1) (void)co_await pause(loop, kMillisecond);
  });
  EXPECT_EQ(server.connections(), static_cast<int>(kCalls));
}

/// What came as a stream, and what a body in pieces of that size was when it arrived.
struct Pieces final : Stream {
  Pieces(std::size_t count, std::size_t size) : count(count), text(size, 'p') {}
  Task<Result<Bytes>> read() override {
    if (count == 0) co_return Bytes{};
    --count;
    co_return as_bytes(text);
  }
  std::size_t count;
  std::string text;
};

TEST(Service, BodiesPassThroughInBothDirections) {
  TestServer server{[](TestLine& line) {
    while (line.request())
      line.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  }};
  const auto called = service({.url = server.url("/")});
  for (const bool told : {true, false}) {
    run([&](Loop& loop) -> Task<> {
      Arena arena;
      Context context{arena, loop, called->services()};
      Pieces pieces{100, 10'000};
      Request request{.method = "PUT", .target = "/", .headers = Headers{arena}, .body = &pieces};
      if (told) request.content_length = 1'000'000;
      auto answer = co_await called->call(request, context);
      EXPECT_TRUE(answer) << answer.error().detail;
      if (!answer) co_return;
      EXPECT_EQ(answer->status, 200);
      auto* stream = std::get<Stream*>(answer->body);
      std::vector<std::string> came;
      for (;;) {
        const auto piece = co_await stream->read();
        EXPECT_TRUE(piece);
        if (!piece || piece->empty()) break;
        came.emplace_back(as_text(*piece));
      }
      EXPECT_EQ(came, (std::vector<std::string>{"abc", "de"}));
      EXPECT_EQ(loop.own<Connections>().idle(), 1u);
    });
  }
  const auto seen = server.seen();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_TRUE(seen[0].head.contains("content-length: 1000000\r\n"));
  EXPECT_TRUE(seen[1].head.contains("transfer-encoding: chunked\r\n"));
  for (const auto& each : seen) EXPECT_EQ(each.body, std::string(1'000'000, 'p'));
}

TEST(Service, AShortBodyThatCameWithItsHeadGivesTheConnectionBackAtOnce) {
  std::atomic<int> heads{0};
  TestServer server{[&](TestLine& line) {
    const auto answer = [](std::size_t size, std::string_view body) {
      return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + std::string(body);
    };
    line.request();
    line.send(answer(5, "hello"));
    line.request();
    line.send(answer(5, "hel"));
    while (heads < 2) line.rest(kMillisecond);
    line.send("lo");
    line.request();
    line.send(answer(5000, std::string(5000, 'x')));
    while (line.request()) line.send(answer(0, ""));
  }};
  const auto called = service({.url = server.url("/")});
  run([&](Loop& loop) -> Task<> {
    for (const bool with_its_head : {true, false, false, true}) {
      Arena arena;
      Context context{arena, loop, called->services()};
      Request request{.method = "GET", .target = "/", .headers = Headers{arena}};
      auto answer = co_await called->call(request, context);
      EXPECT_TRUE(answer);
      ++heads;
      if (!answer) co_return;
      EXPECT_EQ(std::holds_alternative<Stream*>(answer->body), !with_its_head);
      EXPECT_EQ(loop.own<Connections>().idle(), with_its_head ? 1u : 0u);
      const auto size = answer->headers.find("content-length");
      const auto body = co_await whole_body(*answer, 10'000);
      EXPECT_TRUE(body);
      if (!body) co_return;
      EXPECT_EQ(std::to_string(body->size()), size);
      if (size == "5") { EXPECT_EQ(*body, "hello"); }
      EXPECT_EQ(loop.own<Connections>().idle(), 1u);
    }
  });
  EXPECT_EQ(server.seen().size(), 4u);
}

TEST(Service, AnEventStreamOutlivesTheTimeoutsOfWhoPassesItOn) {
  TestServer server{[](TestLine& line) {
    line.request();
    line.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: 1\n\n");
    line.rest(2 * kShort);
    line.send("data: 2\n\n");
  }};
  ServiceOptions options{.url = server.url("/"), .timeouts = {.idle = kShort}};
  EXPECT_EQ(call(options), "deadline-exceeded");
  options.timeouts.passed_on = true;
  EXPECT_EQ(call(options), "200 data: 1\n\ndata: 2\n\n");
}

TEST(Service, ABodyThatIsNotAsLongAsToldOrFailsEndsTheConnection) {
  struct Failing final : Stream {
    Task<Result<Bytes>> read() override { co_return fail(kClientGone); }
  };
  TestServer server{[](TestLine& line) { line.request(); }};
  const auto called = service({.url = server.url("/")});
  const auto put = [&](Stream& body, std::uint64_t told) {
    std::string outcome;
    run([&](Loop& loop) -> Task<> {
      Arena arena;
      Context context{arena, loop, called->services()};
      Request request{.method = "PUT", .target = "/", .headers = Headers{arena}, .body = &body};
      request.content_length = told;
      const auto answer = co_await called->call(request, context);
      outcome = answer ? "none" : answer.error().problem->code;
      EXPECT_EQ(loop.own<Connections>().idle(), 0u);
    });
    return outcome;
  };
  Pieces few{10, 10'000}, many{10, 10'000};
  Failing failing;
  EXPECT_EQ(put(few, 100'001), "internal");
  EXPECT_EQ(put(many, 99'999), "internal");
  EXPECT_EQ(put(failing, 100'000), "client-gone");
  EXPECT_TRUE(server.seen().empty());
}

TEST(Service, AnAnswerThatIsLeftUnreadTakesItsConnectionAlong) {
  TestServer server{[](TestLine& line) {
    while (line.request()) line.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin");
  }};
  const auto called = service({.url = server.url("/")});
  run([&](Loop& loop) -> Task<> {
    {
      Arena arena;
      Context context{arena, loop, called->services()};
      Request request{.method = "GET", .target = "/", .headers = Headers{arena}};
      const auto answer = co_await called->call(request, context);
      EXPECT_TRUE(answer);
    }
    EXPECT_EQ(loop.own<Connections>().idle(), 0u);
  });
}

TEST(Service, WhatFramesARequestIsMadeHereAndWhatCannotBeSentIsNot) {
  TestServer server{[](TestLine& line) {
    while (line.request()) line.send(kHello);
  }};
  EXPECT_EQ(call({.url = server.url("/")}, {.method = "POST",
                                            .headers = {{"content-length", "99"},
                                                        {"transfer-encoding", "chunked"},
                                                        {"Host", "evil"},
                                                        {"connection", "close"}},
                                            .body = "x"}),
            "200 hello");
  const auto seen = server.seen();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].body, "x");
  for (const auto* wrong : {": 99", "chunked", "evil", "close"})
    EXPECT_FALSE(seen[0].head.contains(wrong)) << seen[0].head;
  for (const Call& wrong : {Call{.method = "GET / HTTP/1.1\r\nx:"}, Call{.target = "/a b"}, Call{.target = "/\r\nx: y"},
                            Call{.headers = {{"x", "a\r\ny: b"}}}, Call{.headers = {{"x:", "a"}}}, Call{.method = ""}})
    EXPECT_EQ(call({.url = server.url("/")}, wrong), "internal");
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST(Service, OfARequestThatCannotBeSentNothingHasReachedTheService) {
  TestServer server{[](TestLine& line) {
    while (line.request()) line.send(kHello);
  }};
  for (const auto version : {HttpVersions::one, HttpVersions::two}) {
    const auto called = service({.url = server.url("/"), .http = version});
    run([&](Loop& loop) -> Task<> {
      Arena arena;
      Context context{arena, loop, called->services()};
      const auto& once = context.note<SentOnce>();
      Request request{.method = "POST", .target = "/", .headers = Headers{arena}};
      request.headers.add("x", "a\r\ny: b");
      const auto answer = co_await called->call(request, context);
      EXPECT_FALSE(answer);
      EXPECT_FALSE(once.reached);
    });
  }
  EXPECT_EQ(server.seen().size(), 0u);
}

// TLS, the server on the same loop by our own transport.

struct SecureServer {
  SecureServer(Loop& loop, const net::TestCertificate& certificate, std::string_view answer, bool says_goodbye)
      : answer(answer), says_goodbye(says_goodbye) {
    auto loaded = net::TlsContext::load(
        {.certificate = certificate.certificate, .key = certificate.key, .reload = config::seconds(0)});
    EXPECT_TRUE(loaded) << loaded.error().detail;
    context = std::move(*loaded);
    loop.spawn(scope, serve(loop));
  }
  Task<> serve(Loop& loop) {
    net::Socket accepted;
    {
      Descriptor listening{loop, listener.socket.release()};
      for (;;) {
        accepted = net::Socket{::accept4(listening.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
        if (accepted) break;
        listening.read_all();
        const auto woken = co_await listening.readable(0);
        if (woken != Wake::ready) co_return;
      }
    }
    const auto transport = context->transport(loop, accepted.release());
    const auto opened = co_await transport->open(10 * kSecond);
    if (!opened) co_return;
    protocol = transport->protocol();
    char request[4096];
    for (;;) {
      const auto moved = transport->read(request);
      if (moved.failed() || moved.ended) co_return;
      if (moved.bytes) break;
      (void)co_await transport->wait(moved.want, 10 * kSecond);
    }
    const iovec piece{const_cast<char*>(answer.data()), answer.size()};
    (void)transport->write({&piece, 1});
    if (says_goodbye) transport->finish();
  }
  std::string url() const { return "https://localhost:" + std::to_string(listener.port) + "/"; }

  net::TestListener listener{"127.0.0.1", 0, 8};
  std::shared_ptr<net::TlsContext> context;
  std::string_view answer;
  bool says_goodbye;
  std::string protocol;
  Scope scope;
};

struct ServiceTls : testing::Test {
  /// What came of a call to a server with that certificate, by a client that trusts `authorities`.
  std::string call(const net::TestCertificate& certificate, const net::TestCertificate& authority,
                   std::string_view answer = kHello, bool says_goodbye = true) {
    const auto file = std::filesystem::temp_directory_path() / ("plimsoll-client-test-" + std::to_string(::getpid()));
    std::ofstream(file) << authority.certificate;
    std::string outcome;
    run([&](Loop& loop) -> Task<> {
      SecureServer server{loop, certificate, answer, says_goodbye};
      const auto called = service({.url = server.url(), .authorities = file, .idle = {.connections = 0}});
      const Call get;
      const auto given = co_await fetch(*called, loop, get);
      outcome = told(given);
      if (!given) detail = given.error().detail;
      protocol = server.protocol;
      server.scope.stop(Stop::drain);
      while (loop.running() > 1) co_await pause(loop, kMillisecond);
    });
    std::filesystem::remove(file);
    return outcome;
  }
  std::string detail, protocol;
};

TEST_F(ServiceTls, ChainAndNameAreVerified) {
  const auto good = net::TestCertificate::make("localhost"), other = net::TestCertificate::make("localhost"),
             misnamed = net::TestCertificate::make("a.example");
  EXPECT_EQ(call(good, good), "200 hello") << detail;
  EXPECT_EQ(protocol, "http/1.1");
  EXPECT_EQ(call(good, other), "unreachable");
  EXPECT_NE(detail.find("self-signed"), std::string::npos) << detail;
  EXPECT_EQ(call(misnamed, misnamed), "unreachable");
  EXPECT_NE(detail.find("hostname mismatch"), std::string::npos) << detail;
}

TEST_F(ServiceTls, AnEndWithoutTheClosingAlertIsNoEnd) {
  const auto good = net::TestCertificate::make("localhost");
  constexpr std::string_view kUntilClose = "HTTP/1.1 200 OK\r\n\r\nhello";
  EXPECT_EQ(call(good, good, kUntilClose, true), "200 hello");
  EXPECT_EQ(call(good, good, kUntilClose, false), "unreachable");
}

TEST_F(ServiceTls, AServerThatSpeaksInClearIsUnreachable) {
  TestServer server{[](TestLine& line) {
    line.send(kHello);
    line.wait_until_gone();
  }};
  EXPECT_EQ(client::call({.url = "https" + server.url("/").substr(4)}), "unreachable");
}

}  // namespace
}  // namespace plimsoll::client
