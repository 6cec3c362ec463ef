#pragma once

#include "plimsoll/base/digest.hpp"

#include <cstdint>

namespace plimsoll::client {

/// 64 random bits of this thread: for jitter and for choosing among targets, where nobody gains by guessing
/// (SplitMix64).
inline std::uint64_t random_bits() {
  thread_local std::uint64_t state = [] {
    std::uint64_t seed = 0;
    random_bytes(&seed, sizeof seed);
    return seed;
  }();
  auto x = state += 0x9E37'79B9'7F4A'7C15;
  x = (x ^ (x >> 30)) * 0xBF58'476D'1CE4'E5B9;
  x = (x ^ (x >> 27)) * 0x94D0'49BB'1331'11EB;
  return x ^ (x >> 31);
}

}  // namespace plimsoll::client
