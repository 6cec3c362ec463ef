#pragma once

#include "plimsoll/database/relation.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::database {

/// Rows of one table that are to be stored many at once.
struct CopiedRows {
  struct Place {
    const Column* column = nullptr;
    bool verbatim = false;  ///< a value must come out as the text that was sent, not only as the same instant
    bool counted = false;   ///< where rows have no value of it the database may count it, from 1 upwards
  };
  std::string_view table;
  std::vector<Place> columns{};  ///< that a row may have values of
};

/// Stores rows of one table many at once, past the planner and without giving them back: an optional capability of a
/// session (`Session::copier`). What it stores is what an INSERT of the same values would store, and it takes only rows
/// that come out as they are sent, with a null in each column that they have no value of, unless it is counted. It is
/// good until its transaction ends.
class RowCopier {
 public:
  virtual ~RowCopier() = default;
  /// Adds a row to the rows that `store` takes: a value for each column, null where it has none. False: it would come
  /// out otherwise, and nothing was added: the row is to be inserted.
  virtual bool append(std::string& rows, std::span<const Cell* const> values) const = 0;
  /// Sends what `append` has written, of so many rows, which are copied meanwhile; `stored` must follow before any
  /// other statement of the session.
  virtual Task<Result<>> send(std::string_view rows, std::size_t count) = 0;
  /// What has become of what was sent: all of it is stored, or nothing with the error by which an INSERT would be
  /// refused. It does not tell which row that is about.
  virtual Task<Result<>> stored() = 0;
};

}  // namespace plimsoll::database
