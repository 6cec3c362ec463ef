#pragma once

#include "plimsoll/database/database.hpp"
#include "plimsoll/handler/table/ddl.hpp"
#include "plimsoll/handler/table/references.hpp"

namespace plimsoll::table {

/// Makes the tables that are missing, with their indexes, in one transaction, and compares the others with the
/// contract.
/// `keys`: what foreign keys the tables have then.
Result<std::vector<Disagreement>> prepare_tables(database::Database& database, const Model& model, ForeignKeys& keys);

/// A secret that lives in the database, so that every instance reads the same; made at the first question.
Result<std::string> database_secret(database::Database& database, std::string_view name);

}  // namespace plimsoll::table
