#include "plimsoll/base/task.hpp"

#include <string>

namespace plimsoll {

Error error_from_current_exception() noexcept {
  try {
    throw;
  } catch (const std::exception& e) { return Error{&kInternal, e.what()}; } catch (...) {
    return Error{&kInternal, "an exception that is no std::exception"};
  }
}

}  // namespace plimsoll
