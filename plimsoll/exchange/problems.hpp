#pragma once

#include "plimsoll/base/problem.hpp"

namespace plimsoll {

/// What a request asks for is not there, or not visible to its caller.
inline constexpr Problem kNotFound{"not-found", 404, "Not found",
                                   "Check the path; /openapi.json lists the operations."};

}  // namespace plimsoll
