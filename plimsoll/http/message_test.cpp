#include "plimsoll/http/message.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

TEST(Headers, SetReplacesTheFirstOfAnyCaseAndRemovesTheOthers) {
  Arena arena;
  Headers headers{arena};
  headers.add("a", "1");
  headers.add("Cache-Control", "2");
  headers.add("b", "3");
  headers.add("cache-control", "4");
  headers.add("c", "5");
  headers.set("CACHE-control", "6");
  ASSERT_EQ(headers.size(), 4u);
  EXPECT_EQ(headers.find("cache-control"), "6");
  EXPECT_EQ(headers.begin()[1].name, "Cache-Control");
  EXPECT_EQ(headers.begin()[2].name, "b");
  EXPECT_EQ(headers.begin()[3].name, "c");
  headers.set("d", "7");
  EXPECT_EQ(headers.find("D"), "7");
}

TEST(Headers, NamesThatOnlyLookAlikeAreNotTheSame) {
  Arena arena;
  Headers headers{arena};
  headers.add("x-a", "1");
  headers.add("", "empty");
  EXPECT_FALSE(headers.contains("x-b"));
  EXPECT_FALSE(headers.contains("X_a"));
  EXPECT_TRUE(headers.contains("X-A"));
  EXPECT_EQ(headers.find(""), "empty");
  // An upper case letter and a sign that differ in the same bit.
  headers.add("@", "at");
  EXPECT_FALSE(headers.contains("`"));
}

TEST(Headers, JoinsWhatStandsInSeveralLines) {
  Arena arena;
  Headers headers{arena};
  EXPECT_EQ(headers.joined("vary"), "");
  headers.add("vary", "origin");
  headers.add("Vary", "accept-encoding");
  EXPECT_EQ(headers.joined("vary"), "origin, accept-encoding");
  EXPECT_EQ(headers.count("VARY"), 2u);
  headers.remove("vary");
  EXPECT_EQ(headers.size(), 0u);
}

TEST(Headers, HoldManyAndKeepTheirOrder) {
  Arena arena;
  Headers headers{arena};
  for (int i = 0; i < 100; ++i) headers.add(arena.keep("n" + std::to_string(i)), "v");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(headers.begin()[i].name, "n" + std::to_string(i));
}

}  // namespace
}  // namespace plimsoll
