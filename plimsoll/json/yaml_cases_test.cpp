#include "plimsoll/json/write.hpp"
#include "plimsoll/json/yaml.hpp"

#include <gtest/gtest.h>

namespace plimsoll::json {
namespace {

/// A text, and what it means in JSON; or, where that begins with "line", where it is refused.
struct Case {
  std::string_view text, means;
};

class YamlCase : public testing::TestWithParam<Case> {};

TEST_P(YamlCase, MeansWhatTheStandardSays) {
  Arena arena;
  const auto [text, means] = GetParam();
  const auto value = parse_yaml(text, arena);
  if (value) {
    EXPECT_EQ(to_string(*value), means) << text;
  } else {
    EXPECT_EQ(value.error().detail, means) << text;
  }
}

// YAML 1.2.2, chapter 7.3.3 (plain), 7.4 (flow), 6.6 (comments).
INSTANTIATE_TEST_SUITE_P(
    Plain, YamlCase,
    testing::Values(
        Case{"a: b c\n", R"({"a":"b c"})"}, Case{"a: b\n  c\n  d\n", R"({"a":"b c d"})"},
        Case{"a: b\n\n  c\n", R"({"a":"b\nc"})"}, Case{"a:\n  b\n  c\n", R"({"a":"b c"})"},
        Case{"a: b # c\n", R"({"a":"b"})"}, Case{"a: b#c\n", R"({"a":"b#c"})"}, Case{"a: #c\n", R"({"a":null})"},
        Case{"a: http://x/y?z=1:2\n", R"({"a":"http://x/y?z=1:2"})"}, Case{"a:b\n", R"("a:b")"},
        Case{"a: b: c\n", "line 1, column 5: a key may not stand here; quote a text in which \": \" stands"},
        Case{"a: -b\n", R"({"a":"-b"})"},
        Case{"a: - b\n", "line 1, column 4: block sequence entries are not allowed in this context"},
        Case{"a: ?b\n", R"({"a":"?b"})"}, Case{"a: :b\n", R"({"a":":b"})"}, Case{"a: b]c}d,e\n", R"({"a":"b]c}d,e"})"},
        Case{"a: %b\n", "line 1, column 4: no value starts so: quote it if it is text"},
        Case{"a: @b\n", "line 1, column 4: no value starts so: quote it if it is text"},
        Case{"a: `b`\n", "line 1, column 4: no value starts so: quote it if it is text"},
        Case{"a: b \"c\" 'd'\n", R"({"a":"b \"c\" 'd'"})"}, Case{"a: b'c\n", R"({"a":"b'c"})"},
        Case{"a:   b   \n", R"({"a":"b"})"}, Case{"a:\tb\n", R"({"a":"b"})"}, Case{"a: b\t# c\n", R"({"a":"b"})"},
        Case{"a: b\r\nc: d\r\n", R"({"a":"b","c":"d"})"}, Case{"a: <b>\n", R"({"a":"<b>"})"},
        Case{"a: ~b\n", R"({"a":"~b"})"}, Case{"word\n", R"("word")"}, Case{"two\nwords\n", R"("two words")"},
        Case{"a: ^[a-z]+$\n", R"({"a":"^[a-z]+$"})"}, Case{"$ref: '#/a'\n", R"({"$ref":"#/a"})"},
        Case{"a key: 1\n", R"({"a key":1})"}, Case{"/a/{b}: 1\n", R"({"/a/{b}":1})"},
        Case{"a: \xC3\xA9\n", "{\"a\":\"\xC3\xA9\"}"}));

INSTANTIATE_TEST_SUITE_P(
    CoreSchema, YamlCase,
    testing::Values(Case{"- 0\n- -0\n- 00\n- -1\n- +1\n- 1e3\n- 1E-3\n- 1.5e+3\n", "[0,-0,0,-1,1,1e3,1E-3,1.5e+3]"},
                    Case{"- 12345678901234567890\n- 0.1000\n- -.5\n", "[12345678901234567890,0.1000,-0.5]"},
                    Case{"- 1e\n- 1.2.3\n- 1e1234567890\n- 0x\n- 0xG\n- 0o8\n- -0x1\n- .\n- +\n- -\n",
                         R"(["1e","1.2.3","1e1234567890","0x","0xG","0o8","-0x1",".","+",[null]])"},
                    Case{"- tRue\n- Yes\n- n\n- nUll\n- nil\n", R"(["tRue","Yes","n","nUll","nil"])"},
                    Case{"- 2001-12-14\n- 12:30:45\n- 1,000\n- 0b11\n", R"(["2001-12-14","12:30:45","1,000","0b11"])"},
                    Case{"a: -.INF\n", "line 1, column 4: -.INF cannot be said in JSON; quote it if it is text"},
                    Case{"a: -.nan\n", R"({"a":"-.nan"})"},
                    Case{"a: !!float 1\nb: !!null ~\nc: !!bool true\nd: ! 12\ne: ! '12'\nf: &x ! 5\n",
                         R"({"a":1,"b":null,"c":true,"d":"12","e":"12","f":"5"})"},
                    Case{"a: !!int 1.5\n", "line 1, column 4: \"1.5\" does not fit the tag !!int"},
                    Case{"a: !!binary aa\n", "line 1, column 4: the tag tag:yaml.org,2002:binary is not known"},
                    Case{"a: !!map {b: 1}\nc: !!seq [1]\n", R"({"a":{"b":1},"c":[1]})"},
                    Case{"a: !!seq {b: 1}\n", "line 1, column 4: the tag tag:yaml.org,2002:seq does not fit here"},
                    Case{"a: !!str\nb: !!str 1\n", R"({"a":"","b":"1"})"}));

// Chapters 7.3.1 and 7.3.2; escapes of 5.7.
INSTANTIATE_TEST_SUITE_P(
    Quoted, YamlCase,
    testing::Values(Case{"a: ''\nb: \"\"\n", R"({"a":"","b":""})"}, Case{"a: 'it''s'\n", R"({"a":"it's"})"},
                    Case{"a: 'b\\n'\n", R"({"a":"b\\n"})"}, Case{"a: 'b\n  c\n\n  d'\n", R"({"a":"b c\nd"})"},
                    Case{"a: \"b\n  c\n\n  d\"\n", R"({"a":"b c\nd"})"}, Case{"a: \"b\\\n  c\"\n", R"({"a":"bc"})"},
                    Case{"a: \"b \\\n  \\ c\"\n", R"({"a":"b  c"})"},
                    Case{"a: \"\\\"\\\\\\/\\b\\f\\n\\r\\t\"\n", R"({"a":"\"\\/\b\f\n\r\t"})"},
                    Case{"a: \"\\x41\\u00e9\\U0001F600\"\n", "{\"a\":\"A\xC3\xA9\xF0\x9F\x98\x80\"}"},
                    Case{"a: \"\\e\\0\\v\\a\"\n", R"({"a":"\u001b\u0000\u000b\u0007"})"},
                    Case{"a: \"\\N\\_\\L\\P\"\n", "{\"a\":\"\xC2\x85\xC2\xA0\xE2\x80\xA8\xE2\x80\xA9\"}"},
                    Case{"a: \"\\q\"\n", "line 1, column 5: this is no escape of YAML"},
                    Case{"a: \"\\ud800\"\n", "line 1, column 7: found invalid Unicode character escape code"},
                    Case{"a: \"b\n", "line 1, column 4: the quoted text does not end"},
                    Case{"a: 'b\n---\n", "line 1, column 4: the quoted text does not end"},
                    Case{"\"a\": 1\n'b': 2\n", R"({"a":1,"b":2})"},
                    Case{"a: 'true'\nb: \"1\"\n", R"({"a":"true","b":"1"})"},
                    Case{"a: 'b' c\n",
                         "line 1, column 8: a key of the map is expected: is the line indented as those before it?"},
                    Case{"a: ' b '\n", R"({"a":" b "})"}, Case{"a: \"b: c # d\"\n", R"({"a":"b: c # d"})"}));

// Chapter 8.1: literal and folded, chomping and indentation indicators.
INSTANTIATE_TEST_SUITE_P(
    Blocks, YamlCase,
    testing::Values(Case{"a: |\n  b\n  c\nd: 1\n", R"({"a":"b\nc\n","d":1})"},
                    Case{"a: |-\n  b\n\n\nd: 1\n", R"({"a":"b","d":1})"},
                    Case{"a: |+\n  b\n\n\nd: 1\n", R"({"a":"b\n\n\n","d":1})"},
                    Case{"a: >\n  b\n  c\n\n  d\n", R"({"a":"b c\nd\n"})"},
                    Case{"a: >-\n  b\n   c\n  d\n", R"({"a":"b\n c\nd"})"}, Case{"a: >+\n  b\n\n", R"({"a":"b\n\n"})"},
                    Case{"a: |2\n   b\n  c\n", R"({"a":" b\nc\n"})"}, Case{"a: |1-\n  b\n", R"({"a":" b"})"},
                    Case{"a: |-1\n  b\n", R"({"a":" b"})"}, Case{"a: | # c\n  b # c\n", R"({"a":"b # c\n"})"},
                    Case{"a: |\n\n  b\n", R"({"a":"\nb\n"})"}, Case{"a: |\nb: 1\n", R"({"a":"","b":1})"},
                    Case{"a: |\n  b", R"({"a":"b"})"}, Case{"- |\n b\n- >\n c\n", R"(["b\n","c\n"])"},
                    Case{"a: |\n  - b\n  c: d\n", R"({"a":"- b\nc: d\n"})"},
                    Case{"a: |\n  b\n    c\n", R"({"a":"b\n  c\n"})"},
                    Case{"a: |\n  b\n\tc\n", "line 3, column 1: a tab cannot indent: write spaces"},
                    Case{"a: |\n  b\tc\n", R"({"a":"b\tc\n"})"},
                    Case{"a: |0\n  b\n", "line 1, column 5: found an indentation indicator equal to 0"},
                    Case{"a: |x\n  b\n", "line 1, column 5: did not find expected comment or line break"},
                    Case{"a: |\n  \xC3\xA9\n", "{\"a\":\"\xC3\xA9\\n\"}"}));

// Chapters 7.4 and 8.2.
INSTANTIATE_TEST_SUITE_P(
    Collections, YamlCase,
    testing::Values(
        Case{"a: []\nb: {}\n", R"({"a":[],"b":{}})"},
        Case{"a: [1, 'b', {c: d}, [e]]\n", R"({"a":[1,"b",{"c":"d"},["e"]]})"},
        Case{"a: [1, 2,]\nb: {c: 1,}\n", R"({"a":[1,2],"b":{"c":1}})"},
        Case{"a: [\n 1, # one\n 2\n ]\n", R"({"a":[1,2]})"},
        Case{"a: {b, c: , d: 1}\n", R"({"a":{"b":null,"c":null,"d":1}})"},
        Case{"a: {\"b\":1, 'c':2}\n", R"({"a":{"b":1,"c":2}})"},
        Case{"a: [b: 1, c: 2]\n", R"({"a":[{"b":1},{"c":2}]})"},
        Case{"a: {x: http://b:1/c}\n", R"({"a":{"x":"http://b:1/c"}})"},
        Case{"a:\n- 1\n- 2\nb: 3\n", R"({"a":[1,2],"b":3})"},
        Case{"a:\n  - 1\n  - b: 2\n    c: 3\n", R"({"a":[1,{"b":2,"c":3}]})"},
        Case{"- - 1\n  - 2\n- - 3\n", "[[1,2],[3]]"}, Case{"-\n  a: 1\n-\n  - b\n", R"([{"a":1},["b"]])"},
        Case{"? a\n: 1\n? b\n", R"({"a":1,"b":null})"}, Case{"a:\nb:\n", R"({"a":null,"b":null})"},
        Case{"---\na: 1\n...\n", R"({"a":1})"}, Case{"%YAML 1.2\n---\na: 1\n", R"({"a":1})"},
        Case{"%TAG !y! tag:yaml.org,2002:\n---\na: !y!str 1\n", R"({"a":"1"})"},
        Case{"# c\n\n# d\na: 1\n# e\n", R"({"a":1})"},
        Case{"\xEF\xBB\xBF"
             "a: 1\n",
             R"({"a":1})"},
        Case{"a: 1\n...\nb: 2\n", "line 3, column 1: only one document may stand in a file"},
        Case{"a: [1, 2\n", "line 2, column 1: ',' or ']' is expected"},
        Case{"a: {b: 1\n", "line 2, column 1: ',' or '}' is expected"},
        Case{"a: [1}\n", "line 1, column 6: ',' or ']' is expected"},
        Case{"a: 1\n  b: 2\n",
             "line 2, column 4: a key may not stand here: line 1 before it is indented otherwise, or has no colon"},
        Case{"a:\n  b: 1\n c: 2\n",
             "line 3, column 2: a key of the map is expected: is the line indented as those before it?"},
        Case{"a:\n\tb: 1\n", "line 2, column 1: a tab cannot indent: write spaces"},
        Case{"a: 1\nb\nc: 2\n", "line 2, column 1: ':' is expected after this key"},
        Case{"a: 1\n- b\n", "line 2, column 1: a key of the map is expected: is the line indented as those before it?"},
        Case{"- a\nb: 1\n", "line 2, column 1: '-' is expected: is the line indented as those before it?"},
        Case{"a: 1\nb: {c: 1, d: 2, c: 3}\n", "line 2, column 17: the key \"c\" stands already in line 2"},
        Case{"'a': 1\na: 2\n", "line 2, column 1: the key \"a\" stands already in line 1"},
        Case{"a: \x01\n", "line 1, column 4: a control character must be escaped in double quotes"}));

// Chapter 5.4: what 1.1 took for line breaks are characters like any other.
INSTANTIATE_TEST_SUITE_P(
    FormerBreaks, YamlCase,
    testing::Values(Case{"a: b\u2028c\n", "{\"a\":\"b\u2028c\"}"}, Case{"a: \u2029\n", "{\"a\":\"\u2029\"}"},
                    Case{"'a\xC2\x85': \"b\xC2\x85\\L\u2028\"\n", "{\"a\xC2\x85\":\"b\xC2\x85\u2028\u2028\"}"},
                    Case{"a: |\n  b\u2028c\n  d\xC2\x85\n", "{\"a\":\"b\u2028c\\nd\xC2\x85\\n\"}"},
                    Case{"# \u2028 a: 1\nb: >-\n  c\u2029\n  d\n", "{\"b\":\"c\u2029 d\"}"},
                    Case{"a: \"\u2028\\uE000\uE001\"\n", "{\"a\":\"\u2028\uE000\uE001\"}"},
                    Case{"a: \u2028: 1\n",
                         "line 1, column 7: a key may not stand here; quote a text in which \": \" stands"},
                    Case{"a\u2028: 1\nb: [\u2028\n", "line 3, column 1: ',' or ']' is expected"}));

INSTANTIATE_TEST_SUITE_P(Braces, YamlCase,
                         testing::Values(Case{"{a: 1, b: [c, d]}\n", R"({"a":1,"b":["c","d"]})"},
                                         Case{"{# first\n a: 1}\n", R"({"a":1})"}, Case{" {\n}\n", "{}"},
                                         Case{"{\"a\": 1,}\n",
                                              "line 1, column 9: a member's name in quotes is expected"}));

// Chapter 7.1.
INSTANTIATE_TEST_SUITE_P(
    Aliases, YamlCase,
    testing::Values(Case{"a: &x 1\nb: *x\n", R"({"a":1,"b":1})"},
                    Case{"a: &x [1]\nb: [*x, *x]\n", R"({"a":[1],"b":[[1],[1]]})"},
                    Case{"a: &x {b: &y 1}\nc: *y\nd: *x\n", R"({"a":{"b":1},"c":1,"d":{"b":1}})"},
                    Case{"a: &x 1\nb: &x 2\nc: *x\n", R"({"a":1,"b":2,"c":2})"},
                    Case{"&x a: 1\nb: *x\n", R"({"a":1,"b":"a"})"}, Case{"a: &x k\n*x : 1\n", R"({"a":"k","k":1})"},
                    Case{"a: *x\n", "line 1, column 4: no anchor &x stands before"},
                    Case{"a: &x [&x 1, *x]\n", R"({"a":[1,1]})"}, Case{"a: &x\nb: *x\n", R"({"a":null,"b":null})"},
                    Case{"a: &x {b: 1}\nc: {<<: *x, d: 2}\n", R"({"a":{"b":1},"c":{"d":2,"b":1}})"},
                    Case{"a: &x {b: 1}\nc:\n  <<: *x\n  <<: {e: 1}\n", R"({"a":{"b":1},"c":{"b":1,"e":1}})"}));

TEST(YamlPlaces, ColumnsAreBytesAlsoBehindOtherCharacters) {
  Arena arena;
  // é is 2 bytes, € 3, the face 4.
  const auto value = parse_yaml("\xC3\xA9: {\xE2\x82\xAC: 1, b: 2}\nc: ['\xF0\x9F\x98\x80', d]\ne: f\n", arena);
  ASSERT_TRUE(value);
  const auto& map = value->object()[0];
  EXPECT_EQ(map.value.position().column, 5u);
  EXPECT_EQ(map.value.object()[1].at.column, 14u);
  EXPECT_EQ(value->find("c")->array()[1].position().column, 13u);
  EXPECT_EQ(value->find("c")->array()[1].position().line, 2u);
  EXPECT_EQ(value->find("e")->position().column, 4u);
  EXPECT_EQ(value->object()[2].at.line, 3u);
}

/// Time is bounded by the length of the text: each of these is a megabyte of one thing.
TEST(YamlPlaces, NothingMakesReadingSlow) {
  constexpr std::size_t kSize = 1 << 20;
  const auto repeat = [](std::string_view piece) {
    std::string text;
    while (text.size() < kSize) text += piece;
    return text;
  };
  const auto keys = [](std::string_view separator) {
    std::string text;
    for (int i = 0; text.size() < kSize; ++i) text.append("k").append(std::to_string(i)).append(separator);
    return text;
  };
  const std::string texts[] = {repeat("["),
                               "a: " + repeat("["),
                               repeat("- "),
                               repeat("? "),
                               repeat("a: {"),
                               "a: [" + repeat("\xC3\xA9, ") + "]",
                               keys(": 1\n"),
                               "a: {" + keys(": \xC3\xA9, ") + "}",
                               "a: &x {" + keys(": 1, ") + "}\nb: {" + keys(": 1, ") + "<<: [*x, *x]}\n",
                               "a: " + repeat("x\n\n"),
                               "a: \"" + repeat("\\\n"),
                               "a: |\n" + repeat("\n"),
                               repeat("&a "),
                               repeat("!a "),
                               repeat("#\n"),
                               "a: '" + repeat("''"),
                               repeat("a\n"),
                               repeat("*a : "),
                               repeat("--- a\n"),
                               "a: [" + repeat("a: ")};
  const auto began = std::clock();
  for (const auto& text : texts) {
    Arena arena;
    (void)parse_yaml(text, arena);
  }
  EXPECT_LT(std::clock() - began, 20 * CLOCKS_PER_SEC);
}

}  // namespace
}  // namespace plimsoll::json
