#pragma once

#include "plimsoll/exchange/services.hpp"
#include "plimsoll/telemetry/sparse.hpp"

#include <string>

namespace plimsoll::telemetry {
class Counter;
}

namespace plimsoll::table {

/// Rows of a table that were shown with values which are not of their column's kind, as other programs store them:
/// counted in a metric, and told in the log at most once a minute. Used by all threads.
class OddRows {
 public:
  OddRows(const Services& services, std::string table);
  void add() noexcept;

 private:
  const std::string table_;
  telemetry::Log* log_;
  const Clock* clock_;
  telemetry::Counter* counter_ = nullptr;
  telemetry::Sparse lines_{60 * kSecond};
};

}  // namespace plimsoll::table
