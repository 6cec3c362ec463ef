#include "plimsoll/client/url.hpp"

#include "plimsoll/base/letters.hpp"
#include "plimsoll/client/plain_http.hpp"
#include "plimsoll/http/characters.hpp"
#include "plimsoll/http/target.hpp"
#include "plimsoll/net/resolver.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace plimsoll::client {
namespace {

/// What is behind `http://` or `https://`; null where neither is there.
std::optional<std::string_view> behind_scheme(std::string_view text, bool& tls) {
  for (const std::string_view scheme : {"http://", "https://"})
    if (equal_ignoring_case(text.substr(0, scheme.size()), scheme)) {
      tls = scheme == "https://";
      return text.substr(scheme.size());
    }
  return std::nullopt;
}

}  // namespace

bool is_http(std::string_view text) {
  bool tls = false;
  return behind_scheme(text, tls).has_value();
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  const auto rest = behind_scheme(text, url.tls);
  const auto quoted =
      text.contains('@') ? "a URL with credentials" : "`" + std::string(text) + "`";  // it may hold a password
  if (!rest) return fail(kBadUrl, quoted + " begins with neither http:// nor https://");
  const auto slash = std::min(rest->find('/'), rest->find('?'));
  url.authority = rest->substr(0, slash);
  if (url.authority.contains('@')) return fail(kBadUrl, "credentials in a URL are not sent");
  if (std::ranges::any_of(text, ends_a_word)) return fail(kBadUrl, quoted + " holds a blank or a control");
  if (text.contains('#')) return fail(kBadUrl, quoted + " has a fragment (#), which is sent to no server");
  url.target = slash == rest->npos ? "/" : std::string(rest->substr(slash));
  if (url.target.starts_with('?')) url.target.insert(0, "/");
  const std::string_view authority = url.authority;
  const bool literal = authority.starts_with('[');
  const auto end = literal ? authority.find(']') : authority.find(':');
  if (literal && end == authority.npos) return fail(kBadUrl, "no ] in " + quoted);
  url.host = literal ? authority.substr(1, end - 1) : authority.substr(0, end);
  const auto port = end == authority.npos ? std::string_view{} : authority.substr(end + literal);
  url.port = url.tls ? 443 : 80;
  if (!port.empty()) {
    const auto last = port.data() + port.size();
    const auto [read, error] = std::from_chars(port.data() + 1, last, url.port);
    if (port[0] != ':' || port.size() < 2 || error != std::errc{} || read != last || url.port == 0)
      return fail(kBadUrl, "the port of " + quoted + " is no number from 1 to 65535");
  }
  if (url.host.empty()) return fail(kBadUrl, "no host in " + quoted);
  if (!is_authority(authority) || url.host.contains('%'))
    return fail(kBadUrl, "the host of " + quoted + " is neither a name nor an address");
  return url;
}

Result<Url> configured_url(const json::Value& at, std::string_view text, std::string_view what,
                           config::PlainHttp plain_http, std::string_view remedy) {
  auto url = parse_url(text);
  if (!url) return config::wrong(at, url.error().detail, kWriteUrl);
  if (!url->tls && !is_local(*url) && plain_http != config::PlainHttp::allowed)
    return config::wrong(at,
                         std::string(what) +
                             " is called without TLS: use https, or say `plain-http: allowed` where the network "
                             "between is trusted",
                         remedy);
  return url;
}

bool is_local(const Url& url) { return net::is_loopback(url.host); }

}  // namespace plimsoll::client
