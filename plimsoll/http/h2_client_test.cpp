#include "plimsoll/http/h2_client.hpp"

#include "plimsoll/http/h2_frames.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace plimsoll::http {
namespace {

using namespace frames;

std::string status(std::string_view code, std::string_view more = {}) {
  return literal(":status", code) + std::string(more);
}
std::string answer(std::uint32_t stream, std::string_view code = "200", std::string_view more = {}, bool end = false) {
  return frame(kHeaders, kEndHeaders | (end ? kEndStream : 0), stream, status(code, more));
}
std::string data(std::uint32_t stream, std::string_view text, bool end = false) {
  return frame(kData, end ? kEndStream : 0, stream, text);
}
std::string setting(int id, std::uint32_t value) { return std::string{'\0', static_cast<char>(id)} + number(value); }

/// The client's side with everything it was told.
struct Caller {
  struct Call final : H2Call {
    Caller* caller = nullptr;
    int status = 0, interim = 0, drains = 0;
    std::string fields, content, method, path, last;
    bool ended = false, over = false, gone = false, all_gone = false;
    std::size_t heads = 0;
    H2Error why = H2Error::no_error;
    void head(const H2AnswerHead& head) override {
      EXPECT_FALSE(over);
      if (head.status < 200) {
        ++interim;
        return;
      }
      ++heads;
      status = head.status;
      for (const auto& field : head.fields) fields.append(field.name).append("=").append(field.value).append("\n");
    }
    void head_written() override { gone = true; }
    void request_written() override { all_gone = true; }
    void body(Bytes piece) override {
      EXPECT_FALSE(ended || over);
      content += as_text(piece);
    }
    void body_ended() override {
      EXPECT_FALSE(ended);
      ended = true;
    }
    void trailers(std::span<const Header> behind) override {
      EXPECT_FALSE(ended);
      for (const auto& field : behind) last.append(field.name).append("=").append(field.value).append("\n");
    }
    void drained() override { ++drains; }
    void closed(H2Error error) override {
      EXPECT_FALSE(over);
      over = true, why = error;
    }
  };
  H2Options options;
  std::deque<Call> calls;
  std::unique_ptr<H2ClientSession> session;
  Nanoseconds now = kSecond;

  explicit Caller(H2Options o = {}) : options(o), session(std::make_unique<H2ClientSession>(o)) {}

  Call& call(std::string_view method = "GET", std::string_view path = "/", bool content = false,
             std::span<const Header> fields = {}) {
    auto& made = calls.emplace_back();
    made.caller = this;
    made.method = method, made.path = path;
    session->request(
        made,
        {.method = made.method, .scheme = "http", .authority = "example.com", .path = made.path, .fields = fields},
        content);
    return made;
  }
  bool receive(std::string_view bytes) { return session->receive(plimsoll::as_bytes(bytes), now); }
  bool greet(std::string_view settings = {}) { return receive(frame(kSettings, 0, 0, settings)); }
  std::string sent(std::size_t limit = 1 << 20) {
    std::string out;
    session->gather(out, limit);
    return out;
  }
  std::vector<Frame> said(int type) {
    const auto bytes = sent();
    std::string_view rest = bytes;
    if (rest.starts_with(kH2Preface)) rest.remove_prefix(kH2Preface.size());
    auto all = take_frames(rest);
    EXPECT_TRUE(rest.empty());
    std::erase_if(all, [&](const Frame& f) { return f.type != type; });
    return all;
  }
};

/// Our own server on the other side: what one writes the other reads.
struct Server final : H2Requests {
  struct Stream final : H2Stream {
    std::string method, path, authority, fields, content;
    bool ended = false, over = false;
    H2Error why = H2Error::no_error;
    std::string body_text;
    void body(Bytes piece) override { content += as_text(piece); }
    void body_ended() override { ended = true; }
    void drained() override {}
    void closed(H2Error error) override { over = true, why = error; }
  };
  Arena arena;
  std::deque<Stream> streams;
  H2Options options;
  H2Session session;
  explicit Server(H2Options o = {}) : options(o), session(options, *this) {}
  H2Stream* request(const H2Head& head) override {
    auto& s = streams.emplace_back();
    s.method = head.method, s.path = head.path, s.authority = head.authority, s.ended = head.ended;
    for (auto& field : head.fields) s.fields.append(field.name).append("=").append(field.value).append("\n");
    return &s;
  }
  void answer(Stream& s, std::string text) {
    Headers headers{arena};
    headers.add("content-type", "text/plain");
    s.body_text = std::move(text);
    session.respond(s, 200, headers, {}, !s.body_text.empty());
    if (!s.body_text.empty()) session.supply(s, plimsoll::as_bytes(s.body_text), true);
  }
};

TEST(H2Client, BeginsWithThePrefaceAndItsSettings) {
  Caller caller;
  const auto bytes = caller.sent();
  ASSERT_TRUE(bytes.starts_with(kH2Preface));
  std::string_view rest = bytes;
  rest.remove_prefix(kH2Preface.size());
  const auto said = take_frames(rest);
  ASSERT_FALSE(said.empty());
  EXPECT_EQ(said[0].type, kSettings);
  EXPECT_EQ(said[0].payload.substr(0, 6), setting(2, 0));  // nothing is to be pushed
}

TEST(H2Client, ARequestGoesAndItsAnswerComes) {
  Caller caller;
  const Header fields[] = {{"X-Trace", "1"}, {"connection", "close"}, {"authorization", "secret"}};
  auto& call = caller.call("GET", "/a?b=1", false, fields);
  EXPECT_FALSE(call.gone);
  Server server;
  ASSERT_TRUE(server.session.receive(plimsoll::as_bytes(caller.sent()), kSecond));
  EXPECT_TRUE(call.gone);
  EXPECT_TRUE(call.all_gone);
  ASSERT_EQ(server.streams.size(), 1u);
  EXPECT_EQ(server.streams[0].method, "GET");
  EXPECT_EQ(server.streams[0].path, "/a?b=1");
  EXPECT_EQ(server.streams[0].authority, "example.com");
  EXPECT_EQ(server.streams[0].fields, "x-trace=1\nauthorization=secret\n");
  server.answer(server.streams[0], "hello");
  std::string out;
  server.session.gather(out, 1 << 20);
  ASSERT_TRUE(caller.receive(out));
  EXPECT_EQ(call.status, 200);
  EXPECT_EQ(call.fields, "content-type=text/plain\n");
  EXPECT_EQ(call.content, "hello");
  EXPECT_TRUE(call.ended);
  EXPECT_TRUE(call.over);
  EXPECT_EQ(call.why, H2Error::no_error);
  EXPECT_EQ(caller.session->open(), 0u);
}

TEST(H2Client, SecretsStayOutOfTheTable) {
  Caller caller;
  const Header fields[] = {{"authorization", "Bearer abc"}, {"cookie", "session=abc"}, {"x-other", "abc"}};
  std::string first, second;
  for (auto* text : {&first, &second}) {
    caller.call("GET", "/", false, fields);
    *text = caller.said(kHeaders).at(0).payload;
  }
  for (const auto* secret : {"Bearer abc", "session=abc"}) EXPECT_NE(second.find(secret), second.npos);
  EXPECT_EQ(second.find("x-other"), second.npos);
  // Never indexed (RFC 7541, section 6.2.3): 0001 and the index of the name, above 14.
  EXPECT_NE(second.find("\x1f\x08"), second.npos);
}

TEST(H2Client, AnyCutOfAnAnswerIsTheSameAnswer) {
  const auto whole = frame(kSettings, 0, 0, setting(3, 7)) + frame(kSettings, kAck, 0, "") +
                     frame(kHeaders, kEndHeaders, 1, status("103", literal("link", "</a>"))) +
                     frame(kHeaders, 0, 1, status("200")) +
                     frame(kContinuation, kEndHeaders, 1, literal("content-length", "9")) +
                     frame(kData, 8, 1, std::string("\3hello\0\0\0", 9)) + frame(kPing, 0, 0, "12345678") +
                     data(1, "you") + data(1, "!", true) + frame(kGoaway, 0, 0, number(1) + number(0) + "bye");
  for (std::size_t cut = 1; cut < whole.size(); ++cut) {
    Caller caller;
    auto& call = caller.call();
    caller.sent();
    ASSERT_TRUE(caller.receive(whole.substr(0, cut)));
    ASSERT_TRUE(caller.receive(std::string_view(whole).substr(cut)));
    ASSERT_EQ(call.status, 200) << cut;
    ASSERT_EQ(call.interim, 1) << cut;
    ASSERT_EQ(call.content, "helloyou!") << cut;
    ASSERT_TRUE(call.ended && call.over) << cut;
    ASSERT_EQ(caller.session->limit(), 7u) << cut;
    ASSERT_FALSE(caller.session->usable()) << cut;
  }
  for (const std::size_t size : {1u, 2u, 3u, 5u, 8u}) {
    Caller caller;
    auto& call = caller.call();
    caller.sent();
    for (std::size_t at = 0; at < whole.size(); at += size) ASSERT_TRUE(caller.receive(whole.substr(at, size)));
    EXPECT_EQ(call.content, "helloyou!") << size;
    EXPECT_EQ(call.why, H2Error::no_error);
  }
}

TEST(H2Client, TheBodyOfARequestWaitsForTheWindows) {
  Caller caller;
  ASSERT_TRUE(caller.greet(setting(4, 1000)));
  const std::string content(5000, 'x');
  auto& call = caller.call("POST", "/", true);
  caller.session->supply(call, plimsoll::as_bytes(content), true);
  const auto went = [&] {
    std::size_t size = 0;
    for (const auto& f : caller.said(kData)) size += f.payload.size();
    return size;
  };
  EXPECT_EQ(went(), 1000u);
  EXPECT_EQ(went(), 0u);
  EXPECT_FALSE(call.all_gone);
  ASSERT_TRUE(caller.receive(frame(kWindow, 0, 1, number(500))));
  EXPECT_EQ(went(), 500u);
  // A larger first window is more for streams that are open; a smaller one may make theirs negative.
  ASSERT_TRUE(caller.greet(setting(4, 3000)));
  EXPECT_EQ(went(), 2000u);
  ASSERT_TRUE(caller.greet(setting(4, 1000)));
  ASSERT_TRUE(caller.receive(frame(kWindow, 0, 1, number(2000))));
  EXPECT_EQ(went(), 0u);
  ASSERT_TRUE(caller.receive(frame(kWindow, 0, 1, number(10000))));
  EXPECT_EQ(went(), 1500u);
  EXPECT_TRUE(call.all_gone);
  EXPECT_FALSE(call.over);
  ASSERT_TRUE(caller.receive(answer(1, "204", {}, true)));
  EXPECT_TRUE(call.over);
}

TEST(H2Client, TheWindowOfTheConnectionIsSharedByAllStreams) {
  Caller caller;
  ASSERT_TRUE(caller.greet(setting(4, 1 << 20)));
  const std::string content(60'000, 'x');
  for (int i = 0; i < 2; ++i) {
    auto& call = caller.call("POST", "/", true);
    caller.session->supply(call, plimsoll::as_bytes(content), true);
  }
  std::size_t size = 0;
  for (const auto& f : caller.said(kData)) size += f.payload.size();
  EXPECT_EQ(size, 65'535u);
  ASSERT_TRUE(caller.receive(frame(kWindow, 0, 0, number(1 << 20))));
  for (const auto& f : caller.said(kData)) size += f.payload.size();
  EXPECT_EQ(size, 120'000u);
}

TEST(H2Client, GivesBackTheWindowOnlyAsTheAnswerIsRead) {
  Caller caller({.stream_window = 8192, .connection_window = 1 << 20});
  auto& call = caller.call();
  ASSERT_TRUE(caller.greet());
  ASSERT_TRUE(caller.receive(frame(kSettings, kAck, 0, "")));
  caller.sent();
  ASSERT_TRUE(caller.receive(answer(1) + data(1, std::string(8192, 'x'))));
  EXPECT_TRUE(caller.said(kWindow).empty());
  caller.session->consumed(call, 8192);
  const auto windows = caller.said(kWindow);
  ASSERT_EQ(windows.size(), 1u);
  EXPECT_EQ(windows[0].stream, 1u);
  EXPECT_EQ(windows[0].code(), 8192u);
  // More than the window is an error of that stream alone.
  auto& other = caller.call();
  caller.sent();
  ASSERT_TRUE(caller.receive(data(1, std::string(8192, 'x')) + data(1, "x")));
  EXPECT_EQ(call.why, H2Error::flow_control_error);
  EXPECT_EQ(caller.said(kReset).at(0).code(), 3u);
  ASSERT_TRUE(caller.receive(answer(3, "200", {}, true)));
  EXPECT_TRUE(other.ended);
}

TEST(H2Client, WhatGoawayLeavesOutWasNotProcessed) {
  Caller caller;
  ASSERT_TRUE(caller.greet());
  auto &first = caller.call(), &second = caller.call("POST"), &third = caller.call();
  caller.sent();
  auto& unsent = caller.call();
  ASSERT_TRUE(caller.receive(frame(kGoaway, 0, 0, number(1) + number(0))));
  EXPECT_FALSE(first.over);
  for (const auto* call : {&second, &third, &unsent}) {
    EXPECT_TRUE(call->over);
    EXPECT_EQ(call->why, H2Error::refused_stream);
  }
  EXPECT_FALSE(caller.session->usable());
  EXPECT_FALSE(caller.session->has_room());
  ASSERT_TRUE(caller.receive(answer(1) + data(1, "still", true)));
  EXPECT_EQ(first.content, "still");
  EXPECT_EQ(first.why, H2Error::no_error);
  EXPECT_EQ(caller.session->open(), 0u);
  // In two steps, as servers drain (section 6.8); the second says no more than the first.
  Caller drained;
  ASSERT_TRUE(drained.greet());
  auto &kept = drained.call(), &late = drained.call();
  drained.sent();
  ASSERT_TRUE(drained.receive(frame(kGoaway, 0, 0, number(0x7fffffff) + number(0))));
  EXPECT_FALSE(late.over);
  ASSERT_TRUE(drained.receive(frame(kGoaway, 0, 0, number(1) + number(0))));
  EXPECT_TRUE(late.over);
  EXPECT_FALSE(kept.over);
  EXPECT_FALSE(drained.receive(frame(kGoaway, 0, 0, number(3) + number(0))));
}

TEST(H2Client, AResetEndsOneCall) {
  Caller caller;
  ASSERT_TRUE(caller.greet());
  auto &refused = caller.call("POST"), &cancelled = caller.call(), &half = caller.call(), &good = caller.call();
  caller.sent();
  ASSERT_TRUE(caller.receive(frame(kReset, 0, 1, number(7)) + frame(kReset, 0, 3, number(8)) + answer(5) +
                             data(5, "some") + frame(kReset, 0, 5, number(0)) + answer(7, "200", {}, true)));
  EXPECT_EQ(refused.why, H2Error::refused_stream);
  EXPECT_EQ(cancelled.why, H2Error::cancel);
  EXPECT_TRUE(half.over);
  EXPECT_FALSE(half.ended);
  EXPECT_NE(half.why, H2Error::no_error);
  EXPECT_TRUE(good.ended);
}

TEST(H2Client, AnAbandonedCallIsResetAndWhatStillComesIsPassedOver) {
  Caller caller({.connection_window = 64 << 10});
  ASSERT_TRUE(caller.greet());
  auto &call = caller.call(), &other = caller.call();
  caller.sent();
  ASSERT_TRUE(caller.receive(answer(1)));
  caller.session->abandon(call, H2Error::cancel);
  EXPECT_TRUE(call.over);
  const auto resets = caller.said(kReset);
  ASSERT_EQ(resets.size(), 1u);
  EXPECT_EQ(resets[0].code(), 8u);
  // Its content counts against the window of the connection, which is given back.
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(caller.receive(data(1, std::string(16384, 'x'))));
    caller.sent();
  }
  ASSERT_TRUE(caller.receive(frame(kHeaders, kEndHeaders | kEndStream, 1, literal("x-trailer", "1"))));
  ASSERT_TRUE(caller.receive(answer(3) + data(3, "fine", true)));
  EXPECT_EQ(other.content, "fine");
  // One that was never sent leaves without a word.
  auto& unsent = caller.call();
  caller.session->abandon(unsent, H2Error::cancel);
  EXPECT_TRUE(caller.said(kReset).empty());
  auto& next = caller.call();
  EXPECT_EQ(caller.said(kHeaders).at(0).stream, 7u);
  ASSERT_TRUE(caller.receive(answer(7, "200", {}, true)));
  EXPECT_TRUE(next.ended);
}

TEST(H2Client, AnAnswerBeforeTheEndOfTheRequestEndsBoth) {
  Caller caller;
  ASSERT_TRUE(caller.greet());
  auto& call = caller.call("PUT", "/", true);
  const std::string piece(100, 'x');
  caller.session->supply(call, plimsoll::as_bytes(piece), false);
  caller.sent();
  EXPECT_EQ(call.drains, 1);
  ASSERT_TRUE(caller.receive(answer(1, "413", {}, true) + frame(kReset, 0, 1, number(0))));
  EXPECT_EQ(call.status, 413);
  EXPECT_TRUE(call.ended);
  EXPECT_EQ(call.why, H2Error::no_error);
  EXPECT_EQ(caller.said(kReset).size(), 1u);
}

TEST(H2Client, OpensNoMoreThanBothSidesPermit) {
  Caller caller({.streams = 3});
  EXPECT_EQ(caller.session->limit(), 3u);
  ASSERT_TRUE(caller.greet(setting(3, 2)));
  EXPECT_EQ(caller.session->limit(), 2u);
  caller.call();
  EXPECT_TRUE(caller.session->has_room());
  caller.call();
  EXPECT_FALSE(caller.session->has_room());
  EXPECT_TRUE(caller.session->usable());
  caller.sent();
  ASSERT_TRUE(caller.receive(answer(1, "200", {}, true)));
  EXPECT_TRUE(caller.session->has_room());
  ASSERT_TRUE(caller.greet(setting(3, 0)));
  EXPECT_FALSE(caller.session->has_room());
}

TEST(H2Client, HeadRequestsAndBodilessStatusesHaveNoContent) {
  Caller caller;
  ASSERT_TRUE(caller.greet());
  auto &head = caller.call("HEAD"), &unchanged = caller.call(), &wrong = caller.call("HEAD");
  caller.sent();
  ASSERT_TRUE(caller.receive(answer(1, "200", literal("content-length", "5"), true)));
  EXPECT_TRUE(head.ended);
  ASSERT_TRUE(caller.receive(answer(3, "304", literal("content-length", "5")) + data(3, "", true)));
  EXPECT_TRUE(unchanged.ended);
  ASSERT_TRUE(caller.receive(answer(5, "200", literal("content-length", "5")) + data(5, "hello", true)));
  EXPECT_FALSE(wrong.ended);
  EXPECT_EQ(wrong.why, H2Error::protocol_error);
}

struct Malformed {
  const char* name;
  std::string bytes;
  std::uint32_t code;  ///< of GOAWAY
};

TEST(H2Client, WhatIsMalformedEndsTheStream) {
  const std::pair<const char*, std::string> cases[] = {
      {"no status", frame(kHeaders, kEndHeaders, 1, literal("x", "y"))},
      {"two statuses", frame(kHeaders, kEndHeaders, 1, status("200") + status("200"))},
      {"a status behind a field", frame(kHeaders, kEndHeaders, 1, literal("x", "y") + status("200"))},
      {"a status that is none", frame(kHeaders, kEndHeaders, 1, status("20"))},
      {"a status that is above all", frame(kHeaders, kEndHeaders, 1, status("600"))},
      {"a status of letters", frame(kHeaders, kEndHeaders, 1, status("2xx"))},
      {"a pseudo-header of a request", frame(kHeaders, kEndHeaders, 1, status("200") + literal(":path", "/"))},
      {"upper case", answer(1, "200", literal("X-A", "1"))},
      {"a field of the connection", answer(1, "200", literal("connection", "close"))},
      {"a transfer coding", answer(1, "200", literal("transfer-encoding", "chunked"))},
      {"a line end in a value", answer(1, "200", literal("x", "a\r\nb: c"))},
      {"two lengths", answer(1, "200", literal("content-length", "1") + literal("content-length", "1"))},
      {"no length", answer(1, "200", literal("content-length", "x"))},
      {"shorter than it says", answer(1, "200", literal("content-length", "5")) + data(1, "abc", true)},
      {"longer than it says", answer(1, "200", literal("content-length", "2")) + data(1, "abc")},
      {"a length and no content", answer(1, "200", literal("content-length", "2"), true)},
      {"content before the head", data(1, "abc")},
      {"another protocol", answer(1, "101")},
      {"an interim answer as the end", answer(1, "103", {}, true)},
      {"trailers that do not end it", answer(1) + frame(kHeaders, kEndHeaders, 1, literal("x", "y"))},
      {"a pseudo-header in trailers", answer(1) + frame(kHeaders, kEndHeaders | kEndStream, 1, status("200"))},
      {"more fields than were told", answer(1, "200",
                                            [] {
                                              std::string many;
                                              for (int i = 0; i < 200; ++i)
                                                many += literal("x-" + std::to_string(i), "y");
                                              return many;
                                            }())},
  };
  for (const auto& [name, bytes] : cases) {
    Caller caller({.header_count = 100});
    auto &call = caller.call(), &other = caller.call();
    ASSERT_TRUE(caller.greet());
    caller.sent();
    ASSERT_TRUE(caller.receive(bytes)) << name;
    EXPECT_TRUE(call.over) << name;
    EXPECT_FALSE(call.ended) << name;
    EXPECT_EQ(call.why, H2Error::protocol_error) << name;
    EXPECT_EQ(caller.said(kReset).size(), 1u) << name;
    ASSERT_TRUE(caller.receive(answer(3, "200", {}, true))) << name;
    EXPECT_TRUE(other.ended) << name;
  }
}

TEST(H2Client, WhatBreaksTheConnectionEndsItWithGoaway) {
  const std::string settings = frame(kSettings, 0, 0, "");
  const Malformed cases[] = {
      {"no settings", answer(1), 1},
      {"settings that are an acknowledgement", frame(kSettings, kAck, 0, ""), 1},
      {"push", settings + frame(5, kEndHeaders, 1, number(2) + literal(":method", "GET")), 1},
      {"a stream of the server", settings + answer(2), 1},
      {"a stream that was not opened", settings + answer(5), 1},
      {"content of a stream that was not opened", settings + data(5, "x"), 1},
      {"a reset of a stream that was not opened", settings + frame(kReset, 0, 5, number(8)), 1},
      {"push enabled by the server", frame(kSettings, 0, 0, setting(2, 1)), 1},
      {"a window that is too large", settings + frame(kWindow, 0, 0, number(0x7fffffff)), 3},
      {"a first window that is too large", frame(kSettings, 0, 0, setting(4, 0x80000000)), 3},
      {"a frame that is too long", settings + frame(kData, 0, 1, std::string(16385, 'x')), 6},
      {"settings of a wrong length", frame(kSettings, 0, 0, "12345"), 6},
      {"a ping of a wrong length", settings + frame(kPing, 0, 0, "1234567"), 6},
      {"a goodbye of a wrong length", settings + frame(kGoaway, 0, 0, "1234567"), 6},
      {"padding longer than the frame",
       settings + answer(1) +
           frame(kData, 8, 1,
                 "\x05"
                 "abc"),
       1},
      {"padding longer than the head",
       settings + frame(kHeaders, 8 | kEndHeaders, 1,
                        "\x7f"
                        "abc"),
       1},
      {"no HPACK", settings + frame(kHeaders, kEndHeaders, 1, "\xff\xff\xff\xff\xff"), 9},
      {"a frame within a header block", settings + frame(kHeaders, 0, 1, status("200")) + data(1, "x"), 1},
      {"a continuation of nothing", settings + frame(kContinuation, kEndHeaders, 1, ""), 1},
  };
  for (const auto& each : cases) {
    Caller caller;
    auto& call = caller.call();
    caller.sent();
    EXPECT_FALSE(caller.receive(each.bytes)) << each.name;
    const auto goodbye = caller.said(kGoaway);
    ASSERT_EQ(goodbye.size(), 1u) << each.name;
    EXPECT_EQ(goodbye[0].code(4), each.code) << each.name;
    EXPECT_FALSE(caller.session->usable()) << each.name;
    EXPECT_FALSE(caller.session->complaint().empty()) << each.name;
    EXPECT_FALSE(call.ended) << each.name;
    EXPECT_FALSE(caller.receive(answer(1))) << each.name;
    caller.session->abandon(call, H2Error::cancel);
    EXPECT_TRUE(call.over);
  }
}

TEST(H2Client, FloodsEndTheConnection) {
  const auto floods = [](const std::string& first, const std::string& piece, const char* name) {
    Caller caller;
    caller.call();
    ASSERT_TRUE(caller.greet());
    caller.sent();
    bool alive = caller.receive(first);
    int sent = 0;
    for (; alive && sent < 20'000; ++sent) {
      alive = caller.receive(piece);
      if (alive && sent % 16 == 0) caller.sent();
    }
    EXPECT_FALSE(alive) << name;
    EXPECT_EQ(caller.said(kGoaway).at(0).code(4), 11u) << name;
  };
  floods({}, frame(kPing, 0, 0, "12345678"), "ping");
  floods({}, frame(kSettings, 0, 0, ""), "settings");
  floods({}, frame(kPriority, 0, 1, std::string(5, '\0')), "priority");
  floods({}, frame(0x42, 0, 0, ""), "unknown frames");
  floods({}, frame(kWindow, 0, 0, number(1)), "window updates");
  floods(answer(1), data(1, ""), "empty content");
  floods(frame(kHeaders, 0, 1, status("200")), frame(kContinuation, 0, 1, literal("x", "y")), "continuation");
  floods(frame(kHeaders, 0, 1, status("200")), frame(kContinuation, 0, 1, std::string(10'000, '\0')), "a long block");
  floods(answer(1, "200", {}, true), answer(1, "200", {}, true), "heads of a call that is over");
}

TEST(H2Client, InterimAnswersAreBounded) {
  Caller caller;
  auto& call = caller.call();
  ASSERT_TRUE(caller.greet());
  caller.sent();
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(caller.receive(answer(1, "100")));
  EXPECT_EQ(call.interim, 32);
  EXPECT_EQ(call.why, H2Error::protocol_error);
}

TEST(H2Client, FieldsBehindTheContentAreTold) {
  Caller caller;
  auto &call = caller.call(), &empty = caller.call();
  ASSERT_TRUE(caller.greet());
  caller.sent();
  ASSERT_TRUE(caller.receive(
      answer(1) + data(1, "x") +
      frame(kHeaders, kEndHeaders | kEndStream, 1, literal("grpc-status", "0") + literal("grpc-message", "fine"))));
  EXPECT_EQ(call.last, "grpc-status=0\ngrpc-message=fine\n");
  EXPECT_EQ(call.content, "x");
  EXPECT_EQ(call.why, H2Error::no_error);
  ASSERT_TRUE(caller.receive(answer(3) + frame(kHeaders, kEndHeaders | kEndStream, 3, literal("grpc-status", "5"))));
  EXPECT_EQ(empty.last, "grpc-status=5\n");
  EXPECT_TRUE(empty.ended);
}

TEST(H2Client, FieldsBehindTheContentOfAnAnswerGo) {
  Caller caller;
  auto& call = caller.call();
  Server server;
  ASSERT_TRUE(server.session.receive(plimsoll::as_bytes(caller.sent()), kSecond));
  auto& stream = server.streams.at(0);
  const Header behind[] = {{"grpc-status", "0"}, {"X-Sum", "abc"}, {"connection", "close"}};
  const std::string content(70'000, 'x');
  server.session.respond(stream, 200, Headers{server.arena}, {}, true);
  server.session.trail(stream, behind);
  server.session.supply(stream, plimsoll::as_bytes(content), true);
  std::string out;
  for (int turn = 0; turn < 10 && !stream.over; ++turn) {
    out.clear();
    server.session.gather(out, 1 << 20);
    ASSERT_TRUE(caller.receive(out));
    caller.session->consumed(call, 1 << 20);
    ASSERT_TRUE(server.session.receive(plimsoll::as_bytes(caller.sent()), kSecond));
  }
  EXPECT_TRUE(stream.over);
  EXPECT_EQ(stream.why, H2Error::no_error);
  EXPECT_EQ(call.content.size(), content.size());
  EXPECT_EQ(call.last, "grpc-status=0\nx-sum=abc\n");
  EXPECT_TRUE(call.ended);
}

TEST(H2Client, AsksForASignOfLife) {
  Caller caller;
  ASSERT_TRUE(caller.greet());
  caller.sent();
  caller.session->ping();
  const auto pings = caller.said(kPing);
  ASSERT_EQ(pings.size(), 1u);
  ASSERT_TRUE(caller.receive(frame(kPing, kAck, 0, "another.")));
  EXPECT_EQ(caller.session->pongs(), 0u);
  ASSERT_TRUE(caller.receive(frame(kPing, kAck, 0, pings[0].payload)));
  EXPECT_EQ(caller.session->pongs(), 1u);
  ASSERT_TRUE(caller.receive(frame(kPing, 0, 0, "theirs..")));
  const auto answered = caller.said(kPing);
  ASSERT_EQ(answered.size(), 1u);
  EXPECT_EQ(answered[0].flags, kAck);
  EXPECT_EQ(answered[0].payload, "theirs..");
}

/// Both halves of this library against each other, with bytes cut anywhere and windows of any size.
TEST(H2Client, AgreesWithOurServerWhateverIsCutAndHowever) {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoi(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  std::mt19937 random{seed};
  const auto below = [&](std::size_t most) { return std::uniform_int_distribution<std::size_t>(0, most)(random); };
  for (int round = 0; round < 100; ++round) {
    SCOPED_TRACE(round);
    Server server({.streams = 8,
                   .stream_window = static_cast<std::uint32_t>(1 + below(70'000)),
                   .connection_window = static_cast<std::uint32_t>(65'535 + below(100'000))});
    Caller caller({.streams = 8,
                   .stream_window = static_cast<std::uint32_t>(1 + below(70'000)),
                   .connection_window = static_cast<std::uint32_t>(65'535 + below(100'000))});
    struct Story {
      std::string path, sends, gets;
    };
    std::deque<Story> stories;
    std::size_t begun = 0;
    const std::size_t calls = 1 + below(20);
    for (std::size_t i = 0; i < calls; ++i) {
      auto& story = stories.emplace_back();
      story.path = "/" + std::to_string(i);
      for (auto* text : {&story.sends, &story.gets})
        if (below(2)) text->assign(below(40'000), static_cast<char>('a' + i % 26));
    }
    std::string to_server, to_client;
    Nanoseconds now = kSecond;
    const auto pass = [&](std::string& bytes, auto& session) {
      const auto size = std::min(bytes.size(), 1 + below(9000));
      ASSERT_TRUE(session.receive(plimsoll::as_bytes(std::string_view(bytes).substr(0, size)), now += kMillisecond))
          << session.complaint();
      bytes.erase(0, size);
    };
    for (int turn = 0; turn < 100'000; ++turn) {
      while (begun < calls && caller.session->has_room() && below(2)) {
        auto& story = stories[begun++];
        auto& call = caller.call(story.sends.empty() ? "GET" : "POST", story.path, !story.sends.empty());
        if (!story.sends.empty()) caller.session->supply(call, plimsoll::as_bytes(story.sends), true);
      }
      caller.session->gather(to_server, 1 + below(20'000));
      if (!to_server.empty()) pass(to_server, server.session);
      if (::testing::Test::HasFatalFailure()) return;
      for (auto& stream : server.streams) {
        server.session.consumed(stream, stream.content.size());
        if (!stream.ended || !stream.body_text.empty() || stream.over || stream.sent() || !stream.id()) continue;
        auto& story = stories[static_cast<std::size_t>(std::atoi(stream.path.c_str() + 1))];
        EXPECT_EQ(stream.content.size(), story.sends.size());
        EXPECT_TRUE(stream.content == story.sends);
        server.answer(stream, story.gets);
      }
      server.session.gather(to_client, 1 + below(20'000));
      if (!to_client.empty()) pass(to_client, *caller.session);
      if (::testing::Test::HasFatalFailure()) return;
      for (auto& call : caller.calls) caller.session->consumed(call, call.content.size());
      if (begun == calls && caller.session->open() == 0) break;
    }
    ASSERT_EQ(begun, calls);
    for (std::size_t i = 0; i < calls; ++i) {
      EXPECT_TRUE(caller.calls[i].ended);
      EXPECT_EQ(caller.calls[i].why, H2Error::no_error);
      EXPECT_TRUE(caller.calls[i].content == stories[i].gets);
    }
  }
}

/// One that asks for a WebSocket.
Caller::Call& tunnel(Caller& caller) {
  auto& made = caller.calls.emplace_back();
  made.caller = &caller;
  caller.session->request(
      made, {.method = "CONNECT", .scheme = "http", .authority = "a", .path = "/chat", .protocol = "websocket"}, true);
  return made;
}

TEST(H2Client, KnowsWhetherAnExtendedConnectIsTaken) {
  Caller taking, other;
  EXPECT_FALSE(taking.session->settled());
  ASSERT_TRUE(taking.greet(setting(8, 1)) && other.greet());
  EXPECT_TRUE(taking.session->settled() && other.session->settled());
  EXPECT_TRUE(taking.session->connects());
  EXPECT_FALSE(other.session->connects());
  EXPECT_FALSE(taking.receive(frame(kSettings, 0, 0, setting(8, 0))))
      << "it may not be taken back (RFC 8441, section 3)";
  EXPECT_FALSE(other.receive(frame(kSettings, 0, 0, setting(8, 2))));
}

TEST(H2Client, ATunnelPassesBothWaysAndEachSideEndsByItself) {
  for (const bool we_first : {true, false}) {
    Caller caller;
    Server server{{.extended_connect = true}};
    auto& call = tunnel(caller);
    const auto pass = [&] {
      ASSERT_TRUE(server.session.receive(plimsoll::as_bytes(caller.sent()), kSecond));
      std::string out;
      server.session.gather(out, 1 << 20);
      ASSERT_TRUE(caller.receive(out));
    };
    pass();
    ASSERT_EQ(server.streams.size(), 1u);
    auto& stream = server.streams[0];
    EXPECT_EQ(stream.method, "CONNECT");
    EXPECT_EQ(stream.path, "/chat");
    Headers headers{server.arena};
    server.session.respond(stream, 200, headers, {}, true);
    server.session.supply(stream, plimsoll::as_bytes("from there"), false);
    caller.session->supply(call, plimsoll::as_bytes("from here"), false);
    pass();
    pass();
    EXPECT_EQ(call.status, 200);
    EXPECT_EQ(call.content, "from there");
    EXPECT_EQ(stream.content, "from here");
    const auto we = [&] { caller.session->supply(call, {}, true); };
    const auto they = [&] { server.session.finish(stream); };
    we_first ? we() : they();
    pass();
    pass();
    EXPECT_FALSE(call.over || stream.over);
    EXPECT_EQ(call.ended, !we_first);
    EXPECT_EQ(stream.ended, we_first);
    we_first ? they() : we();
    pass();
    pass();
    EXPECT_TRUE(call.over && stream.over);
    EXPECT_EQ(call.why, H2Error::no_error);
    EXPECT_EQ(stream.why, H2Error::no_error);
  }
}

TEST(H2Client, ATunnelThatIsRefusedIsAnAnswerLikeAnyOther) {
  Caller caller;
  ASSERT_TRUE(caller.greet(setting(8, 1)));
  auto& call = tunnel(caller);
  caller.sent();
  ASSERT_TRUE(caller.receive(answer(1, "403", literal("content-length", "2")) + data(1, "no", true)));
  EXPECT_EQ(call.status, 403);
  EXPECT_EQ(call.content, "no");
  EXPECT_TRUE(call.over);
  EXPECT_EQ(caller.said(kReset).size(), 1u) << "its own side is still open";
}

TEST(H2Client, ALengthSaysNothingOfATunnelAndNoFieldsFollowIt) {
  Caller caller;
  ASSERT_TRUE(caller.greet(setting(8, 1)));
  auto& call = tunnel(caller);
  caller.sent();
  ASSERT_TRUE(caller.receive(answer(1, "200", literal("content-length", "2")) + data(1, "hello")));
  EXPECT_EQ(call.content, "hello");
  ASSERT_TRUE(caller.receive(frame(kHeaders, kEndHeaders | kEndStream, 1, literal("x", "y"))));
  EXPECT_EQ(call.why, H2Error::protocol_error);
}

TEST(H2Client, FieldsFollowTheContentOfARequest) {
  for (const std::string_view content : {"hello", ""}) {
    Caller caller;
    ASSERT_TRUE(caller.greet());
    const Header behind[] = {{"x-sum", "f00"}};
    auto& call = caller.call("POST", "/", true);
    caller.session->trail(call, behind);
    caller.session->supply(call, plimsoll::as_bytes(content), true);
    const auto heads = caller.said(kHeaders);
    ASSERT_EQ(heads.size(), 2u);
    EXPECT_EQ(heads[0].flags, kEndHeaders);
    EXPECT_EQ(heads[1].flags, kEndHeaders | kEndStream);
    EXPECT_TRUE(call.all_gone);
  }
}

}  // namespace
}  // namespace plimsoll::http
