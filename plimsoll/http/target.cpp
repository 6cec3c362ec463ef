#include "plimsoll/http/target.hpp"

#include "plimsoll/base/copy.hpp"
#include "plimsoll/base/percent.hpp"
#include "plimsoll/http/characters.hpp"

#include <arpa/inet.h>
#include <algorithm>

namespace plimsoll {
namespace {

bool is_encoded(std::string_view text, std::size_t at) {
  return at + 2 < text.size() && hex_value(text[at + 1]) >= 0 && hex_value(text[at + 2]) >= 0;
}

/// All but letters, digits, `-` and `/`.
constexpr auto unusual_in_path = [](Bytes16 text) {
  return ~(((text | 0x20) - 'a' < 26) | (text - '0' < 10) | (text == '-') | (text == '/'));
};

/// So many characters of a text are usual ones of a path, sixteen looked at at once: of most paths, all.
std::size_t skip_usual(std::string_view text) {
  const auto usual = [&](std::size_t at) { return !bytes16::any(unusual_in_path(bytes16::load(text.data() + at))); };
  std::size_t at = 0;
  for (; at + 16 <= text.size(); at += 16)
    if (!usual(at)) return at;
  return at > 0 && usual(text.size() - 16) ? text.size() : at;
}

bool is_address_literal(std::string_view text) {  // what stands between [ and ]
  if (text.empty()) return false;
  if (text.front() == 'v' || text.front() == 'V') {  // IPvFuture
    const auto dot = text.find('.');
    if (dot == text.npos || dot < 2 || dot + 1 == text.size()) return false;
    return all_are(characters::kHex, text.substr(1, dot - 1)) &&
           std::ranges::all_of(text.substr(dot + 1), [](char c) { return is(characters::kHost, c) || c == ':'; });
  }
  char copy[INET6_ADDRSTRLEN];
  in6_addr address;
  if (text.size() >= sizeof copy || text.contains('\0')) return false;  // it would end there for inet_pton
  *std::ranges::copy(text, copy).out = '\0';
  return ::inet_pton(AF_INET6, copy, &address) == 1;
}

}  // namespace

bool is_authority(std::string_view text) {
  std::string_view host, port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == text.npos || !is_address_literal(text.substr(1, close - 1))) return false;
    const auto rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return false;
    has_port = !rest.empty();
    port = has_port ? rest.substr(1) : rest;
  } else {
    if (!text.empty() && all_are(characters::kHost, text)) return true;  // a name or an IPv4 address without port
    const auto colon = text.find(':');
    host = text.substr(0, colon);
    has_port = colon != text.npos;
    if (has_port) port = text.substr(colon + 1);
    if (host.empty()) return false;
    for (std::size_t i = 0; i < host.size(); ++i)
      if (!is(characters::kHost, host[i]) && !(host[i] == '%' && is_encoded(host, i))) return false;
  }
  if (!has_port) return true;
  if (!all_are(characters::kDigit, port) || port.size() > 5) return false;
  int number = 0;
  for (char c : port) number = number * 10 + (c - '0');
  return number <= 65535;
}

std::expected<Target, std::string_view> split_target(std::string_view target) {
  Target parts;
  if (target == "*") {
    parts.form = Target::Form::asterisk;
    parts.path = target;
    return parts;
  }
  auto rest = target;
  if (!target.starts_with('/')) {
    parts.form = Target::Form::absolute;
    const auto colon = target.find("://");
    if (colon == target.npos) return std::unexpected("The target is neither a path nor an absolute URI.");
    parts.scheme = target.substr(0, colon);
    if (!same_as_lower(parts.scheme, "http") && !same_as_lower(parts.scheme, "https"))
      return std::unexpected("The scheme of the target is not http or https.");
    rest = target.substr(colon + 3);
    const auto end = std::min(rest.find_first_of("/?"), rest.size());
    parts.authority = rest.substr(0, end);
    rest = rest.substr(end);
    if (!is_authority(parts.authority))
      return std::unexpected("The authority of the target is not a host with an optional port.");
  }
  auto at = skip_usual(rest);
  for (; at < rest.size() && rest[at] != '?'; ++at) {
    if (!is(characters::kPath, rest[at])) return std::unexpected("A character in the path must be percent-encoded.");
    if (rest[at] == '%' && !is_encoded(rest, at))
      return std::unexpected("A % in the path is not followed by two hexadecimal digits.");
  }
  parts.path = at == 0 ? std::string_view("/") : rest.substr(0, at);
  if (at < rest.size()) {
    parts.has_query = true;
    parts.query = rest.substr(at + 1);
    if (!all_are(characters::kQuery, parts.query))
      return std::unexpected("A character in the query must be percent-encoded.");
  }
  return parts;
}

std::optional<std::string_view> percent_decode(std::string_view text, Arena& arena, bool plus) {
  const auto special = [&](char c) { return c == '%' || (plus && c == '+'); };
  if (std::ranges::none_of(text, special)) return text;
  auto* out = arena.array<char>(text.size());
  std::size_t size = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (!is_encoded(text, i)) return std::nullopt;
      out[size++] = static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out[size++] = plus && text[i] == '+' ? ' ' : text[i];
    }
  }
  return std::string_view{out, size};
}

std::optional<QueryPairs::Pair> QueryPairs::next() {
  while (!rest_.empty()) {
    const auto end = std::min(rest_.find('&'), rest_.size());
    const auto text = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (text.empty()) continue;
    const auto equals = text.find('=');
    if (equals == text.npos) return Pair{text, {}, false};
    return Pair{text.substr(0, equals), text.substr(equals + 1), true};
  }
  return std::nullopt;
}

}  // namespace plimsoll
