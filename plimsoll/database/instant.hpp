#pragma once

#include <string_view>

namespace plimsoll::database {

/// Compares two instants as they are stored, RFC 3339 in UTC with any number of digits behind the second: less than,
/// equal to or greater than 0. As plain text `…00.5Z` would stand before `…00Z`. A date is the beginning of its
/// instants; texts that are no instants compare by their bytes, without a `Z` at the end.
int compare_instants(std::string_view a, std::string_view b);

}  // namespace plimsoll::database
