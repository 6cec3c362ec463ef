#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

// Short texts, copied and looked at in one pass. What stands in a head or in a line of log has mostly between 4 and 40
// characters; there a call of memcpy and a loop over characters cost several times what one or two registers do.

namespace plimsoll {

/// Sixteen characters side by side: `text == 'x'` and `text < 0x20` give all ones for those that are.
using Bytes16 = unsigned char __attribute__((vector_size(16)));
using SignedBytes16 = signed char __attribute__((vector_size(16)));

namespace bytes16 {

inline Bytes16 load(const char* from) {
  Bytes16 text;
  std::memcpy(&text, from, sizeof text);
  return text;
}
inline Bytes16 of(std::uint64_t low, std::uint64_t high) {
  const std::uint64_t both[] = {low, high};
  Bytes16 text;
  std::memcpy(&text, both, sizeof text);
  return text;
}
template <class Mask>
bool any(Mask mask) {
#if defined(__SSE2__)
  return _mm_movemask_epi8(reinterpret_cast<__m128i>(mask)) != 0;  // each character is all ones or none
#else
  std::uint64_t words[2];
  std::memcpy(words, &mask, sizeof words);
  return (words[0] | words[1]) != 0;
#endif
}

// What `copy_unless` asks about. Each gives a mask of the characters that are of the kind.

/// Those that end a line of HTTP or may not stand in one: controls but the tab, DEL included.
inline constexpr auto line_breaking = [](Bytes16 text) { return ((text < 0x20) & (text != '\t')) | (text == 0x7f); };
/// All but a to z, digits and the dash.
inline constexpr auto outside_lower_case_names = [](Bytes16 text) {
  return ~((text - 'a' < 26) | (text - '0' < 10) | (text == '-'));
};
/// Those that JSON writes otherwise, and all beyond ASCII, which are below 0 with a sign.
inline constexpr auto escaped_in_json = [](Bytes16 text) {
  return (reinterpret_cast<SignedBytes16>(text) < 0x20) | (text == '"') | (text == '\\');
};

}  // namespace bytes16

/// A to Z become a to z, where they stand.
inline void lower_in_place(char* text, std::size_t size) {
  const auto lower = [](Bytes16 from) { return from | (reinterpret_cast<Bytes16>(from - 'A' < 26) & 0x20); };
  // Both ends are read before either is written; where they overlap, lower case stays lower case.
  const auto ends = [&]<class Word>(Word) {
    Word first, last;
    std::memcpy(&first, text, sizeof first);
    std::memcpy(&last, text + size - sizeof last, sizeof last);
    const auto both = lower(bytes16::of(first, last));
    std::memcpy(text, &both, sizeof first);
    std::memcpy(text + size - sizeof last, reinterpret_cast<const char*>(&both) + 8, sizeof last);
  };
  if (size >= 16) {
    for (std::size_t at = 0; at + 16 < size; at += 16) {
      const auto piece = lower(bytes16::load(text + at));
      std::memcpy(text + at, &piece, 16);
    }
    const auto piece = lower(bytes16::load(text + size - 16));
    std::memcpy(text + size - 16, &piece, 16);
  } else if (size >= 8) {
    ends(std::uint64_t{});
  } else if (size >= 4) {
    ends(std::uint32_t{});
  } else {
    for (std::size_t i = 0; i < size; ++i)
      if (text[i] >= 'A' && text[i] <= 'Z') text[i] |= 0x20;
  }
}

/// Copies `text` to where there is room for it. False when a character is of a kind that should not be there; what has
/// been written is then not to be used.
template <class Kind>
inline bool copy_unless(Kind kind, std::string_view text, char* to) {
  const auto* from = text.data();
  const auto size = text.size();
  // The ends of shorter texts overlap: then some characters are copied, and looked at, twice.
  const auto ends = [&]<class Word>(Word) {
    Word first, last;
    std::memcpy(&first, from, sizeof first);
    std::memcpy(&last, from + size - sizeof last, sizeof last);
    std::memcpy(to, &first, sizeof first);
    std::memcpy(to + size - sizeof last, &last, sizeof last);
    return std::pair<std::uint64_t, std::uint64_t>(first, last);
  };
  if (size >= 16) {
    auto text16 = bytes16::load(from + size - 16);
    std::memcpy(to + size - 16, &text16, 16);
    auto found = kind(text16);
    for (std::size_t at = 0; at + 16 < size; at += 16) {
      text16 = bytes16::load(from + at);
      std::memcpy(to + at, &text16, 16);
      found |= kind(text16);
    }
    return !bytes16::any(found);
  }
  if (size >= 8) {
    const auto [first, last] = ends(std::uint64_t{});
    return !bytes16::any(kind(bytes16::of(first, last)));
  }
  if (size >= 4) {
    const auto [first, last] = ends(std::uint32_t{});
    const auto both = first | last << 32;
    return !bytes16::any(kind(bytes16::of(both, both)));
  }
  if (size == 0) return true;
  std::uint64_t all = 0;
  for (const auto at : {std::size_t{0}, size / 2, size - 1}) {
    to[at] = from[at];
    all = all << 8 | static_cast<unsigned char>(from[at]);
  }
  all |= all << 24 | all << 48;  // eight times one of these characters
  return !bytes16::any(kind(bytes16::of(all, all)));
}

}  // namespace plimsoll
