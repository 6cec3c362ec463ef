#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace plimsoll::client {

/// A target that may be chosen.
struct Choice {
  std::uint32_t target = 0;
  std::int64_t running = 0;  ///< calls under way
};

/// In turn: `turn` counts the calls. There is at least one choice.
constexpr std::uint32_t round_robin(std::span<const Choice> choices, std::uint64_t turn) {
  return choices[turn % choices.size()].target;
}

/// Of two different ones at random the one with fewer calls under way (Mitzenmacher, "The Power of Two Choices in
/// Randomized Load Balancing"). `random`: any 64 bits.
constexpr std::uint32_t least_request(std::span<const Choice> choices, std::uint64_t random) {
  const auto count = static_cast<std::uint64_t>(choices.size());
  const auto first = (random & 0xFFFF'FFFF) % count;
  if (count == 1) return choices[0].target;
  const auto second = (first + 1 + (random >> 32) % (count - 1)) % count;
  const auto &a = choices[first], &b = choices[second];
  return b.running < a.running ? b.target : a.target;
}

/// Whether so few targets can be used that all of them are: a few would only be overrun.
constexpr bool is_panic(std::size_t usable, std::size_t all, double threshold) {
  return usable == 0 || static_cast<double>(usable) < threshold * static_cast<double>(all);
}

}  // namespace plimsoll::client
