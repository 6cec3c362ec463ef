#pragma once

#include "plimsoll/edge/connection_counts.hpp"
#include "plimsoll/exchange/services.hpp"
#include "plimsoll/telemetry/sparse.hpp"

#include <array>
#include <string_view>

namespace plimsoll::telemetry {
class Counter;
}

namespace plimsoll::edge {

/// Connections that were not accepted: all are counted, and a line of log for each reason tells at most every ten
/// seconds how many there were since the last one. Used by all threads.
class Rejections {
 public:
  static constexpr Nanoseconds kBetweenLines = 10 * kSecond;

  explicit Rejections(const Services& services);
  /// `now`: steady. `address`: of the last one; empty when it is not known.
  void add(Rejection reason, std::string_view address, Nanoseconds now) noexcept;

 private:
  static constexpr std::size_t kReasons = 5;
  struct Reason {
    telemetry::Counter* counter = nullptr;
    telemetry::Sparse lines{kBetweenLines};
  };
  telemetry::Log* log_;
  std::array<Reason, kReasons> reasons_;
};

}  // namespace plimsoll::edge
