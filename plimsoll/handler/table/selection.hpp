#pragma once

#include "plimsoll/handler/table/declaration.hpp"

#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::table {

/// Which columns of a row are shown, and which rows of other tables inside it.
struct Selection {
  struct Embedded;
  std::vector<std::size_t> columns;  ///< in the order of the table
  std::vector<Embedded> embeds;
};
struct Selection::Embedded {
  const Embed* embed;
  const Table* table;
  Selection selection;
};

/// How many values a row of a selection has: its columns, then each embed, one that shows many rows followed by whether
/// there are more.
std::size_t width(const Selection& selection);

/// All columns that are shown unless something else is asked for.
Selection everything(const Table& table);

/// Columns that are stored and not shown as they are: `writeOnly` ones, and JSON values with such members.
Selection unseen(const Table& table);

/// Reads `fields` (`id,total,items(sku)`; empty: all) and the names of `embed`. An embed that `fields` names is shown
/// with the fields in its parentheses; one that only `embed` names is shown whole. The error is a sentence for the
/// caller.
std::expected<Selection, std::string> select(const Model& model, const Table& table, std::string_view fields,
                                             const std::vector<std::string_view>& embeds);

}  // namespace plimsoll::table
