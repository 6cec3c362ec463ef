#include "plimsoll/contract/contract.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace plimsoll::contract {
namespace {

std::string all(const Complaints& complaints) {
  std::string text;
  for (auto& c : complaints) text += to_string(c) + "\n";
  return text;
}

auto load_text(const std::string& text, bool tolerant = false) {
  const auto file = testing::TempDir() + "tolerant-" + std::to_string(::getpid()) + ".yaml";
  std::ofstream(file) << text;
  auto loaded = load({.file = file, .tolerant = tolerant});
  std::filesystem::remove(file);
  return loaded;
}

std::string document(const std::string& rest, const char* version = "3.1.0") {
  return "openapi: " + std::string(version) + "\ninfo: {title: T, version: '1'}\n" + rest;
}

/// The codes of all that is said of a document, in order.
std::string codes(const std::string& rest, const char* version = "3.1.0") {
  const auto loaded = load_text(document(rest, version));
  std::string text;
  for (auto& complaint : loaded ? (*loaded)->warnings : loaded.error()) text += complaint.code + " ";
  return text;
}

TEST(Tolerant, FilesAreBodies) {
  EXPECT_EQ(codes("paths:\n  /a:\n    post:\n      requestBody: {content: "
                  "{application/pdf: {schema: {type: string, "
                  "format: binary}}}}\n      responses: {'200': {description: ok}}\n",
                  "3.0.3"),
            "");
  EXPECT_EQ(codes("paths:\n  /a:\n    post:\n      requestBody: {content: "
                  "{application/pdf: {schema: {type: string, "
                  "contentMediaType: application/pdf}}}}\n      responses: "
                  "{'200': {description: ok}}\n"),
            "");
  EXPECT_EQ(codes("paths:\n  /a:\n    post:\n      requestBody: {content: "
                  "{application/pdf: {schema: {type: object}}}}\n"
                  "      responses: {'200': {description: ok}}\n"),
            "uncheckable-body ");
}

/// One fault of each kind that others make: the rest of the document is loaded, and each fault is told.
TEST(Tolerant, WhatIsFaultyIsLeftOutWithAWarning) {
  const auto text = document(R"(paths:
  /a/{id}:
    get:
      operationId: same
      parameters:
        - {name: limit, in: query, schema: {type: integer, default: many}}
        - {name: odd, in: nowhere, schema: {}}
      responses:
        '200': {description: ok, content: {text: {schema: {}}, application/json: {schema: {pattern: '['}}}}
  /a/{other}:
    get: {operationId: same, responses: {'200': {description: ok}}}
  /b:
    post:
      parameters: [{name: gone, in: path, required: true, schema: {}}]
      requestBody: {required: true, content: {application/xml: {schema: {type: object}}}}
      responses: {'200': {$ref: '#/components/responses/Missing'}, weird: {description: no}}
)",
                             "3.1.0");
  const auto strict = load_text(text);
  ASSERT_FALSE(strict);
  const auto tolerated = load_text(text, true);
  ASSERT_TRUE(tolerated) << all(tolerated.error());
  const auto& contract = **tolerated;
  ASSERT_EQ(contract.warnings.size(), strict.error().size());
  for (std::size_t i = 0; i < contract.warnings.size(); ++i) {
    EXPECT_EQ(contract.warnings[i].code, strict.error()[i].code);
    EXPECT_EQ(contract.warnings[i].severity, Complaint::Severity::warning);
    EXPECT_TRUE(contract.warnings[i].tolerated || strict.error()[i].severity == Complaint::Severity::warning);
  }
  ASSERT_EQ(contract.operations.size(), 3u);
  EXPECT_NE(contract.operations[0].id, contract.operations[1].id);
  const auto match = contract.match("GET", "/a/1");
  ASSERT_EQ(match.operation, &contract.operations[0]);
  EXPECT_FALSE(contract.operations[1].reachable);
  ASSERT_EQ(match.operation->parameters.size(), 1u);
  EXPECT_FALSE(match.operation->parameters[0].default_value);
  const auto& post = *contract.match("POST", "/b").operation;
  EXPECT_TRUE(post.parameters.empty());
  ASSERT_EQ(post.body->content.size(), 1u);
  EXPECT_FALSE(post.body->content[0].schema) << "taken as it is";
}

TEST(Tolerant, WhatIsOursIsNot) {
  EXPECT_FALSE(load_text(document("x-plimsol: {}\npaths: {}\n"), true));
  EXPECT_FALSE(load_text(document("x-plimsoll: {unknown: 1}\npaths: {}\n"), true));
  EXPECT_FALSE(load_text("openapi: 4.0.0\n", true));
  EXPECT_FALSE(load_text("{", true));
}

}  // namespace
}  // namespace plimsoll::contract
