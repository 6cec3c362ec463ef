#pragma once

#include "plimsoll/handler/table/declaration.hpp"

#include <map>
#include <span>
#include <string>

namespace plimsoll::table {

/// The tables of several contracts that share a database, as one model: each table with the columns, filters and sorts
/// of all contracts that declare it. A column that not all of them require, or have, may be null.
struct Merged {
  Model model{};
  std::map<std::string, const contract::Contract*, std::less<>> first;  ///< that declares each table
  /// The contract that declares a column which the first one with its table does not have: by table and column.
  std::map<std::pair<std::string, std::string>, const contract::Contract*> later{};

  /// What two contracts cannot both have (another key, owner, tenant, kind of a column or search) is a complaint that
  /// names both places.
  void add(const Model& other, const contract::Contract& contract, contract::Complaints& complaints);
  /// Once all are added.
  void finish();
};

}  // namespace plimsoll::table
