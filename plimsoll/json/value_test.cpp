#include "plimsoll/json/value.hpp"

#include "plimsoll/json/number.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/string_text.hpp"
#include "plimsoll/json/utf8.hpp"
#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <random>

namespace plimsoll::json {
namespace {

bool same(std::string_view a, std::string_view b) {
  Arena arena;
  return equal(*parse(a, arena), *parse(b, arena));
}

TEST(Value, ComparesNumbersByTheirExactValue) {
  EXPECT_TRUE(same("1", "1.0"));
  EXPECT_TRUE(same("100", "1e2"));
  EXPECT_TRUE(same("0", "-0.0e5"));
  EXPECT_TRUE(same("0.00012", "1.2e-4"));
  EXPECT_FALSE(same("9007199254740993", "9007199254740992"));
  EXPECT_FALSE(same("0.1", "0.10000000000000000001"));
  EXPECT_FALSE(same("12345678901234567890", "12345678901234567891"));
  EXPECT_FALSE(same("1", "true"));
}

TEST(Value, OrdersNumbersExactly) {
  Arena arena;
  const char* const ascending[] = {"-1e30",
                                   "-12345678901234567890.5",
                                   "-12345678901234567890",
                                   "-2",
                                   "-1.5",
                                   "-0.1",
                                   "0",
                                   "1e-300",
                                   "0.09",
                                   "0.1",
                                   "0.11",
                                   "1",
                                   "1.01",
                                   "10",
                                   "99.9",
                                   "100",
                                   "1e3",
                                   "1e30"};
  for (std::size_t i = 0; i < std::size(ascending); ++i)
    for (std::size_t j = 0; j < std::size(ascending); ++j)
      EXPECT_EQ(compare(*parse(ascending[i], arena), *parse(ascending[j], arena)), i <=> j)
          << ascending[i] << " " << ascending[j];
}

TEST(Value, ComparesObjectsRegardlessOfOrder) {
  EXPECT_TRUE(same(R"({"a":1,"b":[{}]})", R"({"b":[{}],"a":1.0})"));
  EXPECT_FALSE(same(R"({"a":1,"b":2})", R"({"a":1,"c":2})"));
  EXPECT_FALSE(same(R"([1,2])", R"([2,1])"));
  std::string up = "{", down = "{";
  for (int i = 0; i < 100; ++i) {
    up += (i ? ",\"" : "\"") + std::to_string(i) + "\":1";
    down += (i ? ",\"" : "\"") + std::to_string(99 - i) + "\":1";
  }
  EXPECT_TRUE(same(up + "}", down + "}"));
  EXPECT_FALSE(same(up + "}", down.substr(0, down.size() - 1) + "2}"));
}

TEST(Value, CopiesGrowApart) {
  Arena arena;
  Value first;
  for (int i = 0; i < 5; ++i) first.push(arena, Value::of(i, arena));
  Value second = first;
  first.push(arena, Value::of("first"));
  second.push(arena, Value::of("second"));
  EXPECT_EQ(to_string(first), R"([0,1,2,3,4,"first"])");
  EXPECT_EQ(to_string(second), R"([0,1,2,3,4,"second"])");
}

TEST(Value, MembersAreReplacedAddedAndRemoved) {
  Arena arena;
  auto value = *parse(R"({"a":1,"b":2})", arena);
  value.set(arena, "b", Value::of("x"));
  value.set(arena, "c", Value::of(true));
  value.remove("a");
  value.set(arena, "d", Value::of(nullptr));
  EXPECT_EQ(to_string(value), R"({"b":"x","c":true,"d":null})");
}

TEST(Value, ClonesDoNotShareContainers) {
  Arena arena;
  auto value = *parse(R"({"a":[1]})", arena);
  auto copy = value.clone(arena);
  copy.find("a")->array()[0] = Value::of("x");
  EXPECT_EQ(to_string(value), R"({"a":[1]})");
}

TEST(Pointer, LeadsToTheValuesOfRfc6901) {
  Arena arena;
  const auto value = *parse(R"({"foo":["bar","baz"],"":0,"a/b":1,"m~n":8,"~1":9})", arena);
  const auto at = [&](std::string_view pointer) {
    const auto* found = resolve(value, pointer);
    return found ? to_string(*found) : "none";
  };
  EXPECT_EQ(at("/foo/0"), "\"bar\"");
  EXPECT_EQ(at("/"), "0");
  EXPECT_EQ(at("/a~1b"), "1");
  EXPECT_EQ(at("/m~0n"), "8");
  EXPECT_EQ(at("/~01"), "9");
  for (const auto* none : {"foo", "/foo/2", "/foo/01", "/foo/-", "/foo/", "/foo/0/x", "/m~n", "/m~2n"})
    EXPECT_EQ(at(none), "none") << none;
}

TEST(Writer, EscapesAndReplacesWhatIsNoUtf8) {
  std::string out;
  append_string(out, std::string_view("a\"\\\n\t\x01\x7fé\xff\xc3", 11));
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\t\\u0001\x7fé\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

/// Character by character, without regard to how the writer does it.
std::string written_slowly(std::string_view text) {
  std::string made = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const auto length = utf8_length(text.substr(i));
    const std::string_view from = "\"\\\b\f\n\r\t", to = "\"\\bfnrt";
    if (const auto at = from.find(text[i]); at != from.npos) {
      (made += '\\') += to[at];
    } else if (c < 0x20) {
      char number[8];
      std::snprintf(number, sizeof number, "\\u%04x", static_cast<unsigned>(c));
      made += number;
    } else {
      made += length ? text.substr(i, length) : std::string_view("\xEF\xBF\xBD");
    }
    i += std::max<std::size_t>(length, 1);
  }
  return made += '"';
}

/// Into a text that has room for whatever it may become, which is not measured then.
std::string written_with_room(std::string_view text) {
  std::string made;
  made.reserve(longest_string(text.size()));
  append_string(made, text);
  return made;
}

TEST(Writer, WritesTextsOfAnyLengthAsIfCharacterByCharacter) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string_view some[] = {
      "a",    "Z",    " ",         "\x7f", "\"", "\\", "\n", "\x01", "\x1f", "\xc3\xa9", "\xf0\x9f\x98\x80",
      "\xff", "\xc3", "plain text"};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    const auto kinds = i % 3 == 0 ? 3u : std::size(some);  // many texts stand for themselves as a whole
    for (auto left = random() % 20; left > 0; --left) text += some[random() % kinds];
    std::string out = "before";
    append_string(out, text);
    ASSERT_EQ(out, "before" + written_slowly(text)) << i;
    ASSERT_EQ(string_size(text), out.size() - 6) << i;
    ASSERT_LE(string_size(text), longest_string(text.size())) << i;
    ASSERT_EQ(written_with_room(text), written_slowly(text)) << i;
  }
  // Each byte at each place of words that are looked at together.
  for (int c = 0; c < 256; ++c)
    for (std::size_t size = 1; size < 36; ++size)
      for (std::size_t at = 0; at < size; ++at) {
        std::string text(size, 'x');
        text[at] = static_cast<char>(c);
        std::string out;
        append_string(out, text);
        ASSERT_EQ(out, written_slowly(text)) << c << " at " << at << " of " << size;
        ASSERT_EQ(written_with_room(text), out) << c << " at " << at << " of " << size;
      }
}

TEST(Writer, PutsCommasAndColons) {
  std::string out;
  Writer(out)
      .begin_object()
      .key("a")
      .begin_array()
      .integer(1)
      .number(0.5)
      .null()
      .end_array()
      .key("b")
      .boolean(true)
      .end_object();
  EXPECT_EQ(out, R"({"a":[1,0.5,null],"b":true})");
  Arena arena;
  EXPECT_EQ(to_pretty_string(*parse(out, arena)), "{\n  \"a\": [\n    1,\n    0.5,\n    null\n  ],\n  \"b\": true\n}");
}

}  // namespace
}  // namespace plimsoll::json
