#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/handler/table/declaration.hpp"

#include <expected>
#include <optional>
#include <string>

namespace plimsoll::table {

/// Why a value does not fit a column: the keyword of JSON Schema and a sentence.
struct Misfit {
  std::string_view keyword;
  std::string sentence;
};

/// What is stored for a JSON value: instants in UTC, decimals in their one form, whole JSON values as text.
std::expected<database::Cell, Misfit> to_cell(const Column& column, const json::Value& value);
/// The same for the text of a path segment, which has no types of its own; nothing when it cannot be a value of the
/// column, so that no row can have it.
std::optional<database::Cell> to_cell(const Column& column, std::string_view text);
/// The caller's name as an owner or tenant column holds it; nothing when it cannot be one. The exact text counts: `1`
/// is the caller of the integer 1, and `01` is another caller, who has no rows there.
std::optional<database::Cell> caller_cell(const Column& column, std::string_view caller);

/// Appends what is stored as JSON.
void append_json(std::string& out, Kind kind, const database::Field& field);

/// `2026-01-01T02:00:00+02:00` as `2026-01-01T00:00:00Z`: an RFC 3339 date-time in UTC with upper case letters, the
/// fraction as given. Nothing when it is none, or before year 0.
std::optional<std::string> to_utc(std::string_view date_time);
/// Unix nanoseconds as RFC 3339 with milliseconds.
std::string rfc3339(std::int64_t wall);

}  // namespace plimsoll::table
