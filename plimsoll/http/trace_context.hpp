#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace plimsoll::http {

/// `traceparent` (W3C Trace Context, level 2, section 3.2).
struct TraceParent {
  std::string_view trace_id, parent_id;  ///< views of the field, in hexadecimal digits
  bool sampled = false, random = false;  ///< the flags that are known; others of a later version are not
};
/// Nothing where it is not valid: of version ff, in upper case, all zero, too short, or too long for version 00. A
/// later version may have more behind a further `-`.
std::optional<TraceParent> read_traceparent(std::string_view text);

/// Whether `tracestate`, its lines joined, is valid (section 3.3): at most 32 members `key=value`, blanks and empty
/// members between them. One that is not is discarded as a whole; so is one whose traceparent is not valid.
bool is_tracestate(std::string_view text);

}  // namespace plimsoll::http
