#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/handler/table/ddl.hpp"
#include "plimsoll/handler/table/references.hpp"

#include <map>
#include <string>
#include <vector>

namespace plimsoll::table {

/// The tables that a start found, by name: those that it made are not among them.
struct StandingTables {
  std::map<std::string, FoundTable, std::less<>> found;
  /// Those that it made, as they are then: where the server chooses how their rows are reached.
  std::map<std::string, FoundTable, std::less<>> made{};
};

/// Makes the tables that are missing, with their indexes, in one transaction, and compares the others with the
/// contract. Where migrations have been applied, tables are made by migrations only: a missing one disagrees.
/// `keys`: what foreign keys the tables have then; `tables`: those that were there before.
Result<std::vector<Disagreement>> prepare_tables(database::Database& database, const Model& model, ForeignKeys& keys,
                                                 StandingTables& tables);

/// How many rows of a table break its schema: of all that are there, or of as many as a start looks at.
struct BrokenRows {
  const Table* table = nullptr;
  std::int64_t looked = 0, broken = 0;
  bool all = true;        ///< no row was left out
  std::string example{};  ///< the first: its key, and what is wrong with it
};
/// Holds rows against the schemas of their tables, formats asserted: at most 10,000 rows of each table and 64 MiB and
/// half a second of all, so that the start waits no longer the more rows there are. Tells of tables with broken rows,
/// and of those whose rows were not all looked at. Views are not looked at.
Result<std::vector<BrokenRows>> find_broken_rows(database::Database& database, const Model& model,
                                                 const StandingTables& standing, const contract::Contract& contract);

/// What a migration must do to a database so that a start finds all that the contract declares and changes nothing:
/// statements and, as comments, what only a person can decide. Changes nothing.
Result<std::vector<std::string>> missing_statements(database::Database& database, const Model& model);
/// The statements that made the tables of the contract that are there, with their indexes, triggers and search indexes.
Result<std::vector<std::string>> present_statements(database::Database& database, const Model& model);

/// Reads that the contract allows of a table, and the index that serves them.
struct IndexUse {
  const Table* table = nullptr;
  std::vector<std::string> uses{};
  std::string index{};      ///< its name; empty: there is none
  std::string statement{};  ///< that makes it, where there is none
};
/// Of the tables that are there; views have no indexes of their own.
Result<std::vector<IndexUse>> index_uses(database::Database& database, const Model& model);

}  // namespace plimsoll::table
