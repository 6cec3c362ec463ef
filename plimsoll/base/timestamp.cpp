#include "plimsoll/base/timestamp.hpp"

#include <chrono>
#include <cstdio>

namespace plimsoll {
namespace {

/// `2026-03-01T12:00:00`
std::string written(std::chrono::sys_seconds at) {
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{at - day};
  char made[64];
  const int size = std::snprintf(made, sizeof made, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
                                 static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                 static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                                 static_cast<int>(time.seconds().count()));
  return {made, static_cast<std::size_t>(size)};
}

}  // namespace

std::string rfc3339(Nanoseconds wall) {
  const std::chrono::sys_time<std::chrono::nanoseconds> at{std::chrono::nanoseconds{wall}};
  const auto second = std::chrono::floor<std::chrono::seconds>(at);
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>((at - second) / std::chrono::milliseconds{1}));
  return written(second) + fraction;
}

std::string rfc3339_seconds(std::int64_t unix_seconds) {
  return written(std::chrono::sys_seconds{std::chrono::seconds{unix_seconds}}) + 'Z';
}

}  // namespace plimsoll
