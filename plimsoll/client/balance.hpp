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

/// Consistent hashing by highest random weight (Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit
/// Rates"): the weight of a target for a key. The greatest is chosen, so that a target that goes moves its own keys
/// only.
constexpr std::uint64_t rendezvous_weight(std::uint64_t key, std::uint64_t target) {
  auto x = key ^ (target * 0x9E37'79B9'7F4A'7C15);
  x ^= x >> 30, x *= 0xBF58'476D'1CE4'E5B9;
  x ^= x >> 27, x *= 0x94D0'49BB'1331'11EB;
  return x ^ (x >> 31);
}

}  // namespace plimsoll::client
