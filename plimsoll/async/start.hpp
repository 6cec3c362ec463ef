#pragma once

#include "plimsoll/async/loop.hpp"

namespace plimsoll {

/// Starts `work` in `scope` as `Loop::spawn` does, but at once: it returns when the work waits for the first time or
/// has ended. On the loop's own thread.
void start(Loop& loop, Scope& scope, Task<> work);

}  // namespace plimsoll
