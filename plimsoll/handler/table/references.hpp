#pragma once

#include "plimsoll/database/dialect.hpp"
#include "plimsoll/handler/table/declaration.hpp"

#include <map>
#include <string>
#include <vector>

namespace plimsoll::table {

using database::ForeignKey;

/// Foreign keys of all tables of a contract, read once per start: by the name of the table that has them.
struct ForeignKeys {
  std::map<std::string, std::vector<ForeignKey>, std::less<>> of;
};

/// Columns whose values name a row of a table that not every caller sees in full.
struct GuardedReference {
  const Table* to;
  std::vector<std::size_t> from;    ///< columns here
  std::vector<std::string> target;  ///< columns there, in the same order
};

/// The references of a table, by its embeds and by the database's foreign keys, to tables with an owner or tenant. A
/// value that names a row which the caller does not see is refused as one that names none: otherwise everybody could
/// find out which keys exist, and keep others from deleting their rows.
std::vector<GuardedReference> guarded_references(const Model& model, const Table& table, const ForeignKeys& keys);

}  // namespace plimsoll::table
