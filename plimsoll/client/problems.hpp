#pragma once

#include "plimsoll/client/connections.hpp"
#include "plimsoll/client/response_reader.hpp"

namespace plimsoll::client {

inline constexpr Problem kCircuitOpen{"circuit-open", 503, "A service that is needed is failing",
                                      "Ask again after `Retry-After`.", true};
inline constexpr Problem kTooManyCalls{"too-many-calls", 503, "Too many calls to a service are under way",
                                       "Ask again after `Retry-After`.", true};
inline constexpr Problem kNoCredential{"no-credential", 503,
                                       "The server has no credential for a service that is needed",
                                       "Ask again after `Retry-After`.", true};
inline constexpr Problem kCredentialRefused{
    "credential-refused", 502, "A service that is needed refuses this server's credential",
    "Tell whoever runs this server: its credential for the service has expired, "
    "was withdrawn or does not suffice."};
inline constexpr Problem kBodyNotSigned{"body-not-signed", 413, "The body is too long to be signed",
                                        "Send it with a Content-Length of at most 64 KiB."};

}  // namespace plimsoll::client
