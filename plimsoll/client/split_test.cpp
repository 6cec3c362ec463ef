#include "plimsoll/client/split.hpp"

#include <gtest/gtest.h>

#include <random>

namespace plimsoll::client {
namespace {

constexpr std::size_t kCallers = 20'000;

std::vector<std::string> sides(std::vector<Group> groups, std::string_view gone = "") {
  std::vector<std::uint32_t> one_each;
  for (std::uint32_t i = 0; i < groups.size(); ++i) one_each.push_back(i);
  const Split split(std::move(groups), std::move(one_each));
  std::vector<std::string> all;
  for (std::size_t caller = 0; caller < kCallers; ++caller) {
    const auto chosen = split.choose(mixed_bits(caller, 7), [&](auto group) { return split.name(group) != gone; });
    all.push_back(chosen ? split.name(*chosen) : "none");
  }
  return all;
}

double share(const std::vector<std::string>& all, std::string_view name) {
  return static_cast<double>(std::ranges::count(all, name)) / static_cast<double>(all.size());
}

TEST(Split, EachGroupHasItsShareOfTheCallers) {
  const auto all = sides({{"stable", 80}, {"canary", 5}, {"next", 15}});
  EXPECT_NEAR(share(all, "stable"), 0.80, 0.01);
  EXPECT_NEAR(share(all, "canary"), 0.05, 0.01);
  EXPECT_NEAR(share(all, "next"), 0.15, 0.01);
}

TEST(Split, AGroupOfWeightZeroHasNobody) {
  const auto all = sides({{"stable", 1}, {"canary", 0}});
  EXPECT_EQ(share(all, "stable"), 1);
  EXPECT_EQ(share(sides({{"stable", 1}, {"canary", 0}}, "stable"), "none"), 1);
}

TEST(Split, TheOrderOfTheGroupsMovesNobody) {
  EXPECT_EQ(sides({{"stable", 95}, {"canary", 5}}), sides({{"canary", 5}, {"stable", 95}}));
}

TEST(Split, AChangeMovesOnlyAsManyAsTheSharesChange) {
  auto before = sides({{"stable", 100}, {"canary", 0}});
  for (const double canary : {1, 5, 10, 30, 50, 90, 100}) {
    const auto after = sides({{"stable", 100 - canary}, {"canary", canary}});
    for (std::size_t caller = 0; caller < kCallers; ++caller)
      if (before[caller] != after[caller]) EXPECT_EQ(after[caller], "canary") << "caller " << caller << " moved back";
    EXPECT_NEAR(share(after, "canary"), canary / 100, 0.015);
    before = after;
  }
}

TEST(Split, AGroupThatIsGoneMovesItsOwnCallersAndNoOthers) {
  const auto before = sides({{"stable", 50}, {"canary", 20}, {"next", 30}});
  const auto after = sides({{"stable", 50}, {"canary", 20}, {"next", 30}}, "next");
  for (std::size_t caller = 0; caller < kCallers; ++caller)
    if (before[caller] != "next") EXPECT_EQ(before[caller], after[caller]);
  EXPECT_NEAR(share(after, "canary"), 2.0 / 7, 0.015);
}

}  // namespace
}  // namespace plimsoll::client
