#include "plimsoll/handler/table/value.hpp"

#include "plimsoll/database/decimal.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/schema/format.hpp"

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace plimsoll::table {
namespace {

using database::Cell;
using json::Type;

std::unexpected<Misfit> misfit(std::string_view keyword, std::string sentence) {
  return std::unexpected(Misfit{keyword, std::move(sentence)});
}

/// UUIDs are written in lower case (RFC 9562, section 4), and read in either; callers are told apart by their exact
/// text.
std::string canonical(const Column& column, std::string_view text) {
  std::string made(text);
  const bool caller = column.filled == Filled::owner || column.filled == Filled::tenant;
  if (column.format == "uuid" && !caller && schema::is_uuid(text))
    for (auto& c : made)
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c | 0x20);
  return made;
}

std::expected<Cell, Misfit> text_cell(const Column& column, std::string_view text) {
  if (text.find('\0') != text.npos) return misfit("pattern", "must not contain U+0000");
  return Cell{canonical(column, text)};
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

template <class T>
std::optional<T> whole(std::string_view text) {
  T value{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

void append_number(std::string& out, const database::Field& field) {
  if (auto* integer = std::get_if<std::int64_t>(&field)) {
    char text[24];
    out.append(text, std::to_chars(text, text + sizeof text, *integer).ptr);
  } else if (auto* real = std::get_if<double>(&field)) {
    if (!std::isfinite(*real)) {
      out += "null";
      return;
    }
    char text[40];
    out.append(text, std::to_chars(text, text + sizeof text, *real).ptr);
  }
}

/// Whether a double holds it, as it holds all integers up to there.
bool whole_double(std::int64_t value) { return value >= -(std::int64_t{1} << 53) && value <= std::int64_t{1} << 53; }

bool is_number(const database::Field& field) { return field.index() == 1 || field.index() == 2; }

}  // namespace

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
  char made[32];
  std::snprintf(made, sizeof made, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(utc.year()),
                static_cast<unsigned>(utc.month()), static_cast<unsigned>(utc.day()), static_cast<int>(in_day / 60),
                static_cast<int>(in_day % 60), *second);
  return made + std::string(fraction) + "Z";
}

std::string rfc3339(std::int64_t wall) {
  using namespace std::chrono;
  const sys_time<milliseconds> at{milliseconds{wall / 1'000'000}};
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  char made[40];
  std::snprintf(made, sizeof made, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()), static_cast<int>(time.subseconds().count()));
  return made;
}

std::optional<Cell> caller_cell(const Column& column, std::string_view caller) {
  if (caller.empty()) return std::nullopt;
  auto cell = to_cell(column, caller);
  if (!cell) return std::nullopt;
  const auto* text = std::get_if<std::string>(&*cell);
  const auto* integer = std::get_if<std::int64_t>(&*cell);
  const bool exact = text ? *text == caller : integer && std::to_string(*integer) == caller;
  return exact ? std::move(cell) : std::nullopt;
}

std::expected<Cell, Misfit> to_cell(const Column& column, const json::Value& value) {
  if (column.kind == Kind::json) return Cell{json::to_string(value)};
  if (value.is(Type::null)) return Cell{};
  switch (column.kind) {
    case Kind::text:
      if (!value.is(Type::string)) return misfit("type", "must be a string");
      return text_cell(column, value.string());
    case Kind::instant: {
      if (!value.is(Type::string)) return misfit("type", "must be a string");
      auto utc = to_utc(value.string());
      if (!utc) return misfit("format", "must be a date-time (RFC 3339)");
      return Cell{std::move(*utc)};
    }
    case Kind::integer:
      if (!value.is(Type::number)) return misfit("type", "must be an integer");
      if (auto integer = value.integer()) return Cell{*integer};
      return misfit("type", "must be an integer of at most 64 bits");
    case Kind::real:
      if (!value.is(Type::number)) return misfit("type", "must be a number");
      if (!std::isfinite(value.number())) return misfit("maximum", "must be a number that a double can hold");
      return Cell{value.number()};
    case Kind::boolean:
      if (!value.is(Type::boolean)) return misfit("type", "must be true or false");
      return Cell{std::int64_t{value.boolean()}};
    case Kind::decimal:
    case Kind::number: {
      const bool number = column.kind == Kind::number;
      if (!value.is(number ? Type::number : Type::string))
        return misfit("type", number ? "must be a number" : "must be a string");
      auto decimal = database::canonical_decimal(number ? value.number_text() : value.string());
      if (!decimal) return misfit("format", "must be a decimal number");
      return Cell{std::move(*decimal)};
    }
    case Kind::json: break;
  }
  return misfit("type", "has the wrong type");
}

std::optional<Cell> to_cell(const Column& column, std::string_view text) {
  switch (column.kind) {
    case Kind::text:
      if (text.find('\0') != text.npos) return std::nullopt;
      return Cell{canonical(column, text)};
    case Kind::instant:
      if (auto utc = to_utc(text)) return Cell{std::move(*utc)};
      return std::nullopt;
    case Kind::integer:
      if (auto integer = whole<std::int64_t>(text)) return Cell{*integer};
      return std::nullopt;
    case Kind::real:
      if (auto real = whole<double>(text); real && std::isfinite(*real)) return Cell{*real};
      return std::nullopt;
    case Kind::boolean:
      if (text != "true" && text != "false") return std::nullopt;
      return Cell{std::int64_t{text == "true"}};
    case Kind::decimal:
    case Kind::number:
      if (auto decimal = database::canonical_decimal(text)) return Cell{std::move(*decimal)};
      return std::nullopt;
    case Kind::json: break;
  }
  return std::nullopt;
}

void append_json(std::string& out, Kind kind, const database::Field& field) {
  if (field.index() == 0) {
    out += "null";
    return;
  }
  const auto* text = std::get_if<std::string_view>(&field);
  switch (kind) {
    case Kind::boolean:
      if (auto* integer = std::get_if<std::int64_t>(&field); integer && (*integer == 0 || *integer == 1)) {
        out += *integer ? "true" : "false";
        return;
      }
      break;
    case Kind::real:
      // SQLite stores an integral REAL as an integer, and RETURNING gives it as one: the same text either way.
      if (auto* integer = std::get_if<std::int64_t>(&field); integer && whole_double(*integer)) {
        append_number(out, static_cast<double>(*integer));
        return;
      }
      break;
    case Kind::number:
      if (text && database::canonical_decimal(*text) == *text) {
        out += *text;
        return;
      }
      break;
    case Kind::json:
      if (text) {
        out += *text;
        return;
      }
      break;
    case Kind::text:
    case Kind::instant:
    case Kind::decimal:
      if (is_number(field)) {  // of a table that others made
        out += '"';
        append_number(out, field);
        out += '"';
        return;
      }
      break;
    default: break;
  }
  if (text)
    json::append_string(out, *text);
  else
    append_number(out, field);
}

}  // namespace plimsoll::table
