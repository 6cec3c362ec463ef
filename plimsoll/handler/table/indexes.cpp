#include "plimsoll/handler/table/indexes.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

using database::FoundIndex;
using database::FoundTable;

/// Whether an index serves what one on these columns would.
auto covers(const IndexColumns& columns) {
  return [&columns](const IndexColumns& index) {
    return index.size() >= columns.size() && std::equal(columns.begin(), columns.end(), index.begin());
  };
}

IndexColumns primary_key(const Table& table) {
  auto all = table.keys;
  if (table.key_in_tenant) all.insert(all.begin(), *table.tenant);
  return all;
}

std::string code(const std::string& name) { return "`" + name + "`"; }

/// The columns that every list of callers is equal in.
IndexColumns caller_columns(const Table& table) {
  IndexColumns columns;
  if (table.tenant) columns.push_back(*table.tenant);
  if (table.owner) columns.push_back(*table.owner);
  return columns;
}

/// Embeds through which rows of a table are reached, or in which they show others.
std::string use_of_reference(const Model& model, const Table& table, const Reference& reference) {
  std::string use;
  const auto add = [&](const std::string& what) { (use += use.empty() ? "" : ", ") += what; };
  const auto is_it = [&](const std::vector<std::string>& names) {
    return std::ranges::equal(names, reference.columns, {}, {},
                              [&](auto i) -> std::string_view { return table.columns[i].name; });
  };
  for (auto& embed : table.embeds)
    if (embed.table == reference.table && is_it(embed.on)) add("reference of embed " + code(embed.name));
  if (const auto* other = model.find(reference.table))
    for (auto& embed : other->embeds)
      if (embed.many() && embed.table == table.name && is_it(embed.by))
        add("embed " + code(embed.name) + " of table " + code(other->name));
  return use.empty() ? "reference to table " + code(reference.table) : use;
}

}  // namespace

IndexColumns IndexNeed::columns(const Table& table) const {
  IndexColumns all;
  std::size_t missing = table.keys.size();
  const IndexColumns none;
  for (const auto* part : {&equal, &order, ends_with_key ? &table.keys : &none})
    for (auto column : *part) {
      if (part != &equal && missing == 0) break;
      if (std::ranges::find(all, column) != all.end()) continue;
      all.push_back(column);
      missing -= table.is_key(column);
    }
  return all;
}

std::vector<IndexNeed> index_needs(const Model& model, const Table& table) {
  std::vector<IndexNeed> needs;
  const auto prefix = caller_columns(table);
  const bool exempt = table.owner && !table.owner_except.empty();  // roles that read the rows of all owners
  const auto add_behind = [&](IndexColumns callers, std::optional<std::size_t> equal, std::optional<std::size_t> order,
                              std::string use) {
    IndexNeed need{.equal = std::move(callers), .order = {}, .use = std::move(use)};
    const auto once = [](IndexColumns& into, std::size_t column) {
      if (std::ranges::find(into, column) == into.end()) into.push_back(column);
    };
    if (equal) once(need.equal, *equal);
    if (order) once(need.order, *order);
    for (auto key : table.keys) once(need.order, key);
    needs.push_back(std::move(need));
  };
  const auto add = [&](std::optional<std::size_t> equal, std::optional<std::size_t> order, const std::string& use) {
    add_behind(prefix, equal, order, use);
    if (exempt)
      add_behind(table.tenant ? IndexColumns{*table.tenant} : IndexColumns{}, equal, order, use + " of all owners");
  };
  const auto name = [&](std::size_t column) { return code(table.columns[column].name); };
  for (auto& sort : table.sort) add(std::nullopt, sort, "sort " + name(sort));
  for (auto& filter : table.filters) {
    const bool equality = filter.has(Operator::eq) || filter.has(Operator::in) || filter.has(Operator::is_null);
    const auto use = "filter " + name(filter.column);
    for (auto& sort : table.sort)
      if (equality && sort != filter.column) add(filter.column, sort, use + " with sort " + name(sort));
    if (equality)
      add(filter.column, std::nullopt, use);
    else
      add(std::nullopt, filter.column, use);
  }
  if (!prefix.empty())
    add_behind(prefix, std::nullopt, std::nullopt,
               table.tenant && table.owner ? "lists of the rows of a tenant and owner"
               : table.tenant              ? "lists of the rows of a tenant"
                                           : "lists of the rows of an owner");
  if (exempt && table.tenant)
    add_behind({*table.tenant}, std::nullopt, std::nullopt, "lists of the rows of a tenant of all owners");
  for (auto& reference : references(model, table))  // reached from the other table, whoever asks: without the prefix
    needs.push_back({.equal = reference.columns,
                     .order = {},
                     .use = use_of_reference(model, table, reference),
                     .ends_with_key = true});
  return needs;
}

std::vector<IndexNeed> key_needs(const Table& table, const std::vector<database::ForeignKey>& keys) {
  std::vector<IndexNeed> needs;
  for (auto& key : keys) {
    IndexNeed need{.equal = {}, .order = {}, .use = "foreign key to table " + code(key.table)};
    bool known = true;
    for (auto& name : key.from) {
      const auto column = table.column(name);
      known &= column.has_value();
      if (column && (column != table.tenant || key.from.size() == 1)) need.equal.push_back(*column);
    }
    if (known && !need.equal.empty()) needs.push_back(std::move(need));
  }
  return needs;
}

namespace {

/// The indexes for some reads. Calls `left_out` with the place of each read that has none of its own because it comes
/// behind `kMostIndexes` of them.
template <class F>
std::vector<IndexColumns> indexes_of(const Table& table, const std::vector<IndexNeed>& needs, F left_out) {
  std::vector<IndexColumns> needed;
  for (std::size_t i = 0; i < needs.size(); ++i) {
    auto columns = needs[i].columns(table);
    const auto& least = needs[i].least(columns);
    if (least == table.keys || covers(least)(primary_key(table)) || std::ranges::any_of(needed, covers(least)))
      continue;
    if (needed.size() >= kMostIndexes && !needs[i].order.empty())
      left_out(i);
    else
      needed.push_back(std::move(columns));
  }
  return needed;
}

}  // namespace

std::vector<IndexColumns> needed_indexes(const Model& model, const Table& table) {
  auto needed = indexes_of(table, index_needs(model, table), [](std::size_t) {});
  for (auto& declared : table.indexes)
    if (!covers(declared)(primary_key(table)) && std::ranges::none_of(needed, covers(declared)))
      needed.push_back(declared);
  return needed;
}

namespace {

/// Whether an index goes on with the columns of an order from `at` on, in one direction; where the database ends its
/// indexes with the key, that is ascending.
bool goes_on(const Table& table, const FoundIndex& index, std::size_t at, const IndexNeed& need, bool ends_with_key) {
  std::optional<bool> descending;
  std::size_t missing = table.keys.size();
  const auto is_equal = [&](std::size_t column) { return std::ranges::find(need.equal, column) != need.equal.end(); };
  for (auto column : need.equal) missing -= table.is_key(column);
  for (auto column : need.order) {
    if (missing == 0) return true;  // one row at most, or the order is decided
    if (is_equal(column)) continue;
    if (at < index.columns.size() && index.columns[at] == table.columns[column].name) {
      if (!index.ordered[at] || (descending && *descending != index.descending[at])) return false;
      descending = index.descending[at++];
    } else if (!ends_with_key || !index.whole || !table.is_key(column) || at < index.columns.size() ||
               descending == true) {
      return false;
    }
    missing -= table.is_key(column);
  }
  return true;
}

/// Whether rows that are equal in these columns are one row at most.
bool names_one_row(const Table& table, const FoundTable& found, const FoundIndex& index, const IndexColumns& equal) {
  return index.unique && std::ranges::all_of(index.columns, [&](auto& name) {
           const auto column = std::ranges::find(found.columns, name, &database::FoundColumn::name);
           return column != found.columns.end() && (column->not_null || column->is_rowid) &&
                  std::ranges::any_of(equal, [&](auto i) { return table.columns[i].name == name; });
         });
}

}  // namespace

bool end_with_key(const database::Dialect& dialect, const Table& table, const FoundTable& found) {
  if (!dialect.indexes_end_with_key()) return false;
  const auto key = std::ranges::find(found.columns, table.columns[table.keys[0]].name, &database::FoundColumn::name);
  return found.rowless || (table.keys.size() == 1 && key != found.columns.end() && key->is_rowid);
}

const FoundIndex* index_for(const database::Dialect& dialect, const Table& table, const FoundTable& found,
                            const IndexNeed& need) {
  const bool ends_with_key = end_with_key(dialect, table, found);
  for (auto& index : found.indexes) {
    if (names_one_row(table, found, index, need.equal)) return &index;
    std::size_t at = 0;
    const auto is_equal = [&](const std::string& name) {
      return std::ranges::any_of(need.equal, [&](auto column) { return table.columns[column].name == name; });
    };
    while (at < index.columns.size() && at < need.equal.size() && is_equal(index.columns[at])) ++at;
    if (at == need.equal.size() && goes_on(table, index, at, need, ends_with_key)) return &index;
  }
  return nullptr;
}

std::vector<MissingIndex> missing_indexes(const database::Dialect& dialect, const Model& model, const Table& table,
                                          const FoundTable& found, const std::vector<database::ForeignKey>& keys) {
  std::vector<MissingIndex> missing;
  const auto add = [&](const IndexNeed& need, IndexColumns columns, bool key, bool beyond = false) {
    if (index_for(dialect, table, found, need)) return;
    for (auto& one : missing) {
      const bool served = covers(need.least(columns))(one.columns);
      if (!served && (one.key != key || !covers(one.columns)(columns))) continue;
      if (!served) one.columns = std::move(columns);
      one.beyond &= beyond;
      return one.uses.push_back(need.use);
    }
    missing.push_back({std::move(columns), {need.use}, key, beyond});
  };
  const auto needs = index_needs(model, table);
  std::vector<bool> beyond(needs.size());
  indexes_of(table, needs, [&](std::size_t i) { beyond[i] = true; });
  for (std::size_t i = 0; i < needs.size(); ++i) add(needs[i], needs[i].columns(table), false, beyond[i]);
  for (auto& columns : table.indexes) add({.equal = {}, .order = columns, .use = "`indexes`"}, columns, false);
  for (auto& need : key_needs(table, keys)) add(need, need.equal, true);
  return missing;
}

std::string listed(const std::vector<std::string>& uses) {
  constexpr std::size_t kMost = 4;
  std::string text;
  const auto shown = uses.size() > kMost ? kMost - 1 : uses.size();
  for (std::size_t i = 0; i < shown; ++i) text += (i == 0 ? "" : i + 1 == uses.size() ? " and " : ", ") + uses[i];
  if (shown < uses.size()) text += " and " + std::to_string(uses.size() - shown) + " more";
  return text;
}

}  // namespace plimsoll::table
