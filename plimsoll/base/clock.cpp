#include "plimsoll/base/clock.hpp"

#include <chrono>

namespace plimsoll {
namespace {

class SystemClock final : public Clock {
  Nanoseconds steady() const override { return std::chrono::steady_clock::now().time_since_epoch().count(); }
  Nanoseconds wall() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

}  // namespace

const Clock& system_clock() {
  static const SystemClock clock;
  return clock;
}

}  // namespace plimsoll
