#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/patience.hpp"
#include "plimsoll/base/function_ref.hpp"
#include "plimsoll/base/result.hpp"

#include <optional>

namespace plimsoll::database {

/// Runs a task to its end on a loop of its own, on this thread: for starts, commands and tests, never in an exchange.
/// Where the thread has a Patience, what the environment refuses is run again: `work` must bear that.
template <class F>
auto wait_for(F&& work) {
  using T = decltype(work(std::declval<Loop&>()).handle().promise().take());
  const auto once = [&]() -> T {
    std::optional<T> result;
    Loop loop;
    Scope scope;
    auto run = [&]() -> Task<> { result.emplace(co_await work(loop)); };
    loop.spawn(scope, run());
    loop.run();
    return std::move(*result);
  };
  if constexpr (is_result<T>)
    if (auto* patience = Patience::current()) return patience->retry(once);
  return once();
}

}  // namespace plimsoll::database
