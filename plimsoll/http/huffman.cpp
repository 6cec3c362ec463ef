#include "plimsoll/http/huffman.hpp"

#include <array>
#include <cstdint>

namespace plimsoll::http {
namespace {

constexpr int kShortest = 5, kLongest = 30, kQuick = 8;  // bits
constexpr int kSymbols = 257, kEnd = 256;

/// Bits of each symbol's code (appendix B). Codes ascend by length, and by symbol within a length, so this is all there
/// is to know of them.
constexpr std::uint8_t kLengths[kSymbols] = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6,  10, 10, 12, 13, 6,  8,  11, 10, 10, 8,  11, 8,  6,  6,  6,  5,  5,  5,  6,  6,  6,  6,  6,  6,  6,
    7,  8,  15, 6,  12, 10, 13, 6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
    7,  8,  7,  8,  13, 19, 13, 14, 6,  15, 5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,  6,  7,  6,  5,
    5,  6,  7,  7,  7,  7,  7,  15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24,
    24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22,
    23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26,
    27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23,
    22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30};

struct Tables {
  struct Quick {
    std::uint8_t symbol = 0, length = 0;  ///< length 0: the code is longer than kQuick
  };
  struct Length {
    std::uint32_t end = 0;    ///< codes of this length, moved to the top of 32 bits, are below it; as are shorter ones
    std::uint32_t first = 0;  ///< the least of them
    std::uint16_t at = 0;     ///< where their symbols begin in `sorted`
  };
  std::array<Quick, 1 << kQuick> quick{};
  std::array<Length, kLongest + 1> lengths{};
  std::array<std::uint16_t, kSymbols> sorted{};
};

consteval Tables make_tables() {
  Tables t;
  std::uint64_t code = 0;  // at the top of 32 bits; one more than all ones at the end
  std::size_t count = 0;
  for (int length = kShortest; length <= kLongest; ++length) {
    auto& of = t.lengths[static_cast<std::size_t>(length)];
    of.first = static_cast<std::uint32_t>(code);
    of.at = static_cast<std::uint16_t>(count);
    for (int symbol = 0; symbol < kSymbols; ++symbol) {
      if (kLengths[symbol] != length) continue;
      t.sorted[count++] = static_cast<std::uint16_t>(symbol);
      if (length <= kQuick)
        for (std::uint64_t i = code >> (32 - kQuick); i < (code + (1ull << (32 - length))) >> (32 - kQuick); ++i)
          t.quick[i] = {static_cast<std::uint8_t>(symbol), static_cast<std::uint8_t>(length)};
      code += 1ull << (32 - length);
    }
    // The last code is that of the end of the string, which nobody may send: what is not below is that.
    of.end = static_cast<std::uint32_t>(code > 0xffffffff ? 0xffffffff : code);
  }
  return t;
}
constexpr Tables kTables = make_tables();

}  // namespace

char* huffman_decode(std::string_view coded, char* to) {
  std::uint64_t bits = 0;  // those that were read and not used, at the top
  int count = 0;
  std::size_t at = 0;
  const auto fill = [&] {
    while (count <= 56 && at < coded.size()) {
      bits |= std::uint64_t{static_cast<unsigned char>(coded[at++])} << (56 - count);
      count += 8;
    }
  };
  for (fill(); count > 0; fill()) {
    const auto& quick = kTables.quick[bits >> (64 - kQuick)];
    int length = quick.length, symbol = quick.symbol;
    if (length == 0) {
      const auto code = static_cast<std::uint32_t>(bits >> 32);
      for (length = kQuick + 1; length < kLongest && code >= kTables.lengths[static_cast<std::size_t>(length)].end;)
        ++length;
      const auto& of = kTables.lengths[static_cast<std::size_t>(length)];
      symbol = kTables.sorted[of.at + ((code - of.first) >> (32 - length))];
    }
    if (length > count) break;
    if (symbol == kEnd) return nullptr;
    *to++ = static_cast<char>(symbol);
    bits <<= length;
    count -= length;
  }
  // What is left is the beginning of the end-of-string symbol, all ones, and less than a byte (section 5.2).
  const bool padding = count < 8 && (count == 0 || bits >> (64 - count) == (1u << count) - 1);
  return padding ? to : nullptr;
}

}  // namespace plimsoll::http
