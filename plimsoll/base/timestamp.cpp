#include "plimsoll/base/timestamp.hpp"

#include <string_view>

namespace plimsoll {
namespace {

char* put_two_digits(char* at, int number) {
  *at++ = static_cast<char>('0' + number / 10);
  *at++ = static_cast<char>('0' + number % 10);
  return at;
}

char* put_seconds(char* at, std::chrono::sys_seconds when) {
  const auto day = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::hh_mm_ss time{when - day};
  return put_date_time(at, day, static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                       static_cast<int>(time.seconds().count()));
}

}  // namespace

char* put_date_time(char* at, std::chrono::year_month_day date, int hour, int minute, int second) {
  const auto year = static_cast<int>(date.year());
  at = put_two_digits(put_two_digits(at, year / 100), year % 100);
  *at++ = '-';
  at = put_two_digits(at, static_cast<int>(static_cast<unsigned>(date.month())));
  *at++ = '-';
  at = put_two_digits(at, static_cast<int>(static_cast<unsigned>(date.day())));
  *at++ = 'T';
  at = put_two_digits(at, hour);
  *at++ = ':';
  at = put_two_digits(at, minute);
  *at++ = ':';
  return put_two_digits(at, second);
}

std::string rfc3339(Nanoseconds wall) {
  const std::chrono::sys_time<std::chrono::nanoseconds> when{std::chrono::nanoseconds{wall}};
  const auto second = std::chrono::floor<std::chrono::seconds>(when);
  const auto thousandths = static_cast<int>((when - second) / std::chrono::milliseconds{1});
  char made[kDateTime + std::string_view(".123Z").size()];
  auto* at = put_seconds(made, second);
  *at++ = '.';
  *at++ = static_cast<char>('0' + thousandths / 100);
  at = put_two_digits(at, thousandths % 100);
  *at++ = 'Z';
  return {made, at};
}

std::string rfc3339_seconds(std::int64_t unix_seconds) {
  char made[kDateTime + 1];
  auto* at = put_seconds(made, std::chrono::sys_seconds{std::chrono::seconds{unix_seconds}});
  *at++ = 'Z';
  return {made, at};
}

}  // namespace plimsoll
