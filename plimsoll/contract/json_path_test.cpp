#include "plimsoll/contract/json_path.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>

namespace plimsoll::contract {
namespace {

constexpr std::string_view kDocument =
    R"({"paths":{"/a":{"get":{"tags":["x","y"],"n":1}},"/b b":{"get":{"n":2},"post":{"n":3}}},)"
    R"("list":[{"name":"search","v":1},{"name":"limit","v":20},{"name":"it's","v":3}],"deep":{"list":[0,1,2,3]}})";

std::string select(std::string_view path) {
  Arena arena;
  auto root = json::parse(kDocument, arena);
  auto parsed = JsonPath::parse(path);
  if (!parsed) return "refused: " + parsed.error();
  std::string text;
  for (auto& node : parsed->select(*root)) text += (text.empty() ? "" : " ") + json::to_string(*node.value);
  return text;
}

TEST(JsonPathTest, SelectsByNameIndexAndWildcard) {
  EXPECT_EQ(select("$.paths['/a'].get.n"), "1");
  EXPECT_EQ(select("$[\"paths\"][\"/b b\"].post['n']"), "3");
  EXPECT_EQ(select("$.list[0].name"), "\"search\"");
  EXPECT_EQ(select("$.list[-1].v"), "3");
  EXPECT_EQ(select("$.list[7]"), "");
  EXPECT_EQ(select("$.paths.*.get.n"), "1 2");
  EXPECT_EQ(select("$.paths[*][*].n"), "1 2 3");
  EXPECT_EQ(select("$.deep.list[1:3]"), "1 2");
  EXPECT_EQ(select("$.deep.list[::2]"), "0 2");
  EXPECT_EQ(select("$.deep.list[-2:]"), "2 3");
  EXPECT_EQ(select("$.deep.list[0,3]"), "0 3");
  EXPECT_EQ(select("$.list[2]['name']"), "\"it's\"");
  EXPECT_EQ(select("$.nothing.here"), "");
}

TEST(JsonPathTest, Descends) {
  EXPECT_EQ(select("$..n"), "1 2 3");
  EXPECT_EQ(select("$..list[0]"), R"({"name":"search","v":1} 0)");
  EXPECT_EQ(select("$.paths..['n']"), "1 2 3");
}

TEST(JsonPathTest, Filters) {
  EXPECT_EQ(select(R"($.list[?(@.name=="search")].v)"), "1");
  EXPECT_EQ(select("$.list[?@.name == 'search' || @.v > 10].v"), "1 20");
  EXPECT_EQ(select("$.list[?@.v>=1 && @.v<20].v"), "1 3");
  EXPECT_EQ(select("$.list[?!(@.v == 1)].v"), "20 3");
  EXPECT_EQ(select("$.list[?@.name != 'limit'].v"), "1 3");
  EXPECT_EQ(select("$.list[?@.name == 'it\\'s'].v"), "3");
  EXPECT_EQ(select("$.paths[?@.post].get.n"), "2");
  EXPECT_EQ(select("$.paths.*[?@.tags[1] == 'y'].n"), "1");
  EXPECT_EQ(select("$.list[?@.v == 20.0].name"), "\"limit\"");
  EXPECT_EQ(select("$.list[?@.missing == 1]"), "");
  EXPECT_EQ(select("$.list[?@.v == $.paths['/a'].get.n].name"), "\"search\"");
}

TEST(JsonPathTest, RefusesWhatItDoesNotUnderstand) {
  for (const auto* path : {"", "paths", "$.", "$[", "$['a", "$[a]", "$.list[?length(@.name) > 3]",
                           "$.list[?@.a =~ 'b']", "$.list[?@..a]", "$.list[::-1]", "$.list[?1]", "$ x", "$.list[0"})
    EXPECT_TRUE(select(path).starts_with("refused: ")) << path << " gives " << select(path);
  const std::string deep = "$[?" + std::string(100'000, '(') + "@.a";
  EXPECT_TRUE(select(deep).starts_with("refused: "));
  EXPECT_TRUE(select("$[?" + std::string(100'000, '!') + "@.a]").starts_with("refused: "));
}

}  // namespace
}  // namespace plimsoll::contract
