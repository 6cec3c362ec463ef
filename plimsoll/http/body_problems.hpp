#pragma once

#include "plimsoll/base/result.hpp"

namespace plimsoll::http {

/// A request that the contract does not allow, whoever finds it.
inline constexpr Problem kInvalid{"invalid", 400, "The request does not satisfy the contract",
                                  "Correct the values that `errors` names; the contract is at /openapi.json."};
/// A body above the limit of the listener or of the operation, whoever finds it.
inline constexpr Problem kBodyTooLarge{"payload-too-large", 413, "The request body is too large",
                                       "Send a smaller body."};

}  // namespace plimsoll::http
