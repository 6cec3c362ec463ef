#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/http/message.hpp"

#include <string_view>

namespace plimsoll {

inline constexpr Problem kCrossSite{
    "cross-site-request", 403, "Cross-site request with a cookie",
    "Send the request from a page of the API's own origin, name the page's origin under `cors` "
    "in the contract, or use credentials that a browser does not send by itself."};

/// Noted by `cors` in the exchange's context: the request's `Origin` is one that the contract names.
struct AllowedOrigin {};

/// Whether a browser sent the request on behalf of a page of another origin, as far as its headers say:
/// `Sec-Fetch-Site` (Fetch Metadata) other than `same-origin` and `none`, or, without that header, an `Origin` that is
/// not of the host asked. Requests with neither do not come from a page of a browser of today.
bool is_cross_site(const Request& request);

/// Whether `origin` (`https://shop.example:8443`) is of the host and port of `authority`; a default port may be left
/// out. Schemes are not compared: a proxy may have ended TLS.
bool same_authority(std::string_view origin, std::string_view authority);

}  // namespace plimsoll
