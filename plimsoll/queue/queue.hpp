#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/database/database.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace plimsoll::queue {

/// What is to be done later, enqueued in the transaction of whoever asks for it.
struct Job {
  std::string kind;     ///< as the deployment's `jobs` names it
  std::string payload;  ///< JSON
  std::string owner;    ///< who may see its status; empty: nobody but operators
  int priority = 5;     ///< 1 first, 9 last
  Nanoseconds delay = 0;
  std::string unique_key{};  ///< empty: not unique
};

/// Background work that survives the process.
class Queue {
 public:
  virtual ~Queue() = default;
  /// Writes the job with the session's transaction and gives its id (UUID v7). It runs once that commits.
  virtual Task<Result<std::string>> enqueue(database::Session&, const Job&) = 0;
};

}  // namespace plimsoll::queue
