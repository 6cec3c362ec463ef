#include "plimsoll/http/h2_memory.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

namespace plimsoll::http {
namespace {

TEST(H2Memory, BlocksAreAlignedAndKeepWhatIsWrittenWhileOthersComeAndGo) {
  auto& memory = *h2_memory();
  std::vector<std::pair<unsigned char*, std::size_t>> blocks;
  for (std::size_t round = 0; round < 3; ++round) {
    for (std::size_t size = 0; size < 3000; size += 7) {
      auto* block = static_cast<unsigned char*>(memory.malloc(size, nullptr));
      ASSERT_TRUE(block);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignof(std::max_align_t), 0u);
      std::memset(block, static_cast<int>(size % 251), size);
      blocks.emplace_back(block, size);
    }
    for (auto [block, size] : blocks)
      for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(block[i], size % 251);
    for (auto [block, size] : blocks) memory.free(block, nullptr);
    blocks.clear();
  }
  memory.free(nullptr, nullptr);
}

TEST(H2Memory, AClearedBlockIsClearThoughItWasUsedBefore) {
  auto& memory = *h2_memory();
  auto* used = memory.malloc(200, nullptr);
  std::memset(used, 0xff, 200);
  memory.free(used, nullptr);
  auto* clear = static_cast<unsigned char*>(memory.calloc(20, 10, nullptr));
  for (std::size_t i = 0; i < 200; ++i) ASSERT_EQ(clear[i], 0);
  memory.free(clear, nullptr);
}

TEST(H2Memory, AGrownBlockHasWhatItHad) {
  auto& memory = *h2_memory();
  auto* block = static_cast<unsigned char*>(memory.realloc(nullptr, 10, nullptr));
  std::memset(block, 7, 10);
  for (std::size_t size : {64, 65, 1000, 1025, 100'000}) {
    block = static_cast<unsigned char*>(memory.realloc(block, size, nullptr));
    ASSERT_TRUE(block);
    for (std::size_t i = 0; i < 10; ++i) ASSERT_EQ(block[i], 7);
  }
  memory.free(block, nullptr);
}

TEST(H2Memory, WhatCannotBeIsRefused) {
  auto& memory = *h2_memory();
  constexpr auto most = std::numeric_limits<std::size_t>::max();
  EXPECT_FALSE(memory.malloc(most, nullptr));
  EXPECT_FALSE(memory.malloc(most - 20, nullptr));
  EXPECT_FALSE(memory.calloc(most / 2, 3, nullptr));
}

}  // namespace
}  // namespace plimsoll::http
