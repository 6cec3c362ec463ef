#include "plimsoll/base/letters.hpp"
#include "plimsoll/database/catalogue.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/sqlite_dialect.hpp"

#include <algorithm>
#include <cctype>

namespace plimsoll::database {
namespace {

/// `varchar(40)` is a varchar of 40.
void read_type(CatalogueColumn& column) {
  const auto declared = lowered(column.declared);
  const auto open = declared.find('(');
  column.type = declared.substr(0, std::min(open, declared.size()));
  while (column.type.ends_with(' ')) column.type.pop_back();
  if (open == declared.npos || !column.type.contains("char")) return;
  for (auto at = open + 1; at < declared.size() && std::isdigit(static_cast<unsigned char>(declared[at])); ++at)
    column.length = std::min<std::int64_t>(column.length * 10 + (declared[at] - '0'), 1'000'000'000);
}

Task<Result<>> read_columns(Session& session, CatalogueTable& table) {
  const Cell name[] = {table.name};
  auto rows = co_await session.query(
      "SELECT name,type,\"notnull\",dflt_value IS NOT NULL,pk,hidden FROM pragma_table_xinfo(?) WHERE hidden<>1", name);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::vector<std::pair<std::int64_t, std::string>> primary;
  for (const auto& row : *rows) {
    CatalogueColumn made{.name = text_at(row, 0),
                         .declared = text_at(row, 1),
                         .type = {},
                         .not_null = number_at(row, 2) != 0,
                         .filled = number_at(row, 3) != 0 || number_at(row, 5) > 1,
                         .generated = number_at(row, 5) > 1};
    read_type(made);
    if (const auto place = number_at(row, 4)) primary.emplace_back(place, made.name);
    table.columns.push_back(std::move(made));
  }
  std::ranges::sort(primary);
  for (auto& [place, column] : primary) table.primary.push_back(std::move(column));
  // The one INTEGER PRIMARY KEY is the number of the row.
  if (table.primary.size() == 1)
    for (auto& column : table.columns)
      if (column.name == table.primary.front() && column.type == "integer")
        column.counted = column.filled = column.not_null = true;
  co_return Result<>{};
}

Task<Result<>> read_indexes(Session& session, CatalogueTable& table) {
  const Cell name[] = {table.name};
  auto rows = co_await session.query(
      "SELECT l.seq,l.\"unique\",l.origin,i.name FROM pragma_index_list(?) l, pragma_index_info(l.name) i "
      "WHERE NOT l.partial ORDER BY l.seq DESC,i.seqno",
      name);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::int64_t last = -1;
  if (table.primary.size() == 1) table.indexes.push_back(table.primary);
  for (const auto& row : *rows) {
    const bool unique = number_at(row, 1) != 0 && text_at(row, 2) != "pk";
    if (number_at(row, 0) != last) {
      table.indexes.emplace_back();
      if (unique) table.unique.emplace_back();
    }
    last = number_at(row, 0);
    table.indexes.back().push_back(text_at(row, 3));
    if (unique) table.unique.back().push_back(text_at(row, 3));
  }
  // Of expressions there is no name.
  const auto nameless = [](const std::vector<std::string>& columns) {
    return std::ranges::find(columns, std::string{}) != columns.end();
  };
  std::erase_if(table.indexes, nameless);
  std::erase_if(table.unique, nameless);
  co_return Result<>{};
}

Task<Result<>> read_references(Session& session, CatalogueTable& table) {
  const Cell name[] = {table.name};
  auto rows = co_await session.query(
      "SELECT id,\"table\",\"from\",coalesce(\"to\",'') FROM pragma_foreign_key_list(?) ORDER BY id DESC,seq", name);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::int64_t last = -1;
  for (const auto& row : *rows) {
    if (number_at(row, 0) != last) table.references.push_back({.table = text_at(row, 1), .from = {}, .to = {}});
    last = number_at(row, 0);
    table.references.back().from.push_back(text_at(row, 2));
    table.references.back().to.push_back(text_at(row, 3));
  }
  co_return Result<>{};
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

/// Of `sqlite 1: no such table: main.shelf in: SELECT …` what concerns the view.
std::string sentence_of(const Error& error) {
  const auto reason = reason_of(error);
  const auto begin = reason.find(": "), end = reason.rfind(" in: ");
  return begin == reason.npos || end == reason.npos || end < begin ? reason : reason.substr(begin + 2, end - begin - 2);
}

}  // namespace

ColumnSchema sqlite_schema_of(const CatalogueColumn& column) {
  const std::string_view type = column.type;
  if (type.contains("bool")) return {"boolean", {}};
  if (type.contains("int")) return {"integer", "int64"};
  if (type.contains("char") || type.contains("clob") || type.contains("text")) return {"string", {}};
  if (type.contains("real") || type.contains("floa") || type.contains("doub")) return {"number", {}};
  if (is_one_of(type, {"numeric", "decimal", "number"})) return {"number", "decimal"};
  if (type == "datetime" || type.starts_with("timestamp")) return {"string", "date-time"};
  if (is_one_of(type, {"date", "time", "uuid"})) return {"string", type};
  if (is_one_of(type, {"json", "jsonb"})) return {"any", {}};
  return {};
}

Task<Result<std::vector<CatalogueTable>>> read_sqlite_catalogue(Session& session) {
  const Cell ends[] = {std::string(kSearchEnds)};
  auto rows = co_await session.query(
      "SELECT name,type FROM pragma_table_list t WHERE schema='main' AND type IN ('table','view') AND name NOT LIKE "
      "'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'plimsoll\\_%' ESCAPE '\\' AND NOT EXISTS(SELECT 1 FROM "
      "sqlite_schema s WHERE t.name=s.name||'_rows' AND s.name LIKE '%\\_search' ESCAPE '\\' AND "
      "substr(s.sql,-length(?1))=?1) ORDER BY name",
      ends);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::vector<CatalogueTable> all;
  for (const auto& row : *rows) {
    const bool view = text_at(row, 1) == "view";
    auto& made = all.emplace_back();
    made.name = text_at(row, 0);
    made.what = view ? CatalogueTable::What::view : CatalogueTable::What::table;
    made.writable = !view;
    if (auto columns = co_await read_columns(session, made); !columns) {
      if (!view || columns.error().problem != &kInternal) co_return std::unexpected(std::move(columns).error());
      made.broken = sentence_of(columns.error());  // SQLite keeps views of tables that were dropped
      continue;
    }
    if (auto indexes = co_await read_indexes(session, made); !indexes)
      co_return std::unexpected(std::move(indexes).error());
    if (auto references = co_await read_references(session, made); !references)
      co_return std::unexpected(std::move(references).error());
  }
  // A reference without columns is to the primary key.
  for (auto& table : all)
    for (auto& reference : table.references) {
      const auto to = std::ranges::find(all, reference.table, &CatalogueTable::name);
      const bool unnamed = std::ranges::find(reference.to, std::string{}) != reference.to.end();
      if (unnamed && to != all.end()) reference.to = to->primary;
    }
  co_return all;
}

}  // namespace plimsoll::database
