#pragma once

#include "plimsoll/base/result.hpp"

namespace plimsoll::edge {

inline constexpr Problem kHeadTooSlow{"head-too-slow", 408, "The request took too long to arrive",
                                      "Send the whole head at once.", true};
inline constexpr Problem kBodyTooSlow{"body-too-slow", 408, "The request body arrived too slowly",
                                      "Send faster, or in smaller requests.", true};
inline constexpr Problem kBodyBroken{"body-broken", 400, "The request body is incomplete", "Send the whole body."};

/// Of a response whose body is longer or shorter than was said.
inline Error other_length() { return Error{&kInternal}.because("the body is not as long as its Content-Length"); }

}  // namespace plimsoll::edge
