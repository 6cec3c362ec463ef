#pragma once

#include <array>
#include <bit>
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
/// 10 to the power of each index but the first, which is 0: every number has a digit.
consteval std::array<std::uint64_t, 20> make_powers() {
  std::array<std::uint64_t, 20> powers{};
  for (std::uint64_t i = 1, power = 10; i < powers.size(); ++i, power *= 10) powers[i] = power;
  return powers;
}
inline constexpr auto kPowers = make_powers();
}  // namespace details

inline constexpr std::size_t kMostDigits = 20;  ///< of a number of 64 bits, its sign included

/// How many digits it has in decimal.
inline std::size_t count_digits(std::uint64_t number) {
  // 1233 / 4096 is the logarithm of 2 to base 10: one digit too few at most, which the power of ten says.
  const auto fewest = static_cast<std::size_t>(std::bit_width(number)) * 1233 >> 12;
  return fewest + (number >= details::kPowers[fewest]);
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
