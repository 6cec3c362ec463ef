#include "plimsoll/edge/server.hpp"

#include "plimsoll/edge/test_client.hpp"
#include "plimsoll/edge/test_service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace plimsoll::edge {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// Until `done` is true, for at most 5 s: for what other threads do.
template <class F>
bool eventually(F done) {
  for (int i = 0; i < 1000 && !done(); ++i) std::this_thread::sleep_for(5ms);
  return done();
}

struct Running {
  explicit Running(Limits limits = {}, unsigned threads = 1) {
    auto started = start(service, {{.address = "127.0.0.1:0", .certificate = {}, .key = {}}}, limits, threads);
    if (started) server = std::move(*started);
  }
  std::string address() const { return server->addresses().front(); }
  TestService service;
  std::unique_ptr<Server> server;
};

constexpr std::string_view kHello = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

std::string get(std::string_view path, std::string_view more = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(more) + "\r\n";
}

TEST(Edge, AnswersAndKeepsTheConnection) {
  Running running;
  TestClient client{running.address()};
  for (int i = 0; i < 3; ++i) {
    client.received.clear();
    ASSERT_TRUE(client.send(kHello));
    const auto& answer = client.until("hello");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("content-length: 5\r\n"));
    EXPECT_THAT(answer, HasSubstr("date: "));
    EXPECT_THAT(answer, HasSubstr("\r\n\r\nhello"));
  }
  EXPECT_EQ(running.service.served, 3);
}

TEST(Edge, AnswersPipelinedRequestsInOrder) {
  Running running;
  TestClient client{running.address()};
  client.send(get("/1") + get("/nap") + get("/2") + get("/3", "Connection: close\r\n"));
  const auto& answer = client.all();
  EXPECT_TRUE(client.ended);
  const auto one = answer.find("GET /1"), nap = answer.find("rested"), two = answer.find("GET /2"),
             three = answer.find("GET /3");
  EXPECT_TRUE(one < nap && nap < two && two < three && three != answer.npos) << answer;
}

TEST(Edge, ReadsBodiesByLengthAndInChunks) {
  Running running;
  TestClient client{running.address()};
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_THAT(client.until("body"), HasSubstr("content-length: 4\r\n"));
  client.received.clear();
  client.send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nT: "
      "v\r\n\r\n");
  EXPECT_THAT(client.until("abcdefg"), HasSubstr("content-length: 7\r\n"));
}

TEST(Edge, InvitesTheBodyOfAClientThatAsks) {
  Running running;
  TestClient client{running.address()};
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("body");
  EXPECT_THAT(client.until("body"), HasSubstr("HTTP/1.1 200 OK"));
}

TEST(Edge, ARefusedBodyIsNotInvitedAndTheConnectionCloses) {
  Running running;
  TestClient client{running.address()};
  client.send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_THAT(client.all(), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(client.received, HasSubstr("connection: close"));
  EXPECT_TRUE(client.ended);
}

TEST(Edge, ABodyNobodyReadsDoesNotBecomeARequest) {
  Running running;
  TestClient client{running.address()};
  client.send("POST /hello HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(kHello.size()) + "\r\n\r\n" +
              std::string(kHello) + get("/last", "Connection: close\r\n"));
  client.all();
  EXPECT_EQ(running.service.served, 2);
  EXPECT_THAT(client.received, HasSubstr("GET /last"));
}

TEST(Edge, StreamsInChunks) {
  Running running;
  TestClient client{running.address()};
  client.send(get("/stream"));
  EXPECT_THAT(client.until("0\r\n\r\n"),
              HasSubstr("transfer-encoding: chunked\r\n\r\n6\r\npiece \r\n6\r\npiece \r\n6\r\npiece \r\n0\r\n\r\n"));
  client.received.clear();
  client.send("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.all(), HasSubstr("connection: close\r\n\r\npiece piece piece "));
  EXPECT_TRUE(client.ended);
}

TEST(Edge, HeadHasTheLengthAndNoBody) {
  Running running;
  TestClient client{running.address()};
  client.send("HEAD /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.all(), ::testing::EndsWith("content-length: 5\r\nconnection: close\r\n\r\n"));
}

TEST(Edge, LargeAnswersWaitForSlowReaders) {
  Running running;
  TestClient client{running.address()};
  client.send(get("/large", "Connection: close\r\n"));
  std::this_thread::sleep_for(50ms);  // the socket's buffers fill; not needed for the result
  const auto& answer = client.all();
  EXPECT_EQ(answer.size() - answer.find("\r\n\r\n") - 4, running.service.large.size());
}

TEST(Edge, RefusesWhatIsNotHttpAndCloses) {
  Running running;
  TestClient client{running.address()};
  client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  EXPECT_THAT(client.all(), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_TRUE(client.ended);
  EXPECT_EQ(running.service.served, 0);
}

TEST(Edge, ADeadlineStopsTheWorkAndIsAnswered) {
  Running running;
  TestClient client{running.address()};
  client.send(get("/limited"));
  EXPECT_THAT(client.until("deadline-exceeded"), StartsWith("HTTP/1.1 504"));
  EXPECT_EQ(running.service.stopped, 1);
}

TEST(Edge, AnOldConnectionEndsWithItsNextAnswerNotBetweenTwo) {
  Running running{{.lifetime = config::milliseconds(50)}};
  TestClient client{running.address()};
  client.send(kHello);
  client.until("hello");
  client.all(150ms);  // its lifetime passes
  EXPECT_FALSE(client.ended);
  client.received.clear();
  client.send(kHello);
  EXPECT_THAT(client.all(), HasSubstr("connection: close\r\n\r\nhello"));
  EXPECT_TRUE(client.ended);
}

TEST(Edge, AClientThatLeavesStopsTheWork) {
  Running running;
  {
    TestClient client{running.address()};
    client.send(get("/slow"));
    ASSERT_TRUE(eventually([&] { return running.service.waiting == 1; }));
  }
  EXPECT_TRUE(eventually([&] { return running.service.stopped == 1; }));
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(running.service.mutex);
    return running.service.log == std::vector<std::string>{"GET /slow 499 gone"};
  }));
}

TEST(Edge, ABodyOverTheLimitIsRefused) {
  Running running{{.body = config::kibibytes(1)}};
  TestClient client{running.address()};
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n");
  EXPECT_THAT(client.until("payload-too-large"), StartsWith("HTTP/1.1 413"));
  TestClient chunked{running.address()};
  chunked.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + std::string(2000, 'x'));
  EXPECT_THAT(chunked.all(), StartsWith("HTTP/1.1 413"));
  EXPECT_TRUE(chunked.ended);
}

TEST(Edge, AnExceptionIsAnAnswer) {
  Running running;
  TestClient client{running.address()};
  client.send(get("/throw", "Connection: close\r\n"));
  EXPECT_THAT(client.all(), StartsWith("HTTP/1.1 500"));
}

TEST(Edge, DrainFinishesWhatIsUnderWay) {
  Running running;
  TestClient busy{running.address()}, idle{running.address()};
  idle.send(kHello);
  idle.until("hello");
  busy.send(get("/nap"));
  ASSERT_TRUE(eventually([&] { return running.service.waiting == 1; }));
  running.server->drain();
  EXPECT_THAT(busy.all(), HasSubstr("rested"));
  EXPECT_THAT(busy.received, HasSubstr("connection: close"));
  idle.all();
  EXPECT_TRUE(idle.ended);
  running.server->wait();
  EXPECT_FALSE(TestClient{running.address()}.connected);
}

TEST(Edge, DrainStopsWhatDoesNotFinish) {
  Running running{{.drain = config::milliseconds(50)}};
  TestClient busy{running.address()};
  busy.send(get("/slow"));
  ASSERT_TRUE(eventually([&] { return running.service.waiting == 1; }));
  running.server->drain();
  EXPECT_THAT(busy.all(), StartsWith("HTTP/1.1 503"));
  running.server->wait();
}

struct Behind {
  explicit Behind(Proxies proxies) {
    Listen listen{.address = "127.0.0.1:0"};
    listen.proxies = std::move(proxies);
    auto started = start(service, {listen}, {}, 1);
    EXPECT_TRUE(started);
    if (started) server = std::move(*started);
  }
  std::string ask(const std::string& before, const std::string& fields) {
    TestClient client{server->addresses().front()};
    client.send(before + get("/who", fields + "Connection: close\r\n"));
    return client.all();
  }
  TestService service;
  std::unique_ptr<Server> server;
};

TEST(Edge, ATrustedProxySaysWhoTheClientIs) {
  Behind trusted{{.networks = {"127.0.0.0/8"}}};
  EXPECT_THAT(trusted.ask("", "X-Forwarded-For: 6.6.6.6, 192.0.2.9\r\nX-Forwarded-Proto: https\r\n"),
              HasSubstr("\r\n\r\nhttps 192.0.2.9"));
  Behind nobody{{}};
  EXPECT_THAT(nobody.ask("", "X-Forwarded-For: 192.0.2.9\r\n"), HasSubstr("\r\n\r\nhttp 127.0.0.1"));
}

TEST(Edge, ATargetDoesNotSayThatItCameOverTls) {
  Running running;
  TestClient client{running.address()};
  client.send("GET https://a/who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.all(), HasSubstr("\r\n\r\nhttp 127.0.0.1"));
}

TEST(Edge, AProxyHeaderSaysWhoTheClientIs) {
  Behind trusted{{.networks = {"127.0.0.1"}, .protocol = true}};
  EXPECT_THAT(trusted.ask("PROXY TCP4 192.0.2.9 198.51.100.1 56324 443\r\n", ""), HasSubstr("\r\n\r\nhttp 192.0.2.9"));
  EXPECT_THAT(trusted.ask("", ""), ::testing::Not(HasSubstr("HTTP/1.1")));
  Behind others{{.networks = {"10.0.0.0/8"}, .protocol = true}};
  EXPECT_THAT(others.ask("PROXY TCP4 192.0.2.9 198.51.100.1 56324 443\r\n", ""), ::testing::Not(HasSubstr("HTTP/1.1")));
}

TEST(Edge, AProxyHeaderInPiecesIsReadWhole) {
  Behind trusted{{.networks = {"127.0.0.1"}, .protocol = true}};
  TestClient client{trusted.server->addresses().front()};
  for (const auto* piece :
       {"PRO", "XY TCP6 2001:db8::1 2001:db8::2", " 1 2\r", "\nGET /who HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    client.send(piece);
    std::this_thread::sleep_for(20ms);  // so that the pieces arrive apart; the result is the same if they do not
  }
  EXPECT_THAT(client.until("2001"), HasSubstr("\r\n\r\nhttp 2001:db8::1"));
}

TEST(Edge, WrongProxySettingsAreRefusedAtStart) {
  TestService service;
  Listen listen{.address = "127.0.0.1:0"};
  for (auto proxies : {Proxies{.networks = {"nonsense"}}, Proxies{.networks = {"10.0.0.0/8"}, .header = "x-real-ip"},
                       Proxies{.protocol = true}}) {
    listen.proxies = proxies;
    EXPECT_FALSE(start(service, {listen}, {}, 1));
  }
}

TEST(Edge, ManyConnectionsOnSeveralThreads) {
  Running running{{}, 2};
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(std::make_unique<TestClient>(running.address()));
  for (int round = 0; round < 5; ++round) {
    for (auto& client : clients) {
      client->received.clear();
      client->send(kHello);
    }
    for (auto& client : clients) EXPECT_THAT(client->until("hello"), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_EQ(running.service.served, 250);
}

}  // namespace
}  // namespace plimsoll::edge
