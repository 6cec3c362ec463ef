#include "plimsoll/http/websocket_frames.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace plimsoll::http {
namespace {

std::string frame(unsigned opcode, std::size_t size, bool masked) {
  std::string made(1, static_cast<char>(0x80 | opcode));
  const auto mark = masked ? 0x80u : 0u;
  if (size < 126) {
    made += static_cast<char>(mark | size);
  } else {
    const int bytes = size < 65536 ? 2 : 8;
    made += static_cast<char>(mark | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; --i) made += static_cast<char>(size >> (8 * i));
  }
  if (masked) made += "mask";
  return made + std::string(size, 'x');
}

// Whatever the cuts: between two frames is where a frame has ended, and nowhere else.
TEST(WebSocketFrames, FindsTheEndOfEachFrameHoweverTheBytesAreCut) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    std::string all;
    std::vector<std::size_t> ends{0};
    for (int i = 0; i < 20; ++i) {
      constexpr std::size_t sizes[] = {0, 1, 125, 126, 127, 1000, 65535, 65536, 70000};
      all += frame(random() % 3, sizes[random() % std::size(sizes)], random() % 2 == 0);
      ends.push_back(all.size());
    }
    WebSocketFrames frames;
    EXPECT_TRUE(frames.between());
    for (std::size_t at = 0; at < all.size();) {
      const auto size =
          std::min<std::size_t>(all.size() - at, round % 4 == 0 ? 1 + random() % 3 : 1 + random() % 50'000);
      frames.pass(std::string_view(all).substr(at, size));
      at += size;
      ASSERT_EQ(frames.between(), std::ranges::binary_search(ends, at)) << "round " << round << ", at " << at;
    }
    EXPECT_FALSE(frames.closed());
  }
}

TEST(WebSocketFrames, SaysHowMuchBelongsToTheFrameThatWasBegun) {
  const auto first = frame(2, 300, false), second = frame(1, 5, false);
  WebSocketFrames frames;
  EXPECT_EQ(frames.finish(first), 0u) << "nothing was begun";
  frames.pass(first.substr(0, 3));
  EXPECT_EQ(frames.finish(first.substr(3) + second), first.size() - 3);
  EXPECT_TRUE(frames.between());
}

TEST(WebSocketFrames, SeesACloseFrame) {
  WebSocketFrames frames;
  frames.pass(frame(1, 8, true));
  EXPECT_FALSE(frames.closed());
  frames.pass(close_frame(1001, "going away"));
  EXPECT_TRUE(frames.closed());
  EXPECT_TRUE(frames.between());
}

TEST(WebSocketFrames, WritesACloseFrame) {
  EXPECT_EQ(close_frame(1001, "bye"), std::string("\x88\x05\x03\xe9") + "bye");
  EXPECT_EQ(close_frame(1001, std::string(500, 'x')).size(), 127u);
}

}  // namespace
}  // namespace plimsoll::http
