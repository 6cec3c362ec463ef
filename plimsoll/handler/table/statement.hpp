#pragma once

#include "plimsoll/database/dialect.hpp"
#include "plimsoll/handler/table/cursor.hpp"
#include "plimsoll/handler/table/selection.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

using database::Statement;

/// One condition on a column; `in` has several values, `is_null` has none and says which in `negated`.
struct Condition {
  std::size_t column;
  Operator op = Operator::eq;
  std::vector<database::Cell> values;
  bool negated = false;
};

/// Whose rows exist for the caller. A table with an owner or tenant is not read without the values it needs.
struct Caller {
  std::string subject, tenant;
  std::vector<std::string> roles{};
  /// Has a role that this table excepts: each table says for itself whom it shows the rows of all owners.
  bool sees_all_owners(const Table& table) const;
};

struct Sort {
  std::size_t column;
  bool descending = false;
  friend bool operator==(const Sort&, const Sort&) = default;
};

/// Which rows, before order and page.
struct Wanted {
  const Model* model;
  const Table* table;
  std::vector<Condition> conditions;
  std::string search;  ///< as Dialect::search_words gave it; empty: none
  const Caller* caller = nullptr;
};

struct Page {
  std::vector<Sort> sort;  ///< has all of the key (see `total_order`)
  std::optional<Position> from;
  std::int64_t limit = 50;
  std::int64_t offset = 0;
};

using database::quoted;

/// Adds the columns of the key that are missing, in the direction of the last column, so that the order is total and
/// one index serves both ways.
std::vector<Sort> total_order(const Table& table, std::vector<Sort> sort);

/// A page of rows: the columns shown, each embed as one JSON text, then the values of the sort columns that are not
/// shown. The last parameter of each statement is its LIMIT (but for `offset`, which stands behind it).
///
/// A page is a chain of index ranges, run one after the other until the page is full: those behind a position, one per
/// column of the order and one per group of nulls. Nearly always the first fills the page. So its cost does not depend
/// on its depth, and nothing is sorted. Nothing when the caller can have no rows.
///
/// `most`: how many rows may be given, embedded ones included (`Select::most`); none: any number.
std::optional<std::vector<Statement>> list_statements(const database::Dialect& dialect, const Wanted& rows,
                                                      const Selection& selection, const Page& page,
                                                      std::optional<std::int64_t> most = {});
/// The values of a row by which it has its place in an order, as cursors hold them: by its key, of such values, of the
/// rows that the caller sees, filters aside. Nothing when the caller can have no rows.
std::optional<Statement> place_statement(const database::Dialect& dialect, const Wanted& rows,
                                         const std::vector<Sort>& sort, const std::vector<database::Cell>& key);
/// Which columns of an order are the key, in its order.
std::vector<std::size_t> key_places(const Table& table, const std::vector<Sort>& sort);
/// How many rows these are.
std::optional<Statement> count_statement(const database::Dialect& dialect, const Wanted& rows);
/// Rows of a table, `limit` at most, with columns of it, as `RowWriter` takes them, and then how many of these values
/// are of a type that no column of a contract has.
Statement rows_statement(const database::Dialect& dialect, const Table& table, const Selection& selection,
                         std::int64_t limit);
/// Rows without order: those of a key. `most`: how many may be given, embedded ones included; none: any number.
std::optional<Statement> row_statement(const database::Dialect& dialect, const Wanted& rows, const Selection& selection,
                                       std::optional<std::int64_t> most = {});
/// Locks rows in the order of their keys, whatever order they are named in, and gives a row for each. Nothing when the
/// caller can have none.
std::optional<Statement> lock_statement(const database::Dialect& dialect, const Wanted& rows);

/// Inserts a row; cells by column, those without a value left to the database. Gives the columns of a selection, which
/// has no embeds.
Statement insert_statement(const database::Dialect& dialect, const Table& table,
                           std::span<const std::optional<database::Cell>> cells, const Selection& returning);
/// The same for several rows, which have values for the same columns; without values: one row.
Statement insert_rows_statement(const database::Dialect& dialect, const Table& table,
                                std::span<const std::span<const std::optional<database::Cell>>> rows,
                                const Selection& returning,
                                database::Insert::Taken taken = database::Insert::Taken::refused);
/// Changes rows, but never their keys. Nothing when the caller can have none.
std::optional<Statement> update_statement(const database::Dialect& dialect, const Wanted& rows,
                                          std::span<const std::optional<database::Cell>> cells,
                                          const Selection& returning);
/// The file of the row wanted. Nothing when the caller can have none.
std::optional<Statement> file_statement(const database::Dialect& dialect, const Wanted& rows, const FileColumns& file,
                                        const std::optional<database::SelectFile::Piece>& piece = {});
/// Changes columns of rows, those of files too. Nothing when the caller can have none.
std::optional<Statement> assign_statement(const database::Dialect& dialect, const Wanted& rows,
                                          std::span<const database::Assigned> values, const Selection& returning);
/// Deletes rows, giving a row for each. Nothing when the caller can have none.
std::optional<Statement> delete_statement(const database::Dialect& dialect, const Wanted& rows);

/// A value that a row of another table has in a column, of which only the name may be known.
struct Named {
  std::string_view column;
  const Column* like;  ///< a column that holds the same values
  database::Cell value;
};
/// Whether a table has a row with these values.
Statement there_statement(const database::Dialect& dialect, std::string_view table, std::span<const Named> values);
/// Whether the caller sees one. Nothing when the caller can see none.
std::optional<Statement> visible_statement(const database::Dialect& dialect, const Table& table,
                                           std::span<const Named> values, const Caller& caller);

/// Where, in a row of `list_statement`, the value of a sort column stands.
std::vector<std::size_t> sort_places(const Table& table, const Selection& selection, const std::vector<Sort>& sort);

/// All that decides about order and rows: what a cursor is bound to.
std::string query_identity(const Wanted& rows, const std::vector<Sort>& sort);

/// A `like` pattern as `Condition` takes it: `*` is `%`; what stands behind `\` is itself.
std::string like_pattern(std::string_view pattern);

}  // namespace plimsoll::table
