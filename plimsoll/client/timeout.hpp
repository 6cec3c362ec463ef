#pragma once

#include "plimsoll/client/connection.hpp"

namespace plimsoll::client {

/// What the policy `timeout` notes in the context for whatever sends the request.
struct CallLimits {
  Timeouts timeouts;
  Nanoseconds until = Connection::kNever;  ///< of the loop's clock
};

}  // namespace plimsoll::client
