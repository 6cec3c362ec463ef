#include "plimsoll/handler/table/ddl.hpp"

#include "plimsoll/handler/table/statement.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

constexpr std::size_t kMostIndexes = 32;

std::string names(const Table& table, const IndexColumns& columns) {
  std::string text;
  for (auto column : columns) (text += text.empty() ? "" : ", ") += table.columns[column].name;
  return text;
}

bool keyed_in_tenant(const Table& table, const std::vector<std::string>& plain_keys) {
  return table.key_in_tenant && std::ranges::find(plain_keys, table.name) == plain_keys.end();
}

/// The table that a column can have a foreign key to.
const Table* foreign(const Model& model, const Table& table, std::size_t index) {
  auto* other = refers_to(model, table, index);
  return other && other->key_column().kind == table.columns[index].kind ? other : nullptr;
}

}  // namespace

std::vector<IndexColumns> needed_indexes(const Model& model, const Table& table) {
  std::vector<IndexColumns> needed;
  IndexColumns prefix;
  if (table.tenant) prefix.push_back(*table.tenant);
  if (table.owner) prefix.push_back(*table.owner);
  const auto add = [&](IndexColumns columns) {
    auto all = prefix;
    for (auto column : columns)
      if (std::ranges::find(all, column) == all.end()) all.push_back(column);
    const auto key = std::ranges::find(all, table.key);
    if (key != all.end()) all.erase(key + 1, all.end());
    if (all == IndexColumns{table.key} || needed.size() >= kMostIndexes) return;
    const auto covers = [&](const IndexColumns& other) {
      return other.size() >= all.size() && std::equal(all.begin(), all.end(), other.begin());
    };
    if (std::ranges::none_of(needed, covers)) needed.push_back(std::move(all));
  };
  for (auto& sort : table.sort) add({sort, table.key});
  for (auto& filter : table.filters) {
    const bool equality = filter.has(Operator::eq) || filter.has(Operator::in) || filter.has(Operator::is_null);
    if (equality)
      for (auto& sort : table.sort) add({filter.column, sort, table.key});
    add({filter.column, table.key});
  }
  if (!prefix.empty()) add({table.key});
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (i == table.key || !refers_to(model, table, i)) continue;
    // Reached from the other table, whoever asks: without the prefix.
    const IndexColumns alone{i, table.key};
    const auto covers = [&](const IndexColumns& other) { return !other.empty() && other[0] == i; };
    if (std::ranges::none_of(needed, covers)) needed.push_back(alone);
  }
  return needed;
}

database::TableDefinition definition_of(const Model& model, const Table& table,
                                        const std::vector<std::string>& plain_keys) {
  database::TableDefinition made{.name = table.name, .columns = {}, .key = table.key};
  if (table.key_in_tenant) made.tenant = table.tenant;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    auto& defined = made.columns.emplace_back();
    defined.is = &column;
    defined.not_null = column.required || i == table.key || (table.key_in_tenant && i == *table.tenant);
    defined.listed = std::ranges::find(table.sort, i) != table.sort.end() || table.filter(i);
    const auto* other = foreign(model, table, i);
    if (!other) continue;
    defined.table = other->name;
    defined.to = &other->key_column();
    defined.key = other->key_column().name;
    if (!keyed_in_tenant(*other, plain_keys)) continue;
    defined.tenant = other->columns[*other->tenant].name;
    defined.own_tenant = table.columns[*table.tenant].name;
  }
  made.indexes = needed_indexes(model, table);
  made.search = table.search;
  return made;
}

bool has_plain_key(const Table& table, const FoundTable& found) {
  return std::ranges::find(found.unique, std::vector<std::string>{table.key_column().name}) != found.unique.end();
}

std::optional<Disagreement> warn_of_shared_keys(const Model& model, const Table& table) {
  if (!table.tenant || !table.key_from_client) return std::nullopt;
  const auto key = quoted(table.key_column().name), name = quoted(table.name),
             tenant = quoted(table.columns[*table.tenant].name);
  const auto what = "clients choose the key " + key + " of table " + name +
                    ", which is unique over all tenants: a key that another tenant has is refused (409)";
  for (auto& from : referrers(model, table))
    if (!model.find(from.table)->tenant)
      return Disagreement{what + "; table " + quoted(from.table) + ", which has no tenant, refers to it",
                          "-- in the contract: declare the `tenant` of table " + quoted(from.table) +
                              ", or let the server make the key (`readOnly: true`)",
                          true};
  return Disagreement{
      what,
      "-- rebuild the table with PRIMARY KEY(" + tenant + "," + key +
          "), and foreign keys to it of both columns; or let the server make the key (`readOnly: true`)",
      true};
}

void note_storage(const database::Dialect& dialect, Table& table, const FoundTable* found) {
  for (auto& column : table.columns) {
    if (!found) {
      dialect.note_storage(column, nullptr, nullptr);
      continue;
    }
    if (const auto there = std::ranges::find(found->columns, column.name, &database::FoundColumn::name);
        there != found->columns.end())
      dialect.note_storage(column, &*there, found);
  }
}

namespace {

/// A row is addressed, changed and paged past by its key alone, so no two rows may share one. An index that is not
/// unique, is partial, or has the key beside other columns does not show that.
void check_key(const database::Dialect& dialect, const database::TableDefinition& definition, const Model& model,
               const Table& table, const FoundTable& found, std::vector<Disagreement>& all) {
  const auto& key = table.key_column().name;
  const auto name = quoted(table.name);
  if (std::ranges::find(found.columns, key, &database::FoundColumn::name) == found.columns.end())
    return;  // reported already
  if (found.keys_missing)
    all.push_back({"table " + name + " has rows whose key " + quoted(key) + " is NULL: no request can address them",
                   "-- give each of these rows a key: " + dialect.rows_without_key(definition)});
  if (found.view) {
    if (found.keys_repeated)
      all.push_back(
          {"the key " + quoted(key) + " of view " + name + " is not unique: several rows share one",
           "-- name a column under `key` that differs in each row of the view, or make the view such: SELECT " +
               quoted(key) + ", count(*) FROM " + name + " GROUP BY 1 HAVING count(*)>1;"});
    return;
  }
  if (has_plain_key(table, found)) {
    if (auto warning = warn_of_shared_keys(model, table)) all.push_back(std::move(*warning));
    return;
  }
  if (table.tenant) {
    const auto& tenant = table.columns[*table.tenant].name;
    const bool within = std::ranges::any_of(found.unique, [&](auto& columns) {
      return columns == std::vector{tenant, key} || columns == std::vector{key, tenant};
    });
    if (within && table.key_in_tenant) return;  // every statement names the tenant
    if (within) {
      all.push_back(
          {"the key " + quoted(key) + " of table " + name + " is unique within the tenant only, and " +
               (table.key_from_client ? "a table without a tenant refers to it: whose row is meant is not known"
                                      : "the server makes it for all tenants"),
           table.key_from_client
               ? "-- in the contract: declare the `tenant` of the tables that refer to " + name
               : "CREATE UNIQUE INDEX " + quoted(table.name + "_key") + " ON " + name + "(" + quoted(key) + ");"});
      return;
    }
  }
  all.push_back({"the key " + quoted(key) + " of table " + name +
                     " is not unique by itself: no PRIMARY KEY and no UNIQUE index is on exactly this column, so one "
                     "key could name several rows",
                 "CREATE UNIQUE INDEX " + quoted(table.name + "_key") + " ON " + name + "(" + quoted(key) +
                     "); -- where rows share a key now, name another column under `key`, such as a new one"});
}

}  // namespace

std::vector<Disagreement> compare(const database::Dialect& dialect, const Model& model, const Table& table,
                                  const FoundTable& found) {
  std::vector<Disagreement> all;
  const auto name = quoted(table.name);
  const auto definition = definition_of(model, table);
  std::vector<database::Finding> storage;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    const auto there = std::ranges::find(found.columns, column.name, &database::FoundColumn::name);
    if (there == found.columns.end()) {
      all.push_back({{"table " + name + " has no column " + quoted(column.name), dialect.add_column(definition, i)}});
      continue;
    }
    storage.clear();
    dialect.check_storage(definition, i, *there, found, storage);
    for (auto& one : storage) all.push_back({std::move(one)});
    if (there->not_null && !column.required && !there->has_default && !there->primary)
      all.push_back({"column " + quoted(column.name) + " of table " + name +
                         " is NOT NULL, and the contract lets it be null or absent",
                     "-- in the contract: list \"" + column.name + "\" under `required` and take null from its type"});
    else if (!there->not_null && column.required && !there->primary && !found.view)
      all.push_back(
          {"column " + quoted(column.name) + " of table " + name + " can be null, and the contract says it cannot",
           dialect.refuse_nulls(definition, i), true});
  }
  for (auto& column : found.columns)
    if (column.not_null && !column.has_default && !column.primary && !table.column(column.name))
      all.push_back({"column " + quoted(column.name) + " of table " + name +
                         " is NOT NULL without a default and not in the contract: rows cannot be created",
                     "-- add \"" + column.name + "\" to the schema, or give the column a default", true});
  check_key(dialect, definition, model, table, found, all);
  if (found.view) return all;
  const auto indexed = [&](const IndexColumns& columns) {
    return std::ranges::any_of(found.indexes, [&](const std::vector<std::string>& index) {
      // The key at the end may be implied.
      auto wanted = columns.size();
      if (dialect.indexes_end_with_key() && wanted > 1 && columns.back() == table.key) --wanted;
      if (index.size() < wanted) return false;
      for (std::size_t i = 0; i < wanted; ++i)
        if (index[i] != table.columns[columns[i]].name) return false;
      return true;
    });
  };
  for (auto& columns : definition.indexes)
    if (!indexed(columns))
      all.push_back(
          {"table " + name + " has no index on " + names(table, columns) + ": lists that need it read the whole table",
           dialect.create_index(definition, columns) + ";", true});
  return all;
}

}  // namespace plimsoll::table
