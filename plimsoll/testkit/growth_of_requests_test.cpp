#include "plimsoll/testkit/growth.hpp"

#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

#include <memory>

// Whole exchanges, through every policy to a handler, with requests of a quarter, a half and all of what the limits
// admit.

namespace plimsoll::testkit {
namespace {

constexpr auto kContract = R"(openapi: 3.1.0
info: {title: Growth, version: '1'}
x-plimsoll: {authorization: any-caller, rate-limit: off}
components:
  schemas:
    Any: {}
    Strict: {type: object, properties: {a: {type: integer}, b: {type: array, items: {type: string}}}, additionalProperties: false}
    Open: {type: object, properties: {a: {type: integer}, b: {type: array, items: {type: string}}}, additionalProperties: {type: string}}
    Deep:
      type: object
      properties: {f: {type: object, additionalProperties: {type: string}, properties: {list: {type: array, items: {type: string}}}}}
    Filter:
      oneOf: [{$ref: '#/components/schemas/And'}, {$ref: '#/components/schemas/Leaf'}]
    And:
      type: object
      required: [op, args]
      properties: {args: {type: array, items: {$ref: '#/components/schemas/Filter'}}, op: {const: and}}
    Leaf: {type: object, required: [op, x], properties: {op: {const: leaf}, x: {type: integer}}}
    Message: {type: object}
paths:
  /read/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
    get:
      operationId: read
      x-plimsoll: {mock: {}}
      parameters:
        - {name: q, in: query, schema: {type: string}}
        - {name: list, in: query, schema: {type: array, items: {type: string}, uniqueItems: true}}
        - {name: csv, in: query, explode: false, schema: {type: array, items: {type: string}}}
        - {name: deep, in: query, style: deepObject, schema: {type: object, additionalProperties: {type: string}}}
        - {name: pairs, in: query, explode: false, schema: {type: object, additionalProperties: {type: string}}}
        - {name: header, in: header, schema: {type: array, items: {type: string}}}
        - {name: object, in: header, schema: {type: object, additionalProperties: {type: string}}}
        - {name: session, in: cookie, schema: {type: string}}
        - {name: many, in: cookie, schema: {type: array, items: {type: string}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Message'}, example: {}}}}}
  /spread:
    get:
      operationId: spread
      x-plimsoll: {mock: {}}
      parameters:
        - {name: all, in: query, schema: {type: object, properties: {a: {type: array, items: {type: string}}}, additionalProperties: {type: string}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Message'}, example: {}}}}}
  /strict:
    post:
      operationId: strict
      x-plimsoll: {mock: {}}
      requestBody: &strict
        content:
          application/json: {schema: {$ref: '#/components/schemas/Strict'}}
          application/x-www-form-urlencoded: {schema: {$ref: '#/components/schemas/Strict'}}
          multipart/form-data: {schema: {$ref: '#/components/schemas/Strict'}}
          application/x-ndjson: {schema: {$ref: '#/components/schemas/Strict'}}
          text/plain: {schema: {type: string, maxLength: 5}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Message'}, example: {}}}}}
  /open:
    post:
      operationId: open
      x-plimsoll: {mock: {}}
      requestBody:
        content:
          application/json: {schema: {$ref: '#/components/schemas/Open'}}
          application/x-www-form-urlencoded: {schema: {$ref: '#/components/schemas/Open'}}
          multipart/form-data: {schema: {$ref: '#/components/schemas/Open'}}
          application/x-ndjson: {schema: {$ref: '#/components/schemas/Open'}}
          text/plain: {schema: {type: string}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Message'}, example: {}}}}}
  /lists:
    post:
      operationId: lists
      x-plimsoll: {mock: {}}
      requestBody: {content: {application/json: {schema: {type: object, additionalProperties: {type: array, items: {type: string}}}}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Message'}, example: {}}}}}
  /deep:
    post:
      operationId: deep
      x-plimsoll: {mock: {}}
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema: {$ref: '#/components/schemas/Deep'}
            encoding: {f: {style: deepObject}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Message'}, example: {}}}}}
  /filter:
    post:
      operationId: filter
      x-plimsoll: {mock: {}}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Filter'}}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Message'}, example: {}}}}}
  /kept:
    post:
      operationId: kept
      x-plimsoll: {mock: {}, idempotency: required}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Any'}}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Message'}, example: {}}}}}
  /cached/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}}
    get:
      operationId: cached
      security: []
      x-plimsoll: {mock: {}, cache: {ttl: 1m}}
      parameters:
        - {name: list, in: query, schema: {type: array, items: {type: string}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Message'}, example: {}}}}}
  /tight:
    post:
      operationId: tight
      x-plimsoll: {mock: {}, budgets: {steps: 1000}}
      requestBody: {content: {application/json: {schema: {type: array, items: {type: integer}}}}}
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Message'}, example: {}}}}}
)";

class GrowthOfRequests : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    api_ = std::make_unique<Api>(kContract);
    ASSERT_EQ(api_->complaints, "");
    ASSERT_TRUE(api_->client);
  }
  static void TearDownTestSuite() { api_.reset(); }

  struct Sent {
    std::string method, target;
    HeaderList headers{};
    std::string body{};
  };
  /// `expected`: the status at every size; 0: whichever.
  void expect(const char* name, std::size_t largest, int expected, const std::function<Sent(std::size_t)>& make) {
    expect_bounded(
        std::string("exchange: ") + name,
        cpu_growth(
            largest,
            [&](std::size_t n) {
              const auto sent = std::make_shared<Sent>(make(n));
              const auto answer = api_->client->request(sent->method, sent->target, sent->headers, sent->body);
              if (expected)
                EXPECT_EQ(answer.status, expected) << name << " of " << n << ": " << answer.body.substr(0, 400);
              EXPECT_LT(answer.body.size(), 128u << 10) << name << " of " << n;
              return [=] { (void)api_->client->request(sent->method, sent->target, sent->headers, sent->body); };
            },
            kAllThreads));
  }
  void post(const char* name, const char* target, const char* type, std::size_t largest, int expected,
            const std::function<std::string(std::size_t)>& body) {
    expect(name, largest, expected,
           [&](std::size_t n) { return Sent{"POST", target, {{"content-type", type}}, body(n)}; });
  }

  static inline std::unique_ptr<Api> api_;
};

TEST_F(GrowthOfRequests, WithParameters) {
  const auto get = [&](const char* name, std::size_t largest, int expected,
                       const std::function<std::string(std::size_t)>& target) {
    expect(name, largest, expected, [&](std::size_t n) { return Sent{"GET", target(n)}; });
  };
  get("unknown query parameters", kTarget / 6, 400,
      [](auto n) { return "/read/a?" + listed(n, "&", [](auto i) { return name(i) + "=1"; }); });
  get("one long unknown parameter", kTarget - 64, 400, [](auto n) { return "/read/a?" + repeated("a", n) + "=1"; });
  get("a list of repeated names", kTarget / 9, 200,
      [](auto n) { return "/read/a?" + listed(n, "&", [](auto i) { return "list=" + number(i); }); });
  get("a list of commas", kTarget - 64, 200, [](auto n) { return "/read/a?csv=" + repeated(",", n); });
  get("members of a deepObject", kTarget / 15, 200,
      [](auto n) { return "/read/a?" + listed(n, "&", [](auto i) { return "deep[" + name(i) + "]=1"; }); });
  get("members of an object", kTarget / 12, 200,
      [](auto n) { return "/read/a?pairs=" + listed(n, ",", [](auto i) { return name(i) + "," + number(i); }); });
  get("a spread object", kTarget / 10, 200,
      [](auto n) { return "/spread?" + listed(n, "&", [](auto i) { return name(i) + "=1"; }); });
  get("a spread list", kTarget / 5, 200,
      [](auto n) { return "/spread?" + listed(n, "&", [](auto) { return "a=1"; }); });
  get("one name given often", kTarget / 5, 400,
      [](auto n) { return "/read/a?" + listed(n, "&", [](auto) { return "q=1"; }); });
  get("encoded bytes", kTarget / 3 - 64, 200, [](auto n) { return "/read/a?q=" + repeated("%41", n); });
  get("a long segment", kTarget - 64, 200, [](auto n) { return "/read/" + repeated("a", n); });
  get("segments", kTarget / 2 - 64, 404, [](auto n) { return "/" + repeated("a/", n); });
  get("cache keys", kTarget / 9, 200,
      [](auto n) { return "/cached/a?" + listed(n, "&", [](auto i) { return "list=" + number(i); }); });
  const auto field = [&](const char* what, const char* field, int expected,
                         const std::function<std::string(std::size_t)>& value) {
    expect(what, kHead - 1024, expected, [&](std::size_t n) { return Sent{"GET", "/read/a", {{field, value(n)}}}; });
  };
  field("a list in a header", "header", 200,
        [](auto n) { return listed(n / 6, ",", [](auto i) { return number(i % 10000); }); });
  field("an object in a header", "object", 200,
        [](auto n) { return listed(n / 12, ",", [](auto i) { return name(i) + "," + number(i); }); });
  field("cookies", "cookie", 200, [](auto n) { return listed(n / 10, "; ", [](auto i) { return name(i) + "=1"; }); });
  field("one cookie often", "cookie", 0, [](auto n) { return listed(n / 8, "; ", [](auto) { return "many=1"; }); });
  field("Accept", "accept", 0, [](auto n) { return repeated("a/b;q=0.1,", n / 10) + "application/json"; });
  field("If-None-Match", "if-none-match", 0, [](auto n) { return repeated("\"a\",", n / 4) + "\"b\""; });
  field("Authorization", "authorization", 0, [](auto n) { return "Bearer " + repeated("a.", n / 2); });
  field("traceparent", "tracestate", 200, [](auto n) { return repeated("a=b,", n / 4); });
  field("Forwarded", "x-forwarded-for", 200, [](auto n) { return repeated("1.1.1.1,", n / 8); });
  field("Range", "range", 0, [](auto n) { return "bytes=" + repeated("0-1,", n / 4); });
  field("Cache-Control", "cache-control", 0, [](auto n) { return repeated("a=\"b\",", n / 6); });
}

TEST_F(GrowthOfRequests, WithForms) {
  constexpr auto kForm = "application/x-www-form-urlencoded", kParts = "multipart/form-data; boundary=B";
  const auto pairs = [](auto n) { return listed(n, "&", [](auto i) { return name(i) + "=1"; }); };
  const auto part = [](const std::string& called, const std::string& content) {
    return "--B\r\ncontent-disposition: form-data; name=\"" + called + "\"\r\n\r\n" + content + "\r\n";
  };
  post("pairs of a form that nobody declared", "/strict", kForm, kBody / 10, 400, pairs);
  post("pairs of a form", "/open", kForm, kBody / 10, 200, pairs);
  post("pairs of one name", "/open", kForm, kBody / 4, 400, [](auto n) { return repeated("c=1&", n); });
  post("pairs of a list", "/open", kForm, 10'000, 200, [](auto n) { return repeated("b=1&", n); });
  post("pairs with encoded names", "/open", kForm, kBody / 16, 200,
       [](auto n) { return listed(n, "&", [](auto i) { return "%6e" + number(i) + "=%41"; }); });
  post("members of a deepObject", "/deep", kForm, kBody / 14, 200,
       [](auto n) { return listed(n, "&", [](auto i) { return "f[" + name(i) + "]=1"; }); });
  post("a list of a deepObject", "/deep", kForm, kBody / 12, 200,
       [](auto n) { return listed(n, "&", [](auto) { return "f[list]=1"; }); });
  post("ampersands", "/open", kForm, kBody, 0, [](auto n) { return repeated("&", n); });
  post("parts that nobody declared", "/strict", kParts, 1000, 400,
       [&](auto n) { return listed(n, "", [&](auto i) { return part(name(i), "1"); }) + "--B--"; });
  post("parts", "/open", kParts, 1000, 200,
       [&](auto n) { return listed(n, "", [&](auto i) { return part(name(i), "1"); }) + "--B--"; });
  post("parts of one name", "/open", kParts, 1000, 400,
       [&](auto n) { return listed(n, "", [&](auto) { return part("c", "1"); }) + "--B--"; });
  post("parts of a list", "/open", kParts, 1000, 200,
       [&](auto n) { return listed(n, "", [&](auto) { return part("b", "1"); }) + "--B--"; });
  post("a long part", "/open", kParts, kBody - 1024, 200,
       [&](auto n) { return part("c", repeated("a", n)) + "--B--"; });
  post("lines", "/open", "application/x-ndjson", kBody / 16, 200,
       [](auto n) { return listed(n, "\n", [](auto i) { return "{\"a\":" + number(i) + "}"; }); });
  post("lines, all invalid", "/strict", "application/x-ndjson", kBody / 16, 400,
       [](auto n) { return listed(n, "\n", [](auto i) { return "{\"z\":" + number(i) + "}"; }); });
  post("text", "/open", "text/plain", kBody - 64, 200, [](auto n) { return repeated("é", n / 2); });
}

TEST_F(GrowthOfRequests, WithJson) {
  constexpr auto kJson = "application/json";
  post("members that nobody declared", "/strict", kJson, kBody / 14, 400, members);
  post("members", "/open", kJson, kBody / 14, 400, members);
  post("a nested filter", "/filter", kJson, kBody / 24 / 64, 200, [](std::size_t n) {
    std::string text;
    for (std::size_t level = 0; level < kDepth / 2 - 2; ++level)
      text += R"({"op":"and","args":[)" + repeated(R"({"op":"leaf","x":1},)", n);
    return text + R"({"op":"leaf","x":1})" + repeated("]}", kDepth / 2 - 2);
  });
  post("a nested filter that is wrong", "/filter", kJson, kBody / 24 / 64, 400, [](std::size_t n) {
    std::string text;
    for (std::size_t level = 0; level < kDepth / 2 - 2; ++level)
      text += R"({"op":"and","args":[)" + repeated(R"({"op":"leaf","x":1},)", n);
    return text + R"({"op":"leaf"})" + repeated("]}", kDepth / 2 - 2);
  });
  std::size_t key = 0;
  expect("a body under an idempotency key", kBody - 64, 200, [&](std::size_t n) {
    return Sent{"POST",
                "/kept",
                {{"content-type", kJson}, {"idempotency-key", "key-" + number(++key)}},
                '"' + repeated("a", n) + '"'};
  });
}

/// Each error names the member that it is about: a long name does not make an answer many times as long.
TEST_F(GrowthOfRequests, WithLongNamesAreAnsweredShortly) {
  const auto long_name = repeated("é", 200'000);
  std::string items;
  for (int i = 0; i < 200; ++i) items += std::string(i > 0 ? "," : "") + "1";
  const auto answer = api_->client->post("/lists", "{\"" + long_name + "\":[" + items + "]}");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.problem, "invalid");
  EXPECT_LT(answer.body.size(), 128u << 10);
  Arena arena;
  EXPECT_TRUE(json::parse(answer.body, arena)) << "a name is cut between its characters";
}

TEST_F(GrowthOfRequests, BeyondTheBudgetAreTooComplex) {
  const auto send = [&](std::size_t n) { return api_->client->post("/tight", numbers(n)); };
  EXPECT_EQ(send(900).status, 200);
  const auto refused = send(1100);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.problem, "too-complex");
  const auto invalid = api_->client->post("/tight", "[1,\"x\"]");
  EXPECT_EQ(invalid.problem, "invalid");
}

}  // namespace
}  // namespace plimsoll::testkit
