#include "plimsoll/http/encoding.hpp"
#include "plimsoll/policy/trial.hpp"

namespace plimsoll::policy {
extern const Part compression;
namespace {

constexpr const Part* kParts[] = {&compression};

struct Answers final : Handler {
  std::vector<std::pair<std::string, std::string>> headers{{"content-type", "application/json"}};
  std::uint16_t status = 200;
  std::string body = std::string(5000, 'x');
  bool streams = false;
  struct Twice final : Stream {
    int left = 2;
    Task<Result<Bytes>> read() override {
      if (left-- <= 0) co_return Bytes{};
      co_return as_bytes("piece ");
    }
  };
  Task<Result<Response>> handle(Request&, Context& context) override {
    Response response{.status = status, .headers = Headers{context.arena}};
    for (auto& [name, value] : headers) response.headers.add(name, value);
    response.body = lasting(body);
    if (streams) response.body = lasting(context.keep<Twice>());
    co_return response;
  }
};

struct Compressed : Trial {
  explicit Compressed(std::string options = "")
      : Trial("openapi: 3.1.0\ninfo: {title: T, version: '1'}\npaths:\n  /a:\n    get: {operationId: a, " + options +
                  " responses: {'200': {description: ok}}}\n",
              kParts) {}
  /// What is answered to a caller who accepts `accepted` (null: says nothing).
  Response ask(const char* accepted, std::initializer_list<Header> more = {}) {
    exchange = std::make_unique<Exchange>(*this, "a", "192.0.2.1", more);
    if (accepted) exchange->request.headers.add("accept-encoding", accepted);
    policy = build(compression, "a").value();
    Link links[] = {policy->link(), {.handler = &handler}};
    std::optional<Result<Response>> out;
    Scope scope;
    struct Run {
      static Task<> once(Next next, Request& request, Context& context, std::optional<Result<Response>>& out) {
        auto answer = co_await next(request, context);
        out.emplace(std::move(answer));
      }
    };
    loop.spawn(scope, Run::once(Next{links}, exchange->request, exchange->context, out));
    loop.run();
    return std::move(**out);
  }
  std::string coding(const Response& response) { return std::string(response.headers.find("content-encoding")); }
  Answers handler;
  std::unique_ptr<Exchange> exchange;
  std::unique_ptr<Policy> policy;
};

TEST(Compression, FollowsTheCallersPreference) {
  Compressed server;
  EXPECT_EQ(server.coding(server.ask("gzip")), "gzip");
  EXPECT_EQ(server.coding(server.ask("gzip, br;q=0.9")), "gzip");
  EXPECT_EQ(server.coding(server.ask("gzip, br, zstd")), "zstd");
  EXPECT_EQ(server.coding(server.ask(nullptr)), "");
  EXPECT_EQ(server.coding(server.ask("identity")), "");
  EXPECT_EQ(server.exchange->promised("vary"), "accept-encoding");
}

TEST(Compression, LeavesWhatIsSmallOrOfAnotherTypeOrForbidden) {
  Compressed server;
  server.handler.body = std::string(1023, 'x');
  EXPECT_EQ(server.coding(server.ask("gzip")), "");
  server.handler.body += 'x';
  EXPECT_EQ(server.coding(server.ask("gzip")), "gzip");
  const auto with = [&](std::string name, std::string value) {
    server.handler.headers = {{"content-type", "application/json"}, {name, value}};
    if (name == "content-type") server.handler.headers = {{name, value}};
    return server.coding(server.ask("gzip"));
  };
  EXPECT_EQ(with("cache-control", "public, no-transform"), "");
  EXPECT_EQ(with("content-encoding", "gzip"), "gzip");  // its own, once
  EXPECT_EQ(with("content-range", "bytes 0-1/2"), "");
  EXPECT_EQ(with("content-digest", "sha-256=:x:"), "");
  EXPECT_EQ(with("content-type", "image/png"), "");
  EXPECT_EQ(with("content-type", "application/vnd.api+json; charset=utf-8"), "gzip");
  EXPECT_EQ(with("content-type", "TEXT/csv"), "gzip");
}

TEST(Compression, AStrongTagGetsASuffixAndAWeakOneDoesNot) {
  Compressed server;
  server.handler.headers.push_back({"etag", "\"a\""});
  EXPECT_EQ(server.ask("br").headers.find("etag"), "\"a;br\"");
  EXPECT_EQ(server.ask("gzip").headers.find("etag"), "\"a;gzip\"");
  EXPECT_EQ(server.ask("identity").headers.find("etag"), "\"a\"");
  server.handler.headers.back().second = "W/\"a\"";
  EXPECT_EQ(server.ask("br").headers.find("etag"), "W/\"a\"");
}

TEST(Compression, ANotModifiedNamesWhatTheCallerHolds) {
  Compressed server;
  server.handler.headers = {{"etag", "\"a\""}};
  server.handler.status = 304;
  server.handler.body = "";
  EXPECT_EQ(server.ask("br", {{"if-none-match", "\"a;gzip\", \"a;br\""}}).headers.find("etag"), "\"a;br\"");
  EXPECT_EQ(server.ask("br", {{"if-none-match", "\"b;br\", \"a;gzip\""}}).headers.find("etag"), "\"a;gzip\"");
  EXPECT_EQ(server.ask("br", {{"if-none-match", "\"a\""}}).headers.find("etag"), "\"a\"");
}

TEST(Compression, StreamsAreCompressedPieceByPiece) {
  Compressed server;
  server.handler.streams = true;
  server.handler.headers.push_back({"content-length", "12"});
  const auto response = server.ask("gzip");
  EXPECT_EQ(server.coding(response), "gzip");
  EXPECT_FALSE(response.headers.contains("content-length"));
  EXPECT_TRUE(std::holds_alternative<Stream*>(response.body));
}

TEST(Compression, OptionsChooseTypesSizesAndCodings) {
  Compressed server("x-plimsoll: {compression: {minimum: 10B, types: [image/*], codings: [br]}},");
  server.handler.headers = {{"content-type", "image/png"}};
  EXPECT_EQ(server.coding(server.ask("gzip, br;q=0.1")), "br");
  Compressed wrong("x-plimsoll: {compression: {codings: [deflate]}},");
  EXPECT_FALSE(wrong.build(compression, "a"));
  Compressed off("x-plimsoll: {compression: off},");
  EXPECT_EQ(off.build(compression, "a").value(), nullptr);
}

}  // namespace
}  // namespace plimsoll::policy
