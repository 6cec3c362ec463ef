#include "plimsoll/http/client_address.hpp"

#include <arpa/inet.h>
#include <algorithm>
#include <charconv>
#include <cstring>

namespace plimsoll {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == text.npos ? std::string_view{} : text.substr(begin, end - begin + 1);
}

/// `"[2001:db8::1]:4711"`, `192.0.2.1:80`, `192.0.2.1` → the address.
std::string_view without_port(std::string_view node) {
  if (node.size() >= 2 && node.starts_with('"') && node.ends_with('"')) node = node.substr(1, node.size() - 2);
  if (node.starts_with('[')) {
    const auto end = node.find(']');
    return end == node.npos ? std::string_view{} : node.substr(1, end - 1);
  }
  const auto colon = node.find(':');
  return colon != node.npos && node.find(':', colon + 1) == node.npos ? node.substr(0, colon) : node;
}

/// The `for` of one element of `Forwarded`.
std::string_view forwarded_for(std::string_view element) {
  while (!element.empty()) {
    const auto end = std::min(element.find(';'), element.size());
    const auto pair = trimmed(element.substr(0, end));
    element.remove_prefix(std::min(end + 1, element.size()));
    if (pair.size() > 4 && (pair[0] | 32) == 'f' && (pair[1] | 32) == 'o' && (pair[2] | 32) == 'r' && pair[3] == '=')
      return pair.substr(4);
  }
  return {};
}

/// Walks all field lines of `name` from the last element to the first; `visit` says whether to go on.
template <class F>
void from_the_right(const Headers& headers, std::string_view name, F visit) {
  for (const auto* line = headers.end(); line != headers.begin();) {
    --line;
    if (line->name.size() != name.size() ||
        !std::ranges::equal(line->name, name, [](char a, char b) { return (a | 32) == (b | 32); }))
      continue;
    auto rest = line->value;
    for (bool more = true; more;) {
      const auto comma = rest.rfind(',');
      more = comma != rest.npos;
      if (!visit(trimmed(more ? rest.substr(comma + 1) : rest))) return;
      rest = rest.substr(0, more ? comma : 0);
    }
  }
}

}  // namespace

std::optional<Address> Address::parse(std::string_view text) {
  text = text.substr(0, text.find('%'));
  char terminated[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof terminated || text.contains('\0')) return std::nullopt;
  std::memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = 0;
  Address made;
  if (text.contains(':')) {
    if (::inet_pton(AF_INET6, terminated, made.bytes.data()) != 1) return std::nullopt;
  } else {
    std::ranges::copy(kMapped, made.bytes.begin());
    if (::inet_pton(AF_INET, terminated, made.bytes.data() + kMapped.size()) != 1) return std::nullopt;
  }
  return made;
}

bool Address::is_v4() const { return std::equal(kMapped.begin(), kMapped.end(), bytes.begin()); }

Result<TrustedProxies> TrustedProxies::parse(std::span<const std::string> networks) {
  TrustedProxies made;
  for (const auto& text : networks) {
    if (text == "unix") {
      made.unix_ = true;
      continue;
    }
    const auto slash = std::string_view(text).find('/');
    const auto address = Address::parse(std::string_view(text).substr(0, slash));
    if (!address) return fail(kBadNetwork, "\"" + text + "\" is no address or network");
    const unsigned most = text.contains(':') ? 128 : 32;
    unsigned bits = most;
    if (slash != std::string_view::npos) {
      const auto* end = text.data() + text.size();
      const auto [at, error] = std::from_chars(text.data() + slash + 1, end, bits);
      if (error != std::errc{} || at != end || bits > most)
        return fail(kBadNetwork, "\"" + text + "\" has no prefix length between 0 and " + std::to_string(most));
    }
    made.networks_.push_back({*address, bits + 128 - most});
  }
  return made;
}

bool TrustedProxies::contains(std::string_view text) const {
  if (text == "unix") return unix_;
  if (networks_.empty()) return false;
  const auto address = Address::parse(text);
  return address && std::ranges::any_of(networks_, [&](const Network& network) {
           const auto whole = network.bits / 8, rest = network.bits % 8;
           if (std::memcmp(address->bytes.data(), network.address.bytes.data(), whole) != 0) return false;
           return rest == 0 || ((address->bytes[whole] ^ network.address.bytes[whole]) >> (8 - rest)) == 0;
         });
}

std::string_view client_address(const Request& request, const TrustedProxies& trusted) {
  auto client = request.peer.address;
  if (trusted.empty() || !trusted.contains(client)) return client;
  const bool standard = request.headers.contains("forwarded");
  from_the_right(request.headers, standard ? "forwarded" : "x-forwarded-for", [&](std::string_view element) {
    const auto said = without_port(standard ? forwarded_for(element) : element);
    if (!Address::parse(said)) return false;  // hidden or nonsense: the last proxy known is as far as we see
    client = said;
    return trusted.contains(said);
  });
  return client;
}

}  // namespace plimsoll
