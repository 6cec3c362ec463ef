#include "plimsoll/handler/table/value.hpp"

#include "plimsoll/base/digits.hpp"
#include "plimsoll/database/decimal.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/utf8.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/schema/format.hpp"

#include <algorithm>
#include <charconv>
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
  if ((column.format == "uuid" || column.uuid) && !caller && schema::is_uuid(text))
    for (auto& c : made)
      if (c >= 'A' && c <= 'F') c = static_cast<char>(c | 0x20);
  return made;
}

std::expected<Cell, Misfit> text_cell(const Column& column, std::string_view text) {
  if (text.find('\0') != text.npos) return misfit("pattern", "must not contain U+0000");
  if (column.uuid && !schema::is_uuid(text)) return misfit("format", "must be a UUID");
  return Cell{canonical(column, text)};
}

template <class T>
std::optional<T> whole(std::string_view text) {
  T value{};
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

char* write_number(char* at, const database::Field& field) {
  if (const auto* integer = std::get_if<std::int64_t>(&field)) return put_digits(at, *integer);
  const auto real = std::get<double>(field);
  if (!std::isfinite(real)) return json::write_text(at, "null");
  return std::to_chars(at, at + kNumberRoom, real).ptr;
}

/// Whether a double holds it, as it holds all integers up to there.
bool whole_double(std::int64_t value) { return value >= -(std::int64_t{1} << 53) && value <= std::int64_t{1} << 53; }

constexpr std::size_t kKeptDigits = 15;  ///< of a decimal: any double gives them back

/// A decimal as the column stores it; nothing when it would not be the same any more.
std::optional<Cell> decimal_cell(const Column& column, std::string decimal) {
  if (!column.as_number) return Cell{std::move(decimal)};
  auto short_one = decimal;
  if (short_one.contains('.')) {
    short_one.erase(short_one.find_last_not_of('0') + 1);
    if (short_one.ends_with('.')) short_one.pop_back();
  }
  if (auto integer = whole<std::int64_t>(short_one)) return Cell{*integer};
  const auto first = short_one.find_first_of("123456789");
  const auto last = short_one.find_last_of("123456789");
  if (first == short_one.npos) return Cell{std::int64_t{0}};
  const auto point = short_one.find('.');
  const auto kept = last - first + 1 - (first < point && point < last ? 1 : 0);
  const auto real = whole<double>(short_one);
  if (kept > kKeptDigits || !real || !std::isfinite(*real)) return std::nullopt;
  return Cell{*real};
}

}  // namespace

namespace {

constexpr std::size_t kDate = 10, kSeconds = 19;  ///< bytes of `2026-01-01`, and with `T00:00:00`

Cell instant_text(const Column& column, std::string utc) {
  if (column.spaced && utc.size() > kDate && utc.ends_with('Z')) {
    utc[kDate] = ' ';
    utc.pop_back();
    if (const auto point = utc.find('.'); point != utc.npos && utc.find_first_not_of('0', point + 1) == utc.npos)
      utc.resize(point);  // as text it would not equal the whole second
  }
  return Cell{std::move(utc)};
}

/// The digits behind the second; zeros at the end say nothing.
std::size_t digits_of(std::string_view utc) {
  if (utc.size() <= kSeconds || utc[kSeconds] != '.') return 0;
  const auto fraction = utc.substr(kSeconds + 1, utc.size() - kSeconds - 2);  // without the `Z`
  return fraction.find_last_not_of('0') + 1;
}

}  // namespace

std::expected<Cell, Misfit> instant_cell(const Column& column, std::string utc) {
  if (column.digits >= 0) {
    if (utc.starts_with("0000-"))
      return misfit("format", "must not be before 0001-01-01T00:00:00Z: the database stores no earlier instant");
    if (std::string_view(utc).substr(0, kSeconds).ends_with(":60"))
      return misfit("format", "must not be a leap second (second 60): the database stores none");
    if (digits_of(utc) > static_cast<std::size_t>(column.digits))
      return misfit("format", column.digits == 0
                                  ? std::string("must be a whole second: the database stores no fraction")
                                  : "must have at most " + std::to_string(column.digits) +
                                        " digits behind the second: the database stores no more");
  }
  return instant_text(column, std::move(utc));
}

Cell time_cell(const Column& column, std::string utc) {
  if (column.digits >= 0 && digits_of(utc) > static_cast<std::size_t>(column.digits))
    utc = utc.substr(0, kSeconds + (column.digits > 0 ? 1 : 0) + static_cast<std::size_t>(column.digits)) + "Z";
  return instant_text(column, std::move(utc));
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
      return instant_cell(column, std::move(*utc));
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
      auto cell = decimal_cell(column, std::move(*decimal));
      if (!cell) return misfit("format", "must have at most 15 digits: the column holds no more");
      return std::move(*cell);
    }
    case Kind::json:
    case Kind::bytes: break;
  }
  return misfit("type", "has the wrong type");
}

std::optional<Cell> to_cell(const Column& column, std::string_view text) {
  switch (column.kind) {
    case Kind::text:
      if (text.find('\0') != text.npos || (column.uuid && !schema::is_uuid(text))) return std::nullopt;
      return Cell{canonical(column, text)};
    case Kind::instant:
      if (auto utc = to_utc(text))
        if (auto cell = instant_cell(column, std::move(*utc))) return std::move(*cell);
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
      if (auto decimal = database::canonical_decimal(text)) return decimal_cell(column, std::move(*decimal));
      return std::nullopt;
    case Kind::json:
    case Kind::bytes: break;
  }
  return std::nullopt;
}

std::size_t json_room(Kind kind, const database::Field& field) {
  const auto* text = std::get_if<std::string_view>(&field);
  if (!text) return kNumberRoom;
  return kind == Kind::json ? text->size() : json::string_size(*text);
}

char* write_other(char* at, Kind kind, const database::Field& field) {
  const auto put = [&](std::string_view text) { return json::write_text(at, text); };
  if (field.index() == 0) return put("null");
  if (const auto* text = std::get_if<std::string_view>(&field)) {
    const bool itself = kind == Kind::json || (kind == Kind::number && database::canonical_decimal(*text) == *text);
    return itself ? put(*text) : json::write_string(at, *text);
  }
  const auto* integer = std::get_if<std::int64_t>(&field);
  switch (kind) {
    case Kind::boolean:
      if (integer && *integer == 1) return put("true");
      if (integer && *integer == 0) return put("false");
      break;
    case Kind::real:
      // SQLite stores an integral REAL as an integer, and RETURNING gives it as one: the same text either way.
      if (integer && whole_double(*integer)) return write_number(at, static_cast<double>(*integer));
      break;
    case Kind::text:
    case Kind::instant:
    case Kind::decimal:  // of a table that others made
      *at++ = '"';
      at = write_number(at, field);
      *at++ = '"';
      return at;
    default: break;
  }
  return write_number(at, field);
}

void append_json(std::string& out, Kind kind, const database::Field& field) {
  const auto room = json_room(kind, field);
  const auto before = out.size();
  out.resize_and_overwrite(before + room, [&](char* begin, std::size_t) {
    return static_cast<std::size_t>(write_json(begin + before, kind, field) - begin);
  });
}

namespace {

/// An instant as this server writes it, seen without making a text.
bool looks_utc(std::string_view text) {
  constexpr std::size_t kShortest = 20;
  return text.size() >= kShortest && text[4] == '-' && text[7] == '-' && text[10] == 'T' && text[13] == ':' &&
         text[16] == ':' && text.ends_with('Z') && text.find_first_not_of("0123456789-T:.Z") == text.npos;
}

}  // namespace

bool append_stored(std::string& out, const Column& column, const database::Field& field) {
  const auto* text = std::get_if<std::string_view>(&field);
  const auto* real = std::get_if<double>(&field);
  if (field.index() == 0) {
    out += "null";
    return true;
  }
  switch (column.kind) {
    case Kind::json: {
      Arena arena{4096};
      if (text && !json::parse(*text, arena)) break;
      append_json(out, column.kind, field);
      return text != nullptr;
    }
    case Kind::instant:
      if (text && looks_utc(*text)) {
        json::append_string(out, *text);
        return true;
      }
      if (const auto utc = text ? database::stored_instant(*text) : std::nullopt) {
        json::append_string(out, *utc);
        return true;
      }
      break;
    case Kind::decimal:
    case Kind::number: {
      const bool string = column.kind == Kind::decimal;
      auto decimal = real ? database::decimal_of(*real) : std::nullopt;
      if (const auto* integer = std::get_if<std::int64_t>(&field)) decimal = std::to_string(*integer);
      if (text && string) {
        json::append_string(out, *text);
        return text->find_first_of("eE") == text->npos &&
               database::canonical_decimal(*text).has_value();  // an exponent is not compared by value
      }
      if (text && (decimal = database::canonical_decimal(*text)) && *decimal != *text) decimal = std::nullopt;
      if (!decimal) break;
      out += string ? "\"" + *decimal + "\"" : *decimal;
      return true;
    }
    case Kind::text: {
      auto digits = real ? database::decimal_of(*real) : std::nullopt;
      if (const auto* integer = std::get_if<std::int64_t>(&field)) digits = std::to_string(*integer);
      if (!text && !digits) break;
      json::append_string(out, text ? *text : std::string_view(*digits));
      return text && json::valid_utf8(*text);
    }
    case Kind::bytes: break;
    case Kind::integer: append_json(out, column.kind, field); return field.index() == 1;
    case Kind::real: append_json(out, column.kind, field); return !text && !(real && !std::isfinite(*real));
    case Kind::boolean:
      append_json(out, column.kind, field);
      return field == database::Field{std::int64_t{0}} || field == database::Field{std::int64_t{1}};
  }
  if (text) {
    json::append_string(out, *text);
  } else if (real && !std::isfinite(*real)) {
    out += "null";
  } else {
    append_json(out, column.kind, field);
  }
  return false;
}

}  // namespace plimsoll::table
