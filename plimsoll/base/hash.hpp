#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll {

/// A 64-bit hash for tables (XXH3) under a seed drawn once per process, so that nobody outside can choose keys that
/// collide. Not the same in another process: never store it, never send it.
std::uint64_t hash64(std::string_view data) noexcept;

/// 128 bits that name a content (XXH3), the same in every process: for entity tags, where two contents must not share a
/// name by accident. Whoever chooses both contents can make them collide: never a proof of anything.
struct ContentHash {
  std::uint64_t high, low;
};
ContentHash content_hash(std::string_view data) noexcept;

/// For the unordered containers of the standard library: `std::unordered_map<std::string, T, Hash64, std::equal_to<>>`.
struct Hash64 {
  using is_transparent = void;
  std::size_t operator()(std::string_view data) const noexcept { return hash64(data); }
};

}  // namespace plimsoll
