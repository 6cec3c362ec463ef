#include "plimsoll/http/trailing.hpp"

#include "plimsoll/http/characters.hpp"

#include <algorithm>

namespace plimsoll::http {

bool may_trail(std::string_view name) {
  static constexpr std::string_view kNever[] = {"age",
                                                "allow",
                                                "authorization",
                                                "cache-control",
                                                "connection",
                                                "content-range",
                                                "content-type",
                                                "content-length",
                                                "content-encoding",
                                                "content-location",
                                                "cookie",
                                                "date",
                                                "expect",
                                                "expires",
                                                "forwarded",
                                                "host",
                                                "keep-alive",
                                                "location",
                                                "max-forwards",
                                                "pragma",
                                                "range",
                                                "retry-after",
                                                "set-cookie",
                                                "te",
                                                "tracestate",
                                                "trailer",
                                                "upgrade",
                                                "vary",
                                                "via",
                                                "warning",
                                                "transfer-encoding",
                                                "proxy-status",
                                                "www-authenticate",
                                                "x-request-id",
                                                "traceparent",
                                                "ratelimit",
                                                "ratelimit-policy"};
  static constexpr std::string_view kFamilies[] = {
      "accept", "if-", "proxy-", "access-control-", "content-security-", "x-forwarded-", "sec-", "strict-"};
  return is_token(name) && std::ranges::find(kNever, name) == std::end(kNever) &&
         std::ranges::none_of(kFamilies, [&](auto family) { return name.starts_with(family); });
}

}  // namespace plimsoll::http
