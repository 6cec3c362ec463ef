#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/database/instant.hpp"
#include "plimsoll/handler/table/declaration.hpp"
#include "plimsoll/json/string_text.hpp"

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

/// Bytes of memory in which any number can be written as JSON, quotes included; so can null and booleans.
inline constexpr std::size_t kNumberRoom = 40;
/// Bytes of memory in which what is stored can be written as JSON: `longest_room` whatever its characters are,
/// `json_room` after a look at them.
inline std::size_t longest_room(const database::Field& field) {
  const auto* text = std::get_if<std::string_view>(&field);
  return text ? json::longest_string(text->size()) : kNumberRoom;
}
std::size_t json_room(Kind kind, const database::Field& field);
/// Writes what is no text, or a text that stands for something else, as `write_json` does.
char* write_other(char* at, Kind kind, const database::Field& field);
/// Writes it into memory that has so much room, and returns what is behind.
inline char* write_json(char* at, Kind kind, const database::Field& field) {
  const auto* text = std::get_if<std::string_view>(&field);
  const bool string = text && kind != Kind::json && kind != Kind::number;
  return string ? json::write_string(at, *text) : write_other(at, kind, field);
}
/// Appends what is stored as JSON.
void append_json(std::string& out, Kind kind, const database::Field& field);

/// Appends what is stored in a column that others have made (`foreign`), as it stands wherever JSON can say it; false
/// when it is no value of the column's kind.
bool append_stored(std::string& out, const Column& column, const database::Field& field);

using database::to_utc;
/// An instant in UTC (`to_utc`) in the form in which the column holds instants, or why it can hold none that equals it.
std::expected<database::Cell, Misfit> instant_cell(const Column& column, std::string utc);
/// A time of the server's own, RFC 3339 in UTC, as far as the column holds it.
database::Cell time_cell(const Column& column, std::string utc);

/// Whether a text can be a segment of a path: a path has no empty ones, and clients take `.` and `..` out of it,
/// written as `%2E` too (RFC 3986, section 6.2.2.3).
constexpr bool is_segment(std::string_view text) { return !text.empty() && text != "." && text != ".."; }

}  // namespace plimsoll::table
