#include "plimsoll/async/loop.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace plimsoll::policy {
extern const Part responses;
namespace {

constexpr std::string_view kContract = R"(
openapi: 3.1.0
info: {title: Answers, version: '1'}
paths:
  /a:
    get:
      operationId: a
      responses:
        '200':
          description: ok
          headers: {X-Total: {required: true, schema: {type: integer}}}
          content: {application/json: {schema: {type: object, required: [id], properties: {id: {type: integer}}}}}
        '201':
          description: made
          content:
            '*/*': {}
            application/json; charset=utf-8: {schema: {const: 1}}
            application/json; version=2: {schema: {const: 2}}
            application/*+json: {schema: {const: 3}}
        '202':
          description: taken
          headers:
            X-Count: {schema: {type: integer, maximum: 9}}
            X-List: {schema: {type: array, items: {type: integer}}}
            X-Pairs: {explode: true, schema: {type: object, properties: {a: {type: integer}}}}
            X-Either: {schema: {type: [string, integer], minimum: 5, maxLength: 3}}
            X-Json: {content: {application/json: {schema: {type: object, required: [a]}}}}
          content:
            application/json: {schema: {type: object}}
            application/x-ndjson: {schema: {type: object, required: [a]}}
            text/plain: {schema: {type: integer, minimum: 3}}
            image/png: {schema: {type: string, maxLength: 1}}
        4XX: {description: bad, content: {text/plain: {}}}
)";

class Answers final : public Handler {
 public:
  Task<Result<Response>> handle(Request&, Context& context) override {
    Response made{.status = status, .headers = Headers{context.arena}, .body = lasting(body)};
    if (!type.empty()) made.headers.add("content-type", type);
    if (total) made.headers.add("x-total", "1");
    for (auto& [name, value] : more) made.headers.add(name, value);
    co_return made;
  }
  std::uint16_t status = 200;
  std::string type = "application/json", body = R"({"id":1})";
  bool total = true;
  std::vector<std::pair<std::string, std::string>> more;
};

class ResponsesTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto file = testing::TempDir() + "responses-" + std::to_string(::getpid()) + ".yaml";
    std::ofstream(file) << kContract;
    auto loaded = contract::load({.file = file});
    std::filesystem::remove(file);
    ASSERT_TRUE(loaded);
    contract = *loaded;
  }
  Result<std::unique_ptr<Policy>> build(std::string_view options) {
    if (options.empty()) return responses.build(responses, nullptr, {*contract, contract->operations[0], services});
    auto value = json::parse(options, arena);
    return responses.build(responses, &*value, {*contract, contract->operations[0], services});
  }
  std::string ask(std::string_view options) {
    auto policy = build(options);
    if (!policy || !*policy) return "no policy";
    Loop loop;
    Request request{.method = "GET", .target = "/a", .headers = Headers{arena}};
    Context context{arena, loop, services};
    context.operation = &contract->operations[0];
    Link links[] = {(*policy)->link(), {.handler = &handler}};
    std::string told;
    Scope scope;
    loop.spawn(scope, run(links, request, context, told));
    loop.run();
    return told;
  }
  static Task<> run(const Link* links, Request& request, Context& context, std::string& told) {
    Next next{links};
    auto answer = co_await next(request, context);
    told = answer ? std::to_string(answer->status)
                  : std::string(answer.error().problem->code) + ": " + answer.error().more().cause;
  }
  Arena arena;
  Services services{};
  std::shared_ptr<const contract::Contract> contract;
  Answers handler;
};

TEST_F(ResponsesTest, IsOffUnlessTheContractAsksForIt) {
  EXPECT_EQ(ask(""), "no policy");
  EXPECT_EQ(ask("\"off\""), "no policy");
  EXPECT_EQ(ask("false"), "no policy");
  EXPECT_FALSE(build("\"sometimes\""));
  EXPECT_FALSE(build("{\"samples\":\"5%\"}"));
}

TEST_F(ResponsesTest, WhatSatisfiesTheContractPasses) { EXPECT_EQ(ask("\"enforce\""), "200"); }

TEST_F(ResponsesTest, WhatDoesNotIsRefusedAndTheReasonIsForTheLog) {
  handler.body = R"({"id":"x"})";
  EXPECT_TRUE(ask("\"enforce\"").starts_with("invalid-response: /id ")) << ask("\"enforce\"");
  handler.body = "{";
  EXPECT_TRUE(ask("\"enforce\"").starts_with("invalid-response: the body is not JSON"));
  handler.body = "{}";
  handler.total = false;
  EXPECT_EQ(ask("\"enforce\""), "invalid-response: the header X-Total is missing");
  handler.total = true;
  handler.type = "text/html";
  EXPECT_EQ(ask("\"enforce\""), "invalid-response: the media type \"text/html\" is not declared for status 200");
  handler.status = 500;
  EXPECT_EQ(ask("\"enforce\""), "invalid-response: status 500 is not declared");
  handler.status = 404, handler.type = "text/plain";
  EXPECT_EQ(ask("\"enforce\""), "404");
  handler.status = 304;
  EXPECT_EQ(ask("\"enforce\""), "304");
  handler.status = 502;
  EXPECT_EQ(ask("\"enforce\""), "invalid-response: status 502 is not declared");
}

TEST_F(ResponsesTest, AMediaTypeIsComparedWithoutItsCaseAndParameters) {
  handler.type = "Application/JSON; charset=utf-8";
  EXPECT_EQ(ask("\"enforce\""), "200");
  handler.body = R"({"id":"x"})";
  EXPECT_TRUE(ask("\"enforce\"").starts_with("invalid-response: /id "));
  handler.type = "application/jsonx";
  EXPECT_EQ(ask("\"enforce\""),
            "invalid-response: the media type \"application/jsonx\" is not declared for status 200");
}

TEST_F(ResponsesTest, TheMostSpecificDeclaredTypeSaysWhatTheBodyMustBe) {
  handler.status = 201;
  const auto of = [&](std::string type, std::string body) {
    handler.type = std::move(type), handler.body = std::move(body);
    return ask("\"enforce\"");
  };
  EXPECT_EQ(of("application/json; charset=UTF-8", "1"), "201");
  EXPECT_EQ(of("application/json", "1"), "201");
  EXPECT_EQ(of("application/json; version=2", "2"), "201");
  EXPECT_EQ(of("application/json; version=2", "1"), "invalid-response: body must be 2");
  EXPECT_EQ(of("Application/HAL+JSON", "3"), "201");
  EXPECT_EQ(of("application/hal+json", "1"), "invalid-response: body must be 3");
  EXPECT_EQ(of("text/plain", "1"), "201");
}

TEST_F(ResponsesTest, HeadersAreReadInTheirStyleAndHeldAgainstTheirSchemas) {
  handler.status = 202, handler.body = "{}";
  const auto with = [&](std::string name, std::string value) {
    handler.more = {{std::move(name), std::move(value)}};
    return ask("\"enforce\"");
  };
  EXPECT_EQ(with("x-count", "9"), "202");
  EXPECT_EQ(with("x-count", "10"), "invalid-response: the header X-Count must be at most 9");
  EXPECT_EQ(with("X-COUNT", "a"), "invalid-response: the header X-Count must be a whole number of at most 64 bits");
  EXPECT_EQ(with("x-list", "1, 2"), "202");
  EXPECT_EQ(with("x-list", "1, a"), "invalid-response: the header X-List must be a whole number of at most 64 bits");
  EXPECT_EQ(with("x-pairs", "a=1"), "202");
  EXPECT_EQ(with("x-pairs", "a,1"),
            "invalid-response: the header X-Pairs must consist of names and values joined by =");
  EXPECT_EQ(with("x-either", "1234"), "202") << "too long a text, and a number that is large enough";
  EXPECT_EQ(with("x-json", "{\"a\":1}"), "202");
  EXPECT_EQ(with("x-json", "{}"), "invalid-response: the header X-Json must have the property \"a\"");
  EXPECT_EQ(with("x-json", "{"), "invalid-response: the header X-Json must be a JSON text");
  EXPECT_EQ(with("x-other", "{"), "202");
}

TEST_F(ResponsesTest, BodiesAreReadAsTheirTypeSays) {
  handler.status = 202;
  const auto of = [&](std::string type, std::string body) {
    handler.type = std::move(type), handler.body = std::move(body);
    return ask("\"enforce\"");
  };
  EXPECT_EQ(of("application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n"), "202");
  EXPECT_EQ(of("application/x-ndjson", "{\"a\":1}\n{}\n"), "invalid-response: /1/a is required");
  EXPECT_TRUE(of("application/x-ndjson", "{\"a\":1}\n{").starts_with("invalid-response: line 2 of the body: "));
  EXPECT_EQ(of("text/plain", "3"), "202");
  EXPECT_EQ(of("text/plain", "2"), "invalid-response: body must be at least 3");
  EXPECT_EQ(of("text/plain", "\xFF"), "invalid-response: the text is not UTF-8");
  EXPECT_EQ(of("image/png", "long"), "202") << "not looked into";
  EXPECT_EQ(of("", ""), "202");
  EXPECT_EQ(of("application/json", ""), "invalid-response: the body is not JSON: line 1, column 1: a value is missing");
  EXPECT_EQ(of("application/json", "{\"a\":1,\"a\":2}"),
            "invalid-response: the body is not JSON: line 1, column 8: this name appears twice in its object");
}

TEST_F(ResponsesTest, ShadowOnlyLooks) {
  handler.body = "[]";
  EXPECT_EQ(ask("\"shadow\""), "200");
  EXPECT_EQ(ask(R"({"mode":"shadow","sample":"50%"})"), "200");
}

TEST_F(ResponsesTest, ASampleIsItsShareOfTheAnswers) {
  handler.body = "[]";
  auto policy = build(R"({"sample":"25%"})");
  ASSERT_TRUE(policy && *policy);
  int refused = 0;
  for (int i = 0; i < 100; ++i) {
    Loop loop;
    Request request{.method = "GET", .target = "/a", .headers = Headers{arena}};
    Context context{arena, loop, services};
    Link links[] = {(*policy)->link(), {.handler = &handler}};
    std::string told;
    Scope scope;
    loop.spawn(scope, run(links, request, context, told));
    loop.run();
    refused += told.starts_with("invalid-response");
  }
  EXPECT_EQ(refused, 25);
}

}  // namespace
}  // namespace plimsoll::policy
