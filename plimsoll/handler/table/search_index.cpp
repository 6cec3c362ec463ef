#include "plimsoll/handler/table/search_index.hpp"

#include "plimsoll/handler/table/statement.hpp"

#include <algorithm>

namespace plimsoll::table {
namespace {

constexpr std::string_view kFullText = ", content='', tokenize='unicode61 remove_diacritics 2')";
constexpr std::string_view kRows = "(number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT";
constexpr std::string_view kTenantRows = "(number INTEGER PRIMARY KEY, tenant, key NOT NULL, UNIQUE(tenant,key))";

std::string_view rows_of(const Table& table) { return table.key_in_tenant ? kTenantRows : kRows; }

std::string search_columns(const Table& table) {
  std::string text;
  for (auto column : table.search) (text += text.empty() ? "" : ",") += quoted(table.columns[column].name);
  return text;
}

/// Made by this server, if for another contract.
bool is_ours(const Table& table, const FoundObject& object) {
  const auto& [type, name, sql] = object;
  const auto search = quoted(table.name + "_search");
  if (name == table.name + "_search")
    return sql.starts_with("CREATE VIRTUAL TABLE " + search + " USING fts5(") && sql.ends_with(kFullText);
  if (name == table.name + "_search_rows")
    return sql == "CREATE TABLE " + quoted(name) + std::string(kRows) ||
           sql == "CREATE TABLE " + quoted(name) + std::string(kTenantRows);
  return sql.starts_with("CREATE TRIGGER " + quoted(name) + " AFTER ") && sql.find("INTO " + search + "(") != sql.npos;
}

}  // namespace

bool is_numbered(const Table& table) { return table.key_column().kind == Kind::integer && !table.key_in_tenant; }

std::vector<std::string> create_search(const Table& table) {
  const auto name = quoted(table.name), search = quoted(table.name + "_search"),
             rows = quoted(table.name + "_search_rows");
  const auto key = quoted(table.key_column().name);
  const bool numbered = is_numbered(table);
  const auto tenant = table.key_in_tenant ? quoted(table.columns[*table.tenant].name) : std::string{};
  const auto values = [&](std::string_view prefix) {
    std::string text;
    for (auto column : table.search) text += "," + std::string(prefix) + quoted(table.columns[column].name);
    return text;
  };
  const auto columns = search_columns(table);
  const auto same = [&](const std::string& of) {
    return "key=" + of + key + (tenant.empty() ? std::string{} : " AND tenant IS " + of + tenant);
  };
  const auto number = [&](const std::string& of) {
    return numbered ? of + key : "(SELECT number FROM " + rows + " WHERE " + same(of) + ")";
  };
  const auto put = "INSERT INTO " + search + "(rowid," + columns + ") VALUES(" + number("new.") + values("new.") + ");";
  const auto drop = "INSERT INTO " + search + "(" + search + ",rowid," + columns + ") VALUES('delete'," +
                    number("old.") + values("old.") + ");";
  const auto note = numbered ? std::string{}
                    : tenant.empty()
                        ? "INSERT INTO " + rows + "(key) VALUES(new." + key + ");"
                        : "INSERT INTO " + rows + "(tenant,key) VALUES(new." + tenant + ",new." + key + ");";
  const auto unnote = numbered ? std::string{} : "DELETE FROM " + rows + " WHERE " + same("old.") + ";";
  const auto trigger = [&](std::string_view what, const std::string& when, const std::string& body) {
    return "CREATE TRIGGER " + quoted(table.name + "_search_" + std::string(what)) + " AFTER " + when + " ON " + name +
           " BEGIN " + body + " END";
  };
  std::vector<std::string> all;
  if (!numbered) all.push_back("CREATE TABLE " + rows + std::string(rows_of(table)));
  all.push_back("CREATE VIRTUAL TABLE " + search + " USING fts5(" + columns + std::string(kFullText));
  all.push_back(trigger("insert", "INSERT", note + put));
  all.push_back(trigger("delete", "DELETE", drop + unnote));
  all.push_back(trigger("update", "UPDATE OF " + key + (tenant.empty() ? "," : "," + tenant + ",") + columns,
                        drop + unnote + note + put));
  return all;
}

std::string fill_search(const Table& table) {
  const auto name = quoted(table.name), search = quoted(table.name + "_search"),
             rows = quoted(table.name + "_search_rows");
  const auto key = quoted(table.key_column().name), columns = search_columns(table);
  const auto put = [&](const std::string& number, const std::string& from) {
    std::string values;
    for (auto column : table.search) values += "," + name + "." + quoted(table.columns[column].name);
    return "INSERT INTO " + search + "(rowid," + columns + ") SELECT " + number + values + " FROM " + from;
  };
  const auto its_key = name + "." + key;
  if (is_numbered(table)) return put(its_key, name);
  const auto joined = name + " JOIN " + rows + " ON " + rows + ".key=" + its_key;
  const auto number = rows + ".number";
  if (!table.key_in_tenant)
    return "INSERT INTO " + rows + "(key) SELECT " + key + " FROM " + name + ";" + put(number, joined);
  const auto tenant = quoted(table.columns[*table.tenant].name);
  return "INSERT INTO " + rows + "(tenant,key) SELECT " + tenant + "," + key + " FROM " + name + ";" +
         put(number, joined + " AND " + rows + ".tenant IS " + name + "." + tenant);
}

std::vector<std::string> search_names(const Table& table) {
  std::vector<std::string> names;
  for (std::string_view end : {"", "_rows", "_insert", "_delete", "_update"})
    names.push_back(table.name + "_search" + std::string(end));
  return names;
}

SearchState compare_search(const Table& table, const FoundSearch& found) {
  SearchState state;
  const auto wanted = create_search(table);
  state.current = std::ranges::all_of(
      wanted, [&](auto& sql) { return std::ranges::any_of(found, [&](auto& object) { return object.sql == sql; }); });
  if (state.current) return state;
  for (auto& object : found) {
    if (!is_ours(table, object)) state.foreign = &object;
    const bool trigger = object.type == "trigger";
    const auto drop = (trigger ? "DROP TRIGGER " : "DROP TABLE ") + quoted(object.name);
    state.drop.insert(trigger ? state.drop.begin() : state.drop.end(), drop);
  }
  return state;
}

}  // namespace plimsoll::table
