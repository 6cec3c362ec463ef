#pragma once

#include "plimsoll/database/database.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::json {
class Value;
}

/// Questions about tables and changes of them, as values: composed by the code that knows the tables, rendered to SQL
/// by a Dialect. They point to columns and values and own neither; they live for one rendering.
namespace plimsoll::database {

/// SQL and its parameters, in the order of its `?`. No value of a request is ever in the text.
struct Statement {
  std::string sql;
  std::vector<Cell> cells;
  std::optional<std::size_t> counted{};  ///< which cell says how many rows may be given (`Select::most`); none: no cell
};

/// What the values of a column are, and how they are written in JSON.
enum class Kind : std::uint8_t {
  text,     ///< text; JSON string
  instant,  ///< text, RFC 3339 in UTC; JSON string
  integer,  ///< 64-bit integer; JSON number
  real,     ///< double; JSON number
  boolean,  ///< 0 or 1; true or false
  decimal,  ///< text compared as a number; JSON string
  number,   ///< text compared as a number; JSON number with all its digits
  json,     ///< text that is JSON; any JSON value
  bytes,    ///< a file; never in a row's JSON
};

/// How the values of a column are compared.
enum class Compared : std::uint8_t {
  plain,     ///< as the column declares
  collated,  ///< text, by the collation of the column's kind, which it does not declare: no index of it helps
  by_value,  ///< numbers and texts alike, as decimals: no index of it helps
};

/// A column of a table: what the contract says about it, and how the database stores it.
struct Column {
  std::string name;
  Kind kind = Kind::text;
  bool required = false;               ///< must be there and not null
  bool nullable = false;               ///< null is a value of its schema; else what is null in the database is absent
  bool verbatim = false;               ///< names a caller: told apart byte by byte, whatever its format
  std::string_view format{};           ///< that its values have
  const json::Value* words = nullptr;  ///< the values that `enum` lists
  // What Dialect::note_storage sees in the catalogue; the defaults are true of tables that the server made itself.
  bool foreign = false;  ///< the database may hold values that are not of the column's kind
  Compared compared = Compared::plain;
  bool as_number = false;  ///< decimals are stored as numbers, which keep 15 digits
  bool spaced = false;     ///< instants are stored as `2026-01-01 00:00:00`
  /// Instants are stored with at most so many digits behind the second, from year 1 on and without leap seconds;
  /// negative: every instant is stored as it is.
  int digits = -1;
  bool folds = false;  ///< texts that differ may be equal to the database
  bool uuid = false;   ///< the database takes UUIDs only, and gives them in lower case
  bool pieces = true;  ///< of bytes: the database reads a piece of them without the rest
  std::string type{};  ///< as the database names it; empty: that which the dialect gives the kind
  /// Names of the rules of its table that are about it, where the database tells no more of one that is broken.
  std::vector<std::string> checks{};

  /// A row without it is valid, one in which it is null is not: it is left out of rows in which it is NULL.
  bool absent_when_null() const { return !required && !nullable; }
};

/// A table or view that rows are read from or changed in.
struct Relation {
  std::string_view name;
  std::vector<const Column*> key{};  ///< that together name a row
  const Column* tenant = nullptr;    ///< keys are unique within it; null: in the whole table
};

enum class Operator : std::uint8_t { eq, ne, lt, le, gt, ge, in, like, is_null };

/// One condition on a column. `in` has several values; `is_null` has none and says which in `negated`; a null that is
/// equal is NULL. `ne` is true of NULL. `like` has a pattern with `%`, `_` and `\` before what is itself, and ignores
/// the case of ASCII letters. `exact`: byte by byte, also where the column compares otherwise.
struct Condition {
  const Column* column = nullptr;
  Operator op = Operator::eq;
  std::span<const Cell> values{};
  bool negated = false;
  bool exact = false;
  bool aside = false;  ///< looked at in each row: no index is entered by it, where `Select::path` says how
};

/// Where rows stand to a position in their order: one column of it.
struct Bound {
  enum class Beyond : std::uint8_t { equal, less, greater, null, not_null };
  const Column* column = nullptr;
  Beyond beyond = Beyond::equal;
  const Cell* value = nullptr;  ///< as `Select::places` gave it; `equal` to a null cell is NULL
  bool aside = false;           ///< as that of Condition
};

/// One column of an order. `nulls` is `none` where no row has a null in it.
struct Order {
  enum class Nulls : std::uint8_t { none, first, last };
  const Column* column = nullptr;
  bool descending = false;
  Nulls nulls = Nulls::none;
  bool aside = false;  ///< sorted by: no index is read for its order
};

/// Rows of another table inside a row, as one JSON text: those whose columns `inside` equal `outside` of the row around
/// them, each the one at its place.
struct Embedded {
  Relation of;
  std::string_view name;  ///< of the member
  std::string_view more;  ///< of the member that says that there are more than `limit`; empty: there is one row
  std::vector<const Column*> inside{}, outside{};
  std::vector<const Column*> columns{};
  std::vector<Embedded> embeds{};
  std::vector<Condition> where{};
  bool none = false;  ///< the caller sees none of them
  std::int64_t limit = 0;
  bool many() const { return !more.empty(); }
};

/// Words looked for in some columns of a table, in the form of Dialect::search_words.
struct Search {
  std::vector<const Column*> columns;
  const std::string* words = nullptr;
  bool aside = false;  ///< the texts of each row are looked through: the index of `q` is not read
};

/// How a database that has no statistics to decide by (Dialect::has_statistics) reaches the rows of a Select.
struct AccessPath {
  bool numbered = false;  ///< finds the numbers of the rows of the page first, and then reads these rows
  bool sorted = false;    ///< the rows are sorted: no index is read in their order
  bool words = false;     ///< they are those that the index of `q` finds
  bool counted = false;   ///< no row is read: how many an index has is all that is asked
  std::vector<std::vector<Bound>> behind{};  ///< numbered: the rows are in one of these ranges; empty: anywhere
  /// numbered: `in` conditions; each combination of their values is one range in order, and the ranges are merged
  std::span<const Condition> each{};
};

/// Rows of a table. A row of the result is: the columns; each embed, one of many rows followed by 1 where there are
/// more and else NULL; `places`; and with `odd`, how many values are of a type that no column of the contract has.
struct Select {
  Relation from;
  std::vector<const Column*> columns{};
  std::vector<Embedded> embeds{};
  std::vector<const Column*> places{};  ///< values by which a row has its place in an order
  bool odd = false;
  bool count = false;  ///< how many rows there are, and nothing of them
  std::vector<Condition> where{};
  const Search* search = nullptr;
  std::vector<Bound> bounds{};
  std::vector<Order> order{};
  std::size_t fixed = 0;                ///< the first columns of the order in which all rows are equal, by `bounds`
  std::optional<std::int64_t> limit{};  ///< the last parameter, but for the offset
  std::int64_t offset = 0;
  /// How many rows may be given, embedded ones included; none: any number. Where a database does not count embedded
  /// rows as they are made, and there could be more, the statement counts them: it fails before the row that would be
  /// too much with `response-too-large`, and the last column of each row is how many are left.
  std::optional<std::int64_t> most{};
  const AccessPath* path = nullptr;  ///< null: the database chooses
  /// Others that change these rows wait until the transaction ends (where Dialect::locks_rows); rows are locked in
  /// `order`.
  bool lock = false;
};

/// A value of a column in a new or changed row.
struct Assigned {
  const Column* column = nullptr;
  const Cell* value = nullptr;
};

/// A new row; it gives the columns of `returning`.
struct Insert {
  Relation into;
  std::vector<Assigned> values{};  ///< of several rows one behind the other, each with the same columns in one order
  std::size_t rows = 1;
  /// What becomes of a row of which another has a value that must be unique. Left out, it gives no row either.
  enum class Taken : std::uint8_t { refused, left_out } taken = Taken::refused;
  std::vector<const Column*> returning{};
};

/// Changes rows; each gives the columns of `returning`.
struct Update {
  Relation of;
  std::vector<Assigned> values{};
  std::vector<Condition> where{};
  std::vector<const Column*> returning{};
};

/// Deletes rows; each gives a 1.
struct Delete {
  Relation from;
  std::vector<Condition> where{};
};

/// The file of a row, as bytes and what is stored beside them. Without `piece` a row of the result is: the length
/// (NULL: there is none), the digest (SHA-256, hexadecimal), and the columns `beside`. With it: that piece of the
/// bytes, where they still have the digest.
struct SelectFile {
  struct Piece {
    std::int64_t offset = 0, length = 0;
    const std::string* digest = nullptr;
  };
  Relation from;
  const Column* bytes = nullptr;
  const Column* digest = nullptr;  ///< NULL where another program has stored the bytes: it is worked out then
  const Column* length = nullptr;  ///< where the bytes are elsewhere, as long as this says; `bytes` is not read then
  std::vector<const Column*> beside{};
  std::vector<Condition> where{};
  std::optional<Piece> piece{};
};

/// `"name"`, quotes doubled.
std::string quoted(std::string_view name);
void append_quoted(std::string& out, std::string_view name);

}  // namespace plimsoll::database
