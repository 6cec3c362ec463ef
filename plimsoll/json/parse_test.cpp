#include "plimsoll/json/parse.hpp"

#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>

#include <charconv>
#include <random>

namespace plimsoll::json {
namespace {

std::string read(std::string_view text, const ParseLimits& limits = {}) {
  Arena arena;
  const auto value = parse(text, arena, limits);
  return value ? to_string(*value) : "refused: " + value.error().detail;
}

TEST(Parse, ReadsEveryKindOfValueAndKeepsTheOrderOfMembers) {
  EXPECT_EQ(read(R"( {"b" : [1, -2.50, true, false, null], "a":"\u00e9\ud83d\ude00\n\/", "":{} } )"),
            R"({"b":[1,-2.50,true,false,null],"a":"é😀\n/","":{}})");
}

TEST(Parse, KeepsNumbersAsTheyWereWritten) {
  for (const auto* text : {"0", "-0", "1.0", "1e2", "12345678901234567890123456789", "1.10", "1E+400", "0.1e-7"})
    EXPECT_EQ(read(text), text);
}

TEST(Parse, TellsIntegersByTheirValue) {
  Arena arena;
  const auto integer = [&](std::string_view text) { return parse(text, arena)->integer(); };
  EXPECT_EQ(integer("1.0"), 1);
  EXPECT_EQ(integer("1e2"), 100);
  EXPECT_EQ(integer("1200e-2"), 12);
  EXPECT_EQ(integer("-0.0"), 0);
  EXPECT_EQ(integer("0e9"), 0);
  EXPECT_EQ(integer("9223372036854775807"), 9223372036854775807);
  EXPECT_EQ(integer("-9223372036854775808"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(integer("-9.223372036854775808e18"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(integer("9223372036854775808"), std::nullopt);
  EXPECT_EQ(integer("1.5"), std::nullopt);
  EXPECT_EQ(integer("1e19"), std::nullopt);
}

TEST(Parse, GivesTheNearestDouble) {
  Arena arena;
  EXPECT_EQ(parse("0.1", arena)->number(), 0.1);
  EXPECT_EQ(parse("-1.7976931348623157e308", arena)->number(), -1.7976931348623157e308);
  EXPECT_EQ(parse("1e400", arena)->number(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(parse("1e-400", arena)->number(), 0.0);
}

TEST(Parse, RefusesWhatIsNotJsonAndSaysWhere) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", "line 1, column 1: a value is missing"},
      {"  ", "line 1, column 3: a value is missing"},
      {"{\"a\":1,}", "line 1, column 8: a member's name in quotes is expected"},
      {"[1,]", "line 1, column 4: no value starts so"},
      {"[1 2]", "line 1, column 4: ',' or ']' is expected"},
      {"[1\n,\n 01]", "line 3, column 3: a number does not start with 0"},
      {"{\"a\" 1}", "line 1, column 6: ':' is expected"},
      {"1 2", "line 1, column 3: nothing may follow the value"},
      {"1.", "line 1, column 3: a digit is expected"},
      {"1e", "line 1, column 3: a digit is expected"},
      {"-", "line 1, column 1: no value starts so"},
      {"+1", "line 1, column 1: no value starts so"},
      {".5", "line 1, column 1: no value starts so"},
      {"NaN", "line 1, column 1: no value starts so"},
      {"truE", "line 1, column 1: no value starts so"},
      {"1e1000000000", "line 1, column 13: the exponent is beyond 999999999"},
      {"\"a", "line 1, column 3: the string does not end"},
      {"\"a\\", "line 1, column 4: the string does not end"},
      {"\"\\x\"", "line 1, column 2: this is no escape of JSON"},
      {"\"\\u12g4\"", "line 1, column 2: four hexadecimal digits are expected after \\u"},
      {"\"\\ud800\"", "line 1, column 2: half of a surrogate pair stands alone"},
      {"\"\\ud800\\u0041\"", "line 1, column 2: half of a surrogate pair stands alone"},
      {"\"\\udc00\"", "line 1, column 2: half of a surrogate pair stands alone"},
      {"\"\t\"", "line 1, column 2: a control character in a string must be escaped"},
      {"\"\\n\t\"", "line 1, column 4: a control character in a string must be escaped"},
      {"\xEF\xBB\xBF{}", "line 1, column 1: no value starts so"},
      {"[\"\xff\"]", "line 1, column 3: this is not UTF-8"},
      {"[\"\xed\xa0\x80\"]", "line 1, column 3: this is not UTF-8"},
      {"{\"a\":1,\"b\":2,\"a\":3}", "line 1, column 14: this name appears twice in its object"},
      {"{\"a\":1,\"\\u0061\":3}", "line 1, column 8: this name appears twice in its object"},
      {"[", "line 1, column 2: a value is missing"},
      {"[1", "line 1, column 3: ']' is missing"},
      {"{\"a\":1", "line 1, column 7: '}' is missing"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(read(text), "refused: " + std::string(message)) << text;
}

TEST(Parse, RefusesARepeatedNameInALargeObjectToo) {
  std::string text = "{";
  for (int i = 0; i < 1000; ++i) text += "\"k" + std::to_string(i) + "\":1,";
  EXPECT_FALSE(read(text + "\"k1000\":1}").starts_with("refused"));
  EXPECT_TRUE(read(text + "\"k500\":1}").starts_with("refused"));
}

TEST(Parse, ARepeatedNameIsFoundHoweverManyStandAround) {
  for (const int others : {0, 1, 14, 15, 16, 31, 32, 33, 64}) {
    for (const std::string name : {"", "a", "created_at", "created_at_by_whom", "\\u0061"}) {
      std::string before, after;
      for (int i = 0; i < others; ++i) {
        before += "\"created_" + std::to_string(i) + "\":{\"" + name + "\":1},";
        after += ",\"updated_" + std::to_string(i) + "\":[]";
      }
      const auto member = '"' + name + "\":0";
      EXPECT_FALSE(read('{' + before + member + after + '}').starts_with("refused")) << others << name;
      EXPECT_TRUE(read('{' + member + ',' + before + member + after + '}').starts_with("refused")) << others << name;
      EXPECT_TRUE(read('{' + before + member + ',' + member + after + '}').starts_with("refused")) << others << name;
    }
  }
  std::string text = "{";
  for (int i = 0; i < 31; ++i) text += "\"k" + std::to_string(i) + "\":1,";
  EXPECT_EQ(read(text + "\"k7\":1}"),
            "refused: line 1, column " + std::to_string(text.size() + 1) + ": this name appears twice in its object");
}

TEST(Parse, TheNearestDoubleOfAnyDecimalIsThatOfTheLibrary) {
  std::mt19937_64 random(20261128);
  Arena arena;
  for (int i = 0; i < 20000; ++i) {
    auto text = std::to_string(random() >> random() % 64);
    text.insert(1 + random() % text.size(), ".");
    text += std::to_string(random() % 1000);
    if (text[0] == '0' && text[1] != '.') continue;
    if (i % 2) text = '-' + text;
    double nearest = 0;
    std::from_chars(text.data(), text.data() + text.size(), nearest);
    const auto value = parse(text, arena);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(value->number(), nearest) << text;
    EXPECT_EQ(value->number_text(), text);
    EXPECT_EQ(value->integer().has_value(),
              text.find_last_not_of('0') == text.find('.') && nearest < 9e18 && nearest > -9e18)
        << text;
  }
}

TEST(Parse, SpacesOfAnyLengthStandBetweenTokens) {
  for (std::size_t length = 0; length < 40; ++length) {
    for (const char c : {' ', '\n', '\t', '\r'}) {
      const std::string s(length, c);
      const auto text =
          s + '{' + s + "\"a\"" + s + ':' + s + '[' + s + '1' + s + ',' + s + "\"b\"" + s + ']' + s + '}' + s;
      EXPECT_EQ(read(text), R"({"a":[1,"b"]})") << length;
      EXPECT_EQ(read(text, {.positions = true}), R"({"a":[1,"b"]})") << length;
    }
    EXPECT_TRUE(read(std::string(length, ' ') + '\v' + std::string(20, ' ') + '1').ends_with("no value starts so"));
  }
}

TEST(Parse, BoundsTheDepth) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(read(nested(128)), nested(128));
  EXPECT_EQ(read(nested(129)), "refused: line 1, column 129: it is nested too deeply");
  EXPECT_EQ(read("[{}]", {.depth = 1}), "refused: line 1, column 2: it is nested too deeply");
}

TEST(Parse, KeepsPositionsWhenAsked) {
  Arena arena;
  const auto value = parse("{\n  \"a\": [1,\n    2]\n}", arena, {.positions = true});
  ASSERT_TRUE(value);
  const auto& second = value->find("a")->array()[1];
  EXPECT_EQ(second.position().line, 3u);
  EXPECT_EQ(second.position().column, 5u);
  EXPECT_EQ(value->object()[0].at.line, 2u);
  EXPECT_EQ(value->object()[0].at.column, 3u);
}

TEST(Parse, FindsTheEndOfLongStringsWhereverTheyEnd) {
  for (std::size_t length = 0; length < 70; ++length) {
    const std::string plain(length, 'x');
    EXPECT_EQ(read('"' + plain + '"'), '"' + plain + '"');
    EXPECT_EQ(read('"' + plain + "\\n" + plain + '"'), '"' + plain + "\\n" + plain + '"');
    EXPECT_TRUE(read('"' + plain + '\x1f' + plain + '"').starts_with("refused"));
  }
}

}  // namespace
}  // namespace plimsoll::json
