#include "plimsoll/base/hash.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/keyed_hash.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace plimsoll {

std::uint64_t hash64(std::string_view data) noexcept {
  static const std::uint64_t seed = [] {
    std::uint64_t made;
    random_bytes(&made, sizeof made);
    return made;
  }();
  return XXH3_64bits_withSeed(data.data(), data.size(), seed);
}

ContentHash content_hash(std::string_view data) noexcept {
  const auto hash = XXH3_128bits(data.data(), data.size());
  return {hash.high64, hash.low64};
}

ContentHash content_hash(std::string_view data, std::uint64_t key) noexcept {
  const auto hash = XXH3_128bits_withSeed(data.data(), data.size(), key);
  return {hash.high64, hash.low64};
}

}  // namespace plimsoll
