#include "plimsoll/client/graphql.hpp"

#include "plimsoll/base/arena.hpp"
#include "plimsoll/client/graphql_check.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace plimsoll::client {
namespace {

constexpr auto kGraphql = "application/graphql-response+json";
constexpr std::string_view kHash =
    "ecf4edb46db40b5132295c0291d62fb65d6759a9eedfa4d5d612dd5ec54a6b38";  // of {__typename}

std::string_view header(const Call& call, std::string_view name) {
  for (const auto& [key, value] : call.headers)
    if (key == name) return value;
  return {};
}

TEST(GraphqlRequest, IsPosted) {
  const GraphqlCall call{.query = "query Q($a: Int) {\n a(b: \"x\") }",
                         .variables = R"({"a":1})",
                         .operation = "Q",
                         .headers = {{"x-mine", "1"}}};
  const auto made = graphql_request(call, GraphqlOperation::query, GraphqlText::query, "/graphql");
  EXPECT_EQ(made.method, "POST");
  EXPECT_EQ(made.target, "");
  EXPECT_EQ(made.body, R"({"query":"query Q($a: Int) {\n a(b: \"x\") }","operationName":"Q","variables":{"a":1}})");
  EXPECT_EQ(header(made, "content-type"), "application/json");
  EXPECT_EQ(header(made, "accept"), "application/graphql-response+json, application/json;q=0.9");
  EXPECT_EQ(header(made, "x-mine"), "1");
  EXPECT_EQ(made.repeats, Repeats::safe);
  EXPECT_EQ(graphql_request(call, GraphqlOperation::mutation, GraphqlText::query, "/").repeats, Repeats::never);
}

TEST(GraphqlRequest, SendsAHashInPlaceOfTheDocument) {
  const GraphqlCall call{.query = "{__typename}"};
  const std::string extensions =
      R"("extensions":{"persistedQuery":{"version":1,"sha256Hash":")" + std::string(kHash) + R"("}})";
  const auto body = [&](GraphqlText text) { return graphql_request(call, GraphqlOperation::query, text, "/").body; };
  EXPECT_EQ(body(GraphqlText::hash), "{" + extensions + "}");
  EXPECT_EQ(body(GraphqlText::both), R"({"query":"{__typename}",)" + extensions + "}");
}

TEST(GraphqlRequest, GoesByGetWhereThatIsAskedForAndSafe) {
  GraphqlCall call{.query = "{a(b: \"ä&\")}", .variables = R"({"c":1})", .get = true};
  const auto target = [&](std::string_view base) {
    return graphql_request(call, GraphqlOperation::query, GraphqlText::query, base).target;
  };
  const std::string query = "query=%7Ba%28b%3A%20%22%C3%A4%26%22%29%7D&variables=%7B%22c%22%3A1%7D";
  EXPECT_EQ(target("/graphql"), "?" + query);  // behind the path of the URL
  EXPECT_EQ(target("/"), "/?" + query);
  EXPECT_EQ(target("/graphql/"), "/?" + query);
  call.target = "/v2?key=1";
  EXPECT_EQ(target("/"), "/v2?key=1&" + query);
  const auto made = graphql_request(call, GraphqlOperation::query, GraphqlText::query, "/");
  EXPECT_EQ(made.method, "GET");
  EXPECT_EQ(made.body, "");
  EXPECT_EQ(header(made, "content-type"), "");
  EXPECT_EQ(graphql_request(call, GraphqlOperation::mutation, GraphqlText::query, "/").method, "POST");
  call.query = "{a(b: \"" + std::string(9000, 'x') + "\")}";
  EXPECT_EQ(graphql_request(call, GraphqlOperation::query, GraphqlText::query, "/").method, "POST");
  EXPECT_EQ(graphql_request(call, GraphqlOperation::query, GraphqlText::hash, "/").method, "GET");
}

struct GraphqlResponses : testing::Test {
  Result<GraphqlResponse> read(std::string_view body, std::uint16_t status = 200,
                               std::string type = "application/json; charset=utf-8") {
    Answer answer{.status = status};
    answer.headers.emplace_back("content-type", std::move(type));
    answer.body = body;
    return graphql_response(answer, arena);
  }
  Arena arena;
};

TEST_F(GraphqlResponses, HaveDataAndErrors) {
  const auto whole = read(R"({"data":{"a":1},"extensions":{"cost":3}})");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->data.find("a")->integer(), 1);
  EXPECT_EQ(whole->extensions.find("cost")->integer(), 3);
  EXPECT_TRUE(whole->errors.empty());

  const auto partial = read(
      R"({"data":{"a":null},"errors":[{"message":"no","path":["a","b/c",2,"~"],"locations":[{"line":3,"column":5}],"extensions":{"code":"FORBIDDEN"}}]})");
  ASSERT_TRUE(partial);
  EXPECT_TRUE(partial->data.is(json::Type::object));
  ASSERT_EQ(partial->errors.size(), 1u);
  const auto& error = partial->errors.front();
  EXPECT_EQ(error.message, "no");
  EXPECT_EQ(error.path, "/a/b~1c/2/~0");
  EXPECT_EQ(error.code(), "FORBIDDEN");
  ASSERT_EQ(error.locations.size(), 1u);
  EXPECT_EQ(error.locations.front().line, 3);
  EXPECT_EQ(error.locations.front().column, 5);

  const auto none = read(R"({"errors":[{"message":"Syntax Error"}]})");
  ASSERT_TRUE(none);
  EXPECT_TRUE(none->data.is(json::Type::null));
  EXPECT_EQ(none->errors.front().code(), "");
  EXPECT_EQ(none->errors.front().path, "");
}

// GraphQL over HTTP, section 6.4.
TEST_F(GraphqlResponses, OfJsonAreBelievedWith2xxAlone) {
  constexpr auto kBody = R"({"errors":[{"message":"no"}]})";
  for (const std::uint16_t status : {200, 202, 400, 401, 422, 500, 503}) {
    EXPECT_TRUE(read(kBody, status, kGraphql)) << status;
    EXPECT_EQ(read(kBody, status).has_value(), status < 300) << status;
    EXPECT_FALSE(read(kBody, status, "text/html")) << status;
    EXPECT_FALSE(read(kBody, status, "")) << status;
  }
}

TEST_F(GraphqlResponses, ThatAreNoneAreBadAnswers) {
  for (const auto* body :
       {"", "{", "[]", "1", "{}", R"({"data":null})", R"({"data":1})", R"({"data":[]})", R"({"errors":[]})",
        R"({"errors":{}})", R"({"errors":[1]})", R"({"errors":[{}]})", R"({"errors":[{"message":1}]})",
        R"({"errors":[{"message":"a","path":"a"}]})", R"({"errors":[{"message":"a","path":[-1]}]})",
        R"({"errors":[{"message":"a","path":[null]}]})", R"({"data":{"a":1},"data":{"a":2}})"}) {
    const auto made = read(body, 200, kGraphql);
    ASSERT_FALSE(made) << body;
    EXPECT_EQ(made.error().problem, &kBadAnswer) << body;
  }
}

TEST(GraphqlPersisted, AServiceAsksForTheDocument) {
  const auto asked = [](std::string body, std::uint16_t status = 200) {
    Answer answer{.status = status};
    answer.body = std::move(body);
    return asks_for(answer);
  };
  EXPECT_EQ(asked(R"({"errors":[{"message":"PersistedQueryNotFound"}]})"), GraphqlText::both);
  EXPECT_EQ(asked(R"({"errors":[{"message":"?","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]})", 404),
            GraphqlText::both);
  EXPECT_EQ(asked(R"({"errors":[{"message":"PersistedQueryNotSupported"}]})"), GraphqlText::query);
  for (const auto* body : {"", "{}", "[]", R"({"data":{}})", R"({"errors":[{"message":"no"}]})", R"({"errors":[1]})"})
    EXPECT_EQ(asked(body), std::nullopt) << body;
}

TEST(GraphqlCorpus, TheKeptInputsOfTheFuzzTarget) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/fuzz/graphql_fuzz")) {
    std::ostringstream text;
    text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    EXPECT_EQ(document_fault(text.str()), "") << entry.path();
    EXPECT_EQ(response_fault(text.str()), "") << entry.path();
    ++count;
  }
  EXPECT_GE(count, 14u);
}

}  // namespace
}  // namespace plimsoll::client
