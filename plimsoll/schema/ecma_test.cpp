#include "plimsoll/schema/ecma.hpp"

#include "plimsoll/schema/regex.hpp"

#include <gtest/gtest.h>

namespace plimsoll::schema {
namespace {

bool found(std::string_view pattern, std::string_view text) {
  const auto regex = Regex::compile(pattern);
  EXPECT_TRUE(regex) << pattern << ": " << (regex ? "" : regex.error().detail);
  return regex && regex->search(text);
}

/// As they are written for engines of UTF-16: two classes for a character beyond U+FFFF, ranges over the surrogates.
TEST(Ecma, HalvesOfSurrogatePairsStandForCharacters) {
  constexpr std::string_view kSmile = "\xF0\x9F\x98\x80", kLast = "\xF4\x8F\xBF\xBF", kEuro = "\xE2\x82\xAC";
  for (const auto* any : {"^[\\uD800-\\uDBFF][\\uDC00-\\uDFFF]$", "^\\uD83D[\\uDC00-\\uDFFF]$", "^\\uD83D\\uDE00$",
                          "^[\\uD83D][\\uDE00-\\uDE4F]$", "^(?:[\\uD83C-\\uDBFF]\\uDE00)$",
                          "^[\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF]$"}) {
    EXPECT_TRUE(found(any, kSmile)) << any;
    EXPECT_FALSE(found(any, "")) << any;
  }
  EXPECT_TRUE(found("^[\\uD800-\\uDBFF][\\uDC00-\\uDFFF]$", kLast));
  EXPECT_FALSE(found("^\\uD83D[\\uDC00-\\uDFFF]$", kLast));
  EXPECT_FALSE(found("^[\\uD83D][\\uDE01-\\uDE4F]$", kSmile));
  for (const auto* alone : {"[\\uD800-\\uDFFF]", "\\uD83D", "\\uDE00", "[\\uDC00-\\uDFFF][\\uD800-\\uDBFF]"})
    for (const auto text : {kSmile, kEuro, std::string_view("a")}) EXPECT_FALSE(found(alone, text)) << alone;
  EXPECT_TRUE(found("^[^\\uD800-\\uDFFF]$", kEuro));
  EXPECT_TRUE(found("^[\\u0000-\\uFFFF]$", kEuro));
  EXPECT_FALSE(found("^[\\u0000-\\uFFFF]$", kSmile));
  EXPECT_TRUE(found("^[\\u0000-\\uDBFFa]$", kEuro));
  EXPECT_TRUE(found("^[\\uD800-\\uFFFF]$", "\xEF\xBF\xBD"));
  EXPECT_FALSE(found("^[\\uD800-\\uFFFF]$", kEuro));
  EXPECT_TRUE(found("^[a\\uD800]$", "a"));
}

TEST(Ecma, QuantifiersBeyondOnesBoundAreExact) {
  const auto holds = [](std::string_view pattern, std::size_t count) {
    return found(pattern, std::string(count, 'a') + "b");
  };
  for (const auto* pattern : {"^(?=a)[a]{70000,80000}b$", "^a{70000,80000}b$"}) {
    EXPECT_FALSE(holds(pattern, 69'999)) << pattern;
    EXPECT_TRUE(holds(pattern, 70'000)) << pattern;
    EXPECT_TRUE(holds(pattern, 80'000)) << pattern;
    EXPECT_FALSE(holds(pattern, 80'001)) << pattern;
  }
  EXPECT_TRUE(holds("^(?=.)a{0,131072}b", 131'072));
  EXPECT_FALSE(holds("^(?=.)a{0,131072}b", 131'073));
  EXPECT_FALSE(holds("^(?=.)a{65536,}b", 65'535));
  for (const int times : {65'534, 65'535, 65'536, 65'537})  // what is left of the least is nothing
    EXPECT_EQ(holds("^(?=.)a{65535,65536}b", times), times == 65'535 || times == 65'536) << times;
  for (const int times : {131'069, 131'070, 140'000, 140'001})
    EXPECT_EQ(holds("^(?=.)a{131070,140000}b", times), times == 131'070 || times == 140'000) << times;
  EXPECT_TRUE(holds("^(?=.)a{65536,}b", 65'536));
  EXPECT_TRUE(holds("^(?=.)a{10,65536}?b", 10));
  EXPECT_TRUE(holds("^.{1,2097152}", 1));
  // What cannot be found is not looked for in every way to divide the times among the parts.
  const auto regex = Regex::compile("^(?=.)a{0,1048576}b$");
  ASSERT_TRUE(regex);
  Steps steps;
  EXPECT_FALSE(regex->search(std::string(200'000, 'a') + "c", steps));
  EXPECT_FALSE(steps.exhausted());
}

TEST(Ecma, WhatCannotBeIsRefused) {
  for (const auto* pattern : {"(ab){65536}", "[ab]{0,10000000}[b]", "a{100000001}", "(?=a)a{0,100000000}",
                              "[\\uDE00-\\uD83D]", "\\uD83", "[b-a]", "a{2,1}"})
    EXPECT_FALSE(Regex::compile(pattern)) << pattern;
  std::string many = "[";
  for (int i = 0; i < 200; ++i) many += "\\uD800";
  many += "][";
  for (int i = 0; i < 200; ++i) many += "\\uDC00";
  EXPECT_FALSE(Regex::compile(many + "]"));
}

}  // namespace
}  // namespace plimsoll::schema
