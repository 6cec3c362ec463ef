#pragma once

// For tests only.

#include "plimsoll/async/loop.hpp"

#include <gtest/gtest.h>

namespace plimsoll {

/// Runs one line of work to its end on a loop of its own; a loop that does not end fails by the test's timeout.
inline void run(Task<> (*work)(Loop&)) {
  Loop loop;
  Scope scope;
  loop.spawn(scope, work(loop));
  loop.run();
  EXPECT_EQ(loop.running(), 0u);
}

}  // namespace plimsoll
