#include "plimsoll/contract/ruleset.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace plimsoll::contract {
namespace {

constexpr std::string_view kContract = R"(openapi: 3.1.0
info: {title: orders, version: '1', contact: {name: Ada}}
servers: [{url: https://api.example.com}]
paths:
  /Orders_List:
    get:
      operationId: ListOrders
      summary: List orders
      security: []
      parameters: [{name: pageSize, in: query, schema: {type: integer, minimum: 1, maximum: 50}}]
      responses:
        '200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Order'}}}}
  /orders/{id}:
    get:
      operationId: getOrder
      security: []
      parameters: [{name: id, in: path, required: true, schema: {type: string, maxLength: 9}}]
      responses: {'200': {description: A}, default: {description: bad, content: {application/problem+json: {schema: {type: object}}}}}
components:
  schemas:
    Order: {type: object, properties: {id: {type: string}}}
)";

class RulesetTest : public testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) / ("ruleset-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    write("contract.yaml", kContract);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  void write(const std::string& name, std::string_view text) { std::ofstream(folder / name) << text; }

  /// `rule:line:column message` of each finding.
  std::vector<std::string> lint(std::string_view rules) {
    write("rules.yaml", rules);
    auto ruleset = Ruleset::read((folder / "rules.yaml").string());
    if (!ruleset) return {"refused: " + to_string(ruleset.error()[0])};
    auto loaded = load({.file = (folder / "contract.yaml").string()});
    if (!loaded) return {"not loaded: " + to_string(loaded.error()[0])};
    std::vector<std::string> made;
    for (const auto& finding : ruleset->lint(**loaded)) {
      constexpr std::string_view kSeverities[] = {"error", "warning", "info"};
      made.push_back(finding.rule + ":" + std::to_string(finding.at.line) + ":" + std::to_string(finding.at.column) +
                     " " + std::string(kSeverities[static_cast<std::size_t>(finding.severity)]) + " " +
                     finding.message);
    }
    return made;
  }
  std::filesystem::path folder;
};

constexpr std::string_view kOff = "extends: [[spectral:oas, off]]\n";

TEST_F(RulesetTest, EachFunctionFindsWhatItIsFor) {
  const auto found = lint(std::string(kOff) + R"(rules:
  title: {given: $.info, severity: error, then: {field: title, function: pattern, functionOptions: {match: '^[A-Z]'}}}
  contact: {given: $.info, then: {field: contact.email, function: truthy}}
  no-name: {given: $.info.contact, severity: info, then: {field: name, function: undefined}}
  licence: {given: $.info, severity: hint, then: {field: license, function: defined}}
  ids: {given: '$.paths[*][*].operationId', then: {function: casing, functionOptions: {type: camel}}}
  paths: {given: $.paths, then: {field: '@key', function: pattern, functionOptions: {notMatch: '[A-Z_]'}}}
  keys: {given: '$.paths[*]~', then: {function: length, functionOptions: {max: 11}}}
  described: {given: '$..responses[*]', then: {field: description, function: length, functionOptions: {min: 2}}}
  styles: {given: '$.paths[*][*].parameters[?(@.in === ''query'')]', then: {field: name, function: enumeration, functionOptions: {values: [limit, cursor]}}}
  one-of: {given: '$.paths[*][*]', then: {function: xor, functionOptions: {properties: [summary, description]}}}
  shape: {given: '$.components.schemas[*]', then: {function: schema, functionOptions: {schema: {required: [additionalProperties]}}}}
)");
  EXPECT_EQ(found, (std::vector<std::string>{
                       "licence:2:7 info \"license\" must be present",
                       "title:2:15 error \"title\" must match the pattern ^[A-Z]",
                       "contact:2:46 warning \"email\" must be present and not empty",
                       "no-name:2:53 info \"name\" must be absent",
                       "keys:5:3 warning \"/Orders_List\" must not be longer than 11",
                       "paths:5:3 warning \"/Orders_List\" must not match the pattern [A-Z_]",
                       "ids:7:20 warning \"operationId\" must be camel case",
                       "styles:10:27 warning \"name\" must be one of \"limit\", \"cursor\"",
                       "keys:13:3 warning \"/orders/{id}\" must not be longer than 11",
                       "one-of:15:7 warning \"get\" must have exactly one of \"summary\", \"description\"",
                       "described:18:40 warning \"description\" must not be shorter than 2",
                       "shape:21:12 warning \"Order\" must have the property \"additionalProperties\"",
                   }));
}

TEST_F(RulesetTest, SeveritiesAndMessagesAreTheRulesets) {
  write("base.yaml",
        "rules:\n  title: {given: $.info, message: 'Title: {{error}} at {{path}}', then: {field: title, function: "
        "casing, "
        "functionOptions: {type: pascal}}}\n  other: {given: $.info, recommended: false, then: {field: summary, "
        "function: truthy}}\n");
  EXPECT_EQ(lint("extends: [base.yaml, [spectral:oas, off]]\nrules: {title: error}\n"),
            (std::vector<std::string>{"title:2:15 error Title: \"title\" must be pascal case at #/info/title"}));
  EXPECT_EQ(lint("extends: [[base.yaml, all], [spectral:oas, off]]\nrules: {title: off}\n"),
            (std::vector<std::string>{"other:2:7 warning \"summary\" must be present and not empty"}));
}

TEST_F(RulesetTest, BuiltInRulesAnswerToTheirNamesAndToTheirCounterparts) {
  const auto found = lint(
      "extends: spectral:oas\nrules: {operation-description: error, problem-response: off, string-bounded: off}\n");
  EXPECT_EQ(found,
            (std::vector<std::string>{"operation-summary:15:7 error GET /orders/{id} does not say what it does"}));
}

TEST_F(RulesetTest, WhatCannotBeReadIsNamedAtItsPlaceAndTheRestIsApplied) {
  const auto found = lint(R"(extends: [[spectral:oas, off], spectral:asyncapi, 'https://example.com/rules.yaml']
functions: [equals]
rules:
  a: {given: $.info, then: {function: equals}}
  b: {given: '$.info[?@property]', then: {function: truthy}}
  c: {given: '#None', then: {function: truthy}}
  d: {given: $.info, then: {field: '$.title', function: truthy}}
  e: {given: $.info, severity: fatal, then: {function: truthy}}
  f: {given: $.info}
  no-such-rule: error
  no-such-rule-either: off
  last: {given: $.info, then: {field: license, function: truthy}}
)");
  ASSERT_EQ(found.size(), 11u);
  const std::string_view begins[] = {"ruleset:1:32", "ruleset:1:51", "ruleset:2:1",  "ruleset:4:28",
                                     "ruleset:5:14", "ruleset:6:14", "ruleset:7:28", "ruleset:8:32",
                                     "ruleset:9:3",  "ruleset:10:3", "last:2:7"};
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(found[i].starts_with(begins[i])) << found[i];
  EXPECT_NE(found[3].find("the function `equals` is not read"), std::string::npos) << found[3];
}

TEST_F(RulesetTest, AFileThatIsNoRulesetIsRefused) {
  EXPECT_TRUE(lint("- a\n")[0].starts_with("refused: ")) << lint("- a\n")[0];
  EXPECT_TRUE(lint("rules: {\n")[0].starts_with("refused: "));
  EXPECT_FALSE(Ruleset::read((folder / "nowhere.yaml").string()));
}

}  // namespace
}  // namespace plimsoll::contract
