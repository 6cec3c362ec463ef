#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/task.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll {
class Loop;
}

namespace plimsoll::store {

inline constexpr Problem kUnavailable{"store-unavailable", 503, "Shared state is not available",
                                      "Repeat the request later.", true};

/// Small values by key that expire, shared by all threads and, with an engine behind it, by all instances. Every call
/// takes the scope of its line of work, so that its deadline is the caller's; a local implementation never waits.
class Store {
 public:
  virtual ~Store() = default;
  virtual Task<Result<std::optional<std::string>>> get(Loop&, std::string_view key) = 0;
  /// `expiry` from now; 0 or less is an error of the caller: nothing lives for ever.
  virtual Task<Result<>> put(Loop&, std::string_view key, std::string_view value, Nanoseconds expiry) = 0;
  /// False when the key was there: it is left as it is.
  virtual Task<Result<bool>> put_if_absent(Loop&, std::string_view key, std::string_view value, Nanoseconds expiry) = 0;
  /// Adds to a number (absent: 0) and gives the sum. `expiry` is set when the key is made.
  virtual Task<Result<std::int64_t>> add(Loop&, std::string_view key, std::int64_t delta, Nanoseconds expiry) = 0;
  /// Replaces `expected` (nullopt: absence) by `value`; false when something else stood there.
  virtual Task<Result<bool>> compare_and_set(Loop&, std::string_view key, std::optional<std::string_view> expected,
                                             std::string_view value, Nanoseconds expiry) = 0;
  virtual Task<Result<>> remove(Loop&, std::string_view key) = 0;
};

}  // namespace plimsoll::store
