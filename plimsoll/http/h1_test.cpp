#include "plimsoll/http/field_block.hpp"
#include "plimsoll/http/h1_drive.hpp"
#include "plimsoll/http/h1_refused_cases.hpp"
#include "plimsoll/http/h1_response.hpp"
#include "plimsoll/http/h1_served_cases.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

namespace plimsoll::h1 {
namespace {

/// In one piece, byte by byte, and in random cuts: the same.
template <class Expect>
void in_all_cuts(const std::string& name, const std::string& bytes, Expect expect) {
  const auto whole = drive(bytes);
  expect(whole);
  const std::size_t one[] = {1};
  EXPECT_EQ(drive(bytes, one), whole) << name << " byte by byte";
  const auto seed = std::random_device{}();
  std::mt19937 random{seed};
  for (int round = 0; round < 8; ++round) {
    std::vector<std::size_t> cuts(16);
    for (auto& cut : cuts) cut = 1 + random() % (round < 4 ? 9 : 1 + bytes.size());
    EXPECT_EQ(drive(bytes, cuts), whole) << name << " in cuts of seed " << seed << ", round " << round;
  }
}

TEST(Http1Machine, RefusesWhatRfc9112Forbids) {
  const auto cases = refused_cases();
  EXPECT_GE(cases.size(), 150u);
  for (const auto& each : cases) {
    in_all_cuts(each.name, each.bytes, [&](const Seen& seen) {
      EXPECT_EQ(seen.status, each.status) << each.name;
      EXPECT_TRUE(seen.messages.empty()) << each.name << ": " << seen.messages.front();
      EXPECT_EQ(seen.incomplete, each.status == 0) << each.name;
    });
  }
}

TEST(Http1Machine, ServesWhatIsOddButRight) {
  const auto cases = served_cases();
  EXPECT_GE(cases.size(), 75u);
  for (const auto& each : cases) {
    in_all_cuts(each.name, each.bytes, [&](const Seen& seen) {
      EXPECT_EQ(seen.messages, each.messages) << each.name;
      EXPECT_EQ(seen.status, 0) << each.name;
      EXPECT_FALSE(seen.incomplete) << each.name;
    });
  }
}

TEST(Http1Machine, CasesHaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (const auto& each : refused_cases()) EXPECT_TRUE(names.insert("refused/" + each.name).second) << each.name;
  for (const auto& each : served_cases()) EXPECT_TRUE(names.insert("served/" + each.name).second) << each.name;
}

Head read(const std::string& bytes) {
  Head head{{}};
  EXPECT_EQ(head.read(bytes), Head::State::complete) << bytes;
  return head;
}

TEST(Http1Machine, ConnectionSaysWhetherItStays) {
  EXPECT_TRUE(read("GET / HTTP/1.1\r\nHost: a\r\n\r\n").keep_alive);
  EXPECT_FALSE(read("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n").keep_alive);
  EXPECT_FALSE(read("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n").keep_alive);
  EXPECT_FALSE(read("GET / HTTP/1.0\r\n\r\n").keep_alive);
  EXPECT_TRUE(read("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
  EXPECT_FALSE(read("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
}

/// The host of the request before is known to be one; no other is.
TEST(Http1Machine, EveryHostOfAConnectionIsLookedAt) {
  const auto get = [](std::string_view host) { return "GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n"; };
  const std::string longer(100, 'a');
  const auto good = get("a:80") + get("a:80") + get("b") + get(longer) + get(longer) + get("b") + get("");
  EXPECT_EQ(drive(good).messages.size(), 7u);
  EXPECT_EQ(drive(good).status, 0);
  for (const std::string_view wrong : {"a:99999", "a b", "b/", "a:8x"}) {
    const auto seen = drive(good + get(wrong));
    EXPECT_EQ(seen.messages.size(), 7u) << wrong;
    EXPECT_EQ(seen.status, 400) << wrong;
  }
}

TEST(Http1Machine, TheTargetsAuthorityReplacesHost) {
  const std::string bytes = "GET http://right:81/x HTTP/1.1\r\nHost: wrong\r\n\r\n";
  EXPECT_EQ(read(bytes).authority.in(bytes), "right:81");
}

TEST(Http1Machine, OneOverALimitIsRefusedAndOneUnderIsNot) {
  const HeadLimits limits{.head = 200, .target = 20, .fields = 3};
  const auto request = [](std::size_t target, std::size_t fields, std::size_t pad) {
    std::string bytes = "GET /" + std::string(target - 1, 'a') + " HTTP/1.1\r\nHost: a\r\n";
    for (std::size_t i = 1; i < fields; ++i) bytes += "X: y\r\n";
    bytes += "\r\n";
    if (pad) bytes.insert(bytes.size() - 4, pad - bytes.size(), 'z');
    return bytes;
  };
  EXPECT_EQ(drive(request(20, 3, 0), {}, limits).status, 0);
  EXPECT_EQ(drive(request(21, 3, 0), {}, limits).status, 414);
  EXPECT_EQ(drive(request(20, 4, 0), {}, limits).status, 431);
  EXPECT_EQ(drive(request(1, 2, 199), {}, limits).status, 0);
  EXPECT_EQ(drive(request(1, 2, 201), {}, limits).status, 431);
}

TEST(Http1Machine, ABodyMayHaveAnyNumberOfChunksButNotOfNeedlessBytes) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const auto sent = [&](std::size_t chunks, const std::string& chunk, const std::string& last = "0\r\n\r\n") {
    std::string bytes = head;
    for (std::size_t i = 0; i < chunks; ++i) bytes += chunk;
    return drive(bytes + last).status;
  };
  constexpr auto kMost = BodyReader::kOverhead;
  EXPECT_EQ(sent(2 * kMost, "1\r\nx\r\n"), 0);
  EXPECT_EQ(sent(kMost / 2, "010\r\n" + std::string(16, 'x') + "\r\n"), 0) << "a zero before each";
  EXPECT_EQ(sent(4, std::string(kMost / 4, '0') + "1\r\nx\r\n"), 0);
  EXPECT_EQ(sent(5, std::string(kMost / 4, '0') + "1\r\nx\r\n"), 400) << "zeros in all";
  EXPECT_EQ(sent(1, "", std::string(kMost + 2, '0') + "\r\n\r\n"), 400);
  EXPECT_EQ(sent(kMost / 4, "1;abc\r\nx\r\n"), 0);
  EXPECT_EQ(sent(kMost / 2, "1;abc\r\nx\r\n"), 400) << "extensions in all";
}

TEST(Http1Machine, AnAnswerCannotBeSplitByItsFields) {
  Arena arena;
  Response response{.status = 200, .headers = Headers{arena}};
  response.headers.add("good", "value");
  response.headers.add("bad", "a\r\nset-cookie: b");
  response.headers.add("bad\r\nname", "x");
  response.headers.add("bad name", "x");
  response.headers.add("nul", std::string_view("\0", 1));
  response.headers.add("Content-Length", "99");
  response.headers.add("transfer-encoding", "chunked");
  response.headers.add("connection", "upgrade");
  Outbox out;
  write_head(out, response, {.size = 7, .date = "now"});
  EXPECT_EQ(out.text(), "HTTP/1.1 200 OK\r\ngood: value\r\ndate: now\r\ncontent-length: 7\r\n\r\n");
}

TEST(Http1Machine, NamesWithCapitalsArriveWholeWhateverTheirLength) {
  for (std::size_t size = 1; size <= 50; ++size)
    for (std::size_t place = 0; place < size; ++place)
      for (char c : {'A', 'Z', '_', '~'}) {
        Arena arena;
        std::string name(size, 'x');
        name[place] = c;
        Response response{.status = 200, .headers = Headers{arena}};
        response.headers.add(name, "value");
        Outbox out;
        write_head(out, response, {.length = Framed::Length::none});
        EXPECT_EQ(out.text(), "HTTP/1.1 200 OK\r\n" + name + ": value\r\n\r\n") << place << " of " << size;
      }
}

TEST(Http1Machine, ABreakIsFoundWhereverInAFieldItStands) {
  Arena arena;
  for (std::size_t size : {1, 3, 4, 7, 8, 15, 16, 17, 33})
    for (std::size_t place = 0; place < size; ++place)
      for (char c : {'\r', '\n', '\0'}) {
        std::string text(size, 'x');
        text[place] = c;
        Response response{.status = 200, .headers = Headers{arena}};
        response.headers.add("a", text);
        response.headers.add(text, "b");
        response.headers.add("c", "d");
        Outbox out;
        write_head(out, response, {});
        EXPECT_EQ(out.text(), "HTTP/1.1 200 OK\r\nc: d\r\ncontent-length: 0\r\n\r\n") << place << " of " << size;
      }
}

TEST(Http1Machine, ABlockOfFieldsIsSentBehindTheOthers) {
  Arena arena;
  FixedFields block, before;
  ASSERT_TRUE(block.add("x-frame-options", "DENY") && before.add("referrer-policy", "no-referrer"));
  block.before = &before;
  Response response{.status = 204, .headers = Headers{arena}, .block = &block};
  response.headers.add("ETag", "\"1\"");
  Outbox out;
  write_head(out, response, {.length = Framed::Length::none});
  EXPECT_EQ(out.text(),
            "HTTP/1.1 204 No Content\r\nETag: \"1\"\r\nx-frame-options: DENY\r\nreferrer-policy: no-referrer\r\n\r\n");
}

TEST(Http1Machine, AnUnknownStatusHasNoReasonPhrase) {
  Arena arena;
  const Response response{.status = 299, .headers = Headers{arena}};
  Outbox out;
  write_head(out, response, {.keep_alive = false});
  EXPECT_EQ(out.text(), "HTTP/1.1 299 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
}

/// The fields behind a chunked body, as `name=value;`, however the bytes are cut.
std::string trailers_of(const std::string& bytes, std::size_t cut) {
  BodyReader body;
  body.begin(Framing::chunked, 0);
  for (std::string_view rest = bytes; !rest.empty() && !body.complete();) {
    auto piece = rest.substr(0, cut);
    while (!piece.empty() && !body.complete()) {
      const auto step = body.read(piece);
      if (step.state == BodyReader::State::refused) return "refused";
      piece.remove_prefix(step.consumed);
      rest.remove_prefix(step.consumed);
    }
  }
  if (!body.complete()) return "incomplete";
  Arena arena;
  std::string out;
  for (const auto& [name, value] : body.trailers(arena)) out.append(name).append("=").append(value).append(";");
  return out;
}

TEST(Http1Machine, FieldsBehindABodyAreToldInAnyCuts) {
  const std::string body = "5\r\nhello\r\n0\r\n";
  std::string many;
  for (std::size_t i = 0; i <= BodyReader::kMostTrailers; ++i) many += "a: b\r\n";
  for (const std::size_t cut : {1, 2, 3, 7, 1000}) {
    EXPECT_EQ(trailers_of(body + "\r\n", cut), "");
    EXPECT_EQ(trailers_of(body + "X-Sum:f00\r\nB: \t c d \r\nEmpty:\r\n\r\n", cut), "x-sum=f00;b=c d;empty=;");
    EXPECT_EQ(trailers_of(body + "a\r\n\r\n", cut), "refused");
    EXPECT_EQ(trailers_of(body + many + "\r\n", cut), "") << "more than may be";
    EXPECT_EQ(trailers_of(body + many.substr(6) + "\r\n", cut).size(), BodyReader::kMostTrailers * 4);
  }
  BodyReader again;
  again.begin(Framing::chunked, 0);
  EXPECT_TRUE(again.read("0\r\na: b\r\n\r\n").state == BodyReader::State::complete);
  again.begin(Framing::chunked, 0);
  EXPECT_TRUE(again.read("0\r\n\r\n").state == BodyReader::State::complete);
  Arena arena;
  EXPECT_TRUE(again.trailers(arena).empty()) << "those of the body before";
}

}  // namespace
}  // namespace plimsoll::h1
