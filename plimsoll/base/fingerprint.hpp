#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace plimsoll {

/// A name as two words and its length: up to 16 bytes that is all of it, so that comparing names is comparing numbers.
struct Fingerprint {
  std::uint64_t first = 0, last = 0;
  std::uint32_t size = 0;

  static Fingerprint of(std::string_view name) {
    const auto load = [](const char* at, auto word) {
      std::memcpy(&word, at, sizeof word);
      return std::uint64_t{word};
    };
    const auto n = name.size();
    const char* const p = name.data();
    Fingerprint made{0, 0, static_cast<std::uint32_t>(n)};
    if (n >= 8) {
      made.first = load(p, std::uint64_t{});
      made.last = load(p + n - 8, std::uint64_t{});
    } else if (n >= 4) {
      made.first = load(p, std::uint32_t{}) | load(p + n - 4, std::uint32_t{}) << 32;
    } else if (n > 0) {
      made.first =
          load(p, std::uint8_t{}) | load(p + n / 2, std::uint8_t{}) << 8 | load(p + n - 1, std::uint8_t{}) << 16;
    }
    return made;
  }
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
  std::uint64_t hash(std::uint64_t multiplier) const { return (first ^ std::rotl(last, 23) ^ size) * multiplier; }
};

}  // namespace plimsoll
