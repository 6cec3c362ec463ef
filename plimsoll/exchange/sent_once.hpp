#pragma once

#include <cstdint>
#include <string_view>

namespace plimsoll {

/// Whether this status says that nothing was done, and nothing final of the request, so that a repetition is no second
/// time: it depends on the moment, or on what the caller has seen of the resource (412, 428), or is not for this server
/// at all (RFC 9110, sections 15.5 and 15.6; RFC 6585).
constexpr bool says_nothing_done(std::uint16_t status) {
  return status == 408 || status == 412 || status == 425 || status == 428 || status == 429 || status == 501 ||
         status == 503 || status == 505;
}

/// Left in the exchange (`Context::note`) by who must know whether the request may have taken effect in another
/// service: the idempotency of operations whose effect is not in our database, and caches of what the request changes.
struct SentOnce {
  /// Requests that mean something else when they are done twice are sent at most once, whatever key they carry: the
  /// service may not honour it.
  bool never_again = true;
  /// A request has been sent, or a part of it, and its service has not said that nothing was done.
  bool reached = false;
  /// The same of an attempt before the last one.
  bool reached_before = false;
  /// The key of the request, for a service to which all callers are one: it differs by caller and operation.
  std::string_view key{};
};

}  // namespace plimsoll
