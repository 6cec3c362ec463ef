#pragma once

#include "plimsoll/base/clock.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace plimsoll {

/// A wall clock in UTC as RFC 3339 writes it, with milliseconds: `2026-03-01T12:00:00.123Z`.
std::string rfc3339(Nanoseconds wall);
/// The same of seconds since 1970, to the end of year 9999: `2026-03-01T12:00:00Z`.
std::string rfc3339_seconds(std::int64_t unix_seconds);

/// Characters of `2026-03-01T12:00:00`.
inline constexpr std::size_t kDateTime = 19;
/// Writes them, of a year from 0 to 9999 and a second up to 60, and returns what is behind.
char* put_date_time(char* at, std::chrono::year_month_day date, int hour, int minute, int second);

}  // namespace plimsoll
