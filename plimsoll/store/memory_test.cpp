#include "plimsoll/store/memory.hpp"

#include "plimsoll/store/conformance.hpp"

namespace plimsoll::store {
namespace {

class ManualClock final : public Clock {
 public:
  Nanoseconds steady() const override { return now; }
  Nanoseconds wall() const override { return now; }
  std::atomic<Nanoseconds> now{1000 * kSecond};
};

struct Local {
  explicit Local(MemoryOptions options = {}) : store(options, clock) {}
  ManualClock clock;
  Memory store;
};

Subject make_memory() {
  auto made = std::make_shared<Local>();
  return {made, &made->store, [made](Nanoseconds span) { made->clock.now += span; }};
}
INSTANTIATE_TEST_SUITE_P(Memory, StoreConformance, testing::Values(make_memory));

class MemoryStore : public StoreConformance {
 protected:
  std::shared_ptr<Local> local = std::make_shared<Local>(MemoryOptions{.bytes = config::kibibytes(64), .shards = 1});
};
INSTANTIATE_TEST_SUITE_P(Bounded, MemoryStore, testing::Values(make_memory));

TEST_P(MemoryStore, StaysWithinItsBytesUnderAFlood) {
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(run(local->store.put(loop, "key " + std::to_string(i), std::string(100, 'x'), (1 + i) * kSecond)));
    ASSERT_LE(local->store.bytes(), 64u * 1024);
  }
  EXPECT_GT(local->store.evicted(), 0u);
  EXPECT_EQ(run(local->store.get(loop, "key 0")).value(), std::nullopt);
  EXPECT_TRUE(run(local->store.get(loop, "key 9999")).value());
}

TEST_P(MemoryStore, WhatHasExpiredGoesBeforeWhatLives) {
  ASSERT_TRUE(run(local->store.put(loop, "lives", "x", 3600 * kSecond)));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(run(local->store.put(loop, "key " + std::to_string(i), std::string(1000, 'x'), kSecond)));
    local->clock.now += kSecond;
  }
  EXPECT_TRUE(run(local->store.get(loop, "lives")).value());
  EXPECT_EQ(local->store.evicted(), 0u);
  EXPECT_LE(local->store.size(), 2u);
}

TEST_P(MemoryStore, RefusesWhatCanNeverFit) {
  const auto result = run(local->store.put(loop, "key", std::string(70'000, 'x'), kSecond));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().problem, &kUnavailable);
}

TEST_P(MemoryStore, AccountsForEveryByteItGivesBack) {
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(run(local->store.add(loop, "n" + std::to_string(i), 999'999 + i, kSecond)));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(run(local->store.remove(loop, "n" + std::to_string(i))));
  EXPECT_EQ(local->store.bytes(), 0u);
  EXPECT_EQ(local->store.size(), 0u);
}

}  // namespace
}  // namespace plimsoll::store
