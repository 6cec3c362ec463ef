#include "plimsoll/http/h2.hpp"

#include "plimsoll/http/h2_frames.hpp"

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace plimsoll::http {
namespace {

using namespace frames;

std::vector<Frame> frames_of(std::string_view bytes) {
  auto out = take_frames(bytes);
  EXPECT_TRUE(bytes.empty());
  return out;
}

/// The server's side with everything it was told, and answers when told to.
struct Peer : H2Requests {
  struct Stream : H2Stream {
    std::string method, path, authority, protocol, fields, content, last;
    bool ended = false, over = false;
    int drains = 0;
    const Problem* refusal = nullptr;
    H2Error why = H2Error::no_error;
    void body(Bytes piece) override { content += as_text(piece); }
    void body_ended() override { ended = true; }
    void trailers(std::span<const Header> behind) override {
      for (const auto& field : behind) last.append(field.name).append("=").append(field.value).append("\n");
    }
    void drained() override { ++drains; }
    void closed(H2Error error) override { over = true, why = error; }
  };
  H2Options options;
  Arena arena;
  std::deque<Stream> streams;
  std::unique_ptr<H2Session> session;
  Nanoseconds now = kSecond;
  bool takes = true;

  explicit Peer(H2Options o = {}) : options(o), session(std::make_unique<H2Session>(o, *this)) {}

  H2Stream* request(const H2Head& head) override {
    if (!takes) return nullptr;
    auto& s = streams.emplace_back();
    s.method = head.method, s.path = head.path, s.authority = head.authority;
    s.ended = head.ended, s.refusal = head.refusal, s.protocol = head.protocol;
    for (auto& field : head.fields) s.fields.append(field.name).append("=").append(field.value).append("\n");
    return &s;
  }
  bool receive(std::string_view bytes) { return session->receive(plimsoll::as_bytes(bytes), now); }
  bool greet() { return receive(std::string(kH2Preface) + frame(kSettings, 0, 0, "")); }
  std::string sent(std::size_t limit = 1 << 20) {
    std::string out;
    session->gather(out, limit);
    return out;
  }
  std::vector<Frame> said(int type) {
    const auto bytes = sent();
    auto all = frames_of(bytes);
    std::erase_if(all, [&](const Frame& f) { return f.type != type; });
    return all;
  }
  void answer(Stream& s, std::string_view content = {}) {
    Headers headers{arena};
    headers.add("Content-Type", "text/plain");
    headers.add("Connection", "close");
    session->respond(s, 200, headers, {}, !content.empty());
    if (!content.empty()) session->supply(s, plimsoll::as_bytes(content), true);
  }
};

TEST(H2, PrefaceIsKnownFromItsFirstBytes) {
  EXPECT_EQ(h2_preface(""), H2Preface::not_yet);
  EXPECT_EQ(h2_preface("PRI * HTTP/2.0\r\n"), H2Preface::not_yet);
  EXPECT_EQ(h2_preface(std::string(kH2Preface) + "x"), H2Preface::yes);
  EXPECT_EQ(h2_preface("PRX"), H2Preface::no);
  EXPECT_EQ(h2_preface("PRI * HTTP/1.1\r\n"), H2Preface::no);
}

TEST(H2, TellsItsLimitsFirst) {
  Peer peer;
  const auto said = frames_of(peer.sent());
  ASSERT_FALSE(said.empty());
  EXPECT_EQ(said[0].type, kSettings);
  std::map<int, std::uint32_t> settings;
  for (std::size_t i = 0; i + 6 <= said[0].payload.size(); i += 6)
    settings[static_cast<std::uint8_t>(said[0].payload[i + 1])] = said[0].code(i + 2);
  EXPECT_EQ(settings[3], 100u);
  EXPECT_EQ(settings[6], 32u << 10);
}

TEST(H2, ARequestComesOutAndItsAnswerGoesIn) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(
      frame(kHeaders, kEndStream | kEndHeaders, 1,
            head("GET", "/a?b=1", literal("cookie", "a=1") + literal("x-y", "z") + literal("cookie", "b=2")))));
  ASSERT_EQ(peer.streams.size(), 1u);
  auto& s = peer.streams[0];
  EXPECT_EQ(s.method, "GET");
  EXPECT_EQ(s.path, "/a?b=1");
  EXPECT_EQ(s.authority, "example.com");
  EXPECT_EQ(s.fields, "cookie=a=1; b=2\nx-y=z\n");
  EXPECT_TRUE(s.ended);
  peer.sent();
  peer.answer(s, "hello");
  const auto said = frames_of(peer.sent());
  ASSERT_EQ(said.size(), 2u);
  EXPECT_EQ(said[0].type, kHeaders);
  EXPECT_EQ(said[0].payload.find("onnection"), std::string::npos);
  EXPECT_EQ(said[1].type, kData);
  EXPECT_EQ(said[1].payload, "hello");
  EXPECT_TRUE(said[1].flags & kEndStream);
  EXPECT_TRUE(s.over);
  EXPECT_EQ(s.id(), 0);
}

TEST(H2, AnAnswerWithoutContentHasItsHead) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(frame(kHeaders, kEndStream | kEndHeaders, 1, head("HEAD", "/a"))));
  peer.sent();
  peer.answer(peer.streams[0]);
  const auto said = frames_of(peer.sent());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_TRUE(said[0].flags & kEndStream);
  EXPECT_TRUE(said[0].payload.contains('\x88')) << "`:status 200` is one byte (RFC 7541, appendix A)";
  EXPECT_TRUE(peer.streams[0].over);
}

TEST(H2, TheSameBytesInAnyCutsGiveTheSame) {
  std::string all(kH2Preface);
  all += frame(kSettings, 0, 0, "");
  for (std::uint32_t id = 1; id < 20; id += 2) {
    all += frame(kHeaders, kEndHeaders, id, head("POST", "/" + std::to_string(id)));
    all += frame(kData, 0, id, std::string(id * 10, 'x')) + frame(kData, kEndStream, id, "end");
  }
  const auto run = [&](auto next) {
    Peer peer;
    for (std::string_view rest = all; !rest.empty();) {
      const auto size = std::min<std::size_t>(next(), rest.size());
      EXPECT_TRUE(peer.receive(rest.substr(0, size)));
      rest.remove_prefix(size);
    }
    std::string out;
    for (auto& s : peer.streams) out += s.path + s.content + (s.ended ? "." : "?");
    return out;
  };
  const auto whole = run([] { return std::string::npos; });
  EXPECT_EQ(run([] { return 1; }), whole);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  for (int i = 0; i < 50; ++i) EXPECT_EQ(run([&] { return 1 + random() % 40; }), whole);
}

TEST(H2, AMalformedRequestIsResetAndNeverSeen) {
  const std::string authority = literal(":authority", "a");
  const std::string good = literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "/") + authority;
  const std::pair<const char*, std::string> cases[] = {
      {"upper case", good + literal("X-A", "b")},
      {"connection field", good + literal("connection", "close")},
      {"transfer-encoding", good + literal("transfer-encoding", "chunked")},
      {"te", good + literal("te", "gzip")},
      {"no method", literal(":scheme", "http") + literal(":path", "/") + authority},
      {"no scheme", literal(":method", "GET") + literal(":path", "/") + authority},
      {"no path", literal(":method", "GET") + literal(":scheme", "http") + authority},
      {"empty path", literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "") + authority},
      {"path without slash",
       literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "a") + authority},
      {"star for GET", literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "*") + authority},
      {"fragment", literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "/#a") + authority},
      {"blank in path", literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "/a b") + authority},
      {"two paths", good + literal(":path", "/")},
      {"pseudo after field", literal("a", "b") + good},
      {"unknown pseudo", good + literal(":x", "y")},
      {"response pseudo", good + literal(":status", "200")},
      {"userinfo",
       literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "/") + literal(":authority", "u:p@a")},
      {"host differs", good + literal("host", "b")},
      {"two hosts", good + literal("host", "a") + literal("host", "a")},
      {"no host", literal(":method", "GET") + literal(":scheme", "http") + literal(":path", "/")},
      {"line feed in value", good + literal("a", "b\nc")},
      {"nul in value", good + literal("a", std::string_view("b\0c", 3))},
      {"leading blank", good + literal("a", " b")},
      {"trailing tab", good + literal("a", "b\t")},
      {"blank in name", good + literal("a b", "c")},
      {"method no token", literal(":method", "G T") + literal(":scheme", "http") + literal(":path", "/") + authority},
      {"scheme", literal(":method", "GET") + literal(":scheme", "ftp") + literal(":path", "/") + authority},
      {"content-length beside no body", good + literal("content-length", "5")},
      {"two lengths", good + literal("content-length", "0") + literal("content-length", "0")},
  };
  for (auto& [name, block] : cases) {
    SCOPED_TRACE(name);
    Peer peer;
    ASSERT_TRUE(peer.greet());
    ASSERT_TRUE(peer.receive(frame(kHeaders, kEndStream | kEndHeaders, 1, block)));
    const auto resets = peer.said(kReset);
    ASSERT_EQ(resets.size(), 1u);
    EXPECT_EQ(resets[0].code(), 1u);
    const bool reached = !peer.streams.empty() && !peer.streams[0].over;
    EXPECT_FALSE(reached);
    ASSERT_TRUE(peer.receive(get(3, "/next")));  // and the connection goes on
    EXPECT_EQ(peer.streams.back().path, "/next");
  }
}

TEST(H2, ContentThatIsNotAsLongAsSaidNeverEnds) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(frame(kHeaders, kEndHeaders, 1, head("POST", "/", literal("content-length", "5")))));
  ASSERT_TRUE(peer.receive(frame(kData, kEndStream, 1, "1234")));
  EXPECT_FALSE(peer.streams[0].ended);
  peer.sent();
  EXPECT_TRUE(peer.streams[0].over);
  EXPECT_EQ(peer.streams[0].why, H2Error::protocol_error);
}

TEST(H2, AHeadTooLargeIsAnsweredNotServed) {
  Peer peer({.header_list = 4000});
  ASSERT_TRUE(peer.greet());
  std::string more;
  for (int i = 0; i < 40; ++i) more += literal("a" + std::to_string(i), std::string(100, 'x'));
  ASSERT_TRUE(peer.receive(frame(kHeaders, kEndStream | kEndHeaders, 1, head("GET", "/", more))));
  ASSERT_EQ(peer.streams.size(), 1u);
  ASSERT_TRUE(peer.streams[0].refusal);
  EXPECT_EQ(peer.streams[0].refusal->status, 431);
}

TEST(H2, AHeaderBombEndsTheConnection) {
  Peer peer({.header_list = 4000});
  ASSERT_TRUE(peer.greet());
  // One field put into the table, then named a thousand times by one byte each.
  auto block = head("GET", "/");
  block += std::string("\x40\x01", 2) + "b" + std::string(1, '\x64') + std::string(100, 'x');
  block += std::string(1000, '\xbe');
  EXPECT_FALSE(peer.receive(frame(kHeaders, kEndStream | kEndHeaders, 1, block)));
  const auto goaway = peer.said(kGoaway);
  ASSERT_EQ(goaway.size(), 1u);
  EXPECT_EQ(goaway[0].code(4), 11u);
  EXPECT_TRUE(peer.streams.empty());
}

TEST(H2, FloodsEndTheConnectionAndWhatIsBelowTheLimitDoesNot) {
  const auto open = frame(kHeaders, kEndHeaders, 1, head("POST", "/"));
  struct Flood {
    const char* name;
    std::string first, one;
    int allowed;
  };
  const Flood floods[] = {
      {"PING", "", frame(kPing, 0, 0, "12345678"), 100},
      {"SETTINGS", "", frame(kSettings, 0, 0, ""), 15},  // the preface had one
      {"PRIORITY", "", frame(kPriority, 0, 3, number(0) + "\x10"), 200},
      {"unknown", "", frame(200, 0, 0, "x"), 200},
      {"empty DATA", open, frame(kData, 0, 1, ""), 100},
      {"WINDOW_UPDATE", "", frame(kWindow, 0, 0, number(1)), 2000},
  };
  for (auto& flood : floods) {
    SCOPED_TRACE(flood.name);
    Peer peer;
    ASSERT_TRUE(peer.greet());
    ASSERT_TRUE(peer.receive(flood.first));
    for (int i = 0; i < flood.allowed; ++i) {
      ASSERT_TRUE(peer.receive(flood.one)) << i;
      peer.sent();
    }
    EXPECT_FALSE(peer.receive(flood.one));
    const auto goaway = peer.said(kGoaway);
    ASSERT_EQ(goaway.size(), 1u);
    EXPECT_EQ(goaway[0].code(4), 11u);
    EXPECT_FALSE(peer.session->complaint().empty());
  }
}

TEST(H2, RapidResetsEndTheConnectionAndSlowOnesDoNot) {
  for (const bool slow : {false, true}) {
    Peer peer;
    ASSERT_TRUE(peer.greet());
    int survived = 0;
    for (std::uint32_t id = 1; id < 2001; id += 2, ++survived) {
      if (slow) peer.now += kSecond / 40;
      if (!peer.receive(get(id) + frame(kReset, 0, id, number(8)))) break;
      peer.sent();
    }
    EXPECT_EQ(survived, slow ? 1000 : 100);
  }
}

TEST(H2, ResetsThatWeAreMadeToSendCountAsWell) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  std::uint32_t id = 1;
  for (bool alive = true; alive && id < 2001; id += 2) {
    alive = peer.receive(frame(kHeaders, kEndStream | kEndHeaders, id, head("GET", "/", literal("X", "y"))));
    peer.sent();
  }
  EXPECT_LT(id, 220u);
}

TEST(H2, AConnectionErrorEndsItWithGoaway) {
  const std::pair<const char*, std::string> cases[] = {
      {"DATA on stream 0", frame(kData, 0, 0, "x")},
      {"HEADERS on an even stream", frame(kHeaders, kEndStream | kEndHeaders, 2, head("GET", "/"))},
      {"PING of 7 bytes", frame(kPing, 0, 0, "1234567")},
      {"block that cannot be decoded", frame(kHeaders, kEndStream | kEndHeaders, 1, "\xff\xff\xff\xff\xff\xff")},
      {"frame within a block", frame(kHeaders, kEndStream, 1, head("GET", "/")) + frame(kPing, 0, 0, "12345678")},
      {"frame too long", frame(kData, 0, 1, std::string(16385, 'x'))},
  };
  for (auto& [name, bytes] : cases) {
    SCOPED_TRACE(name);
    Peer peer;
    ASSERT_TRUE(peer.greet());
    peer.receive(bytes);
    EXPECT_EQ(peer.said(kGoaway).size(), 1u);
    EXPECT_TRUE(peer.session->done());
    EXPECT_FALSE(peer.receive(get(3)));
    EXPECT_TRUE(peer.streams.empty());
  }
}

TEST(H2, ContinuationsAreCounted) {
  for (const int pieces : {8, 9}) {
    Peer peer;
    ASSERT_TRUE(peer.greet());
    std::string bytes = frame(kHeaders, kEndStream, 1, head("GET", "/"));
    for (int i = 1; i <= pieces; ++i)
      bytes += frame(kContinuation, i == pieces ? kEndHeaders : 0, 1, literal("a", "b"));
    EXPECT_EQ(peer.receive(bytes), pieces == 8);
    EXPECT_EQ(peer.streams.size(), pieces == 8 ? 1u : 0u);
  }
}

TEST(H2, TheWindowOpensByWhatWasConsumed) {
  Peer peer({.stream_window = 1000, .connection_window = 65535});
  ASSERT_TRUE(peer.greet());
  peer.sent();
  ASSERT_TRUE(peer.receive(frame(kSettings, kAck, 0, "")));
  ASSERT_TRUE(peer.receive(frame(kHeaders, kEndHeaders, 1, head("POST", "/"))));
  ASSERT_TRUE(peer.receive(frame(kData, 0, 1, std::string(1000, 'x'))));
  EXPECT_TRUE(peer.said(kWindow).empty());
  peer.session->consumed(peer.streams[0], 1000);
  const auto updates = peer.said(kWindow);
  ASSERT_EQ(updates.size(), 1u);
  EXPECT_EQ(updates[0].stream, 1u);
  EXPECT_EQ(updates[0].code(), 1000u);
  ASSERT_TRUE(peer.receive(frame(kData, 0, 1, std::string(1001, 'x'))));  // one byte more than was opened
  EXPECT_EQ(peer.said(kReset).size(), 1u);
}

TEST(H2, WhatNobodyReadDoesNotCloseTheWindowOfOthers) {
  Peer peer({.stream_window = 60000, .connection_window = 65535});
  ASSERT_TRUE(peer.greet());
  peer.sent();
  for (std::uint32_t id = 1; id < 101; id += 2) {
    ASSERT_TRUE(peer.receive(frame(kHeaders, kEndHeaders, id, head("POST", "/"))));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(peer.receive(frame(kData, 0, id, std::string(10000, 'x'))));
    peer.session->reset(peer.streams.back(), H2Error::cancel);
    peer.sent();
  }
  EXPECT_TRUE(peer.session->receive({}, peer.now));
}

TEST(H2, PiecesGoOutAsTheyAreSuppliedAndTheWindowHoldsThem) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(get(1)));
  auto& s = peer.streams[0];
  Headers headers{peer.arena};
  peer.session->respond(s, 200, headers, {}, true);
  peer.sent();
  EXPECT_EQ(s.drains, 0);
  peer.session->supply(s, plimsoll::as_bytes("one"), false);
  EXPECT_EQ(peer.said(kData).at(0).payload, "one");
  EXPECT_EQ(s.drains, 1);
  const std::string big(100'000, 'x');
  peer.session->supply(s, plimsoll::as_bytes(big), true);
  std::size_t got = 0;
  for (auto& f : peer.said(kData)) got += f.payload.size();
  EXPECT_EQ(got, 65535u - 3);
  ASSERT_TRUE(peer.receive(frame(kWindow, 0, 0, number(100'000)) + frame(kWindow, 0, 1, number(100'000))));
  for (auto& f : peer.said(kData)) got += f.payload.size();
  EXPECT_EQ(got, big.size());
  EXPECT_TRUE(s.over);
}

TEST(H2, OutputStopsAtTheLimitAndGoesOn) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(get(1)));
  peer.sent();
  const std::string big(60'000, 'x');
  peer.answer(peer.streams[0], big);
  std::string out;
  for (int i = 0; i < 10; ++i) {
    const auto piece = peer.sent(20'000);
    EXPECT_LT(piece.size(), 40'000u);
    out += piece;
  }
  std::size_t got = 0;
  for (auto& f : frames_of(out))
    if (f.type == kData) got += f.payload.size();
  EXPECT_EQ(got, big.size());
}

TEST(H2, ContentBeyondTheWindowOfAStreamIsAnErrorOfTheStream) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(frame(kHeaders, kEndHeaders, 1, head("POST", "/"))));
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(peer.receive(frame(kData, 0, 1, std::string(16'384, 'x'))));  // one byte more
  const auto resets = peer.said(kReset);
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].code(), 3u);
}

/// A client whose request is answered before it has ended.
struct Answered : Peer {
  explicit Answered(std::int32_t streams = 1) {
    EXPECT_TRUE(greet());
    for (std::int32_t i = 0; i < streams; ++i) {
      EXPECT_TRUE(receive(frame(kHeaders, kEndHeaders, 2 * i + 1, head("POST", "/"))));
      answer(this->streams.back(), "no");
      early = said(kReset);
      EXPECT_TRUE(this->streams.back().over);
    }
  }
  std::vector<Frame> early;  ///< resets behind the last answer
};

TEST(H2, AnAnswerBeforeTheEndOfTheRequestIsFollowedByNoResetAtOnce) {
  Answered peer;
  EXPECT_TRUE(peer.early.empty());
  EXPECT_TRUE(peer.receive(frame(kData, kEndStream, 1, "late")));  // is passed over
  EXPECT_TRUE(peer.said(kReset).empty());
  EXPECT_TRUE(peer.receive(frame(kData, kEndStream, 1, "again")));  // what follows its end is not
  const auto resets = peer.said(kReset);
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].code(), 5u);
}

TEST(H2, TheRestOfAnAnsweredRequestIsTakenWithinABoundAndThenAskedOff) {
  Answered peer;
  std::size_t taken = 0, windows = 0;
  std::vector<Frame> resets;
  for (int i = 0; i < 100 && resets.empty(); ++i) {
    ASSERT_TRUE(peer.receive(frame(kData, 0, 1, std::string(16'384, 'x'))));
    taken += 16'384;
    for (const auto& each : frames_of(peer.sent())) {
      if (each.type == kReset) resets.push_back(each);
      windows += each.type == kWindow && each.stream == 1 ? each.code() : 0;
    }
  }
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].code(), 0u);
  EXPECT_EQ(taken, (256u << 10) + 16'384u);
  EXPECT_EQ(windows, 256u << 10);                                  // all that was taken was given back
  EXPECT_TRUE(peer.receive(frame(kData, kEndStream, 1, "late")));  // it was under way
  EXPECT_TRUE(peer.said(kReset).empty());
}

TEST(H2, TrailersAndResetsEndTheRestOfAnAnsweredRequest) {
  for (const auto& end :
       {frame(kHeaders, kEndHeaders | kEndStream, 1, literal("a", "b")), frame(kReset, 0, 1, number(8))}) {
    Answered peer;
    EXPECT_TRUE(peer.receive(end));
    EXPECT_TRUE(peer.receive(frame(kData, kEndStream, 1, "late")));
    const auto resets = peer.said(kReset);
    ASSERT_EQ(resets.size(), 1u);
    EXPECT_EQ(resets[0].code(), 5u);
  }
}

TEST(H2, OfManyAnsweredRequestsTheEldestIsAskedOff) {
  Answered peer(17);
  ASSERT_EQ(peer.early.size(), 1u);
  EXPECT_EQ(peer.early[0].stream, 1);
  EXPECT_EQ(peer.early[0].code(), 0u);
}

TEST(H2, DrainsInTwoSteps) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(get(1)));
  peer.sent();
  peer.session->drain();
  const auto first = frames_of(peer.sent());
  ASSERT_EQ(first.size(), 2u);
  EXPECT_EQ(first[0].type, kGoaway);
  EXPECT_EQ(first[0].code(), 0x7fffffffu);
  EXPECT_EQ(first[1].type, kPing);
  ASSERT_TRUE(peer.receive(get(3)));  // was under way: served
  EXPECT_EQ(peer.streams.size(), 2u);
  ASSERT_TRUE(peer.receive(frame(kPing, kAck, 0, first[1].payload)));
  const auto second = peer.said(kGoaway);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].code(), 3u);
  ASSERT_TRUE(peer.receive(get(5)));  // too late
  EXPECT_EQ(peer.streams.size(), 2u);
  EXPECT_FALSE(peer.session->done());
  for (auto& s : peer.streams) peer.answer(s, "bye");
  peer.sent();
  EXPECT_TRUE(peer.session->done());
}

TEST(H2, StreamsNobodyTakesAreRefused) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  peer.takes = false;
  ASSERT_TRUE(peer.receive(get(1)));
  const auto resets = peer.said(kReset);
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].code(), 7u);
}

TEST(H2, HoweverManyStreamsFindNoRoomTheConnectionGoesOn) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  peer.takes = false;
  std::uint32_t id = 1;
  for (; id < 2001; id += 2) ASSERT_TRUE(peer.receive(get(id))) << id;
  EXPECT_EQ(peer.said(kReset).size(), 1000u);
  peer.takes = true;
  ASSERT_TRUE(peer.receive(get(id)));
  EXPECT_EQ(peer.streams.size(), 1u);
}

TEST(H2, MoreStreamsThanToldAreNotServed) {
  Peer peer({.streams = 3});
  ASSERT_TRUE(peer.greet());
  peer.sent();
  ASSERT_TRUE(peer.receive(frame(kSettings, kAck, 0, "")));
  for (std::uint32_t id = 1; id < 11; id += 2) peer.receive(get(id));
  EXPECT_EQ(peer.streams.size(), 3u);
}

TEST(H2, AValueThatChangesIsLookedAtEachTime) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  peer.sent();
  for (std::uint32_t id = 1; id < 101; id += 2) {  // long enough to be kept out of the table
    ASSERT_TRUE(peer.receive(get(id)));
    Headers headers{peer.arena};
    const bool evil = id == 99;
    headers.add("x-n", peer.arena.keep(std::to_string(id * 7919) + (evil ? "\r\nset-cookie: b" : "")));
    headers.add("x-last", "z");
    peer.session->respond(peer.streams.back(), 200, headers, {}, false);
    const auto said = peer.said(kHeaders);
    ASSERT_EQ(said.size(), 1u);
    EXPECT_EQ(said[0].payload.find("cookie"), std::string::npos);
    EXPECT_EQ(said[0].payload.find(std::to_string(id * 7919)) == std::string::npos, evil) << id;
  }
}

TEST(H2, AHandlersLineFeedBecomesNoField) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(get(1)));
  peer.sent();
  Headers headers{peer.arena};
  headers.add("x-evil", "a\r\nset-cookie: b");
  peer.session->respond(peer.streams[0], 200, headers, {}, false);
  const auto said = frames_of(peer.sent());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_LT(said[0].payload.size(), 10u);
}

/// What the session writes behind a handler's fields stands in the table, and is not taken for one of them.
TEST(H2, AHandlersContentLengthBecomesNoSecondOne) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  peer.sent();
  const Header length{"content-length", "5"};
  const auto answer = [&](std::uint32_t id, bool has_length) {
    EXPECT_TRUE(peer.receive(get(id)));
    Headers headers{peer.arena};
    headers.add("x-n", "a");
    if (has_length) headers.add("content-length", "5");
    peer.session->respond(peer.streams.back(), 200, headers, {&length, 1}, true);
    peer.session->supply(peer.streams.back(), plimsoll::as_bytes("hello"), true);
    const auto said = peer.said(kHeaders);
    return said.empty() ? "nothing" : said[0].payload;
  };
  answer(1, false);
  const auto usual = answer(3, false);
  EXPECT_EQ(answer(5, true), usual);
  EXPECT_EQ(answer(7, false), usual);
}

std::string connect(std::uint32_t stream, std::string_view protocol = "websocket", std::string_view more = {}) {
  return frame(kHeaders, kEndHeaders, stream,
               head("CONNECT", "/chat", literal(":protocol", protocol) + std::string(more)));
}

TEST(H2, AnExtendedConnectIsARequestWhereItIsOffered) {
  const auto offers = [](Peer& peer) {
    const auto said = frames_of(peer.sent());
    for (std::size_t i = 0; i + 6 <= said[0].payload.size(); i += 6)
      if (said[0].payload[i + 1] == 8) return said[0].code(i + 2) == 1;
    return false;
  };
  Peer offering{{.extended_connect = true}}, other;
  EXPECT_TRUE(offers(offering));
  EXPECT_FALSE(offers(other));
  ASSERT_TRUE(offering.greet() && other.greet());
  ASSERT_TRUE(offering.receive(connect(1) + connect(3, "connect-udp")));
  ASSERT_EQ(offering.streams.size(), 2u);
  EXPECT_EQ(offering.streams[0].method, "CONNECT");
  EXPECT_EQ(offering.streams[0].protocol, "websocket");
  EXPECT_EQ(offering.streams[0].path, "/chat");
  EXPECT_FALSE(offering.streams[0].refusal);
  ASSERT_TRUE(offering.streams[1].refusal);
  EXPECT_EQ(offering.streams[1].refusal->status, 501);
  ASSERT_TRUE(other.receive(connect(1)));
  EXPECT_TRUE(other.streams.empty());
  const auto resets = other.said(kReset);
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].code(), static_cast<std::uint32_t>(H2Error::protocol_error));
}

TEST(H2, OneSideOfATunnelEndsAndTheOtherGoesOn) {
  Peer peer{{.extended_connect = true}};
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(connect(1) + connect(3)));
  Headers headers{peer.arena};
  for (auto& stream : peer.streams) peer.session->respond(stream, 200, headers, {}, true);
  auto& ours_first = peer.streams[0];
  peer.sent();
  peer.session->supply(ours_first, plimsoll::as_bytes("hello"), false);
  peer.sent();
  peer.session->finish(ours_first);
  auto said = frames_of(peer.sent());
  ASSERT_EQ(said.size(), 1u) << "it is reset though the client goes on";
  EXPECT_TRUE(said[0].type == kData && said[0].flags & kEndStream);
  ASSERT_TRUE(peer.receive(frame(kData, 0, 1, "still")));
  EXPECT_EQ(ours_first.content, "still");
  EXPECT_FALSE(ours_first.over);
  ASSERT_TRUE(peer.receive(frame(kData, kEndStream, 1, "")));
  EXPECT_TRUE(ours_first.ended && ours_first.over);
  EXPECT_EQ(ours_first.why, H2Error::no_error);

  auto& theirs_first = peer.streams[1];
  ASSERT_TRUE(peer.receive(frame(kData, kEndStream, 3, "bye")));
  EXPECT_TRUE(theirs_first.ended && !theirs_first.over);
  peer.session->supply(theirs_first, plimsoll::as_bytes("late"), false);
  peer.sent();
  peer.session->finish(theirs_first);
  said = frames_of(peer.sent());
  ASSERT_EQ(said.size(), 1u);
  EXPECT_TRUE(theirs_first.over);
  EXPECT_EQ(theirs_first.why, H2Error::no_error);
}

TEST(H2, ATunnelThatIsEndedAsAWholeTakesNothingMore) {
  for (const bool finished : {false, true}) {
    Peer peer{{.extended_connect = true}};
    ASSERT_TRUE(peer.greet());
    ASSERT_TRUE(peer.receive(connect(1)));
    Headers headers{peer.arena};
    auto& stream = peer.streams[0];
    peer.session->respond(stream, 200, headers, {}, true);
    if (finished) peer.session->finish(stream);
    peer.sent();
    peer.session->end(stream);
    const auto said = frames_of(peer.sent());
    ASSERT_FALSE(said.empty());
    EXPECT_EQ(said.back().type, kReset);
    EXPECT_EQ(said.back().code(), 0u);
    EXPECT_EQ(said.size(), finished ? 1u : 2u);
    EXPECT_TRUE(stream.over);
  }
}

/// RFC 9113, section 8.5.
TEST(H2, NoFieldsFollowTheContentOfATunnel) {
  Peer peer{{.extended_connect = true}};
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(connect(1) + frame(kHeaders, kEndHeaders | kEndStream, 1, literal("x", "y"))));
  EXPECT_EQ(peer.streams[0].why, H2Error::protocol_error);
  EXPECT_EQ(peer.streams[0].last, "");
}

TEST(H2, FieldsBehindTheContentOfARequestAreTold) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(frame(kHeaders, kEndHeaders, 1, head("POST", "/")) + frame(kData, 0, 1, "abc") +
                           frame(kHeaders, kEndHeaders | kEndStream, 1, literal("x-sum", "f00"))));
  EXPECT_TRUE(peer.streams[0].ended);
  EXPECT_EQ(peer.streams[0].last, "x-sum=f00\n");
}

TEST(H2, InterimResponsesComeBeforeTheFinalOneAndNoneBehindIt) {
  Peer peer;
  ASSERT_TRUE(peer.greet());
  ASSERT_TRUE(peer.receive(get(1)));
  peer.sent();
  auto& stream = peer.streams[0];
  const Header link[] = {{"link", "</a>"}, {"connection", "x"}};
  H2Interim first{.status = 103, .fields = link}, second{.status = 150}, late{.status = 103};
  peer.session->inform(stream, first);
  peer.session->inform(stream, second);
  peer.answer(stream, "page");
  peer.session->inform(stream, late);
  const auto said = frames_of(peer.sent());
  ASSERT_EQ(said.size(), 4u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(said[i].type, kHeaders);
    EXPECT_EQ(said[i].flags, kEndHeaders);
  }
  EXPECT_NE(said[0].payload.find("103"), std::string::npos);
  EXPECT_NE(said[1].payload.find("150"), std::string::npos);
  EXPECT_EQ(said[3].type, kData);
}

}  // namespace
}  // namespace plimsoll::http
