#include "plimsoll/database/postgres_copy.hpp"

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/database/cells.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace plimsoll::database {
namespace {

constexpr std::size_t kSeconds = 19;  ///< bytes of `2026-01-01T00:00:00`

/// Whether a column of this kind, stored in this type, gives back what it is given. `modifier` -1: the type rounds and
/// pads nothing.
bool gives_back(Kind kind, PostgresType type, std::int64_t modifier) {
  using enum PostgresType;
  switch (kind) {
    case Kind::text: return type == text || type == varchar || type == uuid;
    case Kind::integer: return type == int2 || type == int4 || type == int8;
    case Kind::boolean: return type == boolean;
    case Kind::real: return type == float8;
    case Kind::decimal:
    case Kind::number: return type == numeric && modifier == -1;
    case Kind::instant: return (type == timestamptz || type == timestamp) && modifier == -1;
    case Kind::json: return type == json || type == jsonb;
    case Kind::bytes: return type == bytea;
  }
  return false;
}

/// An instant that is stored as it is: to the microsecond, without a leap second. `verbatim`: it is also written so.
bool is_kept(std::string_view utc, bool verbatim) {
  constexpr std::size_t kMicroseconds = 7;  // with the point
  if (utc.size() <= kSeconds || utc[10] != 'T' || utc.back() != 'Z' || utc.substr(17, 2) == "60") return false;
  const auto fraction = utc.substr(kSeconds, utc.size() - kSeconds - 1);
  return fraction.empty() || (fraction.size() <= kMicroseconds && !(verbatim && fraction.back() == '0'));
}

/// A UUID as it is given back; that it is one was seen before.
bool is_lower(std::string_view uuid) {
  constexpr std::size_t kSize = 36;
  return uuid.size() == kSize && std::ranges::none_of(uuid, [](char c) { return c >= 'A' && c <= 'F'; });
}

constexpr char kNever = 1;  ///< of a byte that no text holds
/// What stands behind a backslash for a byte that has a meaning of its own; 0: the byte stands for itself.
constexpr auto kEscapes = [] {
  std::array<char, 256> made{};
  made['\0'] = kNever;
  made['\b'] = 'b';
  made['\f'] = 'f';
  made['\n'] = 'n';
  made['\r'] = 'r';
  made['\t'] = 't';
  made['\v'] = 'v';
  made['\\'] = '\\';
  return made;
}();

/// False: the text holds a byte of 0.
bool append_escaped(std::string& out, std::string_view text) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char escape = kEscapes[static_cast<unsigned char>(text[i])];
    if (escape == 0) [[likely]]
      continue;
    if (escape == kNever) return false;
    out.append(text, begin, i - begin);
    out += '\\';
    out += escape;
    begin = i + 1;
  }
  out.append(text, begin);
  return true;
}

}  // namespace

std::optional<PostgresCopyText> PostgresCopyText::of(const CopiedRows& rows, const Rows& catalogue) {
  PostgresCopyText made;
  made.sql_ = "COPY " + quoted(rows.table);
  bool any = false;
  for (const auto& [column, verbatim, counted] : rows.columns) {
    const auto found =
        std::ranges::find_if(catalogue, [&](const auto& row) { return text_at(row, 0) == column->name; });
    if (found == catalogue.end()) return std::nullopt;
    if (counted && number_at(*found, 5) != 0) {
      made.places_.push_back({.counted = true});
      continue;
    }
    // What the database counts or works out an INSERT would refuse, or count on behind the value.
    if (number_at(*found, 4) != 0) return std::nullopt;
    const auto type = static_cast<PostgresType>(number_at(*found, 1));
    append_quoted(made.sql_ += any ? ',' : '(', column->name);
    any = true;
    made.places_.push_back({.type = type,
                            .plain = gives_back(column->kind, type, number_at(*found, 2)),
                            .fills = number_at(*found, 3) != 0,
                            .verbatim = verbatim});
  }
  if (!any) return std::nullopt;
  made.sql_ += ") FROM STDIN";
  return made;
}

bool PostgresCopyText::append_value(std::string& rows, const Place& place, const Cell& value) {
  if (value.index() == 0) {
    rows += "\\N";
    return true;
  }
  if (!place.plain) return false;
  if (const auto* text = std::get_if<std::string>(&value)) {
    if (place.type == PostgresType::bytea) {
      rows += "\\\\x";
      rows += to_hex(*text);
      return true;
    }
    if ((place.type == PostgresType::timestamp || place.type == PostgresType::timestamptz) &&
        !is_kept(*text, place.verbatim))
      return false;
    if (place.type == PostgresType::uuid && !is_lower(*text)) return false;
    return append_escaped(rows, *text);
  }
  thread_local std::string scratch;
  const auto written = postgres_parameter(value, place.type, scratch);
  rows.append(written.text, static_cast<std::size_t>(written.size));
  return true;
}

bool PostgresCopyText::append(std::string& rows, std::span<const Cell* const> values) const {
  const auto before = rows.size();
  const auto add = [&](const Place& place, const Cell* value) {
    if (value) return !place.counted && append_value(rows, place, *value);
    if (!place.fills) rows += "\\N";
    return !place.fills;
  };
  bool first = true;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const auto& place = places_[i];
    if (place.counted && !values[i]) continue;
    if (!std::exchange(first, false)) rows += '\t';
    if (add(place, values[i])) continue;
    rows.resize(before);
    return false;
  }
  rows += '\n';
  return true;
}

}  // namespace plimsoll::database
