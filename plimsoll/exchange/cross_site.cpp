#include "plimsoll/exchange/cross_site.hpp"

#include "plimsoll/base/letters.hpp"

namespace plimsoll {
namespace {

/// Without the port that the scheme implies.
std::string_view without_default_port(std::string_view authority, std::string_view scheme) {
  const std::string_view port = same_as_lower(scheme, "https") ? ":443" : ":80";
  if (authority.ends_with(port)) authority.remove_suffix(port.size());
  return authority;
}

}  // namespace

bool same_authority(std::string_view origin, std::string_view authority) {
  const auto mark = origin.find("://");
  if (mark == origin.npos) return false;  // `null`, and what is no origin
  const auto scheme = origin.substr(0, mark);
  if (!same_as_lower(scheme, "https") && !same_as_lower(scheme, "http")) return false;
  const auto host = without_default_port(origin.substr(mark + 3), scheme);
  return !host.empty() && equal_ignoring_case(host, without_default_port(authority, scheme));
}

bool is_cross_site(const Request& request) {
  if (request.headers.contains("sec-fetch-site")) {
    const auto site = request.headers.joined("sec-fetch-site");
    return site != "same-origin" && site != "none";
  }
  if (!request.headers.contains("origin")) return false;
  const auto authority = request.authority.empty() ? request.headers.find("host") : request.authority;
  return !same_authority(request.headers.joined("origin"), authority);
}

}  // namespace plimsoll
