#include "plimsoll/edge/test_client.hpp"
#include "plimsoll/edge/test_service.hpp"
#include "plimsoll/http/h2.hpp"
#include "plimsoll/http/h2_frames.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <thread>

namespace plimsoll::edge {
namespace {

using namespace http::frames;
using namespace std::chrono_literals;

template <class F>
bool eventually(F done) {
  for (int i = 0; i < 1000 && !done(); ++i) std::this_thread::sleep_for(5ms);
  return done();
}

/// A server and one client that speaks HTTP/2 to it by prior knowledge.
struct Talk {
  TestService service;
  std::unique_ptr<Server> server;
  std::unique_ptr<TestClient> client;
  std::map<std::uint32_t, std::string> content;
  std::map<std::uint32_t, int> ended;  ///< 1: END_STREAM, 2: RST_STREAM
  std::vector<Frame> all;

  explicit Talk(Limits limits = {}) {
    auto started = start(service, {{.address = "127.0.0.1:0", .certificate = {}, .key = {}}}, limits, 1);
    if (started) server = std::move(*started);
    client = std::make_unique<TestClient>(server->addresses().front());
  }
  void greet() { client->send(std::string(http::kH2Preface) + frame(kSettings, 0, 0, "")); }
  /// Reads until `done`, answering settings and opening windows as a client does.
  bool until(std::function<bool()> done, bool opens = true, std::chrono::milliseconds span = 5s) {
    const auto end = std::chrono::steady_clock::now() + span;
    while (!done() && std::chrono::steady_clock::now() < end) {
      const auto before = client->received.size();
      client->until(std::string(1, '\0') + "never", 20ms);
      std::string_view rest = client->received;
      for (auto& f : take_frames(rest)) {
        if (f.type == kData) {
          content[f.stream] += f.payload;
          if (opens && !f.payload.empty()) {
            const auto size = number(static_cast<std::uint32_t>(f.payload.size()));
            client->send(frame(kWindow, 0, 0, size));
            if (!(f.flags & kEndStream)) client->send(frame(kWindow, 0, f.stream, size));
          }
        }
        if ((f.type == kData || f.type == kHeaders) && (f.flags & kEndStream)) ended[f.stream] = 1;
        if (f.type == kReset) ended[f.stream] = 2;
        if (f.type == kSettings && !(f.flags & kAck)) client->send(frame(kSettings, kAck, 0, ""));
        if (f.type == kPing && !(f.flags & kAck)) client->send(frame(kPing, kAck, 0, f.payload));
        all.push_back(std::move(f));
      }
      client->received.erase(0, client->received.size() - rest.size());
      if (client->ended && before == client->received.size()) break;
    }
    return done();
  }
  bool said(int type) const {
    return std::ranges::any_of(all, [&](const Frame& f) { return f.type == type; });
  }
};

TEST(Http2, AnswersByPriorKnowledge) {
  Talk talk;
  talk.greet();
  talk.client->send(get(1, "/hello") + get(3, "/where?x=1"));
  ASSERT_TRUE(talk.until([&] { return talk.ended[1] && talk.ended[3]; }));
  EXPECT_EQ(talk.content[1], "hello");
  EXPECT_EQ(talk.content[3], "GET /where x=1 example.com");
  EXPECT_TRUE(eventually([&] { return talk.service.served == 2; }));
}

TEST(Http2, APrefaceThatComesByteByByteIsKnown) {
  Talk talk;
  for (char c : http::kH2Preface) ASSERT_TRUE(talk.client->send({&c, 1}));
  talk.client->send(frame(kSettings, 0, 0, "") + get(1, "/hello"));
  EXPECT_TRUE(talk.until([&] { return talk.ended[1]; }));
}

TEST(Http2, APrefaceThatDripsIsCutOffWhereAHeadWouldBe) {
  Talk talk{{.head_time = config::milliseconds(100)}};
  for (const char c : http::kH2Preface) {  // each byte well within `first-byte`
    talk.client->send(std::string(1, c));
    talk.client->until("never", 20ms);
  }
  EXPECT_TRUE(talk.client->ended);
  EXPECT_FALSE(talk.until([&] { return talk.said(kSettings); }));
}

TEST(Http2, StreamsDoNotWaitForEachOther) {
  Talk talk;
  talk.greet();
  talk.client->send(get(1, "/slow") + get(3, "/hello"));
  ASSERT_TRUE(talk.until([&] { return talk.ended[3]; }));
  EXPECT_EQ(talk.ended[1], 0);
}

TEST(Http2, AResetStreamStopsWhoWorksOnIt) {
  Talk talk;
  talk.greet();
  talk.client->send(get(1, "/slow"));
  ASSERT_TRUE(eventually([&] { return talk.service.waiting == 1; }));
  talk.client->send(frame(kReset, 0, 1, number(8)) + get(3, "/hello"));
  EXPECT_TRUE(eventually([&] { return talk.service.stopped == 1; }));
  EXPECT_TRUE(talk.until([&] { return talk.ended[3]; }));
  EXPECT_TRUE(eventually([&] {
    const std::lock_guard lock(talk.service.mutex);
    return std::ranges::any_of(talk.service.log, [](const std::string& line) {
      return line.starts_with("GET /slow ") && line.ends_with(" gone");
    });
  })) << testing::PrintToString(talk.service.log);
}

TEST(Http2, AStreamResetInTheTurnItCameIsNotServed) {
  Talk talk;
  std::string all = std::string(http::kH2Preface) + frame(kSettings, 0, 0, "");
  for (std::uint32_t id = 1; id < 81; id += 2) all += get(id, "/slow") + frame(kReset, 0, id, number(8));
  talk.client->send(all + get(101, "/hello"));
  ASSERT_TRUE(talk.until([&] { return talk.ended[101]; }));
  EXPECT_EQ(talk.service.served, 1);
}

TEST(Http2, AClientThatLeavesStopsAllItsStreams) {
  Talk talk;
  talk.greet();
  for (std::uint32_t id = 1; id < 41; id += 2) talk.client->send(get(id, "/slow"));
  ASSERT_TRUE(eventually([&] { return talk.service.waiting == 20; }));
  talk.client->close();
  EXPECT_TRUE(eventually([&] { return talk.service.stopped == 20; }));
}

TEST(Http2, BodiesComePieceByPiece) {
  Talk talk;
  talk.greet();
  talk.client->send(frame(kHeaders, kEndHeaders, 1, head("POST", "/echo")));
  std::string all;
  const auto open = [&](std::uint32_t stream, std::size_t window) {
    for (auto& f : talk.all)
      if (f.type == kWindow && f.stream == stream) window += f.code();
    return window - all.size();
  };
  for (int i = 0; i < 20; ++i) {
    const std::string piece(10'000, static_cast<char>('a' + i));
    ASSERT_TRUE(talk.until([&] { return open(0, 65535) >= piece.size() && open(1, 64 << 10) >= piece.size(); }));
    all += piece;
    talk.client->send(frame(kData, i == 19 ? kEndStream : 0, 1, piece));
  }
  ASSERT_TRUE(talk.until([&] { return talk.ended[1] == 1; }));
  EXPECT_TRUE(talk.content[1] == all) << talk.content[1].size();
}

TEST(Http2, ABodyOverTheLimitIs413AndTheConnectionGoesOn) {
  Talk talk({.body = {1000}});
  talk.greet();
  talk.client->send(frame(kHeaders, kEndHeaders, 1, head("POST", "/echo")) +
                    frame(kData, 0, 1, std::string(2000, 'x')));
  ASSERT_TRUE(talk.until([&] { return talk.ended[1]; }));
  talk.client->send(get(3, "/hello"));
  EXPECT_TRUE(talk.until([&] { return talk.ended[3]; }));
  EXPECT_NE(talk.content[1].find("payload-too-large"), std::string::npos) << talk.content[1];
}

TEST(Http2, StreamsAndLargeBodiesFollowTheWindow) {
  Talk talk;
  talk.greet();
  talk.client->send(get(1, "/stream") + get(3, "/large"));
  ASSERT_TRUE(talk.until([&] { return talk.ended[1] && talk.ended[3]; }));
  EXPECT_EQ(talk.content[1], "piece piece piece ");
  EXPECT_EQ(talk.content[3].size(), talk.service.large.size());
}

TEST(Http2, AHeadAnswersWithoutABody) {
  Talk talk;
  talk.greet();
  talk.client->send(frame(kHeaders, kEndStream | kEndHeaders, 1, head("HEAD", "/hello")));
  ASSERT_TRUE(talk.until([&] { return talk.ended[1]; }));
  EXPECT_EQ(talk.content[1], "");
}

TEST(Http2, WhatIsThrownIsAnAnswer) {
  Talk talk;
  talk.greet();
  talk.client->send(get(1, "/throw") + get(3, "/hello"));
  EXPECT_TRUE(talk.until([&] { return talk.ended[1] == 1 && talk.ended[3] == 1; }));
}

TEST(Http2, AHeadTooLargeIsAnswered) {
  Talk talk;
  talk.greet();
  std::string more;
  for (int i = 0; i < 110; ++i) more += literal("a", "b");
  talk.client->send(frame(kHeaders, kEndStream | kEndHeaders, 1, head("GET", "/hello", more)));
  ASSERT_TRUE(talk.until([&] { return talk.ended[1]; }));
  EXPECT_NE(talk.content[1].find("head-too-large"), std::string::npos);
  EXPECT_EQ(talk.service.served, 0);
}

TEST(Http2, DrainFinishesWhatIsUnderWay) {
  Talk talk;
  talk.greet();
  talk.client->send(get(1, "/nap"));
  ASSERT_TRUE(eventually([&] { return talk.service.waiting == 1; }));
  talk.server->drain();
  ASSERT_TRUE(talk.until([&] { return talk.client->ended; }));
  EXPECT_TRUE(talk.said(kGoaway));
  EXPECT_EQ(talk.content[1], "rested");
  talk.server->wait();
}

TEST(Http2, AnOldConnectionEndsThoughItsRequestsAreShort) {
  Talk talk{{.lifetime = config::milliseconds(50)}};
  talk.greet();
  talk.client->send(get(1, "/hello"));
  ASSERT_TRUE(talk.until([&] { return talk.ended[1]; }));
  EXPECT_FALSE(talk.until([&] { return talk.client->ended || talk.said(kGoaway); }, true, 150ms));
  talk.client->send(get(3, "/hello"));
  EXPECT_TRUE(talk.until([&] { return talk.ended[3] && talk.said(kGoaway) && talk.client->ended; }));
}

TEST(Http2, AnIdleConnectionEnds) {
  Talk talk({.idle = config::milliseconds(100)});
  talk.greet();
  talk.client->send(get(1, "/hello"));
  ASSERT_TRUE(talk.until([&] { return talk.client->ended; }));
  EXPECT_TRUE(talk.said(kGoaway));
}

TEST(Http2, AHeadThatNeverEndsEndsTheConnection) {
  Talk talk({.head_time = config::milliseconds(100)});
  talk.greet();
  talk.client->send(frame(kHeaders, kEndStream, 1, head("GET", "/")));
  EXPECT_TRUE(talk.until([&] { return talk.client->ended; }));
}

TEST(Http2, FloodsEndTheConnection) {
  Talk talk;
  talk.greet();
  for (int i = 0; i < 300; ++i) talk.client->send(frame(kPing, 0, 0, "12345678"));
  ASSERT_TRUE(talk.until([&] { return talk.client->ended || talk.client->reset; }));
  EXPECT_TRUE(talk.said(kGoaway));
}

}  // namespace
}  // namespace plimsoll::edge
