#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/handler/upstream/argument.hpp"
#include "plimsoll/testkit/service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <string>

namespace plimsoll::testkit {
namespace {

constexpr auto kContract = R"(
openapi: 3.1.0
info: {title: Books, version: 1.0.0}
paths:
  /book:
    get: {operationId: book, security: [], responses: {'200': {description: The book, content: {application/json: {}}}}}
  /typed:
    get: {operationId: typed, security: [], responses: {'200': {description: The book, content: {application/json: {}}}}}
  /persisted:
    get: {operationId: persisted, security: [], responses: {'200': {description: The book, content: {application/json: {}}}}}
  /books:
    post:
      operationId: add
      security: []
      x-plimsoll: {authorization: any-caller}
      responses: {'200': {description: The book, content: {application/json: {}}}}
)";
constexpr auto kDeployment = R"(
upstreams:
  shop:
    targets: ['https://shop.example.com/graphql']
    retry: {attempts: 2, base: 1ms}
)";

struct Book {
  std::string title;
};
struct Found {
  Book book;
};
struct Told {
  json::Value raw;
  std::optional<Found> data;
  std::vector<std::string> errors;
};

Task<Result<Json<Told>>> told(::plimsoll::Upstream<"shop"> shop, client::GraphqlCall call) {
  auto answer = co_await shop.graphql<Found>(std::move(call));
  if (!answer) co_return passed_on(answer);
  Told made{.raw = answer->raw, .data = std::move(answer->data), .errors = {}};
  for (const auto& error : answer->errors)
    made.errors.push_back(error.path + " " + error.message + " " + std::string(error.code()));
  co_return made;
}
Task<Result<Json<Told>>> book(::plimsoll::Upstream<"shop"> shop) {
  auto given = co_await told(shop, {.query = "{ book { title } }"});
  co_return given;
}
Task<Result<Json<Told>>> persisted(::plimsoll::Upstream<"shop"> shop) {
  auto given = co_await told(shop, {.query = "{ book { title } }", .get = true, .persisted = true});
  co_return given;
}
Task<Result<Json<Told>>> add(::plimsoll::Upstream<"shop"> shop) {
  auto given =
      co_await told(shop, {.query = "mutation { book: add { title } }", .headers = {{"idempotency-key", "\"1\""}}});
  co_return given;
}
Task<Result<Json<Found>>> typed(::plimsoll::Upstream<"shop"> shop) {
  auto answer = co_await shop.graphql<Found>({.query = "{ book { title } }"});
  if (!answer) co_return passed_on(answer);
  co_return std::move(*answer).whole();
}

class Graphql : public testing::Test {
 protected:
  Graphql() {
    std::ofstream(folder_ / "books.yaml") << kContract;
    std::ofstream(folder_ / "plimsoll.yaml") << kDeployment;
  }
  ServiceOptions options() const {
    return {.contract = folder_ / "books.yaml",
            .deployment = folder_ / "plimsoll.yaml",
            .program =
                [](Application& application) {
                  application.on("book", book).on("typed", typed).on("persisted", persisted).on("add", add);
                },
            .upstreams = {{"shop", &shop_}}};
  }
  static Reaction graphql(std::string body, std::uint16_t status = 200) {
    return {
        .status = status, .body = std::move(body), .headers = {{"content-type", "application/graphql-response+json"}}};
  }
  database::TestFolder folder_;
  ScriptedUpstream shop_{Reaction{.body = R"({"data":{"book":{"title":"Moby Dick"}}})"}};
};

TEST_F(Graphql, DataAndErrorsAreValues) {
  Service books{options()};
  auto anyone = books.anonymous();
  EXPECT_EQ(anyone.get("/book").body,
            R"({"raw":{"book":{"title":"Moby Dick"}},"data":{"book":{"title":"Moby Dick"}},"errors":[]})");
  EXPECT_EQ(anyone.get("/typed").body, R"({"book":{"title":"Moby Dick"}})");
  const auto sent = shop_.requests();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].method, "POST");
  EXPECT_EQ(sent[0].body, R"({"query":"{ book { title } }"})");

  constexpr auto kPartial =
      R"({"data":{"book":{"title":null}},"errors":[{"message":"no","path":["book","title"],"extensions":{"code":"GONE"}}]})";
  shop_.becomes(graphql(kPartial));
  EXPECT_EQ(anyone.get("/book").body, R"({"raw":{"book":{"title":null}},"errors":["/book/title no GONE"]})")
      << "the data does not fit, and an error says why";
  EXPECT_EQ(anyone.get("/typed").problem, "bad-answer");

  shop_.becomes(graphql(R"({"errors":[{"message":"Syntax Error"}]})", 400));
  EXPECT_EQ(anyone.get("/book").body, R"({"raw":null,"errors":[" Syntax Error "]})");
}

TEST_F(Graphql, WhatIsNoResponseIsAnErrorOfTheCall) {
  Service books{options()};
  auto anyone = books.anonymous();
  for (const auto& reaction :
       {Reaction{.status = 400, .body = R"({"errors":[{"message":"no"}]})"},
        Reaction{.body = R"({"data":{"book":{"title":1}}})"}, Reaction{.body = "{}"},
        Reaction{.body = "<html>", .headers = {{"content-type", "text/html"}}}, Reaction{.status = 500}}) {
    shop_.becomes(reaction);
    const auto said = anyone.get("/book");
    EXPECT_EQ(said.status, 502) << reaction.body;
    EXPECT_EQ(said.problem, "bad-answer") << reaction.body;
  }
}

TEST_F(Graphql, QueriesAreRepeatedAndMutationsNever) {
  for (const auto fault : {Fault::none, Fault::refuses, Fault::garbage}) {
    std::atomic<int> number{0};
    shop_.becomes([&](const SentRequest&) {
      return number++ == 0 ? Reaction{.status = 503, .fault = fault}
                           : Reaction{.body = R"({"data":{"book":{"title":"Walden"}}})"};
    });
    Service books{options()};
    EXPECT_EQ(books.anonymous().get("/book").status, 200) << static_cast<int>(fault);
    EXPECT_EQ(number, 2) << static_cast<int>(fault);
    number = 0;
    EXPECT_EQ(books.anonymous().post("/books").status, 502) << static_cast<int>(fault);
    EXPECT_EQ(number, 1) << "also with an Idempotency-Key " << static_cast<int>(fault);
  }
}

TEST_F(Graphql, APersistedQueryIsSentOnce) {
  std::atomic<bool> known{false};
  shop_.becomes([&](const SentRequest& request) {
    if (request.target.contains("query=")) known = true;
    return known ? Reaction{.body = R"({"data":{"book":{"title":"Walden"}}})"}
                 : Reaction{.body = R"({"errors":[{"message":"PersistedQueryNotFound"}]})"};
  });
  Service books{options()};
  auto anyone = books.anonymous();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(anyone.get("/persisted").status, 200);
  const auto sent = shop_.requests();
  ASSERT_EQ(sent.size(), 4u);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    EXPECT_THAT(sent[i].target, testing::HasSubstr("extensions=%7B%22persistedQuery%22"));
    EXPECT_EQ(sent[i].target.contains("query="), i == 1) << sent[i].target;
  }
}

}  // namespace
}  // namespace plimsoll::testkit
