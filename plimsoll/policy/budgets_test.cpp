#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

namespace plimsoll::policy {
namespace {

std::string contract(std::string_view document, std::string_view path, std::string_view operation) {
  const auto scope = [](std::string_view indent, std::string_view budgets) {
    return budgets.empty() ? std::string{} : std::string(indent) + "budgets: " + std::string(budgets) + "\n";
  };
  return R"(openapi: 3.1.0
info: {title: Budgets, version: '1'}
x-plimsoll:
  authorization: any-caller
)" + scope("  ", document) +
         R"(paths:
  /numbers:
    x-plimsoll:
      rate-limit: off
)" + scope("      ", path) +
         R"(    post:
      operationId: send
      x-plimsoll:
        mock: {}
)" + scope("        ", operation) +
         R"(      parameters: [{name: p, in: query, schema: {type: array, items: {type: integer}}}]
      requestBody: {content: {application/json: {schema: {type: array, items: {type: integer}}}}}
      responses: {'200': {description: ok, content: {application/json: {example: {}}}}}
)";
}
std::string numbers(int count) {
  std::string out = "[0";
  for (int i = 1; i < count; ++i) out += ",1";
  return out + "]";
}

TEST(Budgets, EndWhatTakesTooManySteps) {
  testkit::Api api(contract("", "", "{steps: 100}"));
  ASSERT_EQ(api.complaints, "");
  EXPECT_EQ(api.client->post("/numbers", numbers(90)).status, 200);
  const auto refused = api.client->post("/numbers", numbers(110));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.problem, "too-complex");
  EXPECT_EQ(api.client->post("/numbers", "[1,\"x\"]").problem, "invalid");
}

TEST(Budgets, AreSpentByAllPartsOfARequestTogether) {
  testkit::Api api(contract("", "", "{steps: 100}"));
  std::string query = "?p=0";
  for (int i = 1; i < 60; ++i) query += "&p=1";
  EXPECT_EQ(api.client->post("/numbers" + query, numbers(30)).status, 200);
  EXPECT_EQ(api.client->post("/numbers", numbers(60)).status, 200);
  EXPECT_EQ(api.client->post("/numbers" + query, numbers(60)).problem, "too-complex");
}

TEST(Budgets, OfAnInnerScopeReplaceThoseOfTheOuterOnes) {
  for (const auto& [document, path, operation] :
       {std::array{"{steps: 10}", "", ""}, std::array{"{steps: 1000}", "{steps: 10}", ""},
        std::array{"{steps: 1000}", "{steps: 1000}", "{steps: 10}"}, std::array{"{steps: 10}", "{}", "{}"}}) {
    testkit::Api api(contract(document, path, operation));
    ASSERT_EQ(api.complaints, "");
    EXPECT_EQ(api.client->post("/numbers", numbers(5)).status, 200);
    EXPECT_EQ(api.client->post("/numbers", numbers(50)).problem, "too-complex") << document << path << operation;
  }
}

TEST(Budgets, ThatCannotBeAreRefusedAtTheStart) {
  testkit::Api api(contract("{steps: 0}", "", ""));
  EXPECT_NE(api.complaints.find("`steps` is at least 1"), std::string::npos) << api.complaints;
  EXPECT_FALSE(api.start(contract("{stepps: 10}", "", "")));
  EXPECT_NE(api.complaints.find("steps"), std::string::npos) << api.complaints;
}

}  // namespace
}  // namespace plimsoll::policy
