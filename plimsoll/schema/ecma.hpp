#pragma once

#include "plimsoll/base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::schema {

/// A set of characters, exact for ASCII; what lies beyond is in it or out of it as a whole, or the set is not `exact`.
struct CharacterSet {
  std::uint64_t low = 0, high = 0;  ///< U+0000 to U+003F, U+0040 to U+007F
  bool beyond = false;              ///< everything from U+0080 on
  bool exact = true;

  void add(std::uint32_t from, std::uint32_t to);
  void add(const CharacterSet& other);
  void invert();
  friend bool operator==(const CharacterSet&, const CharacterSet&) = default;
  bool has(unsigned char c) const { return c < 64 ? low >> c & 1 : c < 128 ? high >> (c - 64) & 1 : beyond; }
  bool overlaps(const CharacterSet& other) const {
    return (low & other.low) || (high & other.high) || (beyond && other.beyond);
  }
};

/// A character of a set, so many times.
struct Repeated {
  CharacterSet set;
  std::uint32_t least = 1, most = 1;
};
inline constexpr std::uint32_t kUnlimited = 0xFFFFFFFF;

/// What a pattern of ECMA-262 says, in two forms.
struct Translation {
  std::string pcre;       ///< for PCRE2 with UTF, DOLLAR_ENDONLY and MATCH_UNSET_BACKREF, without UCP
  bool sequence = false;  ///< it is nothing but `atoms` one after the other
  bool from_start = false, to_end = false;
  std::vector<Repeated> atoms{};
};

inline constexpr Problem kInvalidPattern{"invalid-pattern", 500, "The regular expression cannot be used",
                                         "Write it in the syntax of ECMA-262 with the u flag."};

/// Reads a pattern of ECMA-262 with the `u` flag (and, as browsers do without it, `\-` and lone braces and brackets).
Result<Translation> translate_ecma(std::string_view pattern);

}  // namespace plimsoll::schema
