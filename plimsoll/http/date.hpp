#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace plimsoll::http {

/// An IMF-fixdate, always 29 characters (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
using DateText = std::array<char, 29>;
/// `unix_seconds` since 1970; years 1 to 9999.
DateText format_date(std::int64_t unix_seconds);
inline std::string_view as_text(const DateText& date) { return {date.data(), date.size()}; }

/// Seconds since 1970 of an HTTP date in any of its three forms. The two-digit year of the RFC 850 form is read as the
/// most recent one that is not more than 50 years after `now` (Unix seconds). Nothing when it is no such date.
std::optional<std::int64_t> parse_date(std::string_view text, std::int64_t now);

}  // namespace plimsoll::http
