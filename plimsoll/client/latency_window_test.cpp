#include "plimsoll/client/latency_window.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

namespace plimsoll::client {
namespace {

constexpr Nanoseconds kStart = 1'000'000 * kSecond;

TEST(LatencyWindow, SaysNothingBeforeItHasSeenEnough) {
  LatencyWindow window;
  for (std::int64_t i = 1; i < LatencyWindow::kLeast; ++i) window.note(kMillisecond, kStart);
  EXPECT_EQ(window.quantile(0.95, kStart), std::nullopt);
  window.note(kMillisecond, kStart);
  EXPECT_TRUE(window.quantile(0.95, kStart));
}

TEST(LatencyWindow, ForgetsWithinTenSeconds) {
  LatencyWindow window;
  for (int i = 0; i < 1000; ++i) window.note(kSecond, kStart);
  for (int i = 0; i < 1000; ++i) window.note(kMillisecond, kStart + 5 * kSecond);
  EXPECT_GE(window.quantile(0.95, kStart + 5 * kSecond), kSecond);
  EXPECT_LT(window.quantile(0.95, kStart + 10 * kSecond), 2 * kMillisecond);
  EXPECT_EQ(window.quantile(0.95, kStart + 20 * kSecond), std::nullopt);
  EXPECT_EQ(window.quantile(0.95, kStart + 3600 * kSecond), std::nullopt);
}

TEST(LatencyWindow, AClockThatIsBehindCountsToTheHalfOfTheOthers) {
  LatencyWindow window;
  for (int i = 0; i < 100; ++i) window.note(kMillisecond, kStart);
  window.note(kMillisecond, kStart + 5 * kSecond);
  window.note(kMillisecond, kStart + 5 * kSecond - kMillisecond);  // a loop whose turn began a little before
  EXPECT_TRUE(window.quantile(0.95, kStart + 5 * kSecond));
}

/// Against the exact quantile of random latencies: never shorter, and at most a tenth and one step longer.
TEST(LatencyWindow, QuantilesAreAtMostATenthTooLong) {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", first);
  for (unsigned i = 0; i < 200; ++i) {
    std::mt19937_64 random(first + i);
    LatencyWindow window;
    std::vector<Nanoseconds> all(LatencyWindow::kLeast + random() % 1000);
    const auto most = 20'000 + random() % (10 * kSecond);
    for (auto& each : all) {
      each = 10'001 + static_cast<Nanoseconds>(random() % most);
      window.note(each, kStart + static_cast<Nanoseconds>(random() % kSecond));
    }
    std::ranges::sort(all);
    for (const double share : {0.5, 0.9, 0.95, 0.99}) {
      const auto at = static_cast<std::size_t>(std::ceil(share * static_cast<double>(all.size()))) - 1;
      const auto said = window.quantile(share, kStart + kSecond);
      ASSERT_TRUE(said);
      EXPECT_GE(*said + 1, all[at]) << share << ", seed " << first + i;
      EXPECT_LE(static_cast<double>(*said), 1.1 * static_cast<double>(all[at]) + 1) << share << ", seed " << first + i;
    }
  }
}

}  // namespace
}  // namespace plimsoll::client
