#pragma once

#include "plimsoll/database/dialect.hpp"

namespace plimsoll::database {

/// PostgreSQL 15: tables with its own types, rows inside rows made by string_agg, `q` by to_tsvector and an index of
/// it. Parameters are sent as text, so each has a cast that says its type.
class PostgresDialect final : public Dialect {
 public:
  std::string_view name() const noexcept override { return "postgresql"; }

  Statement select(const Select& rows) const override;
  Statement select_file(const SelectFile& file) const override;
  Statement insert(const Insert& row) const override;
  Statement update(const Update& rows) const override;
  Statement remove(const Delete& rows) const override;
  bool nulls_first(bool descending) const noexcept override { return descending; }
  std::string search_words(std::string_view typed) const override;

  std::vector<std::string> create_table(const TableDefinition& table) const override;
  std::vector<std::string> create_references(const TableDefinition& table) const override;
  std::string add_column(const TableDefinition& table, std::size_t column) const override;
  std::string refuse_nulls(const TableDefinition& table, std::size_t column) const override;
  std::string rows_without_key(const TableDefinition& table) const override;
  bool indexes_end_with_key() const noexcept override { return false; }
  std::vector<std::string> create_search(const TableDefinition& table) const override;
  /// PostgreSQL fills an index as it makes it.
  std::string fill_search(const TableDefinition&) const override { return {}; }
  std::string create_own_table(std::string_view name, std::string_view columns) const override;
  std::string where_missing(std::string statement) const override;
  std::string_view claim_rows() const noexcept override { return " FOR UPDATE SKIP LOCKED"; }
  bool locks_rows() const noexcept override { return true; }

  Task<Result<std::optional<FoundTable>>> find_table(Session& session, const TableDefinition& table) const override;
  Task<Result<SearchState>> find_search(Session& session, const TableDefinition& table) const override;
  Task<Result<std::vector<ForeignKey>>> foreign_keys(Session& session, std::string table) const override;
  Task<Result<PresentStatements>> present_statements(Session& session, const TableDefinition& table) const override;
  Statement has_table(std::string name) const override;

  void note_storage(Column& column, const FoundColumn* there, const FoundTable* found) const override;
  void check_storage(const TableDefinition& table, std::size_t column, const FoundColumn& there,
                     const FoundTable& found, std::vector<Finding>& all) const override;
  Violation violation_of(const Error& error) const override;
  /// A third of a page of a B-tree: 2,704 bytes with what PostgreSQL needs for itself.
  std::size_t longest_indexed() const noexcept override { return 2'600; }
  Task<Result<std::vector<std::string>>> columns_of_rule(Session& session, std::string table,
                                                         std::string rule) const override;
  Statement trial(std::string_view table, const Column& column, const Cell& value) const override;
  bool failure_ends_transaction() const noexcept override { return true; }
};

const PostgresDialect& postgres_dialect();

/// In the message of the error with which a statement ends that would give more rows than it may (`Select::most`).
inline constexpr std::string_view kMoreThanAllowed = "more rows than allowed, by ";

/// The type of a column in a table that the server makes.
std::string_view postgres_type(const Column& column);
/// What an index of `q` is made of and searched by: the words of the columns.
std::string postgres_words(std::span<const Column* const> columns, std::string_view alias);

}  // namespace plimsoll::database
