#pragma once

#include "plimsoll/base/problem.hpp"

namespace plimsoll {

inline constexpr Problem kForbidden{"forbidden", 403, "The caller is not allowed to do this",
                                    "Ask whoever grants access for the scope or role that is named."};

}  // namespace plimsoll
