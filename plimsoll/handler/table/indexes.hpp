#pragma once

#include "plimsoll/database/dialect.hpp"
#include "plimsoll/handler/table/declaration.hpp"

#include <optional>
#include <string>
#include <vector>

/// Which reads the declarations of a table allow, which index each of them needs, and whether one is there. What the
/// server makes its own tables with, what it warns of in those that are there, and what `plimsoll check --database`
/// prints all come from here.
namespace plimsoll::table {

/// Columns of an index, in order.
using IndexColumns = std::vector<std::size_t>;

/// A read that an index serves: of rows equal in some columns, in the order of others. Such an index begins with the
/// former, in any order, and goes on with the latter, all in one direction.
struct IndexNeed {
  IndexColumns equal, order;   ///< the order of a list ends with the key; of the few rows of a reference it is none
  std::string use;             ///< who reads so: "filter `status` with sort `total`"
  bool ends_with_key = false;  ///< an index that is made for it does
  /// The columns that an index must begin with.
  const IndexColumns& least(const IndexColumns& whole) const { return order.empty() ? equal : whole; }
  /// The columns of the index that the server makes for it: what stands behind the key changes nothing.
  IndexColumns columns(const Table& table) const;
};

/// All reads of a table that lists, embeds and the conditions of owner and tenant come to.
std::vector<IndexNeed> index_needs(const Model& model, const Table& table);

/// The lookups of foreign keys that the database declares of a table, when a row goes that they refer to. The tenant is
/// left out: the other columns name few rows.
std::vector<IndexNeed> key_needs(const Table& table, const std::vector<database::ForeignKey>& keys);

/// The indexes that serve them all, `indexes` of the declaration too: those that others begin with are left out, and so
/// are those beyond `kMostIndexes`.
std::vector<IndexColumns> needed_indexes(const Model& model, const Table& table);
inline constexpr std::size_t kMostIndexes = 32;

/// Whether the indexes of a table that is there go on with its key behind their own columns, those that are `whole`.
bool end_with_key(const database::Dialect& dialect, const Table& table, const database::FoundTable& found);

/// The index of a table that is there which serves a read; null: none does, and it looks at all rows.
const database::FoundIndex* index_for(const database::Dialect& dialect, const Table& table,
                                      const database::FoundTable& found, const IndexNeed& need);

/// An index that is missing, and the reads that it would serve.
struct MissingIndex {
  IndexColumns columns;
  std::vector<std::string> uses;
  bool key = false;     ///< a foreign key, which the database looks up when a row that is referred to goes
  bool beyond = false;  ///< `kMostIndexes`: the server does not make it either
};
/// `keys`: the foreign keys that the database declares of the table.
std::vector<MissingIndex> missing_indexes(const database::Dialect& dialect, const Model& model, const Table& table,
                                          const database::FoundTable& found,
                                          const std::vector<database::ForeignKey>& keys);
/// "filter `a`, sort `b` and 3 more"
std::string listed(const std::vector<std::string>& uses);

}  // namespace plimsoll::table
