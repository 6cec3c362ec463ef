#include "plimsoll/contract/json_path.hpp"

#include "plimsoll/contract/i_regexp.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

namespace plimsoll::contract {
namespace {

constexpr std::string_view kDocument =
    R"({"paths":{"/a":{"get":{"tags":["x","y"],"n":1}},"/b b":{"get":{"n":2},"post":{"n":3}}},)"
    R"("list":[{"name":"search","v":1},{"name":"limit","v":20},{"name":"it's","v":3}],"deep":{"list":[0,1,2,3]}})";

std::string select(std::string_view path, JsonPath::Syntax syntax = JsonPath::Syntax::rfc9535) {
  Arena arena;
  auto root = json::parse(kDocument, arena);
  auto parsed = JsonPath::parse(path, syntax);
  if (!parsed) return "refused: " + parsed.error();
  std::string text;
  const auto nodes = parsed->select(*root);
  if (!nodes) return "given up: " + nodes.error();
  for (auto& node : *nodes) text += (text.empty() ? "" : " ") + json::to_string(*node.value);
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

std::string script(std::string_view path) { return select(path, JsonPath::Syntax::script); }

TEST(JsonPathTest, FiltersOfRulesetsAreExpressionsOfJavaScript) {
  for (const auto& [filter, found] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"@.name === 'limit'", "20"},
           {"@.name !== 'limit' && @.v < 3", "1"},
           {"@.v == '20'", "20"},
           {"@.v === '20'", ""},
           {"@.name.match(/^S/i)", "1"},
           {"/^[s-]/.test(@.name)", "1"},
           {"!@.name.match(/^s|\\'/)", "20"},
           {"['limit', \"search\"].includes(@.name)", "1 20"},
           {"@.name.includes('im') || @.v >= 20", "20"},
           {"@.name.indexOf('t') === 1", "3"},
           {"@.name.startsWith('s') || @.name.endsWith('t')", "1 20"},
           {"@.name.length > 4", "1 20"},
           {"@.name.toUpperCase() == 'LIMIT'", "20"},
           {"(@.name || 'x') && !(@.v > 1)", "1"},
           {"@['name'] != null && @.none == undefined", "1 20 3"},
           {"@.none.match(/x/)", ""},
           {"@.none.length", ""},
           {"@property === 1", "20"},
           {"$.deep.list[2] < @.v", "20 3"},
           {"@ && @.v === 1 || @ && @.v === 3", "1 3"}})
    EXPECT_EQ(script("$.list[?(" + std::string(filter) + ")].v"), found) << filter;
  EXPECT_EQ(script("$.paths[?(@property.match(/b$/))].get.n"), "2");
  EXPECT_EQ(script("$.paths[*][?(@property == 'post' || @property == 'get')].n"), "1 2 3");
}

TEST(JsonPathTest, PathsOfRulesetsNameMembersWithoutQuotesAndSelectEachValueOnce) {
  EXPECT_EQ(script("$.paths[*][get,post].n"), "1 2 3");
  EXPECT_EQ(script("$.paths['/a'].get^.get.n"), "1");
  EXPECT_EQ(script("$.list.1.v"), "20");
  EXPECT_EQ(script("$..[n,n]"), "1 2 3");
  EXPECT_EQ(script("$.deep[*][1,1]"), "1");
  EXPECT_EQ(script("$..list[?(@property < 1)]"), R"({"name":"search","v":1} 0)");
  for (const auto* path : {"$.list[?(@.name.replace('a', 'b'))]", "$.list[?(@parent)]", "$.list[?(@.v ===)]",
                           "$.list[?(@.name.match(@.v))]", "$.list[?(@.name.match(/(/))]", "$.list[?(x)]",
                           "$.list[?(@.name.match(/a/q))]", "$.paths^^", "$.list[?('a]", "$.list[?(@.v"})
    EXPECT_TRUE(script(path).starts_with("refused: ")) << path << " " << script(path);
  std::string deep = "$[?(";
  for (int i = 0; i < 100'000; ++i) deep += '(';
  EXPECT_TRUE(script(deep).contains("nested too deeply")) << script(deep);
  std::string negated = "$[?(";
  for (int i = 0; i < 100'000; ++i) negated += '!';
  EXPECT_TRUE(script(negated).contains("nested too deeply"));
}

TEST(JsonPathTest, RefusesWhatItDoesNotUnderstand) {
  for (const auto* path : {"", "paths", "$.", "$[", "$['a", "$[a]", "$.list[?@.a =~ 'b']", "$.list[?1]", "$ x",
                           "$.list[0", "$ ", "$[?len(@) > 3]", "$[?length(@..a) > 3]"})
    EXPECT_TRUE(select(path).starts_with("refused: ")) << path << " gives " << select(path);
  const std::string deep = "$[?" + std::string(100'000, '(') + "@.a";
  EXPECT_TRUE(select(deep).starts_with("refused: "));
  EXPECT_TRUE(select("$[?" + std::string(100'000, '!') + "@.a]").starts_with("refused: "));
  std::string nested = "@.a";
  for (int i = 0; i < 1000; ++i) nested = "@[?" + nested + "]";
  EXPECT_TRUE(select("$[?" + nested + "]").starts_with("refused: "));
}

TEST(JsonPathTest, SelectsWhatTheComplianceSuiteSelects) {
  const char* set = std::getenv("PLIMSOLL_REAL_DATA");
  const auto file =
      (set ? std::string(set) : std::string(PLIMSOLL_SOURCE_DIR "/../shared/real")) + "/jsonpath/cts.json";
  std::ifstream input(file, std::ios::binary);
  if (!input) GTEST_SKIP() << file << " is not there";
  const std::string text{std::istreambuf_iterator<char>(input), {}};
  Arena arena;
  auto suite = json::parse(text, arena);
  ASSERT_TRUE(suite);
  std::size_t cases = 0;
  for (auto& test : suite->find("tests")->array()) {
    ++cases;
    const auto selector = test.find("selector")->string();
    const auto path = JsonPath::parse(selector);
    if (test.find("invalid_selector")) {
      EXPECT_FALSE(path) << test.find("name")->string() << ": " << selector;
      continue;
    }
    ASSERT_TRUE(path) << test.find("name")->string() << ": " << selector << " is refused: " << path.error();
    auto document = test.find("document")->clone(arena);
    const auto nodes = path->select(document);
    ASSERT_TRUE(nodes) << nodes.error();
    std::vector<json::Value> found;
    for (auto& node : *nodes) found.push_back(*node.value);
    const auto result = json::Value::array(found);
    std::span<const json::Value> allowed;  // several where the order is left open
    if (const auto* one = test.find("result")) allowed = {one, 1};
    if (const auto* several = test.find("results")) allowed = several->array();
    EXPECT_TRUE(std::ranges::any_of(allowed, [&](auto& expected) { return json::equal(expected, result); }))
        << test.find("name")->string() << ": " << selector << " gives " << json::to_string(result);
  }
  EXPECT_EQ(cases, 703u);
}

TEST(JsonPathTest, CostIsCountedAndBounded) {
  Arena arena;
  std::string text = "[";
  for (int i = 0; i < 1000; ++i) text += (i ? ",{\"a\":" : "{\"a\":") + std::to_string(i) + "}";
  text += "]";
  auto root = json::parse(text, arena);
  const auto cost = [&](std::string_view path) {
    Steps steps{JsonPath::kMostWork};
    EXPECT_TRUE(JsonPath::parse(path)->select(*root, steps)) << path;
    return JsonPath::kMostWork - steps.left();
  };
  EXPECT_LT(cost("$..a"), 20'000u);  // in proportion to the document
  EXPECT_LT(cost("$[?@.a == 5]"), 20'000u);
  for (const auto* path : {"$[?count($..*) == 1]", "$[?@ == $[999]][?$..[?$..a]]", "$..[?$..[?$..a]]",
                           "$[?match('x', value($..b)) || $..[?$..*]]"}) {
    const auto parsed = JsonPath::parse(path);
    ASSERT_TRUE(parsed) << path;
    const auto nodes = parsed->select(*root);
    ASSERT_FALSE(nodes) << path;
    EXPECT_TRUE(nodes.error().contains("too much")) << nodes.error();
  }
}

TEST(JsonPathTest, ExpressionsThatBacktrackWithoutEndAreAnError) {
  Arena arena;
  const auto text = "[\"" + std::string(100, 'a') + "!\"]";
  auto root = json::parse(text, arena);
  const auto nodes = JsonPath::parse("$[?match(@, '(a+)+')]")->select(*root);
  ASSERT_FALSE(nodes);
  EXPECT_TRUE(nodes.error().contains("backtracks")) << nodes.error();
}

TEST(JsonPathTest, ExpressionsAreIRegexp) {
  for (const auto* good :
       {"", "a|b", "[-a]", "[a-]", "[^-]", "\\p{L}", "[\\p{Lu}x]", "(a(b))*", "a{2,}", "a{2,3}", "\\-", "[a-z\\n]"})
    EXPECT_TRUE(ecma_of_i_regexp(good)) << good;
  for (const auto* bad : {"\\d",   "\\p{Lx}", "\\p{L", "\\p", "\\", "[",  "[]",  "[a-b-c]",  "a**",   "a+?",
                          "(?:a)", "a{,3}",   "a{2",   "a]",  "(a", "a)", "\\b", "[a&&[b]]", "[\\d]", "[a-\\p{L}]"})
    EXPECT_FALSE(ecma_of_i_regexp(bad)) << bad;
}

}  // namespace
}  // namespace plimsoll::contract
