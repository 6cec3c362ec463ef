#pragma once

#include "plimsoll/base/fingerprint.hpp"

#include <cstdint>
#include <cstring>
#include <string_view>

namespace plimsoll::schema {

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
  std::uint32_t next = 0;  ///< the slot of the name that the schema speaks of behind this one
  const char* text = nullptr;

  bool matches(const Fingerprint& other, std::string_view key) const {
    return name == other && (other.size <= 16 || std::memcmp(text, key.data(), other.size) == 0);
  }
};

/// Names by open addressing: a power of two of slots, at most half of them taken.
struct PropertyTable {
  Slot* slots = nullptr;
  std::uint32_t mask = 0, shift = 0, count = 0;
  std::uint32_t first = 0;  ///< the slot of the name that stands first in the schema
  std::uint64_t multiplier = 0;

  const Slot* find(std::string_view key) const { return find(key, Fingerprint::of(key)); }
  const Slot* find(std::string_view key, const Fingerprint& name) const {
    for (auto i = static_cast<std::uint32_t>(name.hash(multiplier) >> shift);; i = (i + 1) & mask) {
      const auto& slot = slots[i];
      if (slot.matches(name, key)) return &slot;
      if (slot.name.size == Slot::kEmpty) return nullptr;
    }
  }
};

}  // namespace plimsoll::schema
