#pragma once

#include "plimsoll/base/clock.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>

namespace plimsoll::client {

/// Time before a retry, with full jitter: a random time of up to `min(cap, base * 2^attempt)`, so that clients that
/// failed together do not come back together ("Exponential Backoff And Jitter", AWS Architecture Blog). `attempt` is 0
/// before the first retry; `random` is any 64 bits.
constexpr Nanoseconds backoff(Nanoseconds base, Nanoseconds cap, std::uint32_t attempt, std::uint64_t random) {
  auto most = std::min(base, cap);
  for (; attempt > 0 && most < cap; --attempt) most = std::min(cap, most * 2);
  return most <= 0 ? 0 : static_cast<Nanoseconds>(random % (static_cast<std::uint64_t>(most) + 1));
}

/// What `Retry-After` says, in both of its forms (RFC 9110, section 10.2.3): seconds, or a date, from which `wall`
/// (nanoseconds since 1970) is taken away. Nothing where it says neither. At most one day.
std::optional<Nanoseconds> retry_after(std::string_view value, Nanoseconds wall);

}  // namespace plimsoll::client
