#include "plimsoll/client/url.hpp"

#include "plimsoll/net/resolver.hpp"

#include <algorithm>
#include <charconv>

namespace plimsoll::client {
namespace {

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; });
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  Url url;
  auto rest = text;
  if (rest.starts_with("http://"))
    rest.remove_prefix(7);
  else if (rest.starts_with("https://"))
    rest.remove_prefix(8), url.tls = true;
  else
    return fail(kBadUrl, "`" + std::string(text) + "` begins with neither http:// nor https://");
  if (has_control(text) || text.find(' ') != text.npos || text.find('#') != text.npos)
    return fail(kBadUrl, "`" + std::string(text) + "` holds a blank, a control or a fragment");
  const auto slash = std::min(rest.find('/'), rest.find('?'));
  url.authority = rest.substr(0, slash);
  url.target = slash == rest.npos ? "/" : std::string(rest.substr(slash));
  if (url.target.starts_with('?')) url.target.insert(0, "/");
  std::string_view authority = url.authority;
  if (authority.find('@') != authority.npos) return fail(kBadUrl, "credentials in a URL are not sent");
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto close = authority.find(']');
    if (close == authority.npos) return fail(kBadUrl, "no ] in `" + std::string(text) + "`");
    url.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    port = colon == authority.npos ? std::string_view{} : authority.substr(colon);
  }
  url.port = url.tls ? 443 : 80;
  if (!port.empty()) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    if (port[0] != ':' || port.size() < 2 || error != std::errc{} || end != port.data() + port.size() || number == 0 ||
        number > 65535)
      return fail(kBadUrl, "no port in `" + std::string(text) + "`");
    url.port = static_cast<std::uint16_t>(number);
  }
  if (url.host.empty()) return fail(kBadUrl, "no host in `" + std::string(text) + "`");
  return url;
}

bool is_local(const Url& url) { return net::is_loopback(url.host); }

}  // namespace plimsoll::client
