#pragma once

#include "plimsoll/contract/promises.hpp"

namespace plimsoll::contract {

// Header fields that several parts read or write, and mean the same by.
inline constexpr HeaderField kVary{"Vary", "Request headers that the response depends on."};
inline constexpr HeaderField kLink{"Link", "Related resources (RFC 8288)."};
inline constexpr HeaderField kEntityTag{"ETag", "The entity tag of the representation."};
inline constexpr HeaderField kCacheControl{"Cache-Control", "How the response may be cached."};
inline constexpr HeaderField kLocation{"Location", "The path of what was made.",
                                       R"({"type":"string","format":"uri-reference"})"};
inline constexpr HeaderField kRetryAfter{"Retry-After", "Seconds to wait before the request is repeated.",
                                         R"({"type":"integer","minimum":0})"};
inline constexpr HeaderField kChallenge{"WWW-Authenticate", "The credentials that are needed."};
inline constexpr HeaderField kPrefer{"Prefer", "`return=minimal`: a write is answered without a body (RFC 7240)."};
inline constexpr HeaderField kPreferenceApplied{"Preference-Applied", "The preference that was followed."};
inline constexpr HeaderField kIfMatch{"If-Match", "Entity tags of which one must be current: else 412."};
inline constexpr HeaderField kIfNoneMatch{"If-None-Match", "Entity tags that the caller has."};

}  // namespace plimsoll::contract
