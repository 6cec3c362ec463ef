#include "plimsoll/schema/format.hpp"

#include "plimsoll/schema/keywords.hpp"

#include "plimsoll/schema/regex.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace plimsoll::schema {
namespace {

struct Named {
  std::string_view name;
  Format check;
  std::string_view form;
};
constexpr Named kFormats[] = {
    {"date-time", is_date_time, "a date-time such as 2026-01-31T09:30:00Z (RFC 3339)"},
    {"date", is_date, "a date such as 2026-01-31 (RFC 3339)"},
    {"time", is_time, "a time with its offset such as 09:30:00Z (RFC 3339)"},
    {"duration", is_duration, "a duration such as P3DT4H (RFC 3339)"},
    {"email", is_email, "an email address such as name@example.com"},
    {"idn-email", is_idn_email, "an email address such as name@example.com"},
    {"hostname", is_hostname, "a host name such as www.example.com"},
    {"idn-hostname", is_idn_hostname, "a host name such as www.example.com"},
    {"ipv4", is_ipv4, "an IPv4 address such as 192.0.2.1"},
    {"ipv6", is_ipv6, "an IPv6 address such as 2001:db8::1"},
    {"uri", is_uri, "a URI such as https://example.com/path"},
    {"uri-reference", is_uri_reference, "a URI reference such as /path"},
    {"iri", is_iri, "an IRI such as https://example.com/path"},
    {"iri-reference", is_iri_reference, "an IRI reference such as /path"},
    {"uri-template", is_uri_template, "a URI template such as /path/{name} (RFC 6570)"},
    {"uuid", is_uuid, "a UUID such as 123e4567-e89b-12d3-a456-426614174000"},
    {"json-pointer", is_json_pointer, "a JSON pointer such as /a/0 (RFC 6901)"},
    {"relative-json-pointer", is_relative_json_pointer, "a relative JSON pointer such as 1/a"},
    {"regex", is_regex, "a regular expression (ECMA-262)"}};

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_hex(char c) { return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

/// The number of two digits at `at`, or -1.
int two(std::string_view text, std::size_t at) {
  if (at + 2 > text.size() || !is_digit(text[at]) || !is_digit(text[at + 1])) return -1;
  return (text[at] - '0') * 10 + (text[at + 1] - '0');
}

/// Digits and one of `units` after another, in their order and, as the grammar nests them, without a gap. Returns how
/// many were read; moves `text` behind them.
int elements(std::string_view& text, std::string_view units) {
  int count = 0;
  std::size_t from = 0;
  while (!text.empty() && is_digit(text.front())) {
    const auto digits = static_cast<std::size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
    if (digits == text.size()) return -1;
    const auto unit = units.find(text[digits], from);
    if (unit == units.npos || (count > 0 && unit != from)) return -1;
    from = unit + 1;
    text.remove_prefix(digits + 1);
    ++count;
  }
  return count;
}

}  // namespace

Format find_format(std::string_view name) {
  const auto* found = std::ranges::find(kFormats, name, &Named::name);
  return found == std::end(kFormats) ? nullptr : found->check;
}

std::string_view meant_format(std::string_view name) {
  // Of the registry of OpenAPI, and what databases and clients read; the first have forms of values too.
  constexpr std::string_view kRead[] = {"decimal", "int32", "int64", "float", "double", "byte", "binary", "password"};
  constexpr std::string_view kRemarks[] = {"base64url", "char",   "commonmark", "decimal128",  "double-int", "html",
                                           "http-date", "int8",   "int16",      "media-range", "uint8",      "uint16",
                                           "uint32",    "uint64", "url",        "guid",        "currency",   "phone"};
  const auto is = [&](std::string_view known) { return name == known; };
  if (find_format(name) || std::ranges::any_of(kRead, is) || std::ranges::any_of(kRemarks, is)) return {};
  const auto meant = [&](std::string_view known) { return slipped(name, known); };
  if (const auto* found = std::ranges::find_if(kFormats, meant, &Named::name); found != std::end(kFormats))
    return found->name;
  const auto* found = std::ranges::find_if(kRead, meant);
  return found != std::end(kRead) ? *found : std::string_view{};
}

std::string_view form_of(std::string_view name) {
  const auto* found = std::ranges::find(kFormats, name, &Named::name);
  return found == std::end(kFormats) ? std::string_view{} : found->form;
}

bool is_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  const int century = two(text, 0), years = two(text, 2), month = two(text, 5), day = two(text, 8);
  if (century < 0 || years < 0 || month < 1 || month > 12 || day < 1) return false;
  const int year = century * 100 + years;
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  constexpr std::uint8_t kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return day <= kDays[month - 1] + (leap && month == 2 ? 1 : 0);
}

bool is_time(std::string_view text) {
  const int hour = two(text, 0), minute = two(text, 3), second = two(text, 6);
  if (text.size() < 9 || text[2] != ':' || text[5] != ':' || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 60)
    return false;
  std::size_t at = 8;
  if (text[at] == '.') {
    const auto start = ++at;
    while (at < text.size() && is_digit(text[at])) ++at;
    if (at == start || at == text.size()) return false;
  }
  int offset = 0;
  if ((text[at] | 0x20) == 'z') {
    if (at + 1 != text.size()) return false;
  } else {
    const int hours = two(text, at + 1), minutes = two(text, at + 4);
    if (text.size() != at + 6 || (text[at] != '+' && text[at] != '-') || text[at + 3] != ':' || hours < 0 ||
        hours > 23 || minutes < 0 || minutes > 59)
      return false;
    offset = (text[at] == '-' ? -1 : 1) * (hours * 60 + minutes);
  }
  // A leap second is the last of a day in UTC.
  constexpr int kDay = 24 * 60;
  return second < 60 || (hour * 60 + minute - offset + kDay) % kDay == kDay - 1;
}

bool is_date_time(std::string_view text) {
  return text.size() > 11 && (text[10] | 0x20) == 't' && is_date(text.substr(0, 10)) && is_time(text.substr(11));
}

bool is_duration(std::string_view text) {
  if (!text.starts_with('P')) return false;
  text.remove_prefix(1);
  if (text.ends_with('W')) return elements(text, "W") == 1 && text.empty();
  const int date = elements(text, "YMD");
  if (date < 0) return false;
  if (text.empty()) return date > 0;
  if (text.front() != 'T') return false;
  text.remove_prefix(1);
  return elements(text, "HMS") > 0 && text.empty();
}

bool is_uuid(std::string_view text) {
  static constexpr auto kNoHex = [] {
    std::array<bool, 256> table{};
    for (int c = 0; c < 256; ++c) table[static_cast<std::size_t>(c)] = !is_hex(static_cast<char>(c));
    return table;
  }();
  if (text.size() != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') return false;
  bool wrong = false;
  const auto digits = [&](std::size_t from, std::size_t to) {
    for (auto i = from; i < to; ++i) wrong |= kNoHex[static_cast<unsigned char>(text[i])];
  };
  digits(0, 8), digits(9, 13), digits(14, 18), digits(19, 23), digits(24, 36);
  return !wrong;
}

bool is_json_pointer(std::string_view text) {
  if (!text.empty() && text.front() != '/') return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) return false;
  return true;
}

bool is_relative_json_pointer(std::string_view text) {
  const auto digits = static_cast<std::size_t>(std::ranges::find_if_not(text, is_digit) - text.begin());
  if (digits == 0 || (digits > 1 && text.front() == '0')) return false;
  const auto rest = text.substr(digits);
  return rest == "#" || is_json_pointer(rest);
}

}  // namespace plimsoll::schema
