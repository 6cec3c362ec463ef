#include "plimsoll/policy/limit_table.hpp"

#include "plimsoll/base/hash.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <fstream>
#include <thread>
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
    ASSERT_TRUE(table.take(address(i), kHundredPerMinute, now).allowed);
  }
  EXPECT_LT(table.bytes(), std::size_t{64} << 20);
  EXPECT_LT(resident_bytes() - before, std::size_t{64} << 20);
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
