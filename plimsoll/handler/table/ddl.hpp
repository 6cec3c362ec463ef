#pragma once

#include "plimsoll/database/dialect.hpp"
#include "plimsoll/handler/table/declaration.hpp"
#include "plimsoll/handler/table/indexes.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

/// A table as its schema and the declarations around it want it. `plain_keys`: names of tables that were there already
/// and whose keys are unique over all tenants. It points into the table.
database::TableDefinition definition_of(const Model& model, const Table& table,
                                        const std::vector<std::string>& plain_keys = {});

using database::FoundTable;
struct Disagreement : database::Finding {
  const Table* table = nullptr;
};
/// Said of a table with a tenant whose keys, chosen by clients, are unique over all tenants: of one that was there, or
/// of one to which a table without a tenant refers.
std::optional<Disagreement> warn_of_shared_keys(const Model& model, const Table& table);
/// Said of each text of which the contract admits more than the database takes in an index of it.
void warn_of_long_texts(const database::Dialect& dialect, const Table& table,
                        const database::TableDefinition& definition, std::vector<Disagreement>& all);
/// Whether no two rows of any tenants share a key.
bool has_plain_key(const Table& table, const FoundTable& found);
/// Notes in the columns of a table how the database holds their values; `found` null: the server makes it.
void note_storage(const database::Dialect& dialect, Table& table, const FoundTable* found);
/// Where the contract and a table disagree, each with the migration to write. `keys`: the foreign keys that the
/// database declares of it.
std::vector<Disagreement> compare(const database::Dialect& dialect, const Model& model, const Table& table,
                                  const FoundTable& found, const std::vector<database::ForeignKey>& keys);

}  // namespace plimsoll::table
