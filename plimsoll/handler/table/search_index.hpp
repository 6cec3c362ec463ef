#pragma once

#include "plimsoll/handler/table/declaration.hpp"

#include <string>
#include <vector>

namespace plimsoll::table {

/// Whether FTS5 knows the rows by their keys.
bool is_numbered(const Table& table);
/// The index of `q`: an FTS5 table without content, which triggers keep in step, and for keys that are text a table of
/// the numbers by which FTS5 knows the rows (rowids of the table itself change with VACUUM).
std::vector<std::string> create_search(const Table& table);
/// Fills the index of a table that has rows already.
std::string fill_search(const Table& table);

/// What stands in the database under a name of the index, as sqlite_schema has it.
struct FoundObject {
  std::string type, name, sql;
};
using FoundSearch = std::vector<FoundObject>;
/// All names that the index may use, whatever the kind of the key.
std::vector<std::string> search_names(const Table& table);

/// Whether the index is there as the contract wants it. One that this server made for other columns or another key, or
/// of which something is missing, is made anew: it holds nothing that the table does not.
struct SearchState {
  bool current = false;
  const FoundObject* foreign = nullptr;  ///< somebody else's: neither read nor dropped
  std::vector<std::string> drop;         ///< what goes before `create_search`
};
SearchState compare_search(const Table& table, const FoundSearch& found);

}  // namespace plimsoll::table
