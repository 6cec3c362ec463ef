#include "plimsoll/http/proxies.hpp"

#include "plimsoll/http/characters.hpp"

namespace plimsoll {
namespace {

/// The address in `1.2.3.4`, `1.2.3.4:80`, `[::1]`, `[::1]:80`, `::1`, quoted or not; empty when there is none.
std::string_view node(std::string_view text) {
  text = trimmed(text);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    text = close == text.npos ? std::string_view{} : text.substr(1, close - 1);
  } else if (const auto colon = text.find(':'); colon != text.npos && text.find(':', colon + 1) == text.npos) {
    text = text.substr(0, colon);
  }
  return Address::parse(text) ? text : std::string_view{};
}

/// Takes the last element of a comma-separated list off its end; commas within quotes do not separate.
std::string_view take_last(std::string_view& list) {
  bool quoted = false;
  std::size_t at = list.size();
  while (at > 0 && (quoted || list[at - 1] != ',')) quoted ^= list[--at] == '"';
  const auto last = trimmed(list.substr(at));
  list = at == 0 ? std::string_view{} : list.substr(0, at - 1);
  return last;
}

/// The value of a parameter of one element of Forwarded (RFC 7239, section 4); empty when it is not there.
std::string_view parameter(std::string_view element, std::string_view name) {
  while (!element.empty()) {
    bool quoted = false;
    std::size_t end = 0;
    for (; end < element.size() && (quoted || element[end] != ';'); ++end) quoted ^= element[end] == '"';
    const auto pair = trimmed(element.substr(0, end));
    element = end < element.size() ? element.substr(end + 1) : std::string_view{};
    const auto equals = pair.find('=');
    if (equals != pair.npos && same_as_lower(pair.substr(0, equals), name)) return pair.substr(equals + 1);
  }
  return {};
}

std::string_view scheme_of(std::string_view text) {
  text = trimmed(text);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  return same_as_lower(text, "https") ? "https" : same_as_lower(text, "http") ? "http" : std::string_view{};
}

}  // namespace

Client client_behind(std::string_view peer, const Headers& headers, const Networks& trusted, bool forwarded) {
  Client client{.address = peer, .scheme = {}};
  if (!trusted.contains(peer)) return client;
  auto list = headers.joined(forwarded ? "forwarded" : "x-forwarded-for");
  auto schemes = forwarded ? std::string_view{} : headers.joined("x-forwarded-proto");
  client.scheme = scheme_of(take_last(schemes));
  for (bool nearest = true; !list.empty() && trusted.contains(client.address); nearest = false) {
    const auto element = take_last(list);
    if (forwarded && nearest) client.scheme = scheme_of(parameter(element, "proto"));
    const auto address = node(forwarded ? parameter(element, "for") : element);
    if (address.empty()) break;  // hidden or unknown: the last that is known stands for it
    client.address = address;
  }
  return client;
}

}  // namespace plimsoll
