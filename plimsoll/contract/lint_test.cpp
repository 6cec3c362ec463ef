#include "plimsoll/contract/lint.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace plimsoll::contract {
namespace {

/// One fault of each kind, each with the rule that must find it.
constexpr std::string_view kContract = R"(openapi: 3.1.0
info: {title: Faulty, version: '1'}
servers: [{url: http://api.example.com/v1}]
tags: [{name: known}]
paths:
  /orders/:
    get:
      tags: [unknown]
      parameters:
        - {name: limit, in: query, schema: {type: integer}}
        - {name: q, in: query, schema: {type: string}}
        - {name: n, in: query, schema: {type: integer}}
        - {name: ids, in: query, schema: {type: array, items: {type: string, format: uuid}}, example: [x]}
      requestBody: {content: {application/json: {schema: {type: boolean}}}}
      responses: {'400': {description: bad}}
  /list:
    get:
      operationId: list
      summary: Lists
      responses:
        '200': {description: ok, content: {application/json: {schema: {type: array, items: {type: string}}, example: {a: 1}}}}
        '4XX': {description: bad, content: {application/problem+json: {schema: {type: object}}}}
components:
  securitySchemes: {key: {type: apiKey, in: query, name: key}}
  schemas: {Unused: {type: object}}
  responses: {Broken: {description: bad, content: {application/json: {schema: {type: [object, money]}}}}}
  parameters:
    Text: {name: t, in: query, schema: {type: string}}
)";

class LintTest : public testing::Test {
 protected:
  void SetUp() override {
    file = testing::TempDir() + "lint-" + std::to_string(::getpid()) + ".yaml";
    std::ofstream(file) << kContract;
    auto loaded = load({.file = file});
    ASSERT_TRUE(loaded) << to_string(loaded.error()[0]);
    findings = lint(**loaded);
  }
  void TearDown() override { std::filesystem::remove(file); }
  std::string file;
  std::vector<Finding> findings;
};

TEST_F(LintTest, EachRuleFindsItsFaultAtItsPlace) {
  std::set<std::string> found;
  for (auto& finding : findings) {
    found.insert(finding.rule + ":" + std::to_string(finding.at.line));
    EXPECT_GT(finding.at.line, 0u) << finding.rule;
    EXPECT_FALSE(finding.remedy.empty());
    EXPECT_EQ(finding.file, file);
  }
  for (const auto* wanted :
       {"server-secure:3", "path-slash:8", "operation-id:8", "operation-summary:8", "success-response:8",
        "problem-response:8", "security-declared:8", "tag-declared:8", "page-size-bounded:10", "string-bounded:11",
        "number-bounded:12", "array-bounded:13", "body-meaningful:14", "list-paged:18", "example-valid:21",
        "key-not-in-query:24", "component-used:25", "component-used:26", "schema-valid:26"})
    EXPECT_TRUE(found.contains(wanted)) << wanted << "\n" << to_text(findings);
  EXPECT_FALSE(found.contains("problem-response:18"));
}

TEST_F(LintTest, EachPointerLeadsToThePlaceThatIsNamed) {
  const auto loaded = load({.file = file});
  for (auto& finding : findings) {
    const auto* found = json::resolve(*(*loaded)->root, finding.pointer);
    ASSERT_TRUE(found) << finding.rule << ": " << finding.pointer;
    EXPECT_EQ(found->position().line, finding.at.line) << finding.rule << ": " << finding.pointer;
  }
}

TEST_F(LintTest, FilesAreUrisInSarif) {
  Finding finding = findings[0];
  finding.file = "my api/\xC3\xA9.yaml";
  EXPECT_NE(to_sarif({&finding, 1}, "1").find(R"("uri":"my%20api/%C3%A9.yaml")"), std::string::npos);
}

TEST_F(LintTest, IsPrintedAsJsonAndSarif) {
  Arena arena;
  const auto list = json::parse(arena.keep(to_json(findings)), arena);
  ASSERT_TRUE(list);
  EXPECT_EQ(list->array().size(), findings.size());
  EXPECT_EQ(list->array()[0].find("line")->integer(), findings[0].at.line);
  const auto sarif = json::parse(arena.keep(to_sarif(findings, "1")), arena);
  ASSERT_TRUE(sarif);
  const auto& run = sarif->find("runs")->array()[0];
  EXPECT_EQ(run.find("results")->array().size(), findings.size());
  std::set<std::string_view> rules;
  for (auto& rule : run.at("tool", "driver", "rules")->array()) rules.insert(rule.find("id")->string());
  for (auto& result : run.find("results")->array()) EXPECT_TRUE(rules.contains(result.find("ruleId")->string()));
}

TEST(Lint, RulesAreDeclaredOnce) {
  std::set<std::string_view> ids;
  for (auto& rule : lint_rules()) {
    EXPECT_TRUE(ids.insert(rule.id).second) << rule.id;
    EXPECT_FALSE(rule.sentence.empty() || rule.remedy.empty());
  }
}

}  // namespace
}  // namespace plimsoll::contract
