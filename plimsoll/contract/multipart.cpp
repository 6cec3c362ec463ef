#include "plimsoll/contract/multipart.hpp"

#include <algorithm>
#include <cctype>
#include <string>

namespace plimsoll::contract {
namespace {

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  return text;
}

bool read_headers(Part& part, bool names) {
  auto rest = part.headers;
  while (!rest.empty()) {
    const auto end = std::min(rest.find("\r\n"), rest.size());
    const auto line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 2, rest.size()));
    const auto colon = line.find(':');
    if (colon == line.npos || colon == 0) return false;
    const auto name = line.substr(0, colon);
    const auto value = trim(line.substr(colon + 1));
    if (same(name, "content-type")) part.content_type = value;
    if (!same(name, "content-disposition")) continue;
    if (const auto named = header_parameter(value, "name")) part.name = *named;
    if (const auto file = header_parameter(value, "filename")) part.filename = *file;
  }
  return !names || part.name.data();
}

}  // namespace

std::optional<std::string_view> header_parameter(std::string_view field, std::string_view name) {
  auto rest = field;
  rest.remove_prefix(std::min(rest.find(';'), rest.size()));
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the semicolon
    const auto equals = rest.find('=');
    const auto semicolon = rest.find(';');
    if (equals == rest.npos) return std::nullopt;
    if (semicolon < equals) {
      rest.remove_prefix(semicolon);
      continue;
    }
    const auto key = trim(rest.substr(0, equals));
    rest.remove_prefix(equals + 1);
    std::string_view value;
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    if (rest.starts_with('"')) {
      std::size_t end = 1;
      while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' && end + 1 < rest.size() ? 2 : 1;
      if (end >= rest.size()) return std::nullopt;
      value = rest.substr(1, end - 1);
      rest.remove_prefix(end + 1);
      rest.remove_prefix(std::min(rest.find(';'), rest.size()));
    } else {
      const auto end = std::min(rest.find(';'), rest.size());
      value = trim(rest.substr(0, end));
      rest.remove_prefix(end);
    }
    if (same(key, name)) return value;
  }
  return std::nullopt;
}

std::optional<std::vector<Part>> read_multipart(std::string_view body, std::string_view boundary, bool names,
                                                std::size_t most) {
  if (boundary.empty() || boundary.size() > 70) return std::nullopt;
  const std::string dashes = "--" + std::string(boundary), between = "\r\n" + dashes;
  std::size_t at = body.starts_with(dashes) ? 0 : body.find(between);
  if (at == body.npos) return std::nullopt;
  at += at == 0 && body.starts_with(dashes) ? dashes.size() : between.size();
  std::vector<Part> parts;
  for (;;) {  // behind a delimiter
    if (body.substr(at).starts_with("--")) return parts;
    while (at < body.size() && (body[at] == ' ' || body[at] == '\t')) ++at;
    if (!body.substr(at).starts_with("\r\n") || parts.size() == most) return std::nullopt;
    at += 2;
    auto& part = parts.emplace_back();
    const auto next = body.find(between, at - 2);  // the empty line may be the delimiter's own
    if (next == body.npos) return std::nullopt;
    const auto whole = next < at ? std::string_view{} : body.substr(at, next - at);
    if (whole.starts_with("\r\n")) {
      part.body = whole.substr(2);
    } else {
      const auto end = whole.find("\r\n\r\n");
      if (end == whole.npos) return std::nullopt;
      part.headers = whole.substr(0, end);
      part.body = whole.substr(end + 4);
    }
    if (!read_headers(part, names)) return std::nullopt;
    at = next + between.size();
  }
}

}  // namespace plimsoll::contract
