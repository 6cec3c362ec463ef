#include "plimsoll/database/instant.hpp"

#include "plimsoll/base/timestamp.hpp"

#include <algorithm>
#include <chrono>

namespace plimsoll::database {
namespace {

/// What is left has the order of the instants as text: no `Z`, no zeros at the end of a fraction.
std::string_view significant(std::string_view text) {
  if (!text.ends_with('Z')) return text;
  text.remove_suffix(1);
  constexpr std::size_t kPoint = 19;  // behind `2026-01-01T00:00:00`
  if (text.size() <= kPoint || text[kPoint] != '.') return text;
  text = text.substr(0, text.find_last_not_of('0') + 1);
  if (text.size() == kPoint + 1) text.remove_suffix(1);
  return text;
}

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int value = 0;
  const auto* begin = text.data() + at;
  for (std::size_t i = 0; i < count; ++i) {
    if (begin[i] < '0' || begin[i] > '9') return std::nullopt;
    value = value * 10 + (begin[i] - '0');
  }
  return value;
}

}  // namespace

int compare_instants(std::string_view a, std::string_view b) {
  const int order = significant(a).compare(significant(b));
  return order < 0 ? -1 : order > 0;
}

std::optional<std::string> to_utc(std::string_view text) {
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  if (text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't' && text[10] != ' ') || text[13] != ':' ||
      text[16] != ':')
    return std::nullopt;
  if (*hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  std::size_t at = 19;
  std::string_view fraction;
  if (at < text.size() && text[at] == '.') {
    const auto end = std::min(text.find_first_not_of("0123456789", at + 1), text.size());
    fraction = text.substr(at, end - at);
    if (fraction.size() < 2) return std::nullopt;
    at = end;
  }
  const auto zone = text.substr(std::min(at, text.size()));
  int offset = 0;
  if (zone != "Z" && zone != "z") {
    const auto hours = digits(zone, 1, 2), minutes = digits(zone, 4, 2);
    if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':' || !hours || !minutes)
      return std::nullopt;
    if (*hours > 23 || *minutes > 59) return std::nullopt;
    offset = (*hours * 60 + *minutes) * (zone[0] == '-' ? -1 : 1);
  }
  using namespace std::chrono;
  const year_month_day date{std::chrono::year{*year}, std::chrono::month{static_cast<unsigned>(*month)},
                            std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  const auto at_minute = sys_days{date} + hours{*hour} + minutes{*minute - offset};
  const auto at_day = floor<days>(at_minute);
  const year_month_day utc{at_day};
  const auto in_day = duration_cast<minutes>(at_minute - at_day).count();
  if (static_cast<int>(utc.year()) < 0 || static_cast<int>(utc.year()) > 9999) return std::nullopt;
  std::string made(kDateTime + fraction.size() + 1, 'Z');
  auto* at_end = put_date_time(made.data(), utc, static_cast<int>(in_day / 60), static_cast<int>(in_day % 60), *second);
  fraction.copy(at_end, fraction.size());
  return made;
}

std::optional<std::string> stored_instant(std::string_view text) {
  constexpr std::size_t kDate = 10, kMinutes = 16, kSeconds = 19;
  std::string whole(text);
  if (text.size() == kDate) return to_utc(whole + "T00:00:00Z");
  if (text.size() < kMinutes || text.find_first_not_of("0123456789-", 0) != kDate) return std::nullopt;
  if (text.size() == kMinutes || text[kMinutes] != ':') whole.insert(kMinutes, ":00");
  const auto zone = whole.find_first_of("Zz+-", std::min(kSeconds, whole.size()));
  return to_utc(zone == whole.npos ? whole + "Z" : whole);
}

}  // namespace plimsoll::database
