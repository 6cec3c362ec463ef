#pragma once

namespace plimsoll {

/// Left in the exchange (`Context::note`) by who must know whether the request may have taken effect in another
/// service: the idempotency of operations whose effect is not in our database.
struct SentOnce {
  /// Requests that mean something else when they are done twice are sent at most once, whatever key they carry: the
  /// service may not honour it.
  bool never_again = true;
  /// A request has been sent, or a part of it, and its service has not said that nothing was done.
  bool reached = false;
};

}  // namespace plimsoll
