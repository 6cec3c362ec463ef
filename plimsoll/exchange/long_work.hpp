#pragma once

#include "plimsoll/async/blocking.hpp"
#include "plimsoll/exchange/context.hpp"

#include <cstddef>

namespace plimsoll {

/// Whether work that goes once through so many bytes (reading, checking, writing JSON) belongs on a thread of its own,
/// since the loop has other connections:
///
///     if (is_long_work(context, text.size()))
///       found = co_await blocking(context.loop, *context.services.threads, work);
inline bool is_long_work(const Context& context, std::size_t bytes) {
  constexpr std::size_t kLong = 256 << 10;
  return bytes > kLong && context.services.threads != nullptr;
}

}  // namespace plimsoll
