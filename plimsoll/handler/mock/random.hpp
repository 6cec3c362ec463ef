#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll::handler::mocking {

/// SplitMix64: small, good enough for data that only has to look alive, and the same on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    auto z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }
  /// 0 to `count` - 1; `count` is at least 1.
  std::uint64_t below(std::uint64_t count) { return next() % count; }
  std::int64_t between(std::int64_t from, std::int64_t to) {
    const auto width = static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from);
    return width == UINT64_MAX ? static_cast<std::int64_t>(next())
                               : static_cast<std::int64_t>(static_cast<std::uint64_t>(from) + below(width + 1));
  }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

/// FNV-1a, to make a seed of what was asked.
inline std::uint64_t mix(std::uint64_t seed, std::string_view text) {
  for (const char c : text) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return seed ^ 0x1F;
}

}  // namespace plimsoll::handler::mocking
