#pragma once

#include "plimsoll/base/problem.hpp"

namespace plimsoll {

/// What a request asks for is not there, or not visible to its caller.
inline constexpr Problem kNotFound{"not-found", 404, "Not found",
                                   "Check the path; /openapi.json lists the operations."};

/// The operation is for callers who say who they are, and nothing in the request does.
inline constexpr Problem kUnauthenticated{
    "unauthenticated", 401, "Credentials are required",
    "Send the credentials that WWW-Authenticate names; /docs says where to get them."};

/// `Cache-Control: only-if-cached`, and no fresh response is stored (RFC 9111, section 5.2.1.7).
inline constexpr Problem kNotCached{"not-cached", 504, "No fresh response is cached",
                                    "Repeat the request without `Cache-Control: only-if-cached`."};

}  // namespace plimsoll
