#include "plimsoll/http/conditional.hpp"

#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/date.hpp"

namespace plimsoll::http {
namespace {

constexpr std::string_view kCodings[] = {"gzip", "br", "zstd"};

bool blank(char c) { return c == ' ' || c == '\t'; }
bool tag_character(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u == 0x21 || (u >= 0x23 && u != 0x7F);
}

/// One tag from the front of `text`, which is left where it stands when there is none.
std::optional<EntityTag> take_tag(std::string_view& text) {
  auto rest = text;
  EntityTag tag;
  if (rest.starts_with("W/")) tag.weak = true, rest.remove_prefix(2);
  if (!rest.starts_with('"')) return std::nullopt;
  std::size_t end = 1;
  while (end < rest.size() && tag_character(rest[end])) ++end;
  if (end == rest.size() || rest[end] != '"') return std::nullopt;
  tag.opaque = rest.substr(1, end - 1);
  text = rest.substr(end + 1);
  return tag;
}

enum class Match : std::uint8_t { no, yes, unreadable };

/// `*`, or any tag of the list, against what is there.
template <class Same>
Match matches(std::string_view list, const Validators& current, Same same) {
  if (trimmed(list) == "*") return current.exists ? Match::yes : Match::no;
  const auto own = parse_entity_tag(current.etag);
  bool found = false, any = false;
  while (auto tag = next_entity_tag(list)) {
    any = true;
    found |= current.exists && own && same(without_coding(*tag), without_coding(*own));
  }
  if (!list.empty() || !any) return Match::unreadable;
  return found ? Match::yes : Match::no;
}

}  // namespace

std::optional<EntityTag> parse_entity_tag(std::string_view text) {
  auto tag = take_tag(text);
  return text.empty() ? tag : std::nullopt;
}

std::optional<EntityTag> next_entity_tag(std::string_view& list) {
  while (!list.empty() && (blank(list.front()) || list.front() == ',')) list.remove_prefix(1);
  if (list.empty()) return std::nullopt;
  auto rest = list;
  const auto tag = take_tag(rest);
  if (!tag) return std::nullopt;
  while (!rest.empty() && blank(rest.front())) rest.remove_prefix(1);
  if (!rest.empty() && rest.front() != ',') return std::nullopt;
  list = rest;
  return tag;
}

std::string_view coding_of(EntityTag tag) {
  const auto at = tag.opaque.rfind(';');
  if (at == std::string_view::npos) return {};
  for (auto coding : kCodings)
    if (tag.opaque.substr(at + 1) == coding) return coding;
  return {};
}

EntityTag without_coding(EntityTag tag) {
  if (const auto coding = coding_of(tag); !coding.empty()) tag.opaque.remove_suffix(coding.size() + 1);
  return tag;
}

Precondition evaluate(std::string_view method, const Headers& headers, const Validators& current, std::int64_t now) {
  // Section 13.2.1: conditions mean nothing for methods that neither select nor modify a representation.
  if (method == "CONNECT" || method == "OPTIONS" || method == "TRACE") return Precondition::none;
  const bool reads = method == "GET" || method == "HEAD";
  bool named = false;

  if (headers.contains("if-match")) {
    named = true;
    const auto match =
        matches(headers.joined("if-match"), current, [](const auto& a, const auto& b) { return same_strongly(a, b); });
    if (match != Match::yes) return Precondition::failed;
  } else if (headers.count("if-unmodified-since") == 1 && current.exists && current.last_modified) {
    if (const auto since = parse_date(headers.find("if-unmodified-since"), now)) {
      named = true;
      if (*current.last_modified > *since) return Precondition::failed;
    }
  }

  if (headers.contains("if-none-match")) {
    const auto match = matches(headers.joined("if-none-match"), current,
                               [](const auto& a, const auto& b) { return same_weakly(a, b); });
    if (match == Match::no || (match == Match::unreadable && reads)) return Precondition::holds;
    return reads ? Precondition::not_modified : Precondition::failed;
  }
  if (reads && headers.count("if-modified-since") == 1 && current.exists && current.last_modified) {
    if (const auto since = parse_date(headers.find("if-modified-since"), now)) {
      if (*current.last_modified <= *since) return Precondition::not_modified;
      named = true;
    }
  }
  return named ? Precondition::holds : Precondition::none;
}

bool range_applies(const Headers& headers, const Validators& current, std::int64_t now) {
  if (!headers.contains("if-range")) return true;
  if (headers.count("if-range") != 1) return false;
  const auto value = trimmed(headers.find("if-range"));
  if (const auto tag = parse_entity_tag(value)) {
    const auto own = parse_entity_tag(current.etag);
    return own && same_strongly(*tag, *own);  // a suffix matters here: ranges are of the encoded bytes
  }
  const auto date = parse_date(value, now);
  return date && current.last_modified && *date == *current.last_modified;
}

}  // namespace plimsoll::http
