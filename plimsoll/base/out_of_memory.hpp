#pragma once

#include "plimsoll/base/problem.hpp"

namespace plimsoll {

/// What a std::bad_alloc becomes at the nearest coroutine of an exchange.
inline constexpr Problem kOutOfMemory{"out-of-memory", 503, "The server has too little memory for this request",
                                      "Repeat the request later, or ask for less at once.", true};

}  // namespace plimsoll
