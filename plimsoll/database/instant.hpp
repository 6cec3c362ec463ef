#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::database {

/// Compares two instants as they are stored, RFC 3339 in UTC with any number of digits behind the second: less than,
/// equal to or greater than 0. As plain text `…00.5Z` would stand before `…00Z`. A date is the beginning of its
/// instants; texts that are no instants compare by their bytes, without a `Z` at the end.
int compare_instants(std::string_view a, std::string_view b);

/// `2026-01-01T02:00:00+02:00` as `2026-01-01T00:00:00Z`: an RFC 3339 date-time in UTC with upper case letters, the
/// fraction as given. Nothing when it is none, or before year 0.
std::optional<std::string> to_utc(std::string_view date_time);
/// The same of any text that SQLite's date functions take for an instant, among them `2026-01-01 00:00:00` of
/// `CURRENT_TIMESTAMP`: as they do, it reads what has no offset as UTC, and a date as its first instant.
std::optional<std::string> stored_instant(std::string_view text);

}  // namespace plimsoll::database
