#pragma once

#include "plimsoll/database/dialect.hpp"

#include <map>

namespace plimsoll::database {

/// How the statement ends that makes the full-text table `NAME_search` of `q`. A table `NAME_search_rows` beside it is
/// the server's own too: the numbers of rows whose key is none.
inline constexpr std::string_view kSearchEnds = ", content='', tokenize='unicode61 remove_diacritics 2')";

/// SQLite 3.40: tables are STRICT, decimals and instants text with collations of ours, rows inside rows are made by
/// json_object, `q` asks FTS5. The functions `plimsoll_…` are those of SqliteConnection.
class SqliteDialect final : public Dialect {
 public:
  std::string_view name() const noexcept override { return "sqlite"; }

  Statement select(const Select& rows) const override;
  Statement select_file(const SelectFile& file) const override;
  Statement insert(const Insert& row) const override;
  Statement update(const Update& rows) const override;
  Statement remove(const Delete& rows) const override;
  bool nulls_first(bool descending) const noexcept override { return !descending; }
  /// Only where somebody has run ANALYZE, and as old as that.
  bool has_statistics() const noexcept override { return false; }
  std::string search_words(std::string_view typed) const override;

  std::vector<std::string> create_table(const TableDefinition& table) const override;
  std::string add_column(const TableDefinition& table, std::size_t column) const override;
  std::string refuse_nulls(const TableDefinition& table, std::size_t column) const override;
  std::string rows_without_key(const TableDefinition& table) const override;
  /// An integer key and that of a table WITHOUT ROWID do.
  bool indexes_end_with_key() const noexcept override { return true; }
  std::vector<std::string> create_search(const TableDefinition& table) const override;
  std::string fill_search(const TableDefinition& table) const override;
  std::string create_own_table(std::string_view name, std::string_view columns) const override;
  bool completes_own_tables() const noexcept override { return true; }

  Task<Result<std::optional<FoundTable>>> find_table(Session& session, const TableDefinition& table) const override;
  Task<Result<SearchState>> find_search(Session& session, const TableDefinition& table) const override;
  Task<Result<std::vector<std::optional<FoundTable>>>> find_tables(
      Session& session, std::span<const TableDefinition> tables) const override;
  Task<Result<std::vector<SearchState>>> find_searches(Session& session,
                                                       std::span<const TableDefinition> tables) const override;
  Task<Result<std::vector<ForeignKey>>> foreign_keys(Session& session, std::string table) const override;
  Task<Result<PresentStatements>> present_statements(Session& session, const TableDefinition& table) const override;
  Statement has_table(std::string name) const override;

  void note_storage(Column& column, const FoundColumn* there, const FoundTable* found) const override;
  void check_storage(const TableDefinition& table, std::size_t column, const FoundColumn& there,
                     const FoundTable& found, std::vector<Finding>& all) const override;
  Violation violation_of(const Error& error) const override;
  Task<Result<std::vector<std::string>>> columns_of_rule(Session& session, std::string table,
                                                         std::string rule) const override;
};

const SqliteDialect& sqlite_dialect();

/// The collation that each column of `CREATE TABLE …` declares, in lower case; empty: none.
std::map<std::string, std::string> collations_of(std::string_view create_table);

}  // namespace plimsoll::database
