#include "plimsoll/contract/contract.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace plimsoll::contract {
namespace {

using Direction = schema::CompileOptions::Direction;

constexpr std::string_view kContract = R"(openapi: 3.1.0
info: {title: Shared, version: '1'}
paths: {}
components:
  schemas:
    one: {type: integer, minimum: 1, maximum: 200, title: Rows of a page}
    two: {type: integer, minimum: 1, maximum: 200, title: Rows of a page}
    three: {type: integer, minimum: 1, maximum: 201, title: Rows of a page}
    named: {type: object, properties: {child: {$ref: '#/components/schemas/one'}}}
    named_alike: {type: object, properties: {child: {$ref: '#/components/schemas/one'}}}
)";

TEST(Schemas, ThoseThatAreAlikeAreCompiledOnce) {
  const auto file = testing::TempDir() + "schemas-" + std::to_string(::getpid()) + ".yaml";
  std::ofstream(file) << kContract;
  const auto loaded = load({.file = file});
  std::remove(file.c_str());
  ASSERT_TRUE(loaded);
  const auto validator = [&](std::string_view name, Direction direction = Direction::request) {
    const auto* schema = (*loaded)->root->find("components")->find("schemas")->find(name);
    auto made = (*loaded)->validator(*schema, direction);
    return made ? *made : nullptr;
  };
  ASSERT_TRUE(validator("one"));
  EXPECT_EQ(validator("one"), validator("two"));
  EXPECT_NE(validator("one"), validator("three")) << "one bound differs";
  EXPECT_NE(validator("one"), validator("one", Direction::response)) << "directions differ in what they require";
  EXPECT_NE(validator("named"), validator("named_alike")) << "what a reference leads to depends on where it stands";
}

/// The schemas of answers are read together. Each that is wrong is found all the same, and none of the others is lost.
TEST(Schemas, ThoseOfAnswersAreCheckedTogetherAndEachFaultIsTold) {
  std::string text = "openapi: 3.1.0\ninfo: {title: Answers, version: '1'}\npaths:\n";
  for (int i = 0; i < 40; ++i)
    text += "  /" + std::to_string(i) +
            ":\n    get: {responses: {'200': {description: ok, content: {application/json: {schema: " +
            (i % 13 == 5 ? "{type: string, pattern: '['}" : "{$ref: '#/components/schemas/Fine'}") + "}}}}}\n";
  text += "components: {schemas: {Fine: {type: object, properties: {next: {$ref: '#/components/schemas/Fine'}}}}}\n";
  const auto file = testing::TempDir() + "answers-" + std::to_string(::getpid()) + ".yaml";
  std::ofstream(file) << text;
  const auto strict = load({.file = file});
  const auto tolerant = load({.file = file, .tolerant = true});
  std::remove(file.c_str());
  ASSERT_FALSE(strict);
  std::string places;
  for (auto& each : strict.error()) places += each.code + " " + each.pointer.substr(0, 11) + "\n";
  EXPECT_EQ(places, "invalid-schema /paths/~15/\ninvalid-schema /paths/~118\ninvalid-schema /paths/~131\n");
  ASSERT_TRUE(tolerant);
  for (auto& op : (*tolerant)->operations)
    EXPECT_EQ(op.responses[0].content[0].schema == nullptr, op.index % 13 == 5) << op.path;
}

}  // namespace
}  // namespace plimsoll::contract
