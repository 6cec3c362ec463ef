#pragma once

#include <cstdint>

namespace plimsoll::client {

/// Whether a call may be sent again where it may have reached the service.
enum class Repeats : std::uint8_t {
  by_method,  ///< as its method says (RFC 9110, section 9.2.2), or an Idempotency-Key
  safe,       ///< it changes nothing, whatever its method: a query that is posted
  never,      ///< whatever else it says
};

}  // namespace plimsoll::client
