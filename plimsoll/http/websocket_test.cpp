#include "plimsoll/http/websocket.hpp"

#include "plimsoll/base/arena.hpp"

#include <gtest/gtest.h>

namespace plimsoll::http {
namespace {

constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";  // of RFC 6455, section 1.3

struct Handshake {
  Arena arena;
  Request request{.method = "GET", .target = "/chat", .headers = Headers{arena}};
  Handshake() {
    request.headers.add("upgrade", "websocket");
    request.headers.add("connection", "Upgrade");
    request.headers.add("sec-websocket-key", kKey);
    request.headers.add("sec-websocket-version", "13");
  }
  Handshake& without(std::string_view name) {
    request.headers.remove(name);
    return *this;
  }
  Handshake& and_also(std::string_view name, std::string_view value) {
    request.headers.add(name, value);
    return *this;
  }
  Handshake& with(std::string_view name, std::string_view value) { return without(name).and_also(name, value); }
  bool asks() const { return asks_for_websocket(request); }
  std::string outcome() const {
    const auto checked = check_websocket(request);
    return checked ? "good" : std::string(checked.error().problem->code);
  }
};

TEST(WebSocket, AcceptsTheKeyAsTheRfcDoes) { EXPECT_EQ(websocket_accept(kKey), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); }

TEST(WebSocket, AsksByUpgradeAndConnectionInAnyCaseAndList) {
  EXPECT_TRUE(Handshake{}.asks());
  EXPECT_TRUE(Handshake{}.with("upgrade", "h2c, WebSocket").asks());
  EXPECT_TRUE(Handshake{}.with("upgrade", "WEBSOCKET/13").asks());
  EXPECT_TRUE(Handshake{}.with("connection", "keep-alive").and_also("connection", ", uPgRaDe ,").asks());
  EXPECT_FALSE(Handshake{}.without("upgrade").asks());
  EXPECT_FALSE(Handshake{}.without("connection").asks());
  EXPECT_FALSE(Handshake{}.with("connection", "upgrades, x-upgrade").asks());
  EXPECT_FALSE(Handshake{}.with("upgrade", "h2c").asks());
}

TEST(WebSocket, OnlyGetOfHttp11AsksForOne) {
  Handshake post, old, h2;
  post.request.method = "POST", old.request.version = 10, h2.request.version = 20;
  EXPECT_FALSE(post.asks());
  EXPECT_FALSE(old.asks());
  EXPECT_FALSE(h2.asks());
}

TEST(WebSocket, ChecksKeyVersionAndBody) {
  EXPECT_EQ(Handshake{}.outcome(), "good");
  EXPECT_EQ(Handshake{}.without("sec-websocket-key").outcome(), "websocket-handshake");
  EXPECT_EQ(Handshake{}.and_also("sec-websocket-key", kKey).outcome(), "websocket-handshake");
  for (const std::string_view wrong : {"", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZR==", "c2hvcnQ=",
                                       "dGhlIHNhbXBsZSBub25jZTE=", "dGhlIHNhbXBsZSBub25jZQ== "})
    EXPECT_EQ(Handshake{}.with("sec-websocket-key", wrong).outcome(), "websocket-handshake") << wrong;
  EXPECT_EQ(Handshake{}.without("sec-websocket-version").outcome(), "websocket-version");
  EXPECT_EQ(Handshake{}.with("sec-websocket-version", "8").outcome(), "websocket-version");
  EXPECT_EQ(Handshake{}.and_also("sec-websocket-version", "8").outcome(), "websocket-version");
  Handshake with_body;
  TextStream body{"x"};
  with_body.request.body = &body;
  EXPECT_EQ(with_body.outcome(), "websocket-handshake");
}

TEST(WebSocket, AnAnswerAcceptsItOnlyForThisKey) {
  const auto accept = websocket_accept(kKey);
  EXPECT_EQ(refusal_of({"websocket", "Upgrade", accept}, kKey), "");
  EXPECT_EQ(refusal_of({"WebSocket", "keep-alive, upgrade", accept}, kKey), "");
  EXPECT_NE(refusal_of({"h2c", "Upgrade", accept}, kKey), "");
  EXPECT_NE(refusal_of({"", "Upgrade", accept}, kKey), "");
  EXPECT_NE(refusal_of({"websocket", "", accept}, kKey), "");
  EXPECT_NE(refusal_of({"websocket", "Upgrade", ""}, kKey), "");
  EXPECT_NE(refusal_of({"websocket", "Upgrade", websocket_accept("AAAAAAAAAAAAAAAAAAAAAA==")}, kKey), "");
}

TEST(WebSocket, AnExtendedConnectNeedsNoKey) {
  Arena arena;
  Request request{
      .method = "GET", .target = "/chat", .headers = Headers{arena}, .version = 20, .protocol = "websocket"};
  EXPECT_TRUE(asks_for_websocket(request));
  EXPECT_FALSE(check_websocket(request)) << "without a version";
  request.headers.add("sec-websocket-version", "13");
  EXPECT_TRUE(check_websocket(request));
  request.headers.add("content-length", "0");
  EXPECT_FALSE(check_websocket(request));
}

TEST(WebSocket, AKeyIsOneAndNoOther) {
  EXPECT_TRUE(is_websocket_key(new_websocket_key(1, 2)));
  EXPECT_NE(new_websocket_key(1, 2), new_websocket_key(2, 1));
}

}  // namespace
}  // namespace plimsoll::http
