#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/database/relation.hpp"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::database {

/// A table as the contract wants it: what it is made from, and what one that is there is compared with.
struct TableDefinition {
  struct ColumnDefinition {
    const Column* is = nullptr;
    bool not_null = false;
    bool listed = false;         ///< lists sort or filter by it
    const Column* to = nullptr;  ///< of a key, that its values refer to: they are of its type
  };
  /// Columns whose values together name a row of another table.
  struct ReferenceDefinition {
    std::vector<std::size_t> from;
    std::string table{};
    std::vector<std::string> to{};  ///< columns there, each the one at its place
  };
  std::string name;
  std::vector<ColumnDefinition> columns;
  std::vector<std::size_t> key{0};      ///< that together name a row
  std::optional<std::size_t> tenant{};  ///< keys are unique within it; none: in the whole table
  std::vector<std::vector<std::size_t>> indexes{};
  std::vector<std::vector<std::size_t>> unique{};  ///< columns of which no two rows have the same values
  std::vector<std::size_t> search{};               ///< what `q` looks through
  std::vector<ReferenceDefinition> references{};

  const Column& column(std::size_t i) const { return *columns[i].is; }
  bool is_key(std::size_t i) const { return std::ranges::find(key, i) != key.end(); }
  /// The columns of the primary key: those of the key, and the tenant before them where they are unique within it.
  std::vector<std::size_t> primary_key() const {
    auto all = key;
    if (tenant) all.insert(all.begin(), *tenant);
    return all;
  }
  /// Names of columns in SQL, with commas between them and `prefix` before each.
  std::string list(const std::vector<std::size_t>& which, std::string_view prefix = {}) const;
  Relation relation() const {
    Relation made{.name = name, .key = {}, .tenant = tenant ? columns[*tenant].is : nullptr};
    for (auto i : key) made.key.push_back(&column(i));
    return made;
  }
};

/// A column of a table that is there already.
struct FoundColumn {
  std::string name, type;
  bool not_null = false, has_default = false;
  int primary = 0;              ///< place in the primary key, from 1; 0: not in it
  bool is_rowid = false;        ///< SQLite: the number of the row, with which every index ends
  std::string collation{};      ///< that it declares, in lower case; empty: none
  bool folds = false;           ///< PostgreSQL: its collation takes texts that differ for equal
  std::string default_value{};  ///< as SQL
  char category = '\0';         ///< PostgreSQL: pg_type.typcategory
  int digits = -1;              ///< PostgreSQL: that it declares, such as 3 of `timestamptz(3)`; negative: none
  std::string precise{};        ///< PostgreSQL: the type with its length or precision, as `numeric(10,2)`
  /// PostgreSQL: names of the checks of the table that are about it.
  std::vector<std::string> checks{};
  /// The forms of the instants that it holds, as far as a start looks.
  enum class Instants : std::uint8_t { none, utc, spaced, several } instants = Instants::none;
};
/// What the catalogue knows of rows that must differ: a constraint or an index, partial ones and those of expressions
/// too.
struct UniqueRule {
  std::string name;
  std::vector<std::string> columns{};  ///< those that it names; an expression is none
  std::string drop{};                  ///< the statement that takes it away; empty: there is none
  bool partial = false;                ///< of some rows only
};
/// An index of all rows, as far as rows can be read in the order of its columns: it ends before the first that is an
/// expression, or compares otherwise than the column does.
struct FoundIndex {
  std::string name;
  std::vector<std::string> columns{};
  std::vector<bool> descending{};  ///< of each of them
  std::vector<bool> ordered{};     ///< of each: its nulls stand where lists ask for them
  bool unique = false;             ///< no two rows are equal in them
  bool whole = true;               ///< it ends with them
};
struct FoundTable {
  std::vector<FoundColumn> columns;
  std::vector<FoundIndex> indexes;               ///< the primary key is one
  std::vector<std::vector<std::string>> unique;  ///< columns of which no two rows have the same values
  std::vector<UniqueRule> rules{};               ///< all by which the database refuses a row for another one's sake
  std::string sql;                               ///< that made it, where the database keeps it
  bool view = false;
  bool strict = false;         ///< refuses what a column's type does not name instead of converting it
  bool rowless = false;        ///< SQLite: `WITHOUT ROWID`
  bool keys_missing = false;   ///< rows whose key is NULL are there
  bool keys_repeated = false;  ///< rows with the same key are there (asked of views only)
};

/// A foreign key as the database declares it: columns here, and those of the other table in the same order.
struct ForeignKey {
  std::string table;
  std::vector<std::string> from, to;
};

/// What is not as the contract wants it, and the migration that makes it so, or a comment that says what to do.
struct Finding {
  std::string what, migration;
  bool warning = false;
  std::string column{};  ///< that it is about; empty: it is about the table, or several columns
};

/// The index of `q` as it stands in the database.
struct SearchState {
  bool current = false;
  std::optional<Finding> foreign{};  ///< something of somebody else stands where it belongs
  std::vector<std::string> drop{};   ///< what goes before `create_search`
};

/// The statements that make what is there of a table. Of several tables they are run in this order: the first of all,
/// then the second of all, and so on; some tables share them.
struct PresentStatements {
  std::vector<std::string> needed{};      ///< types, collations and sequences; comments where something has to be there
  std::vector<std::string> tables{};      ///< with indexes, triggers and the index of `q`
  std::vector<std::string> views{};       ///< which read tables
  std::vector<std::string> references{};  ///< foreign keys that the table itself does not declare
};

/// What a refused change broke, as far as the database says.
struct Violation {
  /// `policy`: a row that the caller may not have, by row-level security. `length`: a value is too long for an index.
  /// `words`: its words are too many for the index of `q`.
  enum class What : std::uint8_t { other, check, reference, policy, length, words } what = What::other;
  std::string expression{};  ///< of a check without a name of its own
  std::string rule{};        ///< the name of the constraint or index, where the database tells it
};

/// All that is particular to one kind of database: the SQL of questions and changes, of tables and their indexes, its
/// catalogue, and how it names what a change broke. Has no state: one for all threads.
class Dialect {
 public:
  virtual ~Dialect() = default;
  virtual std::string_view name() const noexcept = 0;

  virtual Statement select(const Select& rows) const = 0;
  virtual Statement select_file(const SelectFile& file) const = 0;
  virtual Statement insert(const Insert& row) const = 0;
  virtual Statement update(const Update& rows) const = 0;
  virtual Statement remove(const Delete& rows) const = 0;
  /// Whether the nulls of a column come first when an index of it is walked in this direction.
  virtual bool nulls_first(bool descending) const noexcept = 0;
  /// Whether the database chooses by statistics of its own how it reaches rows. Else `Select::path` says it.
  virtual bool has_statistics() const noexcept { return true; }
  /// What somebody typed, for `Search`: all words, each as a beginning when it ends with `*`. Empty where it has none.
  virtual std::string search_words(std::string_view typed) const = 0;

  /// The statements that make a table with its indexes, but for that of `q`.
  virtual std::vector<std::string> create_table(const TableDefinition& table) const = 0;
  /// The statements that make its foreign keys, once all tables are there; none where `create_table` has made them.
  virtual std::vector<std::string> create_references(const TableDefinition&) const { return {}; }
  virtual std::string create_index(const TableDefinition& table, const std::vector<std::size_t>& columns,
                                   bool unique = false) const;
  virtual std::string add_column(const TableDefinition& table, std::size_t column) const = 0;
  /// What makes a column NOT NULL: a statement or a comment.
  virtual std::string refuse_nulls(const TableDefinition& table, std::size_t column) const = 0;
  /// The statement that shows the rows without a key.
  virtual std::string rows_without_key(const TableDefinition& table) const = 0;
  /// Whether every index ends with the key, named there or not.
  virtual bool indexes_end_with_key() const noexcept = 0;
  virtual std::vector<std::string> create_search(const TableDefinition& table) const = 0;
  /// Statements that fill the index of a table which has rows already; empty: it is filled as it is made.
  virtual std::string fill_search(const TableDefinition& table) const = 0;
  /// A table of the server's own, not of the contract: `columns` as CREATE TABLE has them, of the types INTEGER (64
  /// bits), TEXT and BLOB.
  virtual std::string create_own_table(std::string_view name, std::string_view columns) const = 0;
  /// Whether an own table that is there gets the indexes that it lacks, because a version before may have made it
  /// without. Making them takes the rights of its owner.
  virtual bool completes_own_tables() const noexcept { return false; }
  /// A statement that makes something, so that it does nothing where that is there already: a first migration is also
  /// for databases whose tables the server has made.
  virtual std::string where_missing(std::string statement) const;
  /// What stands behind a SELECT of rows that its transaction claims: rows that another one has claimed are passed over
  /// instead of waited for. Empty where one transaction writes at a time.
  virtual std::string_view claim_rows() const noexcept { return {}; }
  /// Whether several transactions change rows at the same time, so that those which change the same rows in other
  /// orders wait for each other.
  virtual bool locks_rows() const noexcept { return false; }

  /// What stands in the database under the table's name; nothing where there is none.
  virtual Task<Result<std::optional<FoundTable>>> find_table(Session& session, const TableDefinition& table) const = 0;
  virtual Task<Result<SearchState>> find_search(Session& session, const TableDefinition& table) const = 0;
  /// The same of several tables, in their order: where finding one reads the whole catalogue, it is read once for all.
  virtual Task<Result<std::vector<std::optional<FoundTable>>>> find_tables(
      Session& session, std::span<const TableDefinition> tables) const;
  virtual Task<Result<std::vector<SearchState>>> find_searches(Session& session,
                                                               std::span<const TableDefinition> tables) const;
  virtual Task<Result<std::vector<ForeignKey>>> foreign_keys(Session& session, std::string table) const = 0;
  /// The statements that make a table as it is there.
  virtual Task<Result<PresentStatements>> present_statements(Session& session, const TableDefinition& table) const = 0;
  /// Gives a row where there is a table of this name.
  virtual Statement has_table(std::string name) const = 0;

  /// Notes in a column how the database stores its values; `there` and `found` null: the server makes the table.
  virtual void note_storage(Column& column, const FoundColumn* there, const FoundTable* found) const = 0;
  /// Where a column that is there cannot hold what the contract says, or not as well as one that the server makes.
  virtual void check_storage(const TableDefinition& table, std::size_t column, const FoundColumn& there,
                             const FoundTable& found, std::vector<Finding>& all) const = 0;
  virtual Violation violation_of(const Error& error) const = 0;
  /// The most bytes, about, that the values of a row may have in one index; 0: any number.
  virtual std::size_t longest_indexed() const noexcept { return 0; }
  /// The columns of a table that a constraint, an index, or a rule of a column's type is about; none where it is not
  /// known.
  virtual Task<Result<std::vector<std::string>>> columns_of_rule(Session& session, std::string table,
                                                                 std::string rule) const = 0;
  /// A statement that fails as a change did where this value is to blame, and changes nothing. Empty SQL: the database
  /// names the column itself.
  virtual Statement trial(std::string_view table, const Column& column, const Cell& value) const {
    (void)table, (void)column, (void)value;
    return {};
  }
  /// Whether no further statement can be run in a transaction in which one has failed, but for a return to a savepoint.
  virtual bool failure_ends_transaction() const noexcept { return false; }

 protected:
  /// Rows that the key cannot name: those without a part of one, and in a view, which has no unique index, those that
  /// share one.
  static Task<Result<>> look_at_keys(Session& session, const TableDefinition& table, FoundTable& found);
};

/// Whether a name stands in an SQL expression as a word of its own.
bool mentions(std::string_view expression, std::string_view name);

/// Whether a database has a table of this name, for who makes none where it is missing.
Task<Result<bool>> has_table(Database& database, Loop& loop, std::string_view name);

/// A table of the server's own: `columns` as Dialect::create_own_table takes them, `indexes` as statements.
struct OwnTable {
  std::string_view name, columns;
  std::span<const std::string_view> indexes{};
};
/// Makes it where it is missing: once, however many instances start at the same time. Where it is there, the right to
/// make tables is not needed. Called before any other statement of its transaction.
Task<Result<>> prepare_own_table(Session& session, const Dialect& dialect, OwnTable table);

}  // namespace plimsoll::database
