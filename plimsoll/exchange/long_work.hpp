#pragma once

#include "plimsoll/async/blocking.hpp"
#include "plimsoll/exchange/context.hpp"

#include <cstddef>
#include <utility>

namespace plimsoll {

/// `co_await long_work(context, bytes, [&] { … })`: work that goes once through so many bytes (reading, checking,
/// writing JSON). Where they are many it runs on a thread of its own, since the loop has other connections.
template <class F>
Blocking<F> long_work(Context& context, std::size_t bytes, F f) {
  constexpr std::size_t kLong = 256 << 10;
  return blocking(context.loop, bytes > kLong ? context.services.threads : nullptr, std::move(f));
}

}  // namespace plimsoll
