#include "plimsoll/base/siphash.hpp"

#include <bit>
#include <cstddef>
#include <cstring>

namespace plimsoll {
namespace {

constexpr std::size_t kWord = 8;

std::uint64_t load_word(const char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, kWord);
  if constexpr (std::endian::native == std::endian::big) word = std::byteswap(word);
  return word;
}

void store_word(char* at, std::uint64_t word) {
  if constexpr (std::endian::native == std::endian::big) word = std::byteswap(word);
  std::memcpy(at, &word, kWord);
}

/// The state of the paper, section 2.
struct State {
  std::uint64_t v0, v1, v2, v3;

  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1, v2 += v3;
      v1 = std::rotl(v1, 13) ^ v0, v3 = std::rotl(v3, 16) ^ v2;
      v0 = std::rotl(v0, 32);
      v2 += v1, v0 += v3;
      v1 = std::rotl(v1, 17) ^ v2, v3 = std::rotl(v3, 21) ^ v0;
      v2 = std::rotl(v2, 32);
    }
  }
  void compress(std::uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  }
  std::uint64_t half() {
    rounds(4);
    return v0 ^ v1 ^ v2 ^ v3;
  }
};

}  // namespace

SipHashKey::SipHashKey(std::string_view key) noexcept {
  char bytes[2 * kWord]{};
  key.copy(bytes, sizeof bytes);
  low_ = load_word(bytes);
  high_ = load_word(bytes + kWord);
}

SipHashKey::Tag SipHashKey::sign(std::initializer_list<std::string_view> parts) const noexcept {
  State state{low_ ^ 0x736f'6d65'7073'6575, high_ ^ 0x646f'7261'6e64'6f6d ^ 0xee, low_ ^ 0x6c79'6765'6e65'7261,
              high_ ^ 0x7465'6462'7974'6573};
  char open[kWord]{};  // the beginning of a word that a part has left unfinished
  std::size_t filled = 0, size = 0;
  for (auto part : parts) {
    size += part.size();
    if (filled > 0) {
      const auto taken = part.copy(open + filled, kWord - filled);
      part.remove_prefix(taken);
      if ((filled += taken) < kWord) continue;
      state.compress(load_word(open));
    }
    for (; part.size() >= kWord; part.remove_prefix(kWord)) state.compress(load_word(part.data()));
    filled = part.copy(open, part.size());
  }
  std::memset(open + filled, 0, kWord - filled);
  state.compress(load_word(open) | std::uint64_t{size} << 56);
  Tag tag;
  state.v2 ^= 0xee;
  store_word(tag.data(), state.half());
  state.v1 ^= 0xdd;
  store_word(tag.data() + kWord, state.half());
  return tag;
}

}  // namespace plimsoll
