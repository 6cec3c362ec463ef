#pragma once

#include "plimsoll/client/call_state.hpp"

#include <optional>
#include <string>

namespace plimsoll::client {

/// Why a call came to nothing.
enum class Fault : std::uint8_t {
  network,     ///< no connection, or it broke
  other_side,  ///< it answered that it cannot, answered nonsense, or not in time
  here,        ///< refused before it was sent: the circuit is open, too many calls are under way
  caller,      ///< what was to be sent could not be had, or whoever asked has gone
};

/// A call that came to nothing, as policies judge it.
struct Failure {
  Fault fault = Fault::other_side;
  bool repeatable = false;                 ///< the same request may be sent once more without being done twice
  std::optional<Nanoseconds> retry_after;  ///< as the other side wishes, or as is known here

  /// Says something about the health of the service that was called.
  bool counts() const noexcept { return fault == Fault::network || fault == Fault::other_side; }
};

/// Nothing where the call succeeded. Of statuses, 500 and above are failures, except 501 and 505. 429 may be repeated,
/// and says nothing of the health of the service.
std::optional<Failure> failure_of(const Result<Response>& answer, const Request& request, const CallState& state,
                                  Nanoseconds wall);

/// Why, in words, for the log.
std::string reason(const Error& error);

/// Whether the request means the same once and twice: its method is idempotent (RFC 9110, section 9.2.2), or it has an
/// Idempotency-Key and nobody says that the service does not honour it (`SentOnce`). `CallState::repeats` comes first.
bool is_repeatable(const Request& request, const CallState& state);

}  // namespace plimsoll::client
