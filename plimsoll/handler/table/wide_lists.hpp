#pragma once

#include "plimsoll/exchange/services.hpp"
#include "plimsoll/telemetry/sparse.hpp"

#include <string>
#include <string_view>

namespace plimsoll::table {

/// Pages of a table for which no way to their rows was cheap: told in the log at most once a minute, with the columns
/// of an index that would serve one of them. Used by all threads.
class WideLists {
 public:
  WideLists(const Services& services, std::string table);
  /// `columns`: with commas between them; of several indexes, `; or` between these.
  void add(std::string_view columns) noexcept;

 private:
  const std::string table_;
  telemetry::Log* log_;
  const Clock* clock_;
  telemetry::Sparse lines_{60 * kSecond};
};

}  // namespace plimsoll::table
