#include "plimsoll/contract/contract.hpp"

#include "plimsoll/contract/body.hpp"
#include "plimsoll/contract/parameter_writer.hpp"
#include "plimsoll/contract/parameters.hpp"
#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace plimsoll::contract {
namespace {

std::string folder() {
  const char* set = std::getenv("PLIMSOLL_REAL_DATA");
  return (set ? std::string(set) : std::string(PLIMSOLL_SOURCE_DIR "/../shared/real")) + "/openapi-3.2/";
}

std::string all(const Complaints& complaints) {
  std::string text;
  for (auto& c : complaints) text += to_string(c) + "\n";
  return text;
}

auto load_text(const std::string& text, bool tolerant = false) {
  const auto file = testing::TempDir() + "openapi32-" + std::to_string(::getpid()) + ".yaml";
  std::ofstream(file) << text;
  auto loaded = load({.file = file, .tolerant = tolerant});
  std::filesystem::remove(file);
  return loaded;
}

std::string document(const std::string& rest, const char* version = "3.2.0") {
  return "openapi: " + std::string(version) + "\ninfo: {title: T, version: '1'}\n" + rest;
}

/// The codes of all that is said of a document, in order.
std::string codes(const std::string& rest, const char* version = "3.2.0") {
  const auto loaded = load_text(document(rest, version));
  std::string text;
  for (auto& complaint : loaded ? (*loaded)->warnings : loaded.error()) text += complaint.code + " ";
  return text;
}

/// Documents that the schema of OpenAPI 3.2 accepts, and that are wrong all the same in what no schema can say: `serve`
/// refuses them for that, and whoever tolerates faults loads them.
constexpr std::pair<std::string_view, std::string_view> kFaulty[] = {
    {"operation-object-example.yaml", "undeclared-path-parameter"},  // `/pets/{id}` declares `petId`
    {"security-scheme-object-examples.yaml", "network-reference"},   // a reference to https://example.com
};

TEST(OpenApi32, WhatTheSpecificationPassesLoadsAndWhatItFailsIsRefusedWithItsPlace) {
  if (!std::filesystem::exists(folder())) GTEST_SKIP() << folder() << " is not there";
  std::size_t passed = 0, failed = 0;
  for (auto& entry : std::filesystem::directory_iterator(folder() + "pass")) {
    ++passed;
    const auto file = entry.path().string();
    const auto name = entry.path().filename().string();
    const auto loaded = load({.file = file});
    const auto faulty = std::ranges::find(kFaulty, std::string_view(name), [](auto& each) { return each.first; });
    const bool refused = faulty != std::end(kFaulty);
    EXPECT_EQ(loaded.has_value(), !refused) << name << "\n" << (loaded ? "" : all(loaded.error()));
    if (!loaded && refused) EXPECT_TRUE(all(loaded.error()).contains(faulty->second)) << all(loaded.error());
    const auto tolerated = load({.file = file, .tolerant = true});
    EXPECT_TRUE(tolerated) << name << "\n" << (tolerated ? "" : all(tolerated.error()));
  }
  for (auto& entry : std::filesystem::directory_iterator(folder() + "fail")) {
    ++failed;
    const auto loaded = load({.file = entry.path().string()});
    ASSERT_FALSE(loaded) << entry.path();
    for (auto& complaint : loaded.error()) {
      EXPECT_EQ(complaint.file, entry.path().string());
      EXPECT_GT(complaint.at.line, 0u) << to_string(complaint);
      EXPECT_GT(complaint.at.column, 0u) << to_string(complaint);
      EXPECT_FALSE(complaint.what.empty());
      EXPECT_FALSE(complaint.remedy.empty()) << to_string(complaint);
    }
  }
  EXPECT_EQ(passed, 37u);
  EXPECT_EQ(failed, 29u);
}

TEST(OpenApi32, QueryAndOtherMethodsAreRouted) {
  const auto loaded = load_text(document(R"(paths:
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {responses: {'200': {description: ok}}}
    query: {operationId: find, responses: {'200': {description: ok}}}
    additionalOperations:
      COPY: {operationId: copy, responses: {'200': {description: ok}}}
      m-search: {operationId: search, responses: {'200': {description: ok}}}
)"));
  ASSERT_TRUE(loaded) << all(loaded.error());
  const auto& contract = **loaded;
  EXPECT_EQ(contract.match("QUERY", "/orders/1").operation, contract.find("find"));
  EXPECT_EQ(contract.match("COPY", "/orders/1").operation, contract.find("copy"));
  EXPECT_EQ(contract.match("m-search", "/orders/1").operation, contract.find("search"));
  EXPECT_EQ(contract.find("copy")->pointer, "/paths/~1orders~1{id}/additionalOperations/COPY");
  const auto refused = contract.match("LOCK", "/orders/1");
  EXPECT_EQ(refused.kind, Match::Kind::method_not_allowed);
  EXPECT_EQ(refused.allow, "GET, HEAD, OPTIONS, QUERY, COPY, m-search");
  EXPECT_EQ(contract.match("copy", "/orders/1").kind, Match::Kind::method_not_allowed) << "methods have a case";
}

TEST(OpenApi32, EarlierVersionsDoNotHaveItsFields) {
  constexpr auto kPaths =
      "paths:\n  /a:\n    get: {responses: {'200': {description: ok}}}\n"
      "    query: {responses: {'200': {description: ok}}}\n";
  EXPECT_EQ(codes(kPaths, "3.1.0"), "unknown-field ");
  EXPECT_EQ(codes(kPaths), "");
  const auto old = load_text(document(kPaths, "3.1.0"));
  ASSERT_TRUE(old);
  EXPECT_EQ((*old)->operations.size(), 1u);
  EXPECT_TRUE((*old)->warnings[0].remedy.contains("3.2.0"));
}

TEST(OpenApi32, SelfNamesTheDocument) {
  EXPECT_EQ(codes(R"($self: https://example.com/api/openapi
components: {schemas: {A: {type: string}}}
paths:
  /a:
    get:
      parameters:
        - {name: x, in: query, schema: {$ref: 'https://example.com/api/openapi#/components/schemas/A'}}
        - {name: y, in: query, schema: {$ref: 'openapi#/components/schemas/A'}}
        - {name: z, in: query, schema: {$ref: '#/components/schemas/A'}}
      responses: {'200': {description: ok}}
)"),
            "");
  EXPECT_EQ(codes(R"($self: https://example.com/api/openapi
paths: {/a: {get: {responses: {'200': {$ref: 'https://example.com/api/other#/components/responses/A'}}}}}
)"),
            "network-reference ");
}

TEST(OpenApi32, TagsMakeATree) {
  EXPECT_EQ(codes("paths: {}\ntags: [{name: a, kind: nav}, {name: b, parent: "
                  "a}, {name: c, parent: b}]\n"),
            "");
  EXPECT_EQ(codes("paths: {}\ntags: [{name: a, parent: b}]\n"), "broken-reference ");
  EXPECT_EQ(codes("paths: {}\ntags: [{name: a, parent: b}, {name: b, parent: "
                  "c}, {name: c, parent: a}]\n"),
            "reference-cycle reference-cycle reference-cycle ");
  EXPECT_EQ(codes("paths: {}\ntags: [{name: a, parent: a}, {name: b, parent: a}]\n"), "reference-cycle ");
}

struct Read {
  Arena arena;
  std::vector<FieldError> errors;
  std::string values;
  std::string canonical;
};

/// The parameters of operation `q` as they are read from a request.
std::unique_ptr<Read> read(const Contract& contract, std::string_view query, std::string_view cookie = {}) {
  auto made = std::make_unique<Read>();
  Request request{.method = "GET", .target = "/q", .headers = Headers{made->arena}};
  request.query = query;
  if (!cookie.empty()) request.headers.add("cookie", cookie);
  const auto& operation = *contract.find("q");
  Steps steps;
  const Parameters parameters{contract, operation, {}};  // the names of what it reads are its own
  const auto values = parameters.read({}, request, made->arena, steps, made->errors);
  for (const auto* value : values) made->values += (value ? json::to_string(*value) : "-") + " ";
  made->canonical = canonical_query(operation, values);
  return made;
}

std::string query_string(const std::string& content) {
  return document(
      "paths:\n  /q:\n    get:\n      operationId: q\n      "
      "responses: {'200': {description: ok}}\n"
      "      parameters: [{name: all, in: querystring, required: "
      "true, content: " +
      content + "}]\n");
}

TEST(OpenApi32, TheWholeQueryIsOneValue) {
  const auto json = load_text(query_string("{application/json: {schema: {type: object, required: [a]}}}"));
  ASSERT_TRUE(json) << all(json.error());
  auto found = read(**json, "%7B%22a%22:%5B1,2%5D%7D");
  EXPECT_TRUE(found->errors.empty());
  EXPECT_EQ(found->values, "{\"a\":[1,2]} ");
  EXPECT_TRUE(found->canonical.contains("%22a%22"))
      << "what answers depend on is part of their key: " << found->canonical;
  for (const auto* wrong : {"", "a=1", "%7B%22b%22:1%7D", "%7B"})
    EXPECT_EQ(read(**json, wrong)->errors.size(), 1u) << wrong;
  const auto form =
      load_text(query_string("{application/x-www-form-urlencoded: {schema: {type: "
                             "object, properties: {n: {type: integer}, t: {type: array, "
                             "items: {type: string}}}, additionalProperties: false}}}"));
  ASSERT_TRUE(form) << all(form.error());
  found = read(**form, "n=7&t=a&t=b+c");
  EXPECT_TRUE(found->errors.empty());
  EXPECT_EQ(found->values, "{\"n\":7,\"t\":[\"a\",\"b c\"]} ");
  EXPECT_EQ(found->canonical, "n=7&t=a&t=b%20c");
  for (const auto* wrong : {"", "n=x", "other=1"}) EXPECT_EQ(read(**form, wrong)->errors.size(), 1u) << wrong;
  EXPECT_EQ(codes("paths:\n  /q:\n    parameters: [{name: all, in: querystring, "
                  "content: {text/plain: {}}}]\n"
                  "    get:\n      parameters: [{name: x, in: query, schema: {}}]\n"
                  "      responses: {'200': {description: ok}}\n"),
            "invalid-parameter ");
}

TEST(OpenApi32, CookiesOfTheirOwnStyleAreNotPercentEncoded) {
  const auto loaded =
      load_text(document("paths:\n  /q:\n    get:\n      operationId: q\n      responses: {'200': "
                         "{description: ok}}\n"
                         "      parameters:\n        - {name: plain, in: cookie, style: cookie, "
                         "schema: {type: string}}\n"
                         "        - {name: encoded, in: cookie, schema: {type: string}}\n"));
  ASSERT_TRUE(loaded) << all(loaded.error());
  EXPECT_EQ(read(**loaded, "", "plain=a%20b; encoded=a%20b")->values, "\"a%20b\" \"a b\" ");
}

TEST(OpenApi32, ItemSchemaIsOfEachItem) {
  const auto loaded = load_text(document(R"(components:
  schemas: {Line: {type: object, required: [n], properties: {n: {type: integer}}}}
  mediaTypes: {Lines: {itemSchema: {$ref: '#/components/schemas/Line'}}}
paths:
  /a:
    post:
      operationId: a
      requestBody: {content: {application/x-ndjson: {$ref: '#/components/mediaTypes/Lines'}}}
      responses:
        '200':
          description: ok
          content:
            application/jsonl: {$ref: '#/components/mediaTypes/Lines'}
            text/event-stream: {itemSchema: {type: object, properties: {data: {type: string}}}}
)"));
  ASSERT_TRUE(loaded) << all(loaded.error());
  const auto& operation = *(*loaded)->find("a");
  const BodyReader reader{**loaded, operation.body->content[0]};
  const auto errors = [&](std::string_view body) {
    Arena arena;
    Steps steps;
    std::vector<FieldError> found;
    EXPECT_TRUE(reader.read(body, BodyKind::json_lines, "application/x-ndjson", arena, steps, found));
    std::string text;
    for (auto& error : found) text += error.pointer + " ";
    return text;
  };
  EXPECT_EQ(errors("{\"n\":1}\n{\"n\":2}\n"), "");
  EXPECT_EQ(errors("{\"n\":1}\n{}\n{\"n\":\"x\"}\n"), "/1/n /2/n ");
  EXPECT_EQ(errors(""), "");
  const auto& content = operation.responses[0].content;
  ASSERT_EQ(content.size(), 2u);
  EXPECT_TRUE(content[0].schema);
  EXPECT_TRUE(content[1].events);
  EXPECT_FALSE(content[1].schema) << "a stream is no value";
}

}  // namespace
}  // namespace plimsoll::contract
