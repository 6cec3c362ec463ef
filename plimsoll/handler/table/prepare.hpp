#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/handler/table/ddl.hpp"
#include "plimsoll/handler/table/references.hpp"

namespace plimsoll::table {

/// Makes the tables that are missing, with their indexes, in one transaction, and compares the others with the
/// contract. Where migrations have been applied, tables are made by migrations only: a missing one disagrees.
/// `keys`: what foreign keys the tables have then.
Result<std::vector<Disagreement>> prepare_tables(database::Database& database, const Model& model, ForeignKeys& keys);

/// What a migration must do to a database so that a start finds all that the contract declares and changes nothing:
/// statements and, as comments, what only a person can decide. Changes nothing.
Result<std::vector<std::string>> missing_statements(database::Database& database, const Model& model);
/// The statements that made the tables of the contract that are there, with their indexes, triggers and search indexes.
Result<std::vector<std::string>> present_statements(database::Database& database, const Model& model);

/// A secret that lives in the database, so that every instance reads the same; made at the first question.
Result<std::string> database_secret(database::Database& database, std::string_view name);

}  // namespace plimsoll::table
