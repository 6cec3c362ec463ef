#pragma once

#include "plimsoll/base/clock.hpp"

#include <cstdint>
#include <string>

namespace plimsoll {

/// A wall clock in UTC as RFC 3339 writes it, with milliseconds: `2026-03-01T12:00:00.123Z`.
std::string rfc3339(Nanoseconds wall);
/// The same of seconds since 1970, to the end of year 9999: `2026-03-01T12:00:00Z`.
std::string rfc3339_seconds(std::int64_t unix_seconds);

}  // namespace plimsoll
