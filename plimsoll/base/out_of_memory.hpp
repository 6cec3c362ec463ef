#pragma once

#include "plimsoll/base/problem.hpp"

#include <chrono>
#include <thread>

namespace plimsoll {

/// What a std::bad_alloc becomes at the nearest coroutine of an exchange.
inline constexpr Problem kOutOfMemory{"out-of-memory", 503, "The server has too little memory for this request",
                                      "Repeat the request later, or request less at once.", true};

/// After a failed allocation of a thread or a line of work that has nobody to tell and goes on: a moment in which
/// others may give some memory back.
inline void rest_of_memory() { std::this_thread::sleep_for(std::chrono::milliseconds(10)); }

}  // namespace plimsoll
