#include "plimsoll/database/postgres_value.hpp"

#include "plimsoll/base/encoding.hpp"

#include <charconv>
#include <cmath>

namespace plimsoll::database {
namespace {

template <class T>
Field number(std::string_view text) {
  T value{};
  const auto end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec == std::errc{} && read.ptr == end) return value;
  return text;
}

Field real(std::string_view text) {
  if (text == "Infinity") return HUGE_VAL;
  if (text == "-Infinity") return -HUGE_VAL;
  if (text == "NaN") return std::nan("");
  return number<double>(text);
}

Field bytes(std::string_view text, std::string& scratch) {
  if (!text.starts_with("\\x")) return text;
  auto made = from_hex(text.substr(2));
  if (!made) return text;
  scratch = std::move(*made);
  return std::string_view(scratch);
}

/// `2026-01-01 00:00:00.5+00`, or without a zone. What is no instant between the years 0 and 9999 (`infinity`, years
/// with five digits, `BC`) stays as it is.
Field instant(std::string_view text, std::string& scratch) {
  constexpr std::size_t kSeconds = 19;
  if (text.size() < kSeconds || text[4] != '-' || text[7] != '-' || text[10] != ' ' || text.ends_with(" BC"))
    return text;
  const auto zone = text.find('+', kSeconds);
  scratch.assign(text.substr(0, zone));
  scratch[10] = 'T';
  scratch += 'Z';
  return std::string_view(scratch);
}

}  // namespace

Field postgres_field(PostgresType type, std::string_view text, std::string& scratch) {
  switch (type) {
    case PostgresType::boolean: return std::int64_t{text == "t"};
    case PostgresType::int2:
    case PostgresType::int4:
    case PostgresType::int8:
    case PostgresType::oid: return number<std::int64_t>(text);
    case PostgresType::float4:
    case PostgresType::float8: return real(text);
    case PostgresType::bytea: return bytes(text, scratch);
    case PostgresType::timestamp:
    case PostgresType::timestamptz: return instant(text, scratch);
    default: return text;
  }
}

PostgresParameter postgres_parameter(const Cell& cell, PostgresType type, std::string& scratch) {
  const auto of = [](const std::string& text, bool binary) {
    return PostgresParameter{text.c_str(), static_cast<int>(text.size()), binary};
  };
  if (const auto* text = std::get_if<std::string>(&cell))
    return of(*text, type == PostgresType::bytea || text->find('\0') != text->npos);
  if (const auto* integer = std::get_if<std::int64_t>(&cell)) {
    // Only 0 and 1 are read as booleans; SQLite takes every other number for true.
    scratch = std::to_string(type == PostgresType::boolean ? std::int64_t{*integer != 0} : *integer);
    return of(scratch, false);
  }
  if (const auto* value = std::get_if<double>(&cell)) {
    if (std::isnan(*value)) {
      scratch = "NaN";
    } else if (std::isinf(*value)) {
      scratch = *value < 0 ? "-Infinity" : "Infinity";
    } else {
      char digits[40];
      scratch.assign(digits, std::to_chars(digits, digits + sizeof digits, *value).ptr);
    }
    return of(scratch, false);
  }
  return {};
}

}  // namespace plimsoll::database
