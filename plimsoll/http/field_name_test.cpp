#include "plimsoll/http/field_name.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace plimsoll {
namespace {

constexpr std::string_view kNames[] = {"te", "upgrade", "keep-alive", "transfer-encoding", "x-forwarded-for"};
constexpr FieldNames kFew{{"te", "upgrade", "keep-alive", "transfer-encoding", "x-forwarded-for"}};

TEST(FieldNames, FindsEachInAnySpellingAndNoOther) {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? std::strtoul(given, nullptr, 10) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%lu\n", seed);
  std::mt19937_64 random(seed);
  int found = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string name(kNames[random() % std::size(kNames)]);
    for (auto& c : name) c = c == '-' ? "-_.+"[random() % 4] : random() % 2 ? static_cast<char>(std::toupper(c)) : c;
    if (random() % 2) name[random() % name.size()] = static_cast<char>('!' + random() % 90);
    const bool expected = std::ranges::any_of(kNames, [&](auto each) { return same_variable(each, name); });
    EXPECT_EQ(kFew.has(name), expected) << name;
    found += expected;
  }
  EXPECT_GE(found, 9'000);
  for (const auto* other : {"", "t", "-", "upgrades", "upgrad", "xkeep-alive"}) EXPECT_FALSE(kFew.has(other)) << other;
}

}  // namespace
}  // namespace plimsoll
