#pragma once

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/siphash.hpp"
#include "plimsoll/database/database.hpp"

#include <optional>
#include <span>
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

/// What a cursor says: a position; or where that would be too long a text, rows by which it is looked up again.
struct Cursor {
  /// A row by its key, and a mark of the values by which it had its place.
  struct Row {
    std::vector<database::Cell> key;
    std::string mark;
    bool inclusive = false;
    friend bool operator==(const Row&, const Row&) = default;
  };
  Position position{};      ///< without values where `rows` are there
  std::vector<Row> rows{};  ///< the first that is there and has its values still says where to go on
  friend bool operator==(const Cursor&, const Cursor&) = default;
};

/// Makes positions into texts that only this service can make, each good for one query only: `query` is all that
/// decides about the order and the rows (table, sort, filters). base64url of the position and its tag of 16 bytes
/// (SipHash-2-4, docs/design/lists.md).
///
/// A text has at most `kLongest` characters, whatever the rows hold, so that an address with it can be asked for: a
/// longer position names the row at which it is, and the row beyond, by their keys.
class CursorKey {
 public:
  static constexpr std::size_t kLongest = 3'072;     ///< characters of a cursor
  static constexpr std::size_t kWhole = 1'024;       ///< of one that has all values in it
  static constexpr std::size_t kLongestKey = 1'024;  ///< bytes of the texts of a key that a cursor can name

  explicit CursorKey(std::string_view secret);
  std::string seal(const Position& position, std::string_view query) const;
  /// `keys`: which of the values are the key of the row; `beyond`: the values of the row behind it, in the direction
  /// of the position, where they are known; `most` characters. Empty: the position cannot be named in so many.
  std::string seal(const Position& position, std::span<const std::size_t> keys,
                   const std::vector<database::Cell>& beyond, std::string_view query,
                   std::size_t most = kLongest) const;
  /// Nothing when it is forged, damaged, of another query, or does not have `values` values, `keys` of them a key.
  std::optional<Cursor> open(std::string_view cursor, std::string_view query, std::size_t values,
                             std::size_t keys = 1) const;
  /// The mark of the values of a row: 16 bytes of HMAC-SHA256.
  std::string mark_of(const std::vector<database::Cell>& values, std::string_view query) const;

 private:
  std::string signed_text(std::string bytes, std::string_view query) const;
  bool is_signed(std::string_view bytes, std::string_view query, std::string_view tag) const;
  SipHashKey key_;
  HmacKey hmac_;  ///< of marks, and of cursors that earlier versions gave
};

/// Characters of the shortest cursor to a row with these values.
std::size_t cursor_size(const std::vector<database::Cell>& values, std::span<const std::size_t> keys);

}  // namespace plimsoll::table
