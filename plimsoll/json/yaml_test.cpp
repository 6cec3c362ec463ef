#include "plimsoll/json/yaml.hpp"

#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>

namespace plimsoll::json {
namespace {

std::string read(std::string_view text) {
  Arena arena;
  const auto value = parse_yaml(text, arena);
  return value ? to_string(*value) : "refused: " + value.error().detail;
}

TEST(Yaml, ReadsScalarsByTheCoreSchemaOfYaml12) {
  EXPECT_EQ(read("[yes, no, on, off, y, True, FALSE, ~, null, Null]"), "refused: line 1, column 2: no value starts so");
  EXPECT_EQ(read("- yes\n- no\n- off\n- True\n- FALSE\n- ~\n-\n- Null\n"),
            R"(["yes","no","off",true,false,null,null,null])");
  EXPECT_EQ(read("- 012\n- +7\n- .5\n- 1.\n- 1e3\n- 0x1F\n- 0o17\n- 1_000\n- 1:30\n- 2026-06-01\n- 3.1.0\n- 1.0\n"),
            R"([12,7,0.5,1,1e3,31,15,"1_000","1:30","2026-06-01","3.1.0",1.0])");
  EXPECT_EQ(read("- '1'\n- \"true\"\n- !!str 5\n- !!int \"5\"\n- |\n  a\n  b\n- >-\n  a\n  b\n"),
            R"(["1","true","5",5,"a\nb\n","a b"])");
}

TEST(Yaml, KeysAreTextAsTheyAreWritten) {
  EXPECT_EQ(read("200: a\ntrue: b\n1.0: c\n"), R"({"200":"a","true":"b","1.0":"c"})");
}

TEST(Yaml, RefusesRepeatedKeys) {
  EXPECT_EQ(read("a: 1\nb: 2\na: 3\n"), "refused: line 3, column 1: the key \"a\" stands already in line 1");
}

TEST(Yaml, MergesWhatIsWrittenFirst) {
  EXPECT_EQ(read("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  b: 5\n  <<: [*x, *y]\n"),
            R"({"x":{"a":1,"b":2},"y":{"b":3,"c":4},"z":{"b":5,"a":1,"c":4}})");
  EXPECT_EQ(read("'<<': 1\n"), R"({"<<":1})");
  EXPECT_EQ(read("<<: 1\n"), "refused: line 1, column 5: a merge key takes a map or a list of maps");
}

TEST(Yaml, BoundsWhatAliasesExpandTo) {
  std::string text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 10; ++i) {
    const auto before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) text += (j ? "," : "") + before;
    text += "]\n";
  }
  EXPECT_TRUE(read(text).ends_with("the aliases expand to too much")) << read(text).substr(0, 200);
  EXPECT_EQ(read("a: &a [*a]\n"), "refused: line 1, column 8: an alias may not stand inside what it names");
}

TEST(Yaml, RefusesWhatJsonCannotSay) {
  EXPECT_EQ(read("a: .inf\n"), "refused: line 1, column 4: .inf cannot be said in JSON; quote it if it is text");
  EXPECT_EQ(read("? [1]\n: 2\n"), "refused: line 1, column 3: a key must be a scalar");
  EXPECT_EQ(read("a: 1\n---\nb: 2\n"), "refused: line 2, column 1: only one document may stand in a file");
  EXPECT_EQ(read("a: !mine 1\n"), "refused: line 1, column 4: the tag !mine is not known");
  EXPECT_TRUE(read("a: [1\n").starts_with("refused: line "));
  EXPECT_EQ(read("a: 1\nb: \xff\n"), "refused: line 2, column 4: this is not UTF-8");
}

TEST(Yaml, KeepsPositionsOfKeysAndValues) {
  Arena arena;
  const auto value = parse_yaml("info:\n  title: Shop\n  list:\n    - a\n    - {b: 1}\n", arena);
  ASSERT_TRUE(value);
  const auto* info = value->find("info");
  EXPECT_EQ(info->position().line, 2u);
  EXPECT_EQ(info->object()[0].at.column, 3u);
  EXPECT_EQ(info->object()[0].value.position().column, 10u);
  const auto& map = info->find("list")->array()[1];
  EXPECT_EQ(map.find("b")->position().line, 5u);
  EXPECT_EQ(map.find("b")->position().column, 11u);
}

TEST(Yaml, AnEmptyFileIsNull) {
  EXPECT_EQ(read(""), "null");
  EXPECT_EQ(read("# nothing\n"), "null");
}

}  // namespace
}  // namespace plimsoll::json
