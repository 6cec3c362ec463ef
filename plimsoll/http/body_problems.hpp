#pragma once

#include "plimsoll/base/result.hpp"

namespace plimsoll::http {

/// A body above the limit of the listener or of the operation, whoever finds it.
inline constexpr Problem kBodyTooLarge{"payload-too-large", 413, "The request body is too large",
                                       "Send a smaller body."};

}  // namespace plimsoll::http
