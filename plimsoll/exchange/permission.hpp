#pragma once

#include "plimsoll/base/problem.hpp"

namespace plimsoll {

inline constexpr Problem kForbidden{"forbidden", 403, "This caller may not do that",
                                    "Ask whoever grants access for the scope or role that is named."};

}  // namespace plimsoll
