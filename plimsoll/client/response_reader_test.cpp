#include "plimsoll/client/response_reader.hpp"

#include <gtest/gtest.h>

namespace plimsoll::client {
namespace {

Answer taken(const ResponseReader& reader) {
  Arena arena;
  Headers fields{arena};
  reader.put_fields(fields);
  Answer answer{.status = reader.status()};
  for (const auto& [name, value] : fields) answer.headers.emplace_back(name, value);
  return answer;
}

/// The answer, whatever the cuts between the pieces.
Result<Answer> read(std::string_view text, std::size_t piece, bool head = false, bool ended = false) {
  ResponseReader reader{head};
  std::string body;
  while (!text.empty() && !reader.whole()) {
    auto step = reader.read(text.substr(0, piece));
    if (!step) return std::unexpected(step.error());
    body += step->data;
    text.remove_prefix(step->consumed);
  }
  if (ended)
    if (auto done = reader.end(); !done) return std::unexpected(done.error());
  if (!reader.whole()) return fail(kInternal, "not whole");
  auto answer = taken(reader);
  answer.body = std::move(body);
  return answer;
}

TEST(ResponseReader, ReadsALengthAChunkedBodyAndOneThatEndsWithTheConnectionInAnyCuts) {
  for (std::size_t piece : {1, 2, 3, 7, 1000}) {
    auto plain = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y \r\n\r\nhello", piece);
    ASSERT_TRUE(plain) << piece;
    EXPECT_EQ(plain->body, "hello");
    EXPECT_EQ(plain->find("x"), "y");
    auto chunked = read(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n",
        piece);
    ASSERT_TRUE(chunked) << piece;
    EXPECT_EQ(chunked->body, "hello");
    auto closed = read("HTTP/1.0 200 OK\r\n\r\nhello", piece, false, true);
    ASSERT_TRUE(closed) << piece;
    EXPECT_EQ(closed->body, "hello");
  }
}

TEST(ResponseReader, PassesInterimAnswersOver) {
  auto answer =
      read("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 5);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 201);
  EXPECT_EQ(answer->find("link"), "");
}

TEST(ResponseReader, SomeAnswersHaveNoBodyWhateverTheySay) {
  EXPECT_TRUE(read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 100, true));
  EXPECT_TRUE(read("HTTP/1.1 204 No Content\r\n\r\n", 100));
  EXPECT_TRUE(read("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 100));
}

TEST(ResponseReader, RefusesWhatCouldBeReadInTwoWays) {
  for (auto* text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", "HTTP/1.1 200 OK\r\n folded: c\r\n\r\n", "HTTP/1.1 99 No\r\n\r\n",
        "HTTP/2 200\r\n\r\n", "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n"}) {
    auto answer = read(text, 1000);
    ASSERT_FALSE(answer) << text;
    EXPECT_EQ(answer.error().problem, &kBadAnswer) << text;
  }
}

TEST(ResponseReader, HeadsAndTheFramingOfBodiesAreBounded) {
  EXPECT_EQ(read("HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x'), 100).error().problem, &kBadAnswer);
  EXPECT_EQ(
      read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(70'000, 'x'), 100).error().problem,
      &kBadAnswer);
}

TEST(ResponseReader, StopsBehindTheHeadAndTellsTheLength) {
  ResponseReader reader{false};
  constexpr std::string_view kHead = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
  const auto head = reader.read(std::string(kHead) + "hello");
  ASSERT_TRUE(head);
  EXPECT_EQ(head->consumed, kHead.size());
  EXPECT_TRUE(head->data.empty());
  EXPECT_TRUE(reader.head_complete());
  EXPECT_FALSE(reader.whole());
  EXPECT_EQ(reader.content_length(), 5u);
  const auto body = reader.read("hello, and more");
  ASSERT_TRUE(body);
  EXPECT_EQ(body->consumed, 5u);
  EXPECT_EQ(body->data, "hello");
  EXPECT_TRUE(reader.whole());
}

TEST(ResponseReader, AnAnswerThatBreaksOffIsNoAnswer) {
  for (auto* text : {"", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "HTTP/1.1 200 OK\r\nX: y"})
    EXPECT_FALSE(read(text, 1000, false, true)) << text;
}

TEST(ResponseReader, KnowsWhetherTheConnectionCanBeUsedAgain) {
  auto reusable = [](std::string_view text) {
    ResponseReader reader{false};
    EXPECT_TRUE(reader.read(text));
    return reader.reusable();
  };
  EXPECT_TRUE(reusable("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_FALSE(reusable("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(reusable("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive,\tClose\r\n\r\n"));
  EXPECT_TRUE(reusable("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x-close, closed\r\n\r\n"));
  EXPECT_FALSE(reusable("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_TRUE(reusable("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_FALSE(reusable("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n"));
  EXPECT_FALSE(reusable("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n"))
      << "a coding that its version does not have";
}

TEST(ResponseReader, FieldsBehindTheBodyAreToldAsFarAsTheyMayStandThere) {
  const std::string bytes =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
      "Grpc-Status: 0\r\nX-Sum:  f00 \r\nContent-Length: 7\r\nSet-Cookie: a=b\r\nno field\r\nX Y: 1\r\nX-Bad: "
      "\x01\r\n\r\n";
  for (std::size_t piece : {1, 2, 7, 1000}) {
    ResponseReader reader{false};
    std::string_view left = bytes;
    std::string body;
    while (!reader.whole()) {
      const auto step = reader.read(left.substr(0, piece));
      ASSERT_TRUE(step) << piece;
      body += step->data;
      left.remove_prefix(step->consumed);
    }
    EXPECT_EQ(body, "abc");
    const std::vector<std::pair<std::string, std::string>> expected{{"grpc-status", "0"}, {"x-sum", "f00"}};
    EXPECT_EQ(reader.take_trailers(), expected);
    EXPECT_TRUE(reader.reusable());
  }
}

TEST(ResponseReader, AChangeOfTheProtocolIsFinalWhereTheRequestAskedForIt) {
  constexpr std::string_view head =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
  const auto bytes = std::string(head) + "\x81\x05hello";
  for (std::size_t piece : {1, 2, 7, 1000}) {
    ResponseReader reader{false, true};
    std::string_view left = bytes;
    while (!reader.whole()) {
      const auto step = reader.read(left.substr(0, piece));
      ASSERT_TRUE(step) << piece;
      left.remove_prefix(step->consumed);
    }
    EXPECT_EQ(left, "\x81\x05hello") << "what follows is of the other protocol";
    EXPECT_TRUE(reader.head_complete());
    EXPECT_FALSE(reader.reusable());
    const auto answer = taken(reader);
    EXPECT_EQ(answer.status, 101);
    EXPECT_EQ(answer.find("upgrade"), "websocket");
  }
  for (const auto* more : {"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"}) {
    ResponseReader reader{false, true};
    EXPECT_FALSE(reader.read("HTTP/1.1 101 Switching Protocols\r\n" + std::string(more) + "\r\n")) << more;
  }
}

TEST(ResponseReader, InterimAnswersAreToldOneByOne) {
  const std::string bytes =
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 150 Said\r\nX: y\r\n"
      "Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  for (const std::size_t cut : {1, 3, 1000}) {
    ResponseReader reader{false};
    std::string told;
    for (std::string_view rest = bytes; !rest.empty();) {
      const auto step = reader.read(rest.substr(0, cut));
      ASSERT_TRUE(step);
      rest.remove_prefix(step->consumed);
      for (const auto& answer : reader.take_interim())
        told += std::to_string(answer.status) + " " + answer.headers.front().second + ";";
    }
    EXPECT_EQ(told, "103 </a>;150 y;") << cut;
    EXPECT_TRUE(reader.continued());
    EXPECT_EQ(reader.status(), 200);
  }
}

TEST(ResponseReader, InterimAnswersAreBoundedAndHaveNoBody) {
  const std::string hint = "HTTP/1.1 103 Early Hints\r\n\r\n", final = "HTTP/1.1 204 No\r\n\r\n";
  std::string most;
  for (int i = 0; i < 32; ++i) most += hint;
  EXPECT_TRUE(read(most + final, 1000));
  EXPECT_FALSE(read(most + hint + final, 1000));
  EXPECT_FALSE(read("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + final, 1000));
  EXPECT_FALSE(read("HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n" + final, 1000));
}

}  // namespace
}  // namespace plimsoll::client
