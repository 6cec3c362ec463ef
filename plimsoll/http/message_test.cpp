#include "plimsoll/http/message.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <vector>

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

std::string listed(const Headers& headers) {
  std::string all;
  for (const auto& [name, value] : headers) all += std::string(name) + '=' + std::string(value) + ' ';
  return all;
}

TEST(Headers, TakeOverWhatTheyDoNotHave) {
  Arena arena;
  Headers promised{arena}, answer{arena}, empty{arena};
  promised.add("x-request-id", "1");
  promised.add("vary", "origin");
  promised.add("vary", "accept-encoding");
  answer.add("content-type", "a/b");
  answer.add_absent(empty);
  answer.add_absent(promised);  // nothing in common
  EXPECT_EQ(listed(answer), "content-type=a/b x-request-id=1 vary=origin vary=accept-encoding ");
  EXPECT_EQ(answer.count("vary"), 2u);

  Headers other{arena};
  other.add("X-Request-Id", "own");
  other.add_absent(promised);
  EXPECT_EQ(listed(other), "X-Request-Id=own vary=origin vary=accept-encoding ");
  empty.add_absent(promised);
  EXPECT_EQ(empty.size(), 3u);
}

TEST(Headers, FindEveryNameWhateverOthersAreThere) {
  // Names whose marks are the same, and those that differ in case only, are told apart by the names themselves.
  Arena arena;
  Headers headers{arena};
  std::vector<std::string> names;
  for (int i = 0; i < 300; ++i)
    names.push_back("x-" + std::string(static_cast<std::size_t>(i % 7), 'y') + std::to_string(i));
  for (std::size_t i = 0; i < names.size(); i += 2) headers.add(names[i], names[i]);
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto upper = names[i];
    for (auto& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_EQ(headers.contains(names[i]), i % 2 == 0) << names[i];
    EXPECT_EQ(headers.find(upper), i % 2 == 0 ? names[i] : "") << names[i];
    EXPECT_EQ(Headers::mark(names[i]), Headers::mark(upper));
  }
}

TEST(Headers, HoldManyAndKeepTheirOrder) {
  Arena arena;
  Headers headers{arena};
  for (int i = 0; i < 100; ++i) headers.add(arena.keep("n" + std::to_string(i)), "v");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(headers.begin()[i].name, "n" + std::to_string(i));
}

}  // namespace
}  // namespace plimsoll
