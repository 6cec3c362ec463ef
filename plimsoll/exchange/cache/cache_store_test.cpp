#include "plimsoll/exchange/cache/cache_store.hpp"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <unordered_map>

namespace plimsoll {
namespace {

std::shared_ptr<CachedAnswer> answer(std::string body) {
  auto made = std::make_shared<CachedAnswer>();
  made->body = std::move(body);
  return made;
}

TEST(CacheStore, GivesBackWhatWasPutUnderExactlyThatKey) {
  CacheStore store(1 << 20);
  EXPECT_TRUE(store.put("a", answer("1")));
  EXPECT_TRUE(store.put("b", answer("2")));
  EXPECT_EQ(store.find("a")->body, "1");
  EXPECT_EQ(store.find("c"), nullptr);
  store.put("a", answer("3"));
  EXPECT_EQ(store.find("a")->body, "3");
  store.remove("a");
  EXPECT_EQ(store.find("a"), nullptr);
  EXPECT_EQ(store.size(), 1u);
}

TEST(ResourceVersions, AChangeIsOfEverySpellingOfThePath) {
  ResourceVersions versions;
  const auto before = versions.now();
  versions.changed("/pages/a%20b/1");
  for (const auto* path : {"/pages/a%20b/1", "/pages/%61%20b/%31", "/%70ages/a b/1"})
    EXPECT_GT(versions.of(path), before) << path;
  EXPECT_EQ(versions.of("/pages/2"), before);
}

TEST(CacheStore, IsAMapWhileThereIsRoom) {
  CacheStore store(64u << 20, 2);
  std::unordered_map<std::string, std::string> map;
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 40'000; ++i) {
    const auto key = "key-" + std::to_string(random() % 3000);
    switch (random() % 4) {
      case 0:
        store.remove(key);
        map.erase(key);
        break;
      case 1: {
        const auto found = store.find(key);
        const auto known = map.find(key);
        ASSERT_EQ(found != nullptr, known != map.end()) << key;
        if (found) ASSERT_EQ(found->body, known->second) << key;
        break;
      }
      default: map[key] = std::to_string(i); ASSERT_TRUE(store.put(key, answer(std::to_string(i))));
    }
    ASSERT_EQ(store.size(), map.size());
  }
  for (auto& [key, body] : map) {
    const auto found = store.find(key);
    ASSERT_TRUE(found && found->body == body) << key;
    store.remove(key);
  }
  EXPECT_EQ(store.bytes(), 0u);
  EXPECT_EQ(store.size(), 0u);
}

TEST(CacheStore, NeverHoldsMoreEntriesThanItMay) {
  CacheStore store(64u << 20, 4, 100);
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(store.put(std::to_string(i), answer("x")));
    ASSERT_LE(store.size(), 100u);
    ASSERT_TRUE(store.find(std::to_string(i))) << "what has just come stays";
    if (i % 7 == 0) store.remove(std::to_string(i));
  }
  EXPECT_GT(store.size(), 90u);
}

TEST(CacheStore, NeverHoldsMoreThanItsBytes) {
  constexpr std::size_t kBytes = 1 << 20;
  CacheStore store(kBytes, 4);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 20'000; ++i) {
    store.put(std::to_string(random() % 5000), answer(std::string(random() % 4000, 'x')));
    if (random() % 3 == 0) (void)store.find(std::to_string(random() % 5000));
    if (i % 100 == 0) ASSERT_LE(store.bytes(), kBytes);
  }
  EXPECT_GT(store.bytes(), kBytes / 2);
}

TEST(CacheStore, WhatIsTooLargeIsNotKeptAndDrivesNothingOut) {
  CacheStore store(1 << 20, 4);
  store.put("small", answer("1"));
  EXPECT_FALSE(store.put("large", answer(std::string(1 << 19, 'x'))));
  EXPECT_NE(store.find("small"), nullptr);
}

/// With 64 MiB, as the default is, a body of a MiB is larger than what one shard holds.
TEST(CacheStore, WhatFitsIsKeptHoweverFullItIs) {
  constexpr std::size_t kBytes = 64u << 20;
  CacheStore store(kBytes);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int i = 0; i < 40'000; ++i) store.put("small-" + std::to_string(i), answer(std::string(1000, 's')));
  ASSERT_GT(store.bytes(), kBytes * 9 / 10);
  for (const std::size_t size : {std::size_t{1} << 20, store.largest_body()}) {
    const auto key = "large-" + std::to_string(random());
    ASSERT_TRUE(store.put(key, answer(std::string(size, 'l')))) << size;
    EXPECT_NE(store.find(key), nullptr) << size;
    EXPECT_LE(store.bytes(), kBytes);
    EXPECT_GT(store.bytes(), kBytes * 3 / 4) << "no more was driven out than had to be";
  }
  // More of them than there is room for: the oldest go.
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(store.put("more-" + std::to_string(i), answer(std::string(1 << 20, 'm'))));
  EXPECT_LE(store.bytes(), kBytes);
  EXPECT_NE(store.find("more-63"), nullptr);
}

TEST(CacheStore, WhatHasJustComeStaysWhereAllElseIsUsed) {
  constexpr std::size_t kBytes = 8u << 20;
  CacheStore store(kBytes, 1);
  for (int i = 0; i < 16; ++i) {
    const auto key = "used-" + std::to_string(i);
    ASSERT_TRUE(store.put(key, answer(std::string(200'000, 'u'))));
    for (int use = 0; use < 3; ++use) (void)store.find(key);
  }
  for (int i = 0; i < 100; ++i) {
    const auto key = "new-" + std::to_string(i);
    ASSERT_TRUE(store.put(key, answer(std::string(store.largest_body(), 'n'))));
    EXPECT_NE(store.find(key), nullptr) << i;
    EXPECT_LE(store.bytes(), kBytes) << i;
  }
}

TEST(CacheStore, AScanDoesNotDriveOutWhatIsUsed) {
  CacheStore store(1 << 20, 1);
  std::vector<std::string> hot;
  for (int i = 0; i < 100; ++i) hot.push_back("hot-" + std::to_string(i));
  for (auto& key : hot) store.put(key, answer(std::string(1000, 'h')));
  for (auto& key : hot) EXPECT_NE(store.find(key), nullptr);
  for (int i = 0; i < 20'000; ++i) {
    store.put("scan-" + std::to_string(i), answer(std::string(1000, 's')));
    if (i % 500 == 0)
      for (auto& key : hot) (void)store.find(key);
  }
  int left = 0;
  for (auto& key : hot) left += store.find(key) != nullptr;
  EXPECT_GE(left, 95);
}

TEST(CacheStore, WhatComesBackSoonAfterItWasDrivenOutStays) {
  CacheStore store(64 << 10, 1);
  store.put("back", answer(std::string(1000, 'b')));
  for (int i = 0; i < 60; ++i) store.put("other-" + std::to_string(i), answer(std::string(1000, 'o')));
  ASSERT_EQ(store.find("back"), nullptr);
  store.put("back", answer(std::string(1000, 'b')));
  for (int i = 0; i < 20; ++i) store.put("more-" + std::to_string(i), answer(std::string(1000, 'm')));
  EXPECT_NE(store.find("back"), nullptr);
}

TEST(CacheStore, ManyThreadsAtOnce) {
  CacheStore store(1 << 20, 4);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 5000; ++i) {
        const auto key = std::to_string(random() % 300);
        if (random() % 2)
          store.put(key, answer(key));
        else if (auto found = store.find(key))
          ASSERT_EQ(found->body, key);
      }
    });
  for (auto& thread : threads) thread.join();
}

TEST(CacheStore, EncodingsOfABodyAreKeptBesideIt) {
  auto made = answer("body");
  EXPECT_EQ(made->find("br"), nullptr);
  made->keep("br", std::make_shared<std::string>("squeezed"));
  EXPECT_EQ(*made->find("br"), "squeezed");
  EXPECT_EQ(made->find("gzip"), nullptr);
}

}  // namespace
}  // namespace plimsoll
