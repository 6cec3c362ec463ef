#pragma once

#include <cstdint>

namespace plimsoll {

using Nanoseconds = std::int64_t;

inline constexpr Nanoseconds kMillisecond = 1'000'000, kSecond = 1'000'000'000;

/// Where the time comes from; tests put in their own.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Nanoseconds steady() const = 0;  ///< since an arbitrary instant, never back
  virtual Nanoseconds wall() const = 0;    ///< since 1970-01-01T00:00:00Z
};

/// The machine's clock.
const Clock& system_clock();

}  // namespace plimsoll
