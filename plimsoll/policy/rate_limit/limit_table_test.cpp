#include "plimsoll/policy/rate_limit/limit_table.hpp"

#include "plimsoll/base/hash.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <fstream>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

namespace plimsoll::policy {
namespace {

constexpr Rate kHundredPerMinute{.limit = 100, .period = 60 * kSecond, .burst = 100};
constexpr Nanoseconds kStart = 3600 * kSecond;

std::uint64_t address(std::uint64_t i) { return hash64({reinterpret_cast<const char*>(&i), sizeof i}); }

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

TEST(LimitTable, KeepsKeysApart) {
  LimitTable table(1 << 16);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(table.take(5, kHundredPerMinute, kStart).allowed);
  EXPECT_FALSE(table.take(5, kHundredPerMinute, kStart).allowed);
  EXPECT_TRUE(table.take(2, kHundredPerMinute, kStart).allowed);
  EXPECT_TRUE(table.take(0, kHundredPerMinute, kStart).allowed);
}

TEST(LimitTable, PeeksWithoutTaking) {
  LimitTable table(1 << 16);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(table.peek(7, kHundredPerMinute, kStart, 100).remaining, 0);
  EXPECT_TRUE(table.take(7, kHundredPerMinute, kStart, 100).allowed);
  EXPECT_FALSE(table.peek(7, kHundredPerMinute, kStart).allowed);
  table.give_back(7, kHundredPerMinute, 40);
  EXPECT_TRUE(table.peek(7, kHundredPerMinute, kStart, 40).allowed);
  EXPECT_FALSE(table.peek(7, kHundredPerMinute, kStart, 41).allowed);
}

TEST(LimitTable, TenMillionAddressesStayUnder64MiBAndNobodyIsRefusedFalsely) {
  const auto before = resident_bytes();
  LimitTable table;
  auto now = kStart;
  for (std::uint64_t i = 0; i < 10'000'000; ++i) {
    now += 10'000;  // 100,000 strangers per second
    // Every second one takes all it may: whoever shared a place with it would be refused at once. Six million are in
    // debt at the same time, twice as many as there are places.
    ASSERT_TRUE(table.take(address(i), kHundredPerMinute, now, i % 2 ? 100 : 1).allowed) << i;
  }
  EXPECT_LT(table.bytes(), std::size_t{64} << 20);
  EXPECT_LT(resident_bytes() - before, std::size_t{64} << 20);
}

// Beside a table with far too few places stands an account of what each caller was granted, as a bucket of the textbook
// keeps it. The table may have forgotten and grant more; it may never refuse whom that account would let pass.
TEST(LimitTable, NobodyIsRefusedForAnothersSake) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  LimitTable table(1 << 12);  // 256 places
  const Rate rates[] = {
      kHundredPerMinute, {.limit = 5, .period = kSecond, .burst = 5}, {.limit = 1, .period = kSecond}};
  std::unordered_map<std::uint64_t, Nanoseconds> full_at;
  auto now = kStart;
  int refused = 0, forgotten = 0;
  for (int i = 0; i < 200'000; ++i) {
    now += static_cast<Nanoseconds>(random() % static_cast<std::uint64_t>(5 * kMillisecond));
    const auto who = random() % (random() % 2 ? 50 : 2000);  // some come often
    const auto& rate = rates[who % 3];
    const auto cost = static_cast<std::int64_t>(1 + random() % static_cast<std::uint64_t>(rate.burst));
    auto& account = full_at[who];
    const auto after = std::max(account, now) + rate.interval() * cost;
    const bool owed = after - now > rate.interval() * rate.burst;
    const bool granted = table.take(address(who), rate, now, cost).allowed;
    ASSERT_TRUE(granted || owed) << "arrival " << i << " of " << who;
    if (granted) account = after;
    refused += !granted, forgotten += granted && owed;
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(forgotten, 0) << "the table was never full: nothing is shown";
}

TEST(LimitTable, AFloodOfStrangersDoesNotFreeTheLimited) {
  LimitTable table(1 << 20);  // 65,536 places
  constexpr std::uint64_t kLimited = 1000;
  for (std::uint64_t i = 0; i < kLimited; ++i)
    ASSERT_TRUE(table.take(address(i), kHundredPerMinute, kStart, 100).allowed);
  auto now = kStart;
  for (std::uint64_t i = kLimited; i < 1'000'000; ++i)
    ASSERT_TRUE(table.take(address(i), kHundredPerMinute, now += 100).allowed);  // ten million per second
  for (std::uint64_t i = 0; i < kLimited; ++i) EXPECT_FALSE(table.take(address(i), kHundredPerMinute, now, 20).allowed);
}

TEST(LimitTable, ThreadsTogetherGetExactlyTheBurst) {
  LimitTable table(1 << 20);
  for (std::uint64_t round = 0; round < 200; ++round) {
    std::atomic<int> granted{0};
    std::atomic<bool> go{false};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        while (!go) std::this_thread::yield();
        for (int n = 0; n < 50; ++n) granted += table.take(address(round), kHundredPerMinute, kStart).allowed;
      });
    go = true;
    threads.clear();
    ASSERT_EQ(granted, 100) << "round " << round;
  }
}

}  // namespace
}  // namespace plimsoll::policy
