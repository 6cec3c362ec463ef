#include "plimsoll/client/http2_connection.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/client/service.hpp"
#include "plimsoll/client/test_server.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/http/h2_frames.hpp"
#include "plimsoll/http/trailing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>

namespace plimsoll::client {
namespace {

using namespace http::frames;

/// The server's side of a connection of HTTP/2, frame by frame.
class Peer {
 public:
  explicit Peer(TestLine& line) : line_(line) {}
  /// Reads the preface and says our settings.
  bool greet(std::string_view settings = {}) {
    return line_.bytes(http::kH2Preface.size()) == http::kH2Preface && send(frame(kSettings, 0, 0, settings));
  }
  bool send(std::string_view bytes) { return line_.send(bytes); }
  /// The next frame that is none of those which every connection has, or has of its own accord; nothing at the end.
  std::optional<Frame> next() {
    for (;;) {
      auto header = line_.bytes(9);
      if (header.size() < 9) return std::nullopt;
      const auto size =
          static_cast<std::size_t>(static_cast<std::uint8_t>(header[1])) << 8 | static_cast<std::uint8_t>(header[2]);
      header += line_.bytes(size);
      std::string_view rest = header;
      auto frames = take_frames(rest);
      if (frames.empty()) return std::nullopt;
      if (frames[0].type == kSettings || frames[0].type == kWindow) continue;
      return std::move(frames[0]);
    }
  }
  /// The number of the next request, without its body; 0 at the end. What else comes is given to `other`.
  std::uint32_t request(const std::function<void(const Frame&)>& other = {}) {
    while (auto frame = next()) {
      if (frame->type == kHeaders) return frame->stream;
      if (other) other(*frame);
    }
    return 0;
  }
  bool answer(std::uint32_t stream, std::string_view text = "hello") {
    return send(frame(kHeaders, kEndHeaders, stream, literal(":status", "200")) +
                frame(kData, kEndStream, stream, text));
  }

 private:
  TestLine& line_;
};

std::string told(const Result<Answer>& answer) {
  return answer ? std::to_string(answer->status) + " " + answer->body
                : std::string(answer.error().problem->code) + " " + answer.error().detail;
}

std::shared_ptr<Service> service(const TestServer& server, IdleLimits idle = {}, Timeouts timeouts = {}) {
  auto made =
      Service::make({.url = server.url("/"), .timeouts = timeouts, .idle = idle, .http = HttpVersions::two}, {});
  EXPECT_TRUE(made) << made.error().detail;
  return std::move(made).value();
}

template <class F>
void run(F work) {
  Loop loop;
  Scope scope;
  loop.spawn(scope, work(loop));
  loop.run();
}

Task<> one_call(Service& called, Loop& loop, std::string& outcome, Call call = {}) {
  const auto answer = co_await fetch(called, loop, call);
  outcome = told(answer);
}

/// Until each has an outcome and its line of work has ended, whose scopes are the caller's.
Task<> all(Loop& loop, const std::vector<std::string>& outcomes) {
  do (void)co_await pause(loop, kMillisecond);
  while (loop.running() > 1 || std::ranges::any_of(outcomes, [](const auto& each) { return each.empty(); }));
}

TEST(Http2Connection, CarriesManyCallsAndALoopEndsWithItAtRest) {
  TestServer server{[](TestLine& line) {
    Peer peer{line};
    peer.greet();
    std::vector<std::uint32_t> streams;
    while (const auto stream = peer.request()) {
      streams.push_back(stream);
      if (streams.size() % 10) continue;  // nobody is answered before ten have asked
      for (auto at = streams.rbegin(); at != streams.rend(); ++at) peer.answer(*at, std::to_string(*at));
      streams.clear();
    }
  }};
  const auto called = service(server);
  std::vector<std::string> outcomes(20);
  run([&](Loop& loop) -> Task<> {
    std::vector<Scope> scopes(outcomes.size());
    for (std::size_t i = 0; i < outcomes.size(); ++i) loop.spawn(scopes[i], one_call(*called, loop, outcomes[i]));
    co_await all(loop, outcomes);
    EXPECT_EQ(loop.own<Connections>().idle(), 1u);
  });
  std::map<std::string, int> count;
  for (const auto& outcome : outcomes) ++count[outcome];
  EXPECT_EQ(count.size(), 20u);
  EXPECT_TRUE(count.contains("200 39"));
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http2Connection, OneThatGivesNoSignOfLifeIsLost) {
  TestServer server{[](TestLine& line) {
    Peer peer{line};
    peer.greet();
    line.wait_until_gone();
  }};
  const auto called = service(server, {.quiet = 40 * kMillisecond});
  std::string outcome;
  run([&](Loop& loop) -> Task<> { co_await one_call(*called, loop, outcome); });
  EXPECT_TRUE(outcome.starts_with("unreachable ")) << outcome;
  EXPECT_TRUE(outcome.ends_with("it gives no sign of life")) << outcome;
}

TEST(Http2Connection, OneThatGivesItGoesOn) {
  int pings = 0;
  TestServer server{[&](TestLine& line) {
    Peer peer{line};
    peer.greet();
    const auto stream = peer.request();
    while (pings < 3) {
      const auto asked = peer.next();
      if (!asked) return;
      EXPECT_EQ(asked->type, kPing);
      ++pings;
      peer.send(frame(kPing, kAck, 0, asked->payload));
    }
    peer.answer(stream);
    line.wait_until_gone();
  }};
  const auto called = service(server, {.quiet = 20 * kMillisecond});
  std::string outcome;
  run([&](Loop& loop) -> Task<> { co_await one_call(*called, loop, outcome); });
  EXPECT_EQ(outcome, "200 hello");
  EXPECT_EQ(pings, 3);
}

TEST(Http2Connection, WithoutCallsItIsAskedToo) {
  int pings = 0;
  TestServer server{[&](TestLine& line) {
    Peer peer{line};
    peer.greet();
    peer.answer(peer.request());
    for (;;) {  // answers the first and no other
      const auto asked = peer.next();
      if (!asked || asked->type == kGoaway) return;
      if (asked->type != kPing) continue;
      if (++pings == 1) peer.send(frame(kPing, kAck, 0, asked->payload));
    }
  }};
  const auto called = service(server, {.quiet = 30 * kMillisecond});
  std::string outcome;
  run([&](Loop& loop) -> Task<> {
    co_await one_call(*called, loop, outcome);
    while (loop.own<Connections>().idle() > 0) (void)co_await pause(loop, kMillisecond);
  });
  EXPECT_EQ(outcome, "200 hello");
  EXPECT_EQ(pings, 2);
}

TEST(Http2Connection, AtRestItEndsInTimeWithAGoodbye) {
  std::optional<Frame> goodbye;
  {
    TestServer server{[&](TestLine& line) {
      Peer peer{line};
      peer.greet();
      peer.answer(peer.request());
      goodbye = peer.next();
    }};
    const auto called = service(server, {.time = 40 * kMillisecond});
    std::string outcome;
    run([&](Loop& loop) -> Task<> {
      co_await one_call(*called, loop, outcome);
      EXPECT_EQ(loop.own<Connections>().idle(), 1u);
      while (loop.own<Connections>().idle() > 0) (void)co_await pause(loop, kMillisecond);
    });
    EXPECT_EQ(outcome, "200 hello");
  }
  ASSERT_TRUE(goodbye);
  EXPECT_EQ(goodbye->type, kGoaway);
  EXPECT_EQ(goodbye->code(4), 0u);
}

TEST(Http2Connection, NoMoreRestThanMay) {
  TestServer server{[](TestLine& line) {
    Peer peer{line};
    peer.greet(std::string{'\0', '\3'} + number(1));
    while (const auto stream = peer.request()) peer.answer(stream);
  }};
  const auto called = service(server, {.shared = 2});
  run([&](Loop& loop) -> Task<> {
    std::vector<Scope> scopes(6);
    std::vector<std::string> outcomes(scopes.size());
    for (std::size_t i = 0; i < scopes.size(); ++i) loop.spawn(scopes[i], one_call(*called, loop, outcomes[i]));
    co_await all(loop, outcomes);
    for (const auto& outcome : outcomes) EXPECT_EQ(outcome, "200 hello");
    EXPECT_LE(loop.own<Connections>().idle(), 2u);
    EXPECT_GE(loop.own<Connections>().idle(), 1u);
  });
}

TEST(Http2Connection, AFurtherOneIsTakenToBeAsTheLastUntilItHasSaidWhatItTakes) {
  std::mutex mutex;
  std::condition_variable all_here;
  std::size_t here = 0, most = 0;
  constexpr std::size_t kCalls = 6, kStreams = 2;
  TestServer server{[&](TestLine& line) {
    Peer peer{line};
    // Only the first says what it takes before calls come.
    if (line.number() == 0) {
      peer.greet(std::string{'\0', '\3'} + number(kStreams));
      peer.answer(peer.request());
    } else {
      line.bytes(http::kH2Preface.size());
    }
    std::vector<std::uint32_t> streams;
    while (const auto stream = peer.request()) {
      streams.push_back(stream);
      std::unique_lock lock(mutex);
      most = std::max(most, streams.size());
      ++here;
      all_here.notify_all();
      if (streams.size() < kStreams) continue;
      all_here.wait_for(lock, std::chrono::seconds(60), [&] { return here >= kCalls; });
      if (line.number() > 0) peer.send(frame(kSettings, 0, 0, ""));
      for (const auto each : streams) peer.answer(each);
      streams.clear();
    }
  }};
  const auto called = service(server);
  std::vector<std::string> outcomes(kCalls);
  run([&](Loop& loop) -> Task<> {
    std::string first;
    co_await one_call(*called, loop, first);
    EXPECT_EQ(first, "200 hello");
    std::vector<Scope> scopes(kCalls);
    for (std::size_t i = 0; i < kCalls; ++i) loop.spawn(scopes[i], one_call(*called, loop, outcomes[i]));
    co_await all(loop, outcomes);
  });
  for (const auto& outcome : outcomes) EXPECT_EQ(outcome, "200 hello");
  EXPECT_EQ(most, kStreams);
  EXPECT_EQ(server.connections(), 3);
}

TEST(Http2Connection, WhatCameWhileItRestedIsReadBeforeItIsUsed) {
  TestServer server{[](TestLine& line) {
    Peer peer{line};
    peer.greet();
    const auto stream = peer.request();
    peer.send(frame(kHeaders, kEndHeaders | kEndStream, stream, literal(":status", "204")) +
              frame(kGoaway, 0, 0, number(stream) + number(0)));
    line.wait_until_gone();
  }};
  const auto called = service(server);
  run([&](Loop& loop) -> Task<> {
    for (int i = 0; i < 3; ++i) {
      std::string outcome;
      co_await one_call(*called, loop, outcome, {.method = "POST", .body = "x"});
      EXPECT_EQ(outcome, "204 ");
    }
  });
  EXPECT_EQ(server.connections(), 3);
}

TEST(Http2Connection, ACallThatIsToldToStopEndsItsStreamAlone) {
  std::uint32_t reset = 0;
  TestServer server{[&](TestLine& line) {
    Peer peer{line};
    peer.greet();
    const auto first = peer.request(), second = peer.request();
    while (auto frame = peer.next())
      if (frame->type == kReset) {
        reset = frame->stream == first ? frame->code() : 0;
        peer.answer(second);
      }
  }};
  const auto called = service(server);
  std::vector<std::string> outcomes(2);
  run([&](Loop& loop) -> Task<> {
    Scope first, second;
    loop.spawn(first, one_call(*called, loop, outcomes[0]));
    (void)co_await pause(loop, 5 * kMillisecond);
    loop.spawn(second, one_call(*called, loop, outcomes[1]));
    (void)co_await pause(loop, 20 * kMillisecond);
    first.stop(Stop::client_gone);
    co_await all(loop, outcomes);
  });
  EXPECT_TRUE(outcomes[0].starts_with("client-gone")) << outcomes[0];
  EXPECT_EQ(outcomes[1], "200 hello");
  EXPECT_EQ(reset, 8u);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http2Connection, AShortBodyThatCameWithItsHeadIsThereAtOnce) {
  std::atomic<int> heads{0};
  const auto head = [](std::uint32_t stream) {
    return frame(kHeaders, kEndHeaders, stream, literal(":status", "200"));
  };
  TestServer server{[&](TestLine& line) {
    Peer peer{line};
    peer.greet();
    peer.answer(peer.request());
    const auto second = peer.request();
    peer.send(head(second) + frame(kData, 0, second, "hel"));
    while (heads < 2) line.rest(kMillisecond);
    peer.send(frame(kData, kEndStream, second, "lo"));
    peer.answer(peer.request(), std::string(5000, 'x'));
    const auto fourth = peer.request();
    peer.send(head(fourth) + frame(kData, 0, fourth, "hello") +
              frame(kHeaders, kEndHeaders | kEndStream, fourth, literal("x-sum", "1")));
    line.wait_until_gone();
  }};
  const auto called = service(server);
  run([&](Loop& loop) -> Task<> {
    for (const bool with_its_head : {true, false, false, false}) {
      Arena arena;
      Context context{arena, loop, called->services()};
      Request request{.method = "GET", .target = "/", .headers = Headers{arena}};
      const auto answer = co_await called->call(request, context);
      EXPECT_TRUE(answer);
      ++heads;
      if (!answer) co_return;
      EXPECT_EQ(std::holds_alternative<Stream*>(answer->body), !with_its_head);
      const auto body = co_await whole_body(*answer, 10'000);
      EXPECT_TRUE(body);
      if (!body) co_return;
      if (heads != 3) { EXPECT_EQ(*body, "hello"); }
      if (heads == 3) { EXPECT_EQ(body->size(), 5000u); }
      if (heads == 4) { EXPECT_EQ(http::trailers_of(**std::get_if<Stream*>(&answer->body)).size(), 1u); }
    }
  });
  EXPECT_EQ(heads, 4);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Http2Connection, ABodyThatTheServerDoesNotTakeEndsInTime) {
  TestServer server{[](TestLine& line) {
    Peer peer{line};
    peer.greet();
    line.wait_until_gone();
  }};
  const auto called = service(server, {}, {.idle = 50 * kMillisecond});
  std::string outcome;
  run([&](Loop& loop) -> Task<> {
    co_await one_call(*called, loop, outcome, {.method = "POST", .body = std::string(1 << 20, 'x')});
  });
  EXPECT_TRUE(outcome.starts_with("deadline-exceeded")) << outcome;
}

TEST(Http2Connection, CallsThatAreWaitingForAConnectionShareItsFailure) {
  TestServer server{[](TestLine& line) { line.wait_until_gone(); }};
  auto options = ServiceOptions{.url = "https://" + server.authority() + "/",
                                .timeouts = {.connect = 60 * kMillisecond},
                                .http = HttpVersions::negotiated};
  auto called = Service::make(options, {});
  ASSERT_TRUE(called) << called.error().detail;
  std::vector<std::string> outcomes(10);
  run([&](Loop& loop) -> Task<> {
    std::vector<Scope> scopes(outcomes.size());
    for (std::size_t i = 0; i < scopes.size(); ++i) loop.spawn(scopes[i], one_call(**called, loop, outcomes[i]));
    co_await all(loop, outcomes);
  });
  for (const auto& outcome : outcomes) EXPECT_TRUE(outcome.starts_with("deadline-exceeded")) << outcome;
  EXPECT_LE(server.connections(), 10);
}

}  // namespace
}  // namespace plimsoll::client
