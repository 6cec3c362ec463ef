#include "plimsoll/database/catalogue.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/postgres_policies.hpp"
#include "plimsoll/json/parse.hpp"

#include <algorithm>
#include <map>

namespace plimsoll::database {
namespace {

/// Of every table that is not the server's, an extension's or a partition of another one.
#define PLIMSOLL_FOREIGN_TABLES                                                                                     \
  "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid=c.relnamespace WHERE c.relkind IN "                    \
  "('r','p','f','v','m') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog','information_schema') AND "    \
  "n.nspname NOT LIKE 'pg\\_toast%' AND n.nspname NOT LIKE 'pg\\_temp%' AND c.relname NOT LIKE 'plimsoll\\_%' AND " \
  "NOT EXISTS(SELECT 1 FROM pg_depend d WHERE d.classid='pg_class'::regclass AND d.objid=c.oid AND d.deptype='e')"

constexpr std::string_view kTables =
    "SELECT c.oid::bigint,n.nspname::text,c.relname::text,c.relkind::text,coalesce(obj_description(c.oid,'pg_class'),"
    "''),pg_table_is_visible(c.oid),has_table_privilege(c.oid,'SELECT') AND has_schema_privilege(n.oid,'USAGE'),"
    "has_table_privilege(c.oid,'INSERT') AND has_table_privilege(c.oid,'UPDATE') AND "
    "has_table_privilege(c.oid,'DELETE'),EXISTS(SELECT FROM pg_policy p WHERE p.polrelid=c.oid AND p.polname=?::text) "
    "FROM pg_class c JOIN pg_namespace n ON n.oid=c.relnamespace WHERE c.oid IN "
    "(" PLIMSOLL_FOREIGN_TABLES ") ORDER BY 2,3";

constexpr std::string_view kColumns =
    "SELECT a.attrelid::bigint,a.attname::text,format_type(a.atttypid,a.atttypmod),format_type(b.oid,NULL),"
    "b.typcategory::text,a.attnotnull OR t.typnotnull,a.atthasdef OR a.attidentity<>'' OR t.typdefault IS NOT NULL,"
    "a.attgenerated<>'' OR a.attidentity='a',"
    "a.attidentity<>'' OR coalesce(pg_get_expr(d.adbin,d.adrelid) LIKE 'nextval(%',false),"
    "coalesce(col_description(a.attrelid,a.attnum),''),"
    "CASE WHEN b.oid IN ('varchar'::regtype,'bpchar'::regtype) THEN "
    "greatest(CASE WHEN t.typtype='d' THEN t.typtypmod ELSE a.atttypmod END-4,0) ELSE 0 END::bigint,"
    "coalesce((SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)::text FROM pg_enum e WHERE e.enumtypid=b.oid),"
    "'[]') FROM pg_attribute a JOIN pg_type t ON t.oid=a.atttypid "
    "JOIN pg_type b ON b.oid=CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END "
    "LEFT JOIN pg_attrdef d ON d.adrelid=a.attrelid AND d.adnum=a.attnum WHERE a.attnum>0 AND NOT a.attisdropped "
    "AND a.attrelid IN (" PLIMSOLL_FOREIGN_TABLES ") ORDER BY a.attrelid,a.attnum";

/// Those of whole rows, in whose order rows can be read.
constexpr std::string_view kIndexes =
    "SELECT i.indrelid::bigint,i.indexrelid::bigint,i.indisprimary,i.indisunique,a.attname::text FROM pg_index i "
    "JOIN pg_class c ON c.oid=i.indexrelid JOIN pg_am m ON m.oid=c.relam "
    "CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY k(number,place) "
    "JOIN pg_attribute a ON a.attrelid=i.indrelid AND a.attnum=k.number "
    "WHERE i.indisvalid AND i.indpred IS NULL AND m.amname='btree' AND 0<>ALL(i.indkey::smallint[]) AND "
    "k.place<=i.indnkeyatts AND i.indrelid IN (" PLIMSOLL_FOREIGN_TABLES
    ") ORDER BY i.indrelid,i.indisprimary DESC,i.indexrelid,k.place";

constexpr std::string_view kReferences =
    "SELECT c.conrelid::bigint,c.oid::bigint,f.relname::text,a.attname::text,b.attname::text FROM pg_constraint c "
    "JOIN pg_class f ON f.oid=c.confrelid "
    "CROSS JOIN LATERAL unnest(c.conkey,c.confkey) WITH ORDINALITY k(here,there,place) "
    "JOIN pg_attribute a ON a.attrelid=c.conrelid AND a.attnum=k.here "
    "JOIN pg_attribute b ON b.attrelid=c.confrelid AND b.attnum=k.there "
    "WHERE c.contype='f' AND c.conparentid=0 AND pg_table_is_visible(f.oid) AND c.conrelid IN "
    "(" PLIMSOLL_FOREIGN_TABLES ") ORDER BY c.conrelid,c.conname,c.oid,k.place";
#undef PLIMSOLL_FOREIGN_TABLES

using ById = std::map<std::int64_t, CatalogueTable*>;

CatalogueTable table_of(const std::vector<Cell>& row) {
  using enum CatalogueTable::What;
  const auto kind = text_at(row, 3);
  return {.schema = text_at(row, 1),
          .name = text_at(row, 2),
          .what = kind == "v"   ? view
                  : kind == "m" ? materialized_view
                  : kind == "f" ? foreign_table
                                : table,
          .comment = text_at(row, 4),
          .visible = number_at(row, 5) != 0,
          .readable = number_at(row, 6) != 0,
          .writable = number_at(row, 7) != 0 && (kind == "r" || kind == "p"),
          .guarded = number_at(row, 8) != 0};
}

CatalogueColumn column_of(const std::vector<Cell>& row) {
  const auto category = text_at(row, 4);
  CatalogueColumn made{.name = text_at(row, 1),
                       .declared = text_at(row, 2),
                       .type = text_at(row, 3),
                       .comment = text_at(row, 9),
                       .category = category.empty() ? '\0' : category[0],
                       .not_null = number_at(row, 5) != 0,
                       .filled = number_at(row, 6) != 0,
                       .generated = number_at(row, 7) != 0,
                       .counted = number_at(row, 8) != 0,
                       .length = number_at(row, 10)};
  Arena arena{1024};
  const auto text = text_at(row, 11);
  if (const auto words = json::parse(text, arena))
    for (const auto& word : words->array()) made.words.emplace_back(word.string());
  return made;
}

void add_index(CatalogueTable& table, bool begins, const std::vector<Cell>& row) {
  const auto name = text_at(row, 4);
  const bool primary = number_at(row, 2) != 0, unique = number_at(row, 3) != 0;
  if (begins) {
    table.indexes.emplace_back();
    if (unique && !primary) table.unique.emplace_back();
  }
  table.indexes.back().push_back(name);
  if (primary)
    table.primary.push_back(name);
  else if (unique)
    table.unique.back().push_back(name);
}

bool is_one_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

}  // namespace

ColumnSchema postgres_schema_of(const CatalogueColumn& column) {
  const std::string_view type = column.type;
  if (type == "bigint") return {"integer", "int64"};
  if (is_one_of(type, {"integer", "smallint"})) return {"integer", "int32"};
  if (is_one_of(type, {"double precision", "real"})) return {"number", {}};
  if (type == "boolean") return {"boolean", {}};
  if (type == "numeric") return {"string", "decimal"};
  if (type.starts_with("timestamp with")) return {"string", "date-time"};
  if (is_one_of(type, {"json", "jsonb"})) return {"any", {}};
  if (type == "date") return {"string", "date"};
  if (type == "uuid") return {"string", "uuid"};
  if (is_one_of(column.category == 'S'   ? "text"
                : column.category == 'E' ? "text"
                : column.category == 'I' ? "text"
                                         : type,
                {"text", "time without time zone", "time with time zone", "interval", "xml"}))
    return {"string", {}};
  return {};
}

Task<Result<std::vector<CatalogueTable>>> read_postgres_catalogue(Session& session) {
  const Cell policy[] = {std::string(kPolicy)};
  auto tables = co_await session.query(kTables, policy);
  if (!tables) co_return std::unexpected(std::move(tables).error());
  std::vector<CatalogueTable> all;
  all.reserve(tables->size());
  ById known;
  for (const auto& row : *tables) known[number_at(row, 0)] = &all.emplace_back(table_of(row));
  auto columns = co_await session.query(kColumns, {});
  if (!columns) co_return std::unexpected(std::move(columns).error());
  for (const auto& row : *columns)
    if (const auto found = known.find(number_at(row, 0)); found != known.end())
      found->second->columns.push_back(column_of(row));
  auto indexes = co_await session.query(kIndexes, {});
  if (!indexes) co_return std::unexpected(std::move(indexes).error());
  std::int64_t last = 0;
  for (const auto& row : *indexes) {
    if (const auto found = known.find(number_at(row, 0)); found != known.end())
      add_index(*found->second, number_at(row, 1) != last, row);
    last = number_at(row, 1);
  }
  auto references = co_await session.query(kReferences, {});
  if (!references) co_return std::unexpected(std::move(references).error());
  last = 0;
  for (const auto& row : *references) {
    const auto found = known.find(number_at(row, 0));
    if (found == known.end()) continue;
    auto& made = found->second->references;
    if (number_at(row, 1) != last) made.push_back({.table = text_at(row, 2), .from = {}, .to = {}});
    last = number_at(row, 1);
    made.back().from.push_back(text_at(row, 3));
    made.back().to.push_back(text_at(row, 4));
  }
  co_return all;
}

}  // namespace plimsoll::database
