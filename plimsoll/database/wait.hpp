#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/base/function_ref.hpp"

#include <optional>

namespace plimsoll::database {

/// Runs a task to its end on a loop of its own, on this thread: for starts, commands and tests, never in an exchange.
template <class F>
auto wait_for(F&& work) {
  using T = decltype(work(std::declval<Loop&>()).handle().promise().take());
  std::optional<T> result;
  Loop loop;
  Scope scope;
  auto run = [&]() -> Task<> { result.emplace(co_await work(loop)); };
  loop.spawn(scope, run());
  loop.run();
  return std::move(*result);
}

}  // namespace plimsoll::database
