#include "plimsoll/base/task.hpp"

#include "plimsoll/base/out_of_memory.hpp"

#include <string>

namespace plimsoll {

Error error_from_current_exception() noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) { return Error{&kOutOfMemory}; } catch (const std::exception& e) {
    try {
      return Error{&kInternal, e.what()};
    } catch (...) { return Error{&kOutOfMemory}; }
  } catch (...) { return Error{&kInternal}; }
}

}  // namespace plimsoll
