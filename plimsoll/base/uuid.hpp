#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/digest.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll {

/// A UUID (RFC 9562).
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  /// 36 characters, lower case.
  std::array<char, 36> text() const noexcept;
  std::string to_string() const {
    const auto made = text();
    return {made.data(), made.size()};
  }
  friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

/// Version 4: random.
Uuid uuid4();
/// Version 7: ordered by time, `wall` (Unix, nanoseconds) to the millisecond. Those of one thread ascend even within a
/// millisecond and when the clock steps back (section 6.2, method 1: the 12 bits behind the time count on from a random
/// start).
Uuid uuid7(Nanoseconds wall);
/// Version 8: the first 16 bytes of a digest of a name, as far as version and variant leave room (appendix B.2).
Uuid uuid8(const Digest& of_name);

/// True for 8-4-4-4-12 hexadecimal digits of either case.
bool is_uuid(std::string_view text) noexcept;

}  // namespace plimsoll
