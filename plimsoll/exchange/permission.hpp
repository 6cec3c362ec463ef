#pragma once

#include "plimsoll/base/problem.hpp"

namespace plimsoll {

inline constexpr Problem kForbidden{"forbidden", 403, "The caller lacks the required permission",
                                    "Request the named scope or role from the administrator of this API."};

}  // namespace plimsoll
