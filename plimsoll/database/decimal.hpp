#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::database {

/// Compares two decimal numbers by value, exactly, whatever their size: less than, equal to or greater than 0. Texts in
/// the form of `canonical_decimal` are the usual case; texts that are no numbers sort after all numbers, by bytes.
int compare_decimals(std::string_view a, std::string_view b);

/// The one way in which a value is stored: no exponent, no superfluous zeros before the point, the scale as written
/// (`1.50` stays `1.50`), `-0` is `0`. Nothing when it is no number, or longer than `digits` digits once written out.
std::optional<std::string> canonical_decimal(std::string_view text, std::size_t digits = 1'000);

/// The shortest decimal that is read as this double. Nothing when it is infinite.
std::optional<std::string> decimal_of(double value);

}  // namespace plimsoll::database
