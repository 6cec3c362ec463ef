#include "plimsoll/database/dialect.hpp"

#include <algorithm>
#include <cctype>

namespace plimsoll::database {

void append_quoted(std::string& out, std::string_view name) {
  out += '"';
  for (auto quote = name.find('"'); quote != name.npos; quote = name.find('"')) {
    out.append(name, 0, quote + 1) += '"';
    name.remove_prefix(quote + 1);
  }
  (out += name) += '"';
}

std::string quoted(std::string_view name) {
  std::string made;
  append_quoted(made, name);
  return made;
}

std::string TableDefinition::list(const std::vector<std::size_t>& which, std::string_view prefix) const {
  std::string text;
  for (auto i : which) append_quoted((text += text.empty() ? "" : ",") += prefix, column(i).name);
  return text;
}

std::string Dialect::create_index(const TableDefinition& table, const std::vector<std::size_t>& columns,
                                  bool unique) const {
  std::string plain = table.name + (unique ? "_unique" : "_by");
  for (auto column : columns) plain += "_" + table.column(column).name;
  return (unique ? "CREATE UNIQUE INDEX " : "CREATE INDEX ") + quoted(plain) + " ON " + quoted(table.name) + "(" +
         table.list(columns) + ")";
}

Task<Result<std::vector<std::optional<FoundTable>>>> Dialect::find_tables(
    Session& session, std::span<const TableDefinition> tables) const {
  std::vector<std::optional<FoundTable>> all;
  for (const auto& table : tables) {
    auto found = co_await find_table(session, table);
    if (!found) co_return std::unexpected(std::move(found).error());
    all.push_back(std::move(*found));
  }
  co_return all;
}

Task<Result<std::vector<SearchState>>> Dialect::find_searches(Session& session,
                                                              std::span<const TableDefinition> tables) const {
  std::vector<SearchState> all;
  for (const auto& table : tables) {
    auto found = co_await find_search(session, table);
    if (!found) co_return std::unexpected(std::move(found).error());
    all.push_back(std::move(*found));
  }
  co_return all;
}

Task<Result<>> Dialect::look_at_keys(Session& session, const TableDefinition& table, FoundTable& found) {
  const auto from = " FROM " + quoted(table.name);
  for (const auto i : table.key) {
    const auto& name = table.column(i).name;
    const auto column = std::ranges::find(found.columns, name, &FoundColumn::name);
    if (column == found.columns.end()) co_return Result<>{};
    if (column->not_null) continue;
    auto missing = co_await session.query("SELECT 1" + from + " WHERE " + quoted(name) + " IS NULL LIMIT 1", {});
    if (!missing) co_return std::unexpected(std::move(missing).error());
    found.keys_missing |= !missing->empty();
  }
  if (found.view) {
    auto repeated = co_await session.query(
        "SELECT 1" + from + " GROUP BY " + table.list(table.key) + " HAVING count(*)>1 LIMIT 1", {});
    if (!repeated) co_return std::unexpected(std::move(repeated).error());
    found.keys_repeated = !repeated->empty();
  }
  co_return Result<>{};
}

bool mentions(std::string_view expression, std::string_view name) {
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  for (auto at = expression.find(name); at != expression.npos; at = expression.find(name, at + 1)) {
    const auto end = at + name.size();
    if ((at == 0 || !is_word(expression[at - 1])) && (end == expression.size() || !is_word(expression[end])))
      return true;
  }
  return false;
}

std::string Dialect::where_missing(std::string statement) const {
  for (std::string_view begin : {"CREATE TABLE ", "CREATE UNIQUE INDEX ", "CREATE INDEX ", "CREATE VIRTUAL TABLE ",
                                 "CREATE TRIGGER ", "CREATE VIEW "})
    if (statement.starts_with(begin)) return statement.insert(begin.size(), "IF NOT EXISTS ");
  return statement;
}

Task<Result<bool>> has_table(Database& database, Loop& loop, std::string_view name) {
  const auto asked = database.dialect().has_table(std::string(name));
  auto there = co_await database.read(loop, asked.sql, asked.cells, false);
  if (!there) co_return std::unexpected(std::move(there).error());
  co_return !there->empty();
}

Task<Result<>> prepare_own_table(Session& session, const Dialect& dialect, OwnTable table) {
  session.alone("plimsoll.tables");
  const auto asked = dialect.has_table(std::string(table.name));
  auto there = co_await session.query(asked.sql, asked.cells);
  if (!there) co_return std::unexpected(std::move(there).error());
  if (there->empty()) {
    auto made = co_await session.query(dialect.create_own_table(table.name, table.columns), {});
    if (!made) co_return std::unexpected(std::move(made).error());
  } else if (!dialect.completes_own_tables()) {
    co_return Result<>{};
  }
  for (const auto index : table.indexes) {
    auto made = co_await session.query(index, {});
    if (!made) co_return std::unexpected(std::move(made).error());
  }
  co_return Result<>{};
}

}  // namespace plimsoll::database
