#pragma once

#include "plimsoll/handler/table/cursor.hpp"
#include "plimsoll/handler/table/selection.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

/// SQL and its parameters, in the order of its `?`. No value of a request is ever in the text.
struct Statement {
  std::string sql;
  std::vector<database::Cell> cells;
};

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
  std::string search;  ///< an FTS5 expression; empty: none
  const Caller* caller = nullptr;
};

struct Page {
  std::vector<Sort> sort;  ///< ends with the key (see `total_order`)
  std::optional<Position> from;
  std::int64_t limit = 50;
  std::int64_t offset = 0;
};

/// `"name"`, quotes doubled.
std::string quoted(std::string_view name);

/// Adds the key where it is missing, in the direction of the last column, so that the order is total and one index
/// serves both ways.
std::vector<Sort> total_order(const Table& table, std::vector<Sort> sort);

/// A page of rows: the columns shown, each embed as one JSON text, then the values of the sort columns that are not
/// shown. The last parameter of each statement is its LIMIT (but for `offset`, which stands behind it).
///
/// A page is a chain of index ranges, run one after the other until the page is full: those behind a position, one per
/// column of the order and one per group of nulls. Nearly always the first fills the page. So its cost does not depend
/// on its depth, and nothing is sorted. Nothing when the caller can have no rows.
std::optional<std::vector<Statement>> list_statements(const Wanted& rows, const Selection& selection, const Page& page);
/// `SELECT count(*)` of the same rows.
std::optional<Statement> count_statement(const Wanted& rows);
/// All rows of a table with columns of it, as `RowWriter` takes them, and then how many of these values are blobs.
std::string rows_statement(const Table& table, const Selection& selection);
/// Rows without order: those of a key.
std::optional<Statement> row_statement(const Wanted& rows, const Selection& selection);
/// ` WHERE …` of the rows for a change, appended; false when the caller can have none.
bool append_where(Statement& statement, const Wanted& rows, std::string_view alias);

/// Whether the caller sees a row of the table with these values. Nothing when the caller can see none.
std::optional<Statement> visible_statement(const Table& table, std::span<const std::string> columns,
                                           std::vector<database::Cell> values, const Caller& caller);

/// ` RETURNING` the columns of a selection without embeds, appended.
void append_returning(Statement& statement, const Table& table, const Selection& selection);

/// Where, in a row of `list_statement`, the value of a sort column stands.
std::vector<std::size_t> sort_places(const Table& table, const Selection& selection, const std::vector<Sort>& sort);

/// All that decides about order and rows: what a cursor is bound to.
std::string query_identity(const Wanted& rows, const std::vector<Sort>& sort);

/// What somebody typed, as an FTS5 expression: all words, the last as a beginning when it ends with `*`. Empty when
/// there is no word in it.
std::string search_expression(std::string_view words);
/// A `like` pattern as SQL reads it: `*` is `%`; what stands behind `\` is itself.
std::string like_pattern(std::string_view pattern);

}  // namespace plimsoll::table
