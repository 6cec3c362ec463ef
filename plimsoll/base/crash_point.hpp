#pragma once

#include <string_view>

namespace plimsoll {

/// A place at which tests kill the process: between two steps that must not come apart. In builds without
/// PLIMSOLL_CRASH_POINTS (every optimised one) it is nothing. Otherwise the environment names the place,
/// `PLIMSOLL_CRASH=unit.settled` or `unit.settled:3` for the third time it is passed, and the process then kills itself
/// as the system would, without a word.
#ifdef PLIMSOLL_CRASH_POINTS
void crash_point(std::string_view name) noexcept;
#else
inline void crash_point(std::string_view) noexcept {}
#endif

}  // namespace plimsoll
