#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace plimsoll {

namespace details {
/// `00` to `99`.
consteval std::array<char, 200> make_pairs() {
  std::array<char, 200> pairs{};
  for (std::size_t i = 0; i < 100; ++i) {
    pairs[2 * i] = static_cast<char>('0' + i / 10);
    pairs[2 * i + 1] = static_cast<char>('0' + i % 10);
  }
  return pairs;
}
inline constexpr auto kPairs = make_pairs();
}  // namespace details

inline constexpr std::size_t kMostDigits = 20;  ///< of a number of 64 bits, its sign included

/// How many digits it has in decimal.
inline std::size_t count_digits(std::uint64_t number) {
  std::size_t count = 1;
  for (;; number /= 10'000, count += 4) {
    if (number < 10) return count;
    if (number < 100) return count + 1;
    if (number < 1'000) return count + 2;
    if (number < 10'000) return count + 3;
  }
}

/// The number in decimal, written from `at` on, where there is room for kMostDigits; gives its end. Inlined, and
/// without a base and a room to mind as std::to_chars has.
inline char* put_digits(char* at, std::uint64_t number) {
  auto* const end = at + count_digits(number);
  auto* to = end;
  for (; number >= 100; number /= 100) {
    to -= 2;
    std::memcpy(to, &details::kPairs[number % 100 * 2], 2);
  }
  if (number >= 10)
    std::memcpy(to - 2, &details::kPairs[number * 2], 2);
  else
    to[-1] = static_cast<char>('0' + number);
  return end;
}
inline char* put_digits(char* at, std::int64_t number) {
  if (number >= 0) return put_digits(at, static_cast<std::uint64_t>(number));
  *at = '-';
  return put_digits(at + 1, -static_cast<std::uint64_t>(number));
}

}  // namespace plimsoll
