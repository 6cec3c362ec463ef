#include "plimsoll/handler/table/ddl.hpp"

#include "plimsoll/handler/table/statement.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

bool keyed_in_tenant(const Table& table, const std::vector<std::string>& plain_keys) {
  return table.key_in_tenant && std::ranges::find(plain_keys, table.name) == plain_keys.end();
}

/// Foreign keys that the table can have: one for the same columns, to a key of the same kinds.
std::vector<const Reference*> foreign_keys(const Model& model, const Table& table) {
  std::vector<const Reference*> first, all;
  for (auto& reference : references(model, table))
    if (std::ranges::none_of(first, [&](auto* known) { return known->columns == reference.columns; }))
      first.push_back(&reference);
  for (const auto* reference : first) {
    const auto& other = *model.find(reference->table);
    bool alike = other.keys.size() == reference->columns.size();
    for (std::size_t i = 0; alike && i < other.keys.size(); ++i)
      alike = other.columns[other.keys[i]].kind == table.columns[reference->columns[i]].kind;
    if (alike) all.push_back(reference);
  }
  return all;
}

/// `"order_id", "line"`
std::string quoted_names(const Table& table, const IndexColumns& columns) {
  std::string text;
  for (auto column : columns) (text += text.empty() ? "" : ", ") += quoted(table.columns[column].name);
  return text;
}
std::vector<std::string> sorted_names(const Table& table, const IndexColumns& columns) {
  std::vector<std::string> all;
  for (auto column : columns) all.push_back(table.columns[column].name);
  std::ranges::sort(all);
  return all;
}
/// Whether a table has a unique index on exactly these columns, in any order.
bool is_unique(const FoundTable& found, const std::vector<std::string>& sorted) {
  return std::ranges::any_of(found.unique, [&](auto columns) {
    std::ranges::sort(columns);
    return columns == sorted;
  });
}

}  // namespace

database::TableDefinition definition_of(const Model& model, const Table& table,
                                        const std::vector<std::string>& plain_keys) {
  database::TableDefinition made{.name = table.name, .columns = {}, .key = table.keys};
  if (table.key_in_tenant) made.tenant = table.tenant;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    auto& defined = made.columns.emplace_back();
    defined.is = &column;
    defined.not_null = column.required || table.is_key(i) || (table.key_in_tenant && i == *table.tenant);
    defined.listed = std::ranges::find(table.sort, i) != table.sort.end() || table.filter(i);
    if (const auto* to = refers_to(model, table, i); to && to->kind == column.kind) defined.to = to;
  }
  // Bytes stand last: what stands behind a long value is read by way of it.
  const auto add = [&](const Column& column) {
    if (!table.column(column.name)) made.columns.push_back({.is = &column});
  };
  for (const auto& file : table.files) {
    add(file.digest);
    add(file.type);
    if (file.file_name) add(*file.file_name);
    if (file.size) add(*file.size);
  }
  for (const auto& file : table.files) add(file.bytes);
  for (const auto* reference : foreign_keys(model, table)) {
    const auto& other = *model.find(reference->table);
    auto& defined = made.references.emplace_back();
    defined.from = reference->columns;
    defined.table = other.name;
    for (auto key : other.keys) defined.to.push_back(other.columns[key].name);
    if (!keyed_in_tenant(other, plain_keys)) continue;
    defined.from.insert(defined.from.begin(), *table.tenant);
    defined.to.insert(defined.to.begin(), other.columns[*other.tenant].name);
  }
  made.indexes = needed_indexes(model, table);
  for (const auto& file : table.files)  // by which the sweep of the folder looks for a name
    if (file.in_folder())
      for (auto i = table.columns.size(); i < made.columns.size(); ++i)
        if (made.columns[i].is == &file.bytes) made.indexes.push_back({i});
  made.search = table.search;
  // What has the whole key in it is unique as it is.
  for (auto& columns : table.unique)
    if (!std::ranges::all_of(table.keys, [&](auto key) { return std::ranges::find(columns, key) != columns.end(); }))
      made.unique.push_back(columns);
  return made;
}

bool has_plain_key(const Table& table, const FoundTable& found) {
  return is_unique(found, sorted_names(table, table.keys));
}

std::optional<Disagreement> warn_of_shared_keys(const Model& model, const Table& table) {
  if (!table.tenant || !table.key_from_client) return std::nullopt;
  const auto key = quoted_names(table, table.keys), name = quoted(table.name),
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

void warn_of_long_texts(const database::Dialect& dialect, const Table& table,
                        const database::TableDefinition& definition, std::vector<Disagreement>& all) {
  constexpr std::int64_t kBytes = 4;  // of a character in UTF-8, at most
  const auto most = static_cast<std::int64_t>(dialect.longest_indexed());
  if (most == 0) return;
  const auto indexed = [&](std::size_t column) {
    const auto has = [&](auto& columns) { return std::ranges::find(columns, column) != columns.end(); };
    return std::ranges::any_of(definition.indexes, has) || std::ranges::any_of(definition.unique, has);
  };
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    if (column.kind != Kind::text || column.words || column.uuid || column.longest.value_or(0) <= most / kBytes ||
        !indexed(i))
      continue;
    all.push_back(
        {{"column " + quoted(column.name) + " of table " + quoted(table.name) + " is in an index and takes " +
              std::to_string(*column.longest) + " characters: the database refuses texts of more than about " +
              std::to_string(most) + " bytes there (422)",
          "-- in the contract: `maxLength: " + std::to_string(most / kBytes) +
              "`, or leave the column out of `filters`, `sort`, `unique` and `indexes`",
          true, column.name}});
  }
}

void note_storage(const database::Dialect& dialect, Table& table, const FoundTable* found) {
  const auto note = [&](Column& column) {
    if (!found) return dialect.note_storage(column, nullptr, nullptr);
    if (const auto there = std::ranges::find(found->columns, column.name, &database::FoundColumn::name);
        there != found->columns.end())
      dialect.note_storage(column, &*there, found);
  };
  for (auto& column : table.columns) note(column);
  for (auto& file : table.files) {
    for (auto* column : {&file.bytes, &file.digest, &file.type}) note(*column);
    if (file.file_name) note(*file.file_name);
    if (file.size) note(*file.size);
  }
}

namespace {

/// A row is addressed, changed and paged past by its key alone, so no two rows may share one. An index that is not
/// unique, is partial, or has the key beside other columns does not show that.
void check_key(const database::Dialect& dialect, const database::TableDefinition& definition, const Model& model,
               const Table& table, const FoundTable& found, std::vector<Disagreement>& all) {
  const auto key = quoted_names(table, table.keys), list = definition.list(table.keys);
  const auto name = quoted(table.name);
  const bool several = table.keys.size() > 1;
  for (auto column : table.keys)
    if (std::ranges::find(found.columns, table.columns[column].name, &database::FoundColumn::name) ==
        found.columns.end())
      return;  // reported already
  if (found.keys_missing)
    all.push_back({"table " + name + " has rows whose key " + key + (several ? " has a NULL in it" : " is NULL") +
                       ": no request can address them",
                   "-- give each of these rows a key: " + dialect.rows_without_key(definition)});
  if (found.view) {
    if (found.keys_repeated)
      all.push_back(
          {"the key " + key + " of view " + name + " is not unique: several rows share one",
           "-- name a column under `key` that differs in each row of the view, or make the view such: SELECT " + key +
               ", count(*) FROM " + name + " GROUP BY " + (several ? list : std::string("1")) + " HAVING count(*)>1;"});
    return;
  }
  if (has_plain_key(table, found)) {
    if (auto warning = warn_of_shared_keys(model, table)) all.push_back(std::move(*warning));
    return;
  }
  if (table.tenant) {
    auto columns = table.keys;
    if (!table.is_key(*table.tenant)) columns.push_back(*table.tenant);
    const bool within = is_unique(found, sorted_names(table, columns));
    if (within && table.key_in_tenant) return;  // every statement names the tenant
    if (within) {
      all.push_back(
          {"the key " + key + " of table " + name + " is unique within the tenant only, and " +
               (table.key_from_client ? "a table without a tenant refers to it: whose row is meant is not known"
                                      : "the server makes it for all tenants"),
           table.key_from_client
               ? "-- in the contract: declare the `tenant` of the tables that refer to " + name
               : "CREATE UNIQUE INDEX " + quoted(table.name + "_key") + " ON " + name + "(" + list + ");"});
      return;
    }
  }
  all.push_back({"the key " + key + " of table " + name +
                     " is not unique by itself: no PRIMARY KEY and no UNIQUE index is on exactly " +
                     (several ? "these columns" : "this column") + ", so one key could name several rows",
                 "CREATE UNIQUE INDEX " + quoted(table.name + "_key") + " ON " + name + "(" + list +
                     "); -- where rows share a key now, name another column under `key`, such as a new one"});
}

/// An index on fewer of the columns promises more.
void check_unique(const database::Dialect& dialect, const database::TableDefinition& definition, const Table& table,
                  const IndexColumns& columns, const FoundTable& found, std::vector<Disagreement>& all) {
  const auto name = quoted(table.name), list = quoted_names(table, columns);
  const auto wanted = sorted_names(table, columns);
  for (auto& column : wanted)
    if (std::ranges::find(found.columns, column, &database::FoundColumn::name) == found.columns.end())
      return;  // reported already
  if (found.view) {
    all.push_back({name + " is a view, and cannot keep " + list + " unique",
                   "-- in the contract: take it out of `unique`; the tables below the view can have such an index"});
    return;
  }
  const bool kept = std::ranges::any_of(found.unique, [&](auto there) {
    std::ranges::sort(there);
    return std::ranges::includes(wanted, there);
  });
  if (!kept)
    all.push_back({"table " + name + " has no UNIQUE index on " + list + ", which the contract says is unique",
                   dialect.create_index(definition, columns, true) +
                       "; -- fails where rows share these values now: change them first"});
}

/// Whether callers can choose the values of such a rule: not where the server makes one of them.
bool is_chosen(const Table& table, const database::UniqueRule& rule) {
  bool chosen = rule.columns.empty();  // of an expression
  for (auto& name : rule.columns) {
    const auto index = table.column(name);
    if (!index) continue;
    const auto& column = table.columns[*index];
    if (table.is_key(*index) && !table.key_from_client) return false;
    chosen |= !column.read_only && column.filled != Filled::tenant;
  }
  return chosen;
}

/// What is unique over all tenants tells a caller, by 409, which values another tenant has. Where the contract says
/// that it is unique within the tenant, the database says otherwise; else it may be meant so.
void check_tenants_apart(const database::Dialect& dialect, const database::TableDefinition& definition,
                         const Table& table, const FoundTable& found, std::vector<Disagreement>& all) {
  if (!table.tenant) return;
  const auto& tenant = table.columns[*table.tenant].name;
  const auto key = sorted_names(table, table.keys);
  for (auto& rule : found.rules) {
    auto columns = rule.columns;
    std::ranges::sort(columns);
    if (std::ranges::find(columns, tenant) != columns.end() || columns == key || !is_chosen(table, rule)) continue;
    const IndexColumns* declared = nullptr;
    for (auto& one : table.unique)
      if (!columns.empty() && std::ranges::includes(sorted_names(table, one), columns)) declared = &one;
    std::string list;
    for (auto& name : rule.columns) (list += list.empty() ? "" : ", ") += quoted(name);
    const auto what = "table " + quoted(table.name) + " has " + (rule.drop.empty() ? "the constraint " : "the index ") +
                      rule.name + (list.empty() ? " on an expression" : " on " + list) +
                      ", which is unique over all tenants: a 409 tells a caller that another tenant has these values";
    IndexColumns within{*table.tenant};
    for (auto& name : rule.columns)
      if (const auto column = table.column(name)) within.push_back(*column);
    const bool known = within.size() == rule.columns.size() + 1 && !rule.columns.empty() && !rule.partial;
    // In its place, unless there is one within the tenant.
    const auto wanted = sorted_names(table, declared ? *declared : within);
    const bool there = std::ranges::any_of(found.unique, [&](auto names) {
      std::ranges::sort(names);
      return std::ranges::find(names, tenant) != names.end() && std::ranges::includes(wanted, names);
    });
    const auto create =
        known && !there ? " " + dialect.create_index(definition, declared ? *declared : within, true) + ";" : "";
    std::string remedy;
    if (rule.drop.empty())
      remedy =
          "-- rebuild the table without " + rule.name + "(" + list + ")" + (create.empty() ? "" : ", then:" + create);
    else if (declared)
      remedy = rule.drop + ";" + create;
    else  // never done by a migration that is written: it may be meant so
      remedy = "-- where two tenants may have the same values: " + rule.drop + ";" + create;
    all.push_back({what, std::move(remedy), declared == nullptr});
  }
}

}  // namespace

std::vector<Disagreement> compare(const database::Dialect& dialect, const Model& model, const Table& table,
                                  const FoundTable& found, const std::vector<database::ForeignKey>& keys) {
  std::vector<Disagreement> all;
  const auto name = quoted(table.name);
  const auto definition = definition_of(model, table);
  std::vector<database::Finding> storage;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    const auto there = std::ranges::find(found.columns, column.name, &database::FoundColumn::name);
    const auto add = [&](database::Finding one) {
      one.column = column.name;
      all.push_back({std::move(one)});
    };
    if (there == found.columns.end()) {
      add({"table " + name + " has no column " + quoted(column.name), dialect.add_column(definition, i)});
      continue;
    }
    storage.clear();
    dialect.check_storage(definition, i, *there, found, storage);
    for (auto& one : storage) add(std::move(one));
    if (there->not_null && !column.required && !there->has_default && !there->primary)
      add({"column " + quoted(column.name) + " of table " + name +
               " is NOT NULL, and the contract lets it be null or absent",
           "-- in the contract: list \"" + column.name + "\" under `required` and take null from its type"});
    else if (!there->not_null && column.required && !there->primary && !found.view)
      add({"column " + quoted(column.name) + " of table " + name + " can be null, and the contract says it cannot",
           dialect.refuse_nulls(definition, i), true});
  }
  for (auto i = table.columns.size(); i < definition.columns.size(); ++i) {
    const auto& column = definition.column(i);
    const auto there = std::ranges::find(found.columns, column.name, &database::FoundColumn::name);
    if (there == found.columns.end()) {
      all.push_back({{"table " + name + " has no column " + quoted(column.name) + " for its files",
                      dialect.add_column(definition, i)}});
      continue;
    }
    storage.clear();
    dialect.check_storage(definition, i, *there, found, storage);
    for (auto& one : storage) all.push_back({std::move(one)});
    if (there->not_null)
      all.push_back(
          {"column " + quoted(column.name) + " of table " + name + " is NOT NULL, and rows are made without a file",
           "-- rebuild the table with " + quoted(column.name) + " that may be NULL"});
  }
  const auto of_file = [&](const std::string& column) {
    return std::ranges::any_of(std::span(definition.columns).subspan(table.columns.size()),
                               [&](auto& one) { return one.is->name == column; });
  };
  for (auto& column : found.columns)
    if (column.not_null && !column.has_default && !column.primary && !table.column(column.name) &&
        !of_file(column.name))
      all.push_back({"column " + quoted(column.name) + " of table " + name +
                         " is NOT NULL without a default and not in the contract: rows cannot be created",
                     "-- add \"" + column.name + "\" to the schema, or give the column a default", true});
  check_key(dialect, definition, model, table, found, all);
  for (auto& columns : definition.unique) check_unique(dialect, definition, table, columns, found, all);
  check_tenants_apart(dialect, definition, table, found, all);
  if (found.view) return all;
  std::vector<std::string> beyond;
  for (auto& one : missing_indexes(dialect, model, table, found, keys)) {
    if (one.beyond)
      std::ranges::move(one.uses, std::back_inserter(beyond));
    else
      all.push_back({"table " + name + " has no index on " + table.names_of(one.columns) + " for " + listed(one.uses) +
                         (one.key ? ": the whole table is read when a row goes that is referred to"
                                  : ": lists that need it read the whole table, or sort it"),
                     dialect.create_index(definition, one.columns) + ";", true});
  }
  if (!beyond.empty())
    all.push_back({"table " + name + " has no index for " + listed(beyond) + ", which would be more than the " +
                       std::to_string(kMostIndexes) +
                       " that filters and sorts are given: lists that need it read the whole table, or sort it",
                   "-- declare fewer filters and sorts, or make those indexes that matter: `plimsoll check --database` "
                   "prints the statements",
                   true});
  return all;
}

}  // namespace plimsoll::table
