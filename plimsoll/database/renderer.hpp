#pragma once

#include "plimsoll/database/dialect.hpp"

#include <span>
#include <string>
#include <string_view>

namespace plimsoll::database {

/// `alias."name"`; `"name"` where there is no alias.
void append_column(std::string& out, const Column& column, std::string_view alias);
std::string column_of(const Column& column, std::string_view alias);
/// Columns with commas between them.
void append_columns(std::string& out, std::span<const Column* const> columns, std::string_view alias);
/// Names with commas between them.
std::string quoted_list(std::span<const std::string> names);
/// The condition of rows that have no key.
std::string any_null(const TableDefinition& table);
/// A text in SQL, in quotes. Backslashes are themselves.
std::string literal(std::string_view text);

/// Collects ` WHERE a AND b AND …`.
class And {
 public:
  explicit And(Statement& out) : out_(out) {}
  std::string& next() {
    out_.sql += before_;
    before_ = " AND ";
    return out_.sql;
  }

 private:
  Statement& out_;
  std::string_view before_ = " WHERE ";
};

/// Renders questions and changes as all SQL engines write them; what each says in its own way is a function of its own
/// renderer. Has no state.
class Renderer {
 public:
  Statement select(const Select& rows) const;
  Statement select_file(const SelectFile& file) const;
  Statement insert(const Insert& row) const;
  Statement update(const Update& rows) const;
  Statement remove(const Delete& rows) const;
  std::string search_words(std::string_view typed) const;

  void append_conditions(And& where, Statement& out, std::span<const Condition> conditions,
                         std::string_view alias) const;
  /// The rows that are inside a row of `alias`.
  void append_inside(And& where, Statement& out, const Embedded& embed, std::string_view inside,
                     std::string_view alias) const;
  /// Parameters of a number from a short list, so that few statements differ by it; the last value is repeated.
  void append_list(Statement& out, const Column& column, std::span<const Cell> values) const;

 protected:
  ~Renderer() = default;

  static constexpr std::string_view kAlias = "t";  ///< of the rows that a SELECT is of
  /// From ` FROM` to the end. `before`: a condition that stands before the others; empty: none.
  void append_rows(Statement& out, const Select& rows, std::string_view before = {}) const;
  /// How many rows, and behind how many others.
  static void append_page(Statement& out, const Select& rows);

  /// A parameter that is stored in the column or compared with it.
  virtual void append_parameter(std::string& out, const Column& column) const = 0;
  virtual void append_condition(Statement& out, const Condition& condition, std::string_view alias) const = 0;
  /// The columns and embeds of a SELECT.
  virtual void append_selected(Statement& out, const Select& rows, std::string_view alias) const = 0;
  virtual void append_search(And& where, Statement& out, const Select& rows, std::string_view alias) const = 0;
  virtual void append_order(std::string& sql, const Select& rows, std::string_view alias) const = 0;
  virtual void append_returning(std::string& sql, std::span<const Column* const> columns) const = 0;
  /// One more word of `Search`, `beginning`: the beginning of one.
  virtual void append_word(std::string& made, std::string_view word, bool beginning) const = 0;

  /// How many bytes there are; NULL where there are none.
  virtual void append_length(std::string& out, const std::string& bytes) const = 0;
  /// Their SHA-256, in hexadecimal.
  virtual void append_digest(std::string& out, const std::string& bytes) const = 0;
  /// A piece of the bytes of a row of `alias`.
  virtual void append_piece(Statement& out, const SelectFile& file, std::string_view alias) const = 0;

  /// The key of a new row, one column, which is chosen and not counted.
  virtual void append_new_key(std::string& places, Statement& out, const Insert& row, const Cell& key) const {
    append_parameter(places, *row.into.key.front());
    out.cells.push_back(key);
  }
  /// The column as its values are compared.
  virtual void append_compared(std::string& out, const Column& column, std::string_view alias) const {
    append_column(out, column, alias);
  }
  /// The value of a row by which it has its place in an order, and that value as a parameter.
  virtual void append_place(std::string& out, const Column& column, std::string_view alias) const {
    append_column(out, column, alias);
  }
  virtual void append_place_parameter(std::string& out, const Column& column) const { append_parameter(out, column); }
  void append_bound(Statement& out, const Bound& bound, std::string_view alias) const;
  /// What is selected of a row: all of it, or its count.
  void append_row(Statement& out, const Select& rows, std::string_view alias) const;
  /// What locks the rows of a SELECT.
  virtual void append_lock(std::string& sql) const { (void)sql; }
  /// `+1` for each value of the row that its column's type does not name.
  virtual void append_odd(std::string& sql, const Select& rows, std::string_view alias) const {
    (void)sql, (void)rows, (void)alias;
  }
};

}  // namespace plimsoll::database
