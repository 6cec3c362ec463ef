#include "plimsoll/async/loop.hpp"
#include "plimsoll/contract/example_validator.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/handling.hpp"
#include "plimsoll/handler/mock/preference.hpp"
#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace plimsoll::handler {
extern const Handling mock_handling;
namespace {

constexpr std::string_view kContract = R"(
openapi: 3.1.0
info: {title: Mocked, version: '1'}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
    query: {type: apiKey, in: query, name: key}
    cookie: {type: apiKey, in: cookie, name: sid}
    basic: {type: http, scheme: basic}
    bearer: {type: http, scheme: bearer}
paths:
  /orders:
    get:
      operationId: list
      responses:
        '200':
          description: ok
          headers: {X-Total: {required: true, schema: {type: integer, minimum: 3, maximum: 3}}}
          content:
            application/json:
              schema: {type: array, items: {type: integer}}
              examples:
                wrong: {value: [a]}
                few: {value: [1, 2]}
                none: {value: []}
            text/csv: {schema: {type: string}, example: "a,b"}
        '404': {description: none, content: {application/problem+json: {schema: {type: object, required: [title], properties: {title: {const: Gone}}}}}}
        5XX: {description: broken}
    post: {operationId: create, responses: {'201': {description: made}}}
  /any/{v}:
    get:
      operationId: made_up
      parameters: [{name: v, in: path, required: true, schema: {type: string}}]
      responses: {'200': {description: ok, content: {application/json: {schema: {type: object, required: [id], properties: {id: {type: integer}}}}}}}
  /impossible: {get: {operationId: impossible, responses: {'200': {description: ok, content: {application/json: {schema: false}}}}}}
  /types:
    get:
      operationId: types
      responses:
        '200':
          description: ok
          content:
            application/xml: {schema: &point {type: object, required: [x], properties: {x: {const: 1}}}}
            application/json: {schema: *point}
            application/x-ndjson: {schema: {type: array, items: *point, minItems: 2, maxItems: 2}}
            image/*: {example: picture}
            text/plain: {examples: {short: {value: hi}}}
            application/*+json: {schema: {const: 2}}
        '404': {description: none, content: {application/problem+json: {schema: {const: {}}}}}
  /statuses:
    get:
      operationId: statuses
      responses:
        '100': {description: more}
        '205': {description: reset, content: {application/json: {schema: {const: 1}}}}
        default: {description: any, content: {application/json: {schema: {const: d}}}}
  /only-interim: {get: {operationId: only_interim, responses: {'103': {description: hints}}}}
  /headers:
    get:
      operationId: headers
      responses:
        '204':
          description: ok
          headers:
            X-List: {schema: {const: [1, a]}}
            X-Object: {schema: {const: {a: 1, b: c}}}
            X-Pairs: {explode: true, schema: {const: {a: 1, b: c}}}
            X-Json: {content: {application/json: {schema: {const: {a: [1]}}}}}
            X-Named: {schema: {type: integer}, examples: {wrong: {value: a}, right: {value: 5}}}
  /secure/key: {get: {operationId: s_key, security: [{key: []}], responses: {'204': {description: ok}}}}
  /secure/query: {get: {operationId: s_query, security: [{query: []}], responses: {'204': {description: ok}}}}
  /secure/cookie: {get: {operationId: s_cookie, security: [{cookie: []}], responses: {'204': {description: ok}}}}
  /secure/basic: {get: {operationId: s_basic, security: [{basic: []}], responses: {'204': {description: ok}}}}
  /secure/bearer: {get: {operationId: s_bearer, security: [{bearer: [a]}], responses: {'204': {description: ok}}}}
  /secure/both: {get: {operationId: s_both, security: [{key: [], bearer: []}], responses: {'204': {description: ok}}}}
  /secure/either: {get: {operationId: s_either, security: [{key: []}, {bearer: []}], responses: {'204': {description: ok}}}}
  /secure/optional: {get: {operationId: s_optional, security: [{key: []}, {}], responses: {'204': {description: ok}}}}
)";

using HeaderList = std::vector<std::pair<std::string_view, std::string_view>>;

struct Reply {
  std::uint16_t status = 0;
  std::string body, problem;
  std::map<std::string, std::string> headers, promised;
};

class Mocking {
 public:
  explicit Mocking(std::shared_ptr<const contract::Contract> contract) : contract(std::move(contract)) {}
  Reply ask(const contract::Operation& operation, std::string_view path, const HeaderList& headers,
            const Principal* principal = nullptr, std::string_view query = {}) {
    static const json::Value nothing = json::Value::object({});
    auto& handler = handlers_[operation.index];
    if (!handler) handler = std::move(*mock_handling.build(nothing, {*contract, operation, services_}));
    Arena arena;
    Loop loop;
    Request request{.method = operation.method, .target = path, .headers = Headers{arena}};
    request.path = path;
    request.query = query;
    for (auto& [name, value] : headers) request.headers.add(name, value);
    Context context{arena, loop, services_};
    context.operation = &operation;
    context.principal = principal;
    Reply told;
    Scope scope;
    loop.spawn(scope, run(*handler, request, context, told));
    loop.run();
    return told;
  }
  std::shared_ptr<const contract::Contract> contract;

 private:
  static Task<> run(Handler& handler, Request& request, Context& context, Reply& told) {
    auto answer = co_await handler.handle(request, context);
    for (auto& header : context.promised) told.promised[std::string(header.name)] = header.value;
    if (!answer) {
      told.status = answer.error().problem->status;
      told.problem = answer.error().problem->code;
      co_return;
    }
    told.status = answer->status;
    if (auto* text = std::get_if<std::string_view>(&answer->body)) told.body = *text;
    for (auto& header : answer->headers) told.headers[std::string(header.name)] = header.value;
  }
  Services services_{};
  std::map<std::uint32_t, std::unique_ptr<Handler>> handlers_;
};

class MockTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto file = testing::TempDir() + "mock-" + std::to_string(::getpid()) + ".yaml";
    std::ofstream(file) << kContract;
    auto loaded = contract::load({.file = file});
    std::filesystem::remove(file);
    ASSERT_TRUE(loaded) << to_string(loaded.error()[0]);
    mock = std::make_unique<Mocking>(*loaded);
  }
  Reply get(std::string_view id, const HeaderList& headers = {}, std::string_view path = "/x",
            std::string_view query = {}) {
    return mock->ask(*mock->contract->find(id), path, headers, nullptr, query);
  }
  std::unique_ptr<Mocking> mock;
};

TEST_F(MockTest, AnswersTheFirstExampleThatSatisfiesItsSchema) {
  const auto told = get("list");
  EXPECT_EQ(told.status, 200);
  EXPECT_EQ(told.body, "[1,2]");
  EXPECT_EQ(told.headers.at("content-type"), "application/json");
  EXPECT_EQ(told.headers.at("X-Total"), "3");
}

TEST_F(MockTest, PreferChoosesStatusAndExample) {
  const auto none = get("list", {{"prefer", "example=none"}});
  EXPECT_EQ(none.body, "[]");
  EXPECT_EQ(none.headers.at("preference-applied"), "example=none");
  const auto gone = get("list", {{"prefer", "code=404"}});
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(gone.body, R"({"title":"Gone"})");
  EXPECT_EQ(gone.headers.at("content-type"), "application/problem+json");
  EXPECT_EQ(get("list", {{"prefer", "code=503"}}).status, 503);
  EXPECT_EQ(get("list", {{"prefer", "code=418"}}).problem, "mock-no-such-answer");
  EXPECT_EQ(get("list", {{"prefer", "example=wrong"}}).problem, "mock-no-such-answer");
  EXPECT_EQ(get("list", {{"prefer", "example=\"few\"; code=200"}}).body, "[1,2]");
}

TEST_F(MockTest, AcceptChoosesTheMediaType) {
  const auto csv = get("list", {{"accept", "text/csv"}});
  EXPECT_EQ(csv.body, "a,b");
  EXPECT_EQ(csv.headers.at("content-type"), "text/csv");
  EXPECT_EQ(get("list", {{"accept", "image/png"}}).status, 406);
}

TEST_F(MockTest, WhatATypeCannotHoldIsNotSentAsIfItWere) {
  EXPECT_EQ(get("types").headers.at("content-type"), "application/json") << "an object is no XML";
  EXPECT_EQ(get("types", {{"accept", "application/xml"}}).problem, "mock-not-generated");
  EXPECT_EQ(get("types", {{"accept", "application/x-ndjson"}}).body, "{\"x\":1}\n{\"x\":1}\n");
  const auto image = get("types", {{"accept", "image/*"}});
  EXPECT_EQ(image.headers.at("content-type"), "image/png") << "a range is no type";
  EXPECT_EQ(image.body, "picture");
}

TEST_F(MockTest, AnExampleIsFoundInWhicheverTypeHasIt) {
  EXPECT_EQ(get("types", {{"prefer", "example=short"}, {"accept", "*/*"}}).body, "hi");
  EXPECT_EQ(get("types", {{"prefer", "example=short"}}).headers.at("content-type"), "text/plain");
  EXPECT_EQ(get("types", {{"prefer", "example=short"}, {"accept", "image/png"}}).problem, "mock-no-such-answer");
}

TEST_F(MockTest, ARefusalIsSentWhateverIsAccepted) {
  const auto told = get("types", {{"prefer", "code=404"}, {"accept", "application/json"}});
  EXPECT_EQ(told.status, 404);
  EXPECT_EQ(told.headers.at("content-type"), "application/problem+json");
}

TEST_F(MockTest, NoAnswerIsInterimAndNoneHasABodyWhereNoneMayBe) {
  EXPECT_EQ(get("statuses").status, 205);
  EXPECT_EQ(get("statuses").body, "");
  EXPECT_EQ(get("statuses", {{"prefer", "code=100"}}).status, 205) << "passed over";
  EXPECT_EQ(get("statuses", {{"prefer", "code=503"}}).body, "\"d\"");
  EXPECT_EQ(get("only_interim").problem, "mock-no-such-answer");
}

TEST_F(MockTest, HeadersAreWrittenInTheirStyle) {
  const auto told = get("headers");
  EXPECT_EQ(told.headers.at("X-List"), "1,a");
  EXPECT_EQ(told.headers.at("X-Object"), "a,1,b,c");
  EXPECT_EQ(told.headers.at("X-Pairs"), "a=1,b=c");
  EXPECT_EQ(told.headers.at("X-Json"), R"({"a":[1]})");
  EXPECT_EQ(told.headers.at("X-Named"), "5");
}

TEST_F(MockTest, MakesUpTheSameDataForTheSameRequest) {
  const auto once = get("made_up", {}, "/any/1");
  EXPECT_EQ(once.status, 200);
  EXPECT_EQ(get("made_up", {}, "/any/1").body, once.body);
  EXPECT_NE(get("made_up", {}, "/any/2").body, once.body);
  EXPECT_NE(get("list", {{"prefer", "dynamic=true"}}).body, "[1,2]");
}

TEST_F(MockTest, SaysSoWhereNoDataSatisfies) { EXPECT_EQ(get("impossible").problem, "mock-not-generated"); }

TEST_F(MockTest, AnswersWithoutContentHaveNoBody) {
  const auto told = get("create");
  EXPECT_EQ(told.status, 201);
  EXPECT_EQ(told.body, "");
}

TEST_F(MockTest, CredentialsMustBeThereAndWellFormed) {
  struct Case {
    const char* id;
    HeaderList headers;
    const char* query;
    int status;
  };
  const Case cases[] = {
      {"s_key", {}, "", 401},
      {"s_key", {{"x-key", "k"}}, "", 204},
      {"s_key", {{"authorization", "Bearer k"}}, "", 401},
      {"s_query", {}, "", 401},
      {"s_query", {}, "key=k", 204},
      {"s_query", {}, "key=", 401},
      {"s_cookie", {{"cookie", "a=1; sid=2"}}, "", 204},
      {"s_cookie", {{"cookie", "a=1"}}, "", 401},
      {"s_basic", {{"authorization", "Basic YTpi"}}, "", 204},
      {"s_basic", {{"authorization", "basic YTpi"}}, "", 204},
      {"s_basic", {{"authorization", "Basic YWI="}}, "", 401},
      {"s_basic", {{"authorization", "Basic ???"}}, "", 401},
      {"s_basic", {{"authorization", "Bearer YTpi"}}, "", 401},
      {"s_bearer", {{"authorization", "Bearer abc.def"}}, "", 204},
      {"s_bearer", {{"authorization", "Bearer a b"}}, "", 401},
      {"s_bearer", {{"authorization", "Bearer "}}, "", 401},
      {"s_both", {{"x-key", "k"}}, "", 401},
      {"s_both", {{"x-key", "k"}, {"authorization", "Bearer t"}}, "", 204},
      {"s_either", {}, "", 401},
      {"s_either", {{"x-key", "k"}}, "", 204},
      {"s_either", {{"authorization", "Bearer t"}}, "", 204},
      {"s_optional", {}, "", 204},
  };
  for (auto& c : cases) {
    const auto told = get(c.id, c.headers, "/x", c.query);
    EXPECT_EQ(told.status, c.status) << c.id;
    if (c.status == 401) EXPECT_FALSE(told.promised.at("www-authenticate").empty());
  }
}

TEST(MockPreference, IsReadLeniently) {
  const auto wish = mocking::read_preference("respond-async, code=201;example=\"a, b\" , dynamic");
  EXPECT_EQ(wish.code, 201);
  EXPECT_EQ(wish.example, "a, b");
  EXPECT_TRUE(wish.dynamic);
  EXPECT_EQ(mocking::read_preference("Code=404, code=503").code, 404) << "the first counts (RFC 7240, section 2)";
  EXPECT_EQ(mocking::read_preference("code=101").code, 0);
  EXPECT_EQ(mocking::read_preference("code=99999").code, 0);
  EXPECT_EQ(mocking::read_preference("code=\"").code, 0);
}

std::string real(const char* name) {
  const char* set = std::getenv("PLIMSOLL_REAL_DATA");
  return (set ? std::string(set) : std::string(PLIMSOLL_SOURCE_DIR "/../shared/real")) + "/contracts/" + name;
}

class RealMocks : public testing::TestWithParam<const char*> {};

/// Every declared status and JSON media type of every operation, from examples and made up, satisfies its schema.
TEST_P(RealMocks, AnswerEveryDeclaredStatusWithAValidBody) {
  const auto file = real(GetParam());
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not there";
  auto loaded = contract::load({.file = file});
  ASSERT_TRUE(loaded);
  Mocking mock{*loaded};
  Principal somebody{.subject = "somebody"};
  std::size_t bodies = 0;
  for (auto& operation : mock.contract->operations)
    for (auto& spec : operation.responses) {
      const auto code = spec.status == "default"      ? std::string("418")
                        : spec.status.ends_with("XX") ? std::string(1, spec.status[0]) + "99"
                                                      : spec.status;
      if (spec.content.empty()) {
        const auto wish = "code=" + code;
        EXPECT_EQ(std::to_string(mock.ask(operation, "/x", {{"prefer", wish}}, &somebody).status), code);
        continue;
      }
      for (auto& media : spec.content) {
        if (media.name != "application/json" && !media.name.ends_with("+json")) continue;
        for (const std::string dynamic : {"", ", dynamic=true"}) {
          const auto wish = "code=" + code + dynamic;
          const auto told = mock.ask(operation, "/x", {{"prefer", wish}, {"accept", media.name}}, &somebody);
          ASSERT_EQ(std::to_string(told.status), code) << operation.id << " " << spec.status << ": " << told.problem;
          ++bodies;
          Arena arena;
          const auto body = json::parse(told.body, arena);
          ASSERT_TRUE(body) << told.body;
          if (!media.schema) continue;
          const auto validator = contract::example_validator(*mock.contract, *media.schema);
          ASSERT_TRUE(validator);
          EXPECT_TRUE((*validator)->valid(*body)) << operation.id << " " << spec.status << ": " << told.body;
        }
      }
    }
  std::printf("%s: %zu bodies, all valid\n", GetParam(), bodies);
}

INSTANTIATE_TEST_SUITE_P(All, RealMocks,
                         testing::Values("box.json", "museum.yaml", "oai-api-with-examples.yaml",
                                         "oai-link-example.yaml", "oai-petstore-expanded.yaml", "oai-uspto.yaml",
                                         "train-travel.yaml", "twilio-api-v2010.yaml"),
                         [](const auto& test) {
                           std::string name = test.param;
                           for (auto& c : name)
                             if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
                           return name;
                         });

}  // namespace
}  // namespace plimsoll::handler
