#pragma once

#include "plimsoll/base/digest.hpp"
#include "plimsoll/database/database.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

/// A place in an ordered list: the values of the sort columns and the key of a row, and which way to go from there.
struct Position {
  std::vector<database::Cell> values;
  bool backward = false;
  bool inclusive = false;  ///< the row itself belongs to what follows
  friend bool operator==(const Position&, const Position&) = default;
};

/// Makes positions into texts that only this service can make, each good for one query only: `query` is all that
/// decides about the order and the rows (table, sort, filters). base64url of the position and 16 bytes of HMAC-SHA256.
class CursorKey {
 public:
  explicit CursorKey(std::string_view secret) : key_(secret) {}
  std::string seal(const Position& position, std::string_view query) const;
  /// Nothing when it is forged, damaged, of another query, or does not have `values` values.
  std::optional<Position> open(std::string_view cursor, std::string_view query, std::size_t values) const;

 private:
  HmacKey key_;
};

}  // namespace plimsoll::table
