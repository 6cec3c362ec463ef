#pragma once

#include "plimsoll/client/connections.hpp"
#include "plimsoll/client/response_reader.hpp"

namespace plimsoll::client {

inline constexpr Problem kCircuitOpen{"circuit-open", 503, "A required service is failing",
                                      "Repeat the request after `Retry-After`.", true};
inline constexpr Problem kTooManyCalls{"too-many-calls", 503, "Too many concurrent calls to a service",
                                       "Repeat the request after `Retry-After`.", true};
inline constexpr Problem kNoCredential{"no-credential", 503, "The server has no credential for a required service",
                                       "Repeat the request after `Retry-After`.", true};
inline constexpr Problem kCredentialRefused{
    "credential-refused", 502, "A service that is needed refuses this server's credential",
    "Inform the operator of this server: its credential for the service has expired, was revoked or does not suffice."};
inline constexpr Problem kBodyNotSigned{"body-not-signed", 413, "The body is too long to be signed",
                                        "Send it with a Content-Length of at most 64 KiB."};

}  // namespace plimsoll::client
