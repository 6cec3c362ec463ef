#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace plimsoll::schema {

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

/// Where validation goes on, by the type of the instance: instructions of a program, or one of these two.
inline constexpr std::uint32_t kFail = 0, kPass = 1;
struct Entries {
  std::uint32_t at[6];
};

/// A name that a schema speaks of.
struct Slot {
  static constexpr std::uint32_t kEmpty = 0xFFFFFFFF;
  Fingerprint name{0, 0, kEmpty};
  bool required = false, declared = false;  ///< in `required`; in `properties`
  Entries entries{};
  const char* text = nullptr;

  bool matches(const Fingerprint& other, std::string_view key) const {
    return name == other && (other.size <= 16 || std::memcmp(text, key.data(), other.size) == 0);
  }
};

/// Names by open addressing: a power of two of slots, at most half of them taken.
struct PropertyTable {
  Slot* slots = nullptr;
  std::uint32_t mask = 0, shift = 0, count = 0;
  std::uint64_t multiplier = 0;

  const Slot* find(std::string_view key) const {
    const auto name = Fingerprint::of(key);
    for (auto i = static_cast<std::uint32_t>(name.hash(multiplier) >> shift);; i = (i + 1) & mask) {
      const auto& slot = slots[i];
      if (slot.matches(name, key)) return &slot;
      if (slot.name.size == Slot::kEmpty) return nullptr;
    }
  }
};

}  // namespace plimsoll::schema
