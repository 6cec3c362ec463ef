#pragma once

#include "plimsoll/base/result.hpp"

namespace plimsoll::http {

/// A body above the limit of the listener or of the operation, whoever finds it.
inline constexpr Problem kBodyTooLarge{"payload-too-large", 413, "The body is larger than is taken here",
                                       "Send less at once."};

}  // namespace plimsoll::http
