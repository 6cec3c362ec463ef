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

}  // namespace
}  // namespace plimsoll::contract
