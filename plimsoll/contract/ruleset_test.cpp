#include "plimsoll/contract/ruleset.hpp"

#include "plimsoll/contract/ruleset_rule.hpp"

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
    auto ruleset = Ruleset::read((folder / "rules.yaml").string(), (folder / "contract.yaml").string());
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
  EXPECT_EQ(found, (std::vector<std::string>{
                       "info-description:2:7 warning \"description\" must be present and not empty",
                       "operation-tags:7:7 warning \"tags\" must be present",
                       "operation-summary:15:7 error GET /orders/{id} does not say what it does",
                       "operation-tags:15:7 warning \"tags\" must be present",
                   }));
}

TEST_F(RulesetTest, RulesOfSpectralThatOursLackAreThereAndNamedByThemselves) {
  EXPECT_EQ(
      lint(std::string(kOff) + "rules: {info-license: error, oas3-server-trailing-slash: warn, path-params: off}\n"),
      (std::vector<std::string>{"info-license:2:7 error \"license\" must be present and not empty"}));
  EXPECT_EQ(lint(std::string(kOff) + "rules: {path-params: error, oas2-schema: warn, no-$ref-siblings: error}\n"),
            (std::vector<std::string>{"ruleset:2:48 warning there is no rule no-$ref-siblings here"}));
  // Aliases of these rules are not those of the ruleset.
  EXPECT_TRUE(
      lint("extends: spectral:oas\nrules: {a: {given: '#Operation', then: {function: truthy}}}\n")[0].starts_with(
          "ruleset:2:20 warning the rule a is left out: there is no alias #Operation"));
}

TEST_F(RulesetTest, WhatCannotBeReadIsNamedAtItsPlaceAndTheRestIsApplied) {
  const auto found = lint(R"(extends: [[spectral:oas, off], spectral:asyncapi, 'https://example.com/rules.yaml']
functions: [equals]
functionsDir: here
rules:
  a: {given: $.info, then: {function: equals}}
  b: {given: '$.info[?(@parentProperty)]', then: {function: truthy}}
  c: {given: '#None', then: {function: truthy}}
  d: {given: $.info, then: {field: '$.title[', function: truthy}}
  e: {given: $.info, severity: fatal, then: {function: truthy}}
  f: {given: $.info}
  no-such-rule: error
  no-such-rule-either: off
  last: {given: $.info, then: {field: license, function: truthy}}
)");
  ASSERT_EQ(found.size(), 12u);
  const std::string_view begins[] = {"ruleset:1:32", "ruleset:1:51", "ruleset:2:1",  "ruleset:3:1",
                                     "ruleset:5:28", "ruleset:6:14", "ruleset:7:14", "ruleset:8:28",
                                     "ruleset:9:32", "ruleset:10:3", "ruleset:11:3", "last:2:7"};
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(found[i].starts_with(begins[i])) << found[i];
  EXPECT_NE(found[4].find("the function `equals` is not read"), std::string::npos) << found[4];
}

TEST_F(RulesetTest, EachFunctionOfListsAndObjectsFindsWhatItIsFor) {
  write("contract.yaml", R"(openapi: 3.0.3
info: {title: orders, version: 1.0.0, x-summary: x}
tags: [{name: a}, {name: c}, {name: b}]
paths: {}
components:
  schemas:
    Used: {type: array, items: {$ref: '#/components/schemas/Item'}, maxItems: 3}
    Item: {type: string, enum: [b, a, 3]}
    Alone: {$ref: '#/components/schemas/Used'}
)");
  EXPECT_EQ(lint(std::string(kOff) + R"(rules:
  either: {given: $.info, then: {function: or, functionOptions: {properties: [contact, license]}}}
  tags: {given: $.tags, then: {function: alphabetical, functionOptions: {keyedBy: name}}}
  sorted: {given: $.components.schemas.Item.enum, then: {function: alphabetical}}
  names: {given: $.components.schemas, then: {function: alphabetical}}
  typed: {given: '$..[?(@ && @.enum)]', then: {function: typedEnum}}
  used: {given: $.components.schemas, resolved: false, then: {function: unreferencedReusableObject, functionOptions: {reusableObjectsLocation: '#/components/schemas'}}}
  words: {given: $.info, then: {field: '@key', function: casing, functionOptions: {type: flat, separator: {char: _}}}}
  there: {given: $.info, then: {field: license, function: schema, functionOptions: {schema: {type: object}}}}
  few: {given: $.components.schemas.Used, then: {field: maxItems, function: length, functionOptions: {max: 2.5}}}
)"),
            (std::vector<std::string>{
                "either:2:7 warning \"info\" must have one of \"contact\", \"license\"",
                "there:2:7 warning \"license\" must be present",
                "words:2:39 warning \"x-summary\" must be flat case",
                "tags:3:7 warning \"c\" must be placed after \"b\"",
                "names:7:5 warning \"Used\" must be placed after \"Item\"",
                "few:7:79 warning \"maxItems\" must not be longer than 2.5",
                "sorted:8:33 warning \"b\" must be placed after \"a\"",
                "typed:8:39 warning item 2 must be of the type that is declared",
                "used:9:5 warning \"Alone\" is referred to by nothing",
            }));
}

TEST_F(RulesetTest, RulesSeeTheTargetsOfReferencesUnlessTheySayOtherwise) {
  const auto found = lint(std::string(kOff) + R"(rules:
  seen: {given: '$.paths[*].get.responses[*].content[*].schema.properties[*]', then: {field: description, function: truthy}}
  kept: {given: '$.paths[*].get.responses[*].content[*].schema', resolved: false, then: {field: $ref, function: undefined}}
)");
  EXPECT_EQ(found, (std::vector<std::string>{
                       "kept:12:78 warning \"$ref\" must be absent",
                       "seen:21:44 warning \"description\" must be present and not empty",
                   }));
}

TEST_F(RulesetTest, AliasesStandForPathsAndMayBeContinued) {
  EXPECT_EQ(lint(std::string(kOff) + R"(aliases:
  Path: ['$.paths[*]']
  Operation: ['#Path[get,put]', '#Path[post]']
  Schemas: {targets: [{formats: [oas2], given: [$.info]}, {formats: [oas3_1], given: ['$.components.schemas[*]']}]}
  Circle: ['#Circle']
rules:
  shown: {given: '#Operation.parameters[?(@.in === "path")]', then: {field: description, function: truthy}}
  typed: {given: '#Schemas', then: {field: title, function: truthy}}
  round: {given: '#Circle', then: {function: truthy}}
)"),
            (std::vector<std::string>{
                "ruleset:10:18 warning the rule round is left out: its aliases name each other too deeply",
                "shown:17:20 warning \"description\" must be present and not empty",
                "typed:21:12 warning \"title\" must be present and not empty",
            }));
}

TEST_F(RulesetTest, OverridesAreAboutTheFilesAndPlacesThatTheyName) {
  write("base.yaml", "rules: {title: {given: $.info, severity: info, then: {field: zip, function: truthy}}}\n");
  constexpr std::string_view kRules = R"(extends: [[spectral:oas, off], [base.yaml, off]]
rules:
  ids: {given: '$.paths[*][*]', then: {field: zip, function: truthy}}
overrides:
  - {files: ['con*.{yml,yaml}'], rules: {title: true}}
  - {files: ['**/other.yaml'], rules: {ids: off}}
  - {files: ['**/contract.yaml#/paths/~1orders~1{id}'], rules: {ids: off}}
  - {files: ['contract.yaml#/paths/~1Orders_List'], rules: {ids: error}}
)";
  EXPECT_EQ(lint(kRules), (std::vector<std::string>{
                              "title:2:7 info \"zip\" must be present and not empty",
                              "ids:7:7 error \"zip\" must be present and not empty",
                          }));
}

TEST(RulesetFiles, PatternsNameThemAsShellsDo) {
  using ruleset::names_file;
  for (const auto& [pattern, path] : {std::pair{"*.yaml", "a/b/c.yaml"},
                                      {"a/**/c.yaml", "a/c.yaml"},
                                      {"a/**/c.yaml", "a/b/d/c.yaml"},
                                      {"**/*.{json,yaml}", "x.json"},
                                      {"a/?[0-9].yaml", "a/v2.yaml"},
                                      {"./a.yaml", "a.yaml"},
                                      {"a/**", "a/b/c"}})
    EXPECT_TRUE(names_file(pattern, path)) << pattern << " " << path;
  for (const auto& [pattern, path] : {std::pair{"a/*.yaml", "a/b/c.yaml"},
                                      {"a/**/c.yaml", "b/c.yaml"},
                                      {"a/?[!0-9].yaml", "a/v2.yaml"},
                                      {"*.yaml", "a.yml"},
                                      {"a", "ab"},
                                      {"ab", "a"}})
    EXPECT_FALSE(names_file(pattern, path)) << pattern << " " << path;
}

TEST_F(RulesetTest, AFileThatIsNoRulesetIsRefused) {
  EXPECT_TRUE(lint("- a\n")[0].starts_with("refused: ")) << lint("- a\n")[0];
  EXPECT_TRUE(lint("rules: {\n")[0].starts_with("refused: "));
  EXPECT_FALSE(Ruleset::read((folder / "nowhere.yaml").string()));
}

}  // namespace
}  // namespace plimsoll::contract
