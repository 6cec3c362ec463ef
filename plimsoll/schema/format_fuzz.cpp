// Formats and regular expressions, on any text: what one format takes another that is wider must take too, addresses
// are those that the system knows, and a pattern finds the same by its shortcut and without.

#include "plimsoll/json/utf8.hpp"
#include "plimsoll/schema/format.hpp"
#include "plimsoll/schema/regex.hpp"

#include <arpa/inet.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using namespace plimsoll;
using namespace plimsoll::schema;

void expect(bool good, const char* what, std::string_view text) {
  if (good) return;
  std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(text.size()), text.data());
  std::abort();
}

void check_formats(std::string_view text) {
  for (auto name : {"date", "time", "date-time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4",
                    "ipv6", "uri", "uri-reference", "iri", "iri-reference", "uuid", "uri-template", "json-pointer",
                    "relative-json-pointer", "regex"})
    (void)find_format(name)(text);
  const std::string held(text);
  const bool plain = !text.contains('\0');
  std::uint8_t bytes[16];
  expect(is_ipv4(text) == (plain && ::inet_pton(AF_INET, held.c_str(), bytes) == 1), "ipv4", text);
  expect(is_ipv6(text) == (plain && ::inet_pton(AF_INET6, held.c_str(), bytes) == 1), "ipv6", text);
  expect(!is_uri(text) || (is_uri_reference(text) && is_iri(text)), "uri, but neither reference nor iri", text);
  expect(!is_uri_reference(text) || is_iri_reference(text), "uri-reference, but no iri-reference", text);
  expect(!is_iri(text) || is_iri_reference(text), "iri, but no reference", text);
  expect(!is_email(text) || is_idn_email(text), "email, but no idn-email", text);
  expect(!is_date(text) || (is_date_time(held + "T00:00:00Z") && text.size() == 10), "date", text);
  expect(!is_time(text) || is_date_time("2024-02-29T" + held), "time", text);
  expect(!is_date_time(text) || (is_date(text.substr(0, 10)) && is_time(text.substr(11))), "date-time", text);
  expect(!is_json_pointer(text) || is_relative_json_pointer("0" + held), "json-pointer", text);
  expect(!is_uuid(text) || text.size() == 36, "uuid", text);
  expect(!is_hostname(text) || (!text.empty() && text.size() <= 253), "hostname", text);
}

/// Of a pattern that is put in a group nothing changes, but that no shortcut is taken.
void check_pattern(std::string_view pattern, std::string_view text) {
  const auto direct = Regex::compile(pattern);
  expect(!direct || is_regex(pattern), "compiled, but no regex", pattern);
  const auto grouped = Regex::compile("(?:" + std::string(pattern) + ")");
  expect(!direct || grouped.has_value(), "cannot stand in a group", pattern);
  if (!direct) return;
  Regex::exhausted() = false;
  const bool found = direct->search(text), again = grouped->search(text);
  expect(Regex::exhausted() || found == again, "found by one way only",
         std::string(pattern) + "\n" + std::string(text));
}

}  // namespace

/// The first line is a pattern, the rest a text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  if (!json::valid_utf8(all)) return 0;  // texts come from the JSON parser, which has seen to that
  const auto pattern = all.substr(0, all.find('\n'));
  const auto text = all.substr(std::min(pattern.size() + 1, all.size()));
  check_formats(all);
  check_pattern(pattern, text);
  return 0;
}
