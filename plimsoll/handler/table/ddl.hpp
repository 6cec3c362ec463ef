#pragma once

#include "plimsoll/handler/table/declaration.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

/// An index that the declared filters, sorts, owners or embeds need: its columns, in order.
using IndexColumns = std::vector<std::size_t>;
std::vector<IndexColumns> needed_indexes(const Model& model, const Table& table);

std::string create_index(const Table& table, const IndexColumns& columns);
/// All statements that make a table from its schema, with its indexes (but for that of `q`). `plain_keys`: names of
/// tables that were there already and whose keys are unique over all tenants.
std::vector<std::string> create_table(const Model& model, const Table& table,
                                      const std::vector<std::string>& plain_keys = {});

/// A column of a table that is there already.
struct FoundColumn {
  std::string name, type;
  bool not_null = false, has_default = false;
  int primary = 0;              ///< place in the primary key, from 1; 0: not in it
  std::string collation{};      ///< that it declares, in lower case; empty: none
  std::string default_value{};  ///< as SQL
  /// The forms of the instants that it holds, as far as a start looks.
  enum class Instants : std::uint8_t { none, utc, spaced, several } instants = Instants::none;
};
struct FoundTable {
  std::vector<FoundColumn> columns;
  std::vector<std::vector<std::string>> indexes;  ///< names of columns, in order; the primary key is one
  std::vector<std::vector<std::string>> unique;   ///< those of `indexes` that admit no two equal rows
  std::string sql;                                ///< that made it
  bool view = false;
  bool strict = false;         ///< `STRICT`: refuses what a column's type does not name instead of converting it
  bool rowless = false;        ///< `WITHOUT ROWID`
  bool keys_missing = false;   ///< rows whose key is NULL are there
  bool keys_repeated = false;  ///< rows with the same key are there (asked of views only)
};
struct Disagreement {
  std::string what, migration;
  bool warning = false;
  const Table* table = nullptr;
};
/// Said of a table with a tenant whose keys, chosen by clients, are unique over all tenants: of one that was there, or
/// of one to which a table without a tenant refers.
std::optional<Disagreement> warn_of_shared_keys(const Model& model, const Table& table);
/// Whether no two rows of any tenants share a key.
bool has_plain_key(const Table& table, const FoundTable& found);
/// The collation that each column of `CREATE TABLE …` declares, in lower case; empty: none.
std::map<std::string, std::string> collations_of(std::string_view create_table);
/// Notes in the columns of a table how the database holds their values.
void note_storage(Table& table, const FoundTable& found);
/// The condition that keeps a column of JSON values to JSON.
std::string json_check(const Column& column);
/// Where the contract and a table disagree, each with the migration to write.
std::vector<Disagreement> compare(const Model& model, const Table& table, const FoundTable& found);

}  // namespace plimsoll::table
