#pragma once

namespace plimsoll {

/// Noted in the exchange by `trace`, where it continues a caller's trace. The id of one that begins here is random.
struct ContinuedTrace {
  bool random = false;  ///< the random-trace-id flag (W3C Trace Context, level 2)
};

}  // namespace plimsoll
