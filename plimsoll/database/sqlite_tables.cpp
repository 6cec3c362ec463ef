#include "plimsoll/base/letters.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/instant.hpp"
#include "plimsoll/database/renderer.hpp"
#include "plimsoll/database/sqlite_dialect.hpp"
#include "plimsoll/json/value.hpp"
#include "plimsoll/json/write.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <map>
#include <tuple>

/// Tables of SQLite: what makes them, what the catalogue says of those that are there, and what their columns hold.
namespace plimsoll::database {
namespace {

std::string_view type_of(Kind kind) {
  switch (kind) {
    case Kind::integer:
    case Kind::boolean: return "INTEGER";
    case Kind::real: return "REAL";
    case Kind::decimal:
    case Kind::number: return "TEXT COLLATE decimal";
    case Kind::instant: return "TEXT COLLATE instant";
    case Kind::bytes: return "BLOB";
    default: return "TEXT";
  }
}

/// The affinity SQLite derives from a declared type (datatype3.html, section 3.1).
std::string_view affinity_of(std::string type) {
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::toupper(c); });
  const auto has = [&](std::string_view part) { return type.find(part) != type.npos; };
  if (has("INT")) return "INTEGER";
  if (has("CHAR") || has("CLOB") || has("TEXT")) return "TEXT";
  if (has("BLOB") || type.empty()) return "BLOB";
  if (has("REAL") || has("FLOA") || has("DOUB")) return "REAL";
  return "NUMERIC";
}

/// Whether no text of the column looks like a number, which a column of numeric affinity would make of it.
bool never_numeric(const Column& column) {
  constexpr std::string_view kFormats[] = {"date", "time", "duration", "uuid", "email", "ipv4", "ipv6", "uri"};
  if (std::ranges::find(kFormats, column.format) != std::end(kFormats)) return true;
  const auto is_word = [](const json::Value& word) {
    return !word.is(json::Type::string) ||
           (!word.string().empty() && std::isalpha(static_cast<unsigned char>(word.string()[0])));
  };
  return column.words && column.words->is(json::Type::array) && !column.words->array().empty() &&
         std::ranges::all_of(column.words->array(), is_word);
}

bool is_decimal(const Column& column) { return column.kind == Kind::decimal || column.kind == Kind::number; }
bool is_numeric(std::string_view affinity) { return affinity != "TEXT" && affinity != "BLOB"; }

/// What a column holds whatever it is given: of a table that is STRICT also where it is declared so.
std::string_view held_by(const FoundColumn& there, bool strict) {
  if (strict && lowered(there.type) == "any") return "BLOB";
  return affinity_of(there.type);
}

/// Why a column cannot hold what the contract says; nothing where it can.
std::optional<std::string> unfit(const Column& column, const FoundColumn& there, bool strict) {
  const auto affinity = held_by(there, strict);
  const bool numeric = affinity == "NUMERIC", whole = affinity == "INTEGER", text = affinity == "TEXT";
  const auto cannot = "which cannot hold what the contract says (" + std::string(type_of(column.kind)) + ")";
  if (column.kind == Kind::bytes) return affinity == "BLOB" ? std::nullopt : std::optional(cannot);
  if (strict && lowered(there.type) == "blob") return cannot;
  if (affinity == "BLOB") return std::nullopt;
  switch (column.kind) {
    case Kind::integer:
    case Kind::boolean: return whole || numeric ? std::nullopt : std::optional(cannot);
    case Kind::real: return text || (strict && whole) ? std::optional(cannot) : std::nullopt;
    case Kind::decimal:
    case Kind::number: return strict && whole ? std::optional(cannot) : std::nullopt;
    case Kind::json: return text || numeric ? std::nullopt : std::optional(cannot);
    case Kind::instant:
      return text || numeric ? std::nullopt
                             : std::optional<std::string>(
                                   "which cannot hold instants: whether its numbers are seconds, milliseconds or days "
                                   "is not known");
    case Kind::text:
      if (text || (numeric && never_numeric(column))) return std::nullopt;
      if (column.format == "date") return "which cannot hold dates such as 2026-01-31 beside its numbers";
      return "which cannot hold texts: it would make a number of 007";
    case Kind::bytes: break;
  }
  return cannot;
}

/// What changes the values of a column into those of the contract.
std::string converted(const Column& column, const std::string& old, bool numbers) {
  if (numbers && column.kind == Kind::instant)
    return "strftime('%Y-%m-%dT%H:%M:%SZ'," + old + ",'unixepoch'); -- where they are seconds since 1970";
  if (numbers && column.format == "date") return "date(" + old + ",'unixepoch'); -- where they are seconds since 1970";
  return old + ";";
}

std::string json_check(const Column& column) {
  const auto name = quoted(column.name);
  return name + " IS NULL OR json_valid(" + name + ")";  // of NULL it is not valid
}

std::string column_definition(const TableDefinition& table, std::size_t index) {
  const auto& definition = table.columns[index];
  const auto& column = *definition.is;
  std::string text = quoted(column.name) + " " + std::string(type_of(column.kind));
  if (table.primary_key() == std::vector{index}) {
    // AUTOINCREMENT: the number of a row that was deleted is never given to another.
    if (column.kind == Kind::integer) return text + " PRIMARY KEY AUTOINCREMENT";
    return text + " PRIMARY KEY NOT NULL";
  }
  if (definition.not_null) text += " NOT NULL";
  if (column.kind == Kind::json) text += " CHECK(" + json_check(column) + ")";
  for (auto& reference : table.references)
    if (reference.from == std::vector{index})
      text += " REFERENCES " + quoted(reference.table) + "(" + quoted_list(reference.to) + ")";
  return text;
}

/// What stands in the parentheses of `CONSTRAINT rule CHECK(…)`; empty where there is none.
std::string_view expression_of_check(std::string_view sql, std::string_view rule) {
  const auto small = lowered(sql);
  const auto wanted = lowered(rule);
  constexpr std::string_view kWord = "constraint";
  for (auto at = small.find(kWord); at != small.npos; at = small.find(kWord, at + 1)) {
    const auto name = small.find_first_not_of(" \t\r\n\"`[", at + kWord.size());
    if (name == small.npos || small.compare(name, wanted.size(), wanted) != 0) continue;
    const auto check = small.find_first_not_of(" \t\r\n\"`]", name + wanted.size());
    if (check == small.npos || small.compare(check, 5, "check") != 0) continue;
    const auto open = small.find('(', check);
    if (open == small.npos) return {};
    int depth = 0;
    for (auto end = open; end < small.size(); ++end) {
      if (small[end] == '(') ++depth;
      if (small[end] == ')' && --depth == 0) return sql.substr(open + 1, end - open - 1);
    }
  }
  return {};
}

constexpr std::int64_t kInstantsLooked = 1'000;  ///< rows

/// The forms in which a column that others made holds instants: of the first rows, and of what the database fills in.
Task<Result<>> look_at_instants(Session& session, const TableDefinition& table, FoundColumn& column) {
  using Instants = FoundColumn::Instants;
  const auto name = quoted(column.name);
  auto rows = co_await session.query("SELECT DISTINCT " + name + " FROM (SELECT " + name + " FROM " +
                                         quoted(table.name) + " LIMIT " + std::to_string(kInstantsLooked) + ")",
                                     {});
  if (!rows) co_return std::unexpected(std::move(rows).error());
  const auto form_of = [](const std::string& text) {
    constexpr std::size_t kBetween = 10;
    auto made = text;
    if (made.size() > kBetween && made[kBetween] == ' ') made.replace(kBetween, 1, "T").append("Z");
    if (to_utc(text) == text) return Instants::utc;
    return made != text && to_utc(made) == made ? Instants::spaced : Instants::several;
  };
  for (std::size_t i = 0; i < rows->size(); ++i) {
    const auto text = text_at(rows->at(i), 0);
    if (!stored_instant(text)) continue;
    const auto form = form_of(text);
    column.instants = column.instants == Instants::none || column.instants == form ? form : Instants::several;
  }
  const auto& filled = column.default_value;
  const auto has = [&](std::string_view part) { return !std::ranges::search(filled, part, {}, lower).empty(); };
  if (column.instants == Instants::none && (has("current_timestamp") || has("datetime(")))
    column.instants = Instants::spaced;
  co_return Result<>{};
}

constexpr std::string_view kRows = "(number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT";
constexpr std::string_view kNumber = "(number INTEGER PRIMARY KEY, ";  ///< how each of them begins

/// The columns that hold the key of a row beside its number.
std::vector<std::string> row_keys(const TableDefinition& table) {
  std::vector<std::string> names;
  if (table.tenant) names.emplace_back("tenant");
  if (table.key.size() == 1) names.emplace_back("key");
  for (std::size_t i = 0; table.key.size() > 1 && i < table.key.size(); ++i)
    names.push_back("key" + std::to_string(i + 1));
  return names;
}

std::string rows_of(const TableDefinition& table) {
  const auto keys = row_keys(table);
  if (keys.size() == 1) return std::string(kRows);
  std::string columns{kNumber}, list;
  for (auto& name : keys) {
    columns += name + (name == "tenant" ? ", " : " NOT NULL, ");
    list += (list.empty() ? "" : ",") + name;
  }
  return columns + "UNIQUE(" + list + "))";
}

std::string search_columns(const TableDefinition& table) {
  std::string text;
  for (auto column : table.search) (text += text.empty() ? "" : ",") += quoted(table.column(column).name);
  return text;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (auto& name : names) (text += text.empty() ? "" : ",") += name;
  return text;
}

/// What stands in the database under a name, as sqlite_schema has it.
struct FoundObject {
  std::string type, name, sql;
};
using FoundObjects = std::map<std::string, FoundObject, std::less<>>;

/// All names that the index may use, whatever the kind of the key.
std::vector<std::string> search_names(const TableDefinition& table) {
  std::vector<std::string> names;
  for (std::string_view end : {"", "_rows", "_insert", "_delete", "_update"})
    names.push_back(table.name + "_search" + std::string(end));
  return names;
}

/// Whether FTS5 knows the rows by their keys.
bool is_numbered(const TableDefinition& table) {
  return table.key.size() == 1 && table.column(table.key[0]).kind == Kind::integer && !table.tenant;
}

/// Made by this server, if for another contract.
bool is_ours(const TableDefinition& table, const FoundObject& object) {
  const auto& [type, name, sql] = object;
  const auto search = quoted(table.name + "_search");
  if (name == table.name + "_search")
    return sql.starts_with("CREATE VIRTUAL TABLE " + search + " USING fts5(") && sql.ends_with(kSearchEnds);
  if (name == table.name + "_search_rows")
    return sql.starts_with("CREATE TABLE " + quoted(name) + std::string(kNumber));
  return sql.starts_with("CREATE TRIGGER " + quoted(name) + " AFTER ") && sql.find("INTO " + search + "(") != sql.npos;
}

}  // namespace

std::vector<std::string> SqliteDialect::create_table(const TableDefinition& table) const {
  const auto primary = table.primary_key();
  std::string text = "CREATE TABLE " + quoted(table.name) + "(";
  for (std::size_t i = 0; i < table.columns.size(); ++i) text += (i ? "," : "") + column_definition(table, i);
  if (primary.size() > 1) text += ",PRIMARY KEY(" + table.list(primary) + ")";
  for (auto& reference : table.references)
    if (reference.from.size() > 1)
      text += ",FOREIGN KEY(" + table.list(reference.from) + ") REFERENCES " + quoted(reference.table) + "(" +
              quoted_list(reference.to) + ")";
  // Files make rows long: they are no part of an index of keys, and pieces of them are read by the number of the row.
  const bool files = std::ranges::any_of(table.columns, [](auto& column) { return column.is->kind == Kind::bytes; });
  text += is_numbered(table) || files ? ") STRICT" : ") STRICT, WITHOUT ROWID";
  std::vector<std::string> statements{std::move(text)};
  for (auto& columns : table.indexes)
    if (columns != primary) statements.push_back(create_index(table, columns));
  for (auto& columns : table.unique) statements.push_back(create_index(table, columns, true));
  return statements;
}

std::string SqliteDialect::add_column(const TableDefinition& table, std::size_t index) const {
  const auto& column = table.column(index);
  auto definition = column_definition(table, index);
  if (column.required)
    definition += column.kind == Kind::integer || column.kind == Kind::boolean ? " DEFAULT 0"
                  : column.kind == Kind::json                                  ? " DEFAULT 'null'"
                                                                               : " DEFAULT ''";
  return "ALTER TABLE " + quoted(table.name) + " ADD COLUMN " + definition + ";";
}

std::string SqliteDialect::refuse_nulls(const TableDefinition& table, std::size_t column) const {
  return "-- rebuild the table with " + quoted(table.column(column).name) + " NOT NULL";
}

std::string SqliteDialect::rows_without_key(const TableDefinition& table) const {
  return "SELECT rowid, * FROM " + quoted(table.name) + " WHERE " + any_null(table) + ";";
}

std::string SqliteDialect::create_own_table(std::string_view name, std::string_view columns) const {
  return "CREATE TABLE IF NOT EXISTS " + std::string(name) + "(" + std::string(columns) + ")";
}

std::map<std::string, std::string> collations_of(std::string_view text) {
  std::map<std::string, std::string> all;
  std::vector<std::string> words;
  const auto end_column = [&] {
    for (std::size_t i = 1; i + 1 < words.size(); ++i)
      if (lowered(words[i]) == "collate") all[words[0]] = lowered(words[i + 1]);
    words.clear();
  };
  int depth = 0;  // 1: among the columns; what stands deeper is no word of the column itself
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (text.substr(i, 2) == "--") {
      i = std::min(text.find('\n', i), text.size());
    } else if (text.substr(i, 2) == "/*") {
      i = std::min(text.find("*/", i + 2), text.size() - 2) + 2;
    } else if (c == '"' || c == '`' || c == '\'' || c == '[') {
      const char close = c == '[' ? ']' : c;
      std::string word;
      for (++i; i < text.size(); ++i) {
        if (text[i] == close) {
          if (c == '[' || i + 1 >= text.size() || text[i + 1] != close) break;
          ++i;  // doubled: it stands for itself
        }
        word += text[i];
      }
      ++i;
      if (depth == 1) words.push_back(std::move(word));
    } else if (std::isalnum(static_cast<unsigned char>(c)) || c == '_' || (c & 0x80)) {
      const auto from = i;
      while (i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_' ||
                                 text[i] == '$' || (text[i] & 0x80)))
        ++i;
      if (depth == 1) words.emplace_back(text.substr(from, i - from));
    } else {
      if (c == '(') ++depth;
      if (c == ')' && --depth == 0) break;
      if (c == ',' && depth == 1) end_column();
      ++i;
    }
  }
  end_column();
  return all;
}

void SqliteDialect::note_storage(Column& column, const FoundColumn* seen, const FoundTable* table) const {
  if (!seen || !table) return;
  const auto& there = *seen;
  const auto& found = *table;
  const auto affinity = found.view ? std::string_view("BLOB") : held_by(there, found.strict);
  const auto own = type_of(column.kind);
  const bool declared = own.starts_with(affinity) &&
                        (own.size() == affinity.size() || own.ends_with(there.collation)) &&
                        (own.size() == affinity.size() || !there.collation.empty());
  const bool rowid = !found.view && !found.rowless && there.primary == 1 && lowered(there.type) == "integer" &&
                     std::ranges::count_if(found.columns, [](auto& one) { return one.primary > 0; }) == 1;
  column.foreign =
      !(rowid || (found.strict && declared)) || (column.kind == Kind::json && !found.sql.contains(json_check(column)));
  column.compared = Compared::plain;
  if (is_decimal(column)) {
    column.as_number = is_numeric(affinity);
    if (affinity == "TEXT" && there.collation != "decimal") column.compared = Compared::collated;
    if (affinity == "BLOB") column.compared = Compared::by_value;
  }
  column.spaced = column.kind == Kind::instant && there.instants == FoundColumn::Instants::spaced;
  column.pieces = !found.view && !found.rowless &&
                  std::ranges::none_of(found.columns, [](auto& one) { return lowered(one.name) == "_rowid_"; });
}

/// Types that other programs declare are taken where the values of the contract can be read from them and come back as
/// they were sent.
void SqliteDialect::check_storage(const TableDefinition& table, std::size_t index, const FoundColumn& there,
                                  const FoundTable& found, std::vector<Finding>& all) const {
  const auto& column = table.column(index);
  const auto name = quoted(table.name), own = std::string(type_of(column.kind));
  const auto place = "column " + quoted(column.name) + " of table " + name;
  const auto type = there.type.empty() ? std::string("declared without a type") : there.type;
  const auto advise = [&](std::string what, std::string remedy) {
    all.push_back({place + std::move(what), std::move(remedy), true});
  };
  if (!found.view) {
    const auto affinity = held_by(there, found.strict);
    if (const auto why = unfit(column, there, found.strict)) {
      const auto old = quoted(column.name + "_old");
      all.push_back({place + " is " + type + ", " + *why,
                     "ALTER TABLE " + name + " RENAME COLUMN " + quoted(column.name) + " TO " + old +
                         ";\nALTER TABLE " + name + " ADD COLUMN " + quoted(column.name) + " " + own + ";\nUPDATE " +
                         name + " SET " + quoted(column.name) + "=" + converted(column, old, is_numeric(affinity))});
      return;
    }
    if (is_decimal(column) && is_numeric(affinity))
      advise(" is " + type +
                 ": SQLite keeps 15 digits of a number there, and 1.50 becomes 1.5; a value with more is "
                 "refused",
             "-- to keep every digit, rebuild the table with " + quoted(column.name) + " " + own);
  }
  Column held = column;
  note_storage(held, &there, &found);
  if (held.compared != Compared::plain && table.columns[index].listed)
    advise(" is " + type + " without COLLATE decimal: lists compare it by value, and read the whole table to do so",
           "-- rebuild the table with " + quoted(column.name) + " " + own);
  if (column.kind != Kind::instant || !held.foreign) return;
  const auto in_utc = "-- store one form, which other programs then read: UPDATE " + name + " SET " +
                      quoted(column.name) + "=strftime('%Y-%m-%dT%H:%M:%SZ'," + quoted(column.name) + ");";
  if (there.instants == FoundColumn::Instants::several)
    advise(" holds instants in several forms, which lists compare as text: sort and filters are not by time", in_utc);
  else if (held.spaced)
    advise(
        " holds instants without an offset, such as 2026-01-31 09:30:00: they are read and written as UTC, as "
        "SQLite's date functions do",
        "-- where they are local times, store UTC: UPDATE " + name + " SET " + quoted(column.name) + "=datetime(" +
            quoted(column.name) + ",'utc')");
}

namespace {

/// Objects of some names, as far as they are of these types. sqlite_schema has no index, so each question reads all of
/// it: there is one for all names.
Task<Result<FoundObjects>> find_objects(Session& session, std::vector<std::string> names, std::string types) {
  FoundObjects found;
  if (names.empty()) co_return found;
  std::string list;
  for (const auto& name : names) json::append_string(list += list.empty() ? '[' : ',', name);
  const Cell cells[] = {list + "]"};
  auto rows = co_await session.query("SELECT type,name,sql FROM sqlite_schema WHERE type IN (" + types +
                                         ") AND name IN (SELECT value FROM json_each(?)) ORDER BY rowid",
                                     cells);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  for (auto& row : *rows) {
    const auto [type, name, sql] = std::tuple(text_at(row, 0), text_at(row, 1), text_at(row, 2));
    found.try_emplace(name, FoundObject{type, name, sql});
  }
  co_return found;
}

/// A table or view, of which sqlite_schema says this.
Task<Result<FoundTable>> look_at_table(Session& session, const TableDefinition& table, FoundObject object) {
  const Cell name[] = {table.name};
  FoundTable found;
  found.view = object.type == "view";
  found.sql = std::move(object.sql);
  if (!found.view) {
    const auto options = lowered(found.sql.substr(std::min(found.sql.rfind(')'), found.sql.size())));
    found.strict = options.contains("strict");
    found.rowless = options.contains("without");
  }
  const auto collations = found.view ? std::map<std::string, std::string>{} : collations_of(found.sql);
  auto columns = co_await session.query(
      "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, dflt_value FROM pragma_table_info(?)", name);
  if (!columns) co_return std::unexpected(std::move(columns).error());
  std::map<std::int64_t, std::string> primary;  // by the place in the primary key
  found.columns.reserve(columns->size());
  for (auto& row : *columns) {
    found.columns.push_back({.name = text_at(row, 0),
                             .type = text_at(row, 1),
                             .not_null = number_at(row, 2) != 0,
                             .has_default = number_at(row, 3) != 0,
                             .primary = static_cast<int>(number_at(row, 4)),
                             .default_value = text_at(row, 5)});
    auto& column = found.columns.back();
    if (const auto collation = collations.find(column.name); collation != collations.end())
      column.collation = collation->second;
    const auto wanted = std::ranges::find(table.columns, column.name, [](auto& one) { return one.is->name; });
    const bool own = found.strict && column.collation == "instant";
    if (wanted != table.columns.end() && wanted->is->kind == Kind::instant && !own)
      if (auto looked = co_await look_at_instants(session, table, column); !looked)
        co_return std::unexpected(std::move(looked).error());
    if (number_at(row, 4) > 0) primary[number_at(row, 4)] = text_at(row, 0);
  }
  if (!primary.empty()) {
    FoundIndex whole{.name = "PRIMARY KEY", .unique = true};
    for (auto& [place, column] : primary) whole.columns.push_back(column);
    found.unique.push_back(whole.columns);
    found.rules.push_back({.name = "PRIMARY KEY", .columns = whole.columns});
    whole.descending.resize(whole.columns.size());
    whole.ordered.resize(whole.columns.size(), true);
    found.indexes.push_back(std::move(whole));
  }
  auto indexes = co_await session.query(
      "SELECT l.name, i.name, l.\"unique\", i.\"desc\", i.coll, l.origin FROM pragma_index_list(?) l "
      "JOIN pragma_index_xinfo(l.name) i WHERE l.partial=0 AND i.\"key\" ORDER BY l.seq, i.seqno",
      name);
  if (!indexes) co_return std::unexpected(std::move(indexes).error());
  std::string last;
  bool goes_on = true, numbered = primary.size() == 1 && !found.rowless;
  for (auto& row : *indexes) {
    const bool unique = number_at(row, 2) != 0;
    const auto column = text_at(row, 1);
    if (text_at(row, 0) != last) {
      goes_on = true;
      found.indexes.push_back({.name = text_at(row, 0), .unique = unique});
      if (unique) found.unique.emplace_back();
    }
    last = text_at(row, 0);
    numbered = numbered && text_at(row, 5) != "pk";  // such a key has an index of its own
    if (unique) found.unique.back().push_back(column);
    const auto there = std::ranges::find(found.columns, column, &FoundColumn::name);
    const auto own = there == found.columns.end() || there->collation.empty() ? "binary" : there->collation;
    goes_on = goes_on && there != found.columns.end() && lowered(text_at(row, 4)) == own;
    if (!goes_on) {
      found.indexes.back().unique = found.indexes.back().whole = false;
      continue;
    }
    found.indexes.back().columns.push_back(column);
    found.indexes.back().descending.push_back(number_at(row, 3) != 0);
    found.indexes.back().ordered.push_back(true);
  }
  for (auto& column : found.columns)
    column.is_rowid = numbered && column.primary > 0 && lowered(column.type) == "integer";
  auto rules = co_await session.query(
      "SELECT l.name, i.name, l.origin, l.partial FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) i "
      "WHERE l.\"unique\" AND l.origin<>'pk' ORDER BY l.seq, i.seqno",
      name);
  if (!rules) co_return std::unexpected(std::move(rules).error());
  last.clear();
  for (auto& row : *rules) {
    const auto index = text_at(row, 0);
    if (index != last) {
      const bool made = text_at(row, 2) == "c";  // by CREATE INDEX; others go with their table only
      found.rules.push_back({.name = made ? index : "UNIQUE",
                             .drop = made ? "DROP INDEX " + quoted(index) : "",
                             .partial = number_at(row, 3) != 0});
    }
    last = index;
    if (row[1].index() != 0) found.rules.back().columns.push_back(text_at(row, 1));  // NULL: an expression
  }
  co_return found;
}

}  // namespace

Task<Result<std::vector<std::optional<FoundTable>>>> SqliteDialect::find_tables(
    Session& session, std::span<const TableDefinition> tables) const {
  std::vector<std::string> names;
  for (const auto& table : tables) names.push_back(table.name);
  auto objects = co_await find_objects(session, std::move(names), "'table','view'");
  if (!objects) co_return std::unexpected(std::move(objects).error());
  std::vector<std::optional<FoundTable>> all;
  for (const auto& table : tables) {
    auto& found = all.emplace_back();
    const auto object = objects->find(table.name);
    if (object == objects->end()) continue;
    auto looked = co_await look_at_table(session, table, object->second);
    if (!looked) co_return std::unexpected(std::move(looked).error());
    found = std::move(*looked);
    if (auto keys = co_await look_at_keys(session, table, *found); !keys)
      co_return std::unexpected(std::move(keys).error());
  }
  co_return all;
}

Task<Result<std::optional<FoundTable>>> SqliteDialect::find_table(Session& session,
                                                                  const TableDefinition& table) const {
  auto found = co_await find_tables(session, {&table, 1});
  if (!found) co_return std::unexpected(std::move(found).error());
  co_return std::move(found->front());
}

/// SQLite tells a check that has a name, and an index of an expression, by that alone: the expression stands in the
/// statement that made it.
Task<Result<std::vector<std::string>>> SqliteDialect::columns_of_rule(Session& session, std::string table,
                                                                      std::string rule) const {
  const Cell name[] = {table}, names[] = {table, rule};
  auto made = co_await session.query(
      "SELECT sql,type FROM sqlite_schema WHERE tbl_name=?1 AND (type='table' OR (type='index' AND name=?2)) ORDER BY "
      "type",
      names);
  if (!made) co_return std::unexpected(std::move(made).error());
  std::vector<std::string> found;
  if (made->empty()) co_return found;
  const auto sql = text_at(made->front(), 0);
  const auto expression = text_at(made->front(), 1) == "index"
                              ? std::string_view(sql).substr(std::min(sql.find('('), sql.size()))
                              : expression_of_check(sql, rule);
  auto columns = co_await session.query("SELECT name FROM pragma_table_info(?)", name);
  if (!columns) co_return std::unexpected(std::move(columns).error());
  for (auto& row : *columns)
    if (auto column = text_at(row, 0); mentions(expression, column)) found.push_back(std::move(column));
  co_return found;
}

namespace {

/// `found`: all of sqlite_schema that has one of its names.
SearchState search_state(const Dialect& dialect, const TableDefinition& table, const FoundObjects& all) {
  std::vector<const FoundObject*> found;
  for (const auto& name : search_names(table))
    if (const auto object = all.find(name); object != all.end()) found.push_back(&object->second);
  SearchState state;
  const auto wanted = dialect.create_search(table);
  state.current = std::ranges::all_of(
      wanted, [&](auto& sql) { return std::ranges::any_of(found, [&](auto* object) { return object->sql == sql; }); });
  if (state.current) return state;
  for (const auto* object : found) {
    const bool trigger = object->type == "trigger";
    if (!is_ours(table, *object))
      state.foreign = {object->type + " " + quoted(object->name) +
                           " is not the index that this server keeps for `q` of table " + quoted(table.name) +
                           ", and stands where that belongs",
                       (object->type == "table"
                            ? "ALTER TABLE " + quoted(object->name) + " RENAME TO " + quoted(object->name + "_old")
                            : "DROP " + object->type + " " + quoted(object->name)) +
                           "; -- the index is then made, and filled, at the next start"};
    const auto drop = (trigger ? "DROP TRIGGER " : "DROP TABLE ") + quoted(object->name);
    state.drop.insert(trigger ? state.drop.begin() : state.drop.end(), drop);
  }
  return state;
}

}  // namespace

Task<Result<std::vector<SearchState>>> SqliteDialect::find_searches(Session& session,
                                                                    std::span<const TableDefinition> tables) const {
  std::vector<std::string> names;
  for (const auto& table : tables) std::ranges::move(search_names(table), std::back_inserter(names));
  auto objects = co_await find_objects(session, std::move(names), "'table','trigger','view','index'");
  if (!objects) co_return std::unexpected(std::move(objects).error());
  std::vector<SearchState> all;
  for (const auto& table : tables) all.push_back(search_state(*this, table, *objects));
  co_return all;
}

Task<Result<SearchState>> SqliteDialect::find_search(Session& session, const TableDefinition& table) const {
  auto found = co_await find_searches(session, {&table, 1});
  if (!found) co_return std::unexpected(std::move(found).error());
  co_return std::move(found->front());
}

std::vector<std::string> SqliteDialect::create_search(const TableDefinition& table) const {
  const auto name = quoted(table.name), search = quoted(table.name + "_search"),
             rows = quoted(table.name + "_search_rows");
  const auto primary = table.primary_key();
  const bool numbered = is_numbered(table);
  const auto keys = row_keys(table);
  const auto values = [&](std::string_view prefix) {
    std::string text;
    for (auto column : table.search) text += "," + std::string(prefix) + quoted(table.column(column).name);
    return text;
  };
  const auto columns = search_columns(table);
  const auto same = [&](const std::string& of) {
    std::string text;
    for (std::size_t i = keys.size(); i-- > 0;)
      text += (text.empty() ? "" : " AND ") + keys[i] + (keys[i] == "tenant" ? " IS " : "=") + of +
              quoted(table.column(primary[i]).name);
    return text;
  };
  const auto number = [&](const std::string& of) {
    return numbered ? of + table.list(primary) : "(SELECT number FROM " + rows + " WHERE " + same(of) + ")";
  };
  const auto put = "INSERT INTO " + search + "(rowid," + columns + ") VALUES(" + number("new.") + values("new.") + ");";
  const auto drop = "INSERT INTO " + search + "(" + search + ",rowid," + columns + ") VALUES('delete'," +
                    number("old.") + values("old.") + ");";
  const auto note = numbered
                        ? std::string{}
                        : "INSERT INTO " + rows + "(" + joined(keys) + ") VALUES(" + table.list(primary, "new.") + ");";
  const auto unnote = numbered ? std::string{} : "DELETE FROM " + rows + " WHERE " + same("old.") + ";";
  const auto trigger = [&](std::string_view what, const std::string& when, const std::string& body) {
    return "CREATE TRIGGER " + quoted(table.name + "_search_" + std::string(what)) + " AFTER " + when + " ON " + name +
           " BEGIN " + body + " END";
  };
  std::vector<std::string> all;
  if (!numbered) all.push_back("CREATE TABLE " + rows + std::string(rows_of(table)));
  all.push_back("CREATE VIRTUAL TABLE " + search + " USING fts5(" + columns + std::string(kSearchEnds));
  all.push_back(trigger("insert", "INSERT", note + put));
  all.push_back(trigger("delete", "DELETE", drop + unnote));
  auto watched = table.key;
  if (table.tenant) watched.push_back(*table.tenant);
  all.push_back(trigger("update", "UPDATE OF " + table.list(watched) + "," + columns, drop + unnote + note + put));
  return all;
}

std::string SqliteDialect::fill_search(const TableDefinition& table) const {
  const auto name = quoted(table.name), search = quoted(table.name + "_search"),
             rows = quoted(table.name + "_search_rows");
  const auto columns = search_columns(table);
  const auto primary = table.primary_key();
  const auto keys = row_keys(table);
  const auto put = [&](const std::string& number, const std::string& from) {
    std::string values;
    for (auto column : table.search) values += "," + name + "." + quoted(table.column(column).name);
    return "INSERT INTO " + search + "(rowid," + columns + ") SELECT " + number + values + " FROM " + from;
  };
  if (is_numbered(table)) return put(name + "." + table.list(primary), name);
  auto both = name + " JOIN " + rows + " ON ";
  for (std::size_t i = keys.size(); i-- > 0;)
    both += rows + "." + keys[i] + (keys[i] == "tenant" ? " IS " : "=") + name + "." +
            quoted(table.column(primary[i]).name) + (i ? " AND " : "");
  return "INSERT INTO " + rows + "(" + joined(keys) + ") SELECT " + table.list(primary) + " FROM " + name + ";" +
         put(rows + ".number", both);
}

namespace {

Task<Result<std::vector<std::string>>> names(Session& session, std::string_view sql, std::string name) {
  const Cell cells[] = {std::move(name)};
  auto rows = co_await session.query(sql, cells);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::vector<std::string> found;
  for (auto& row : *rows) found.push_back(std::get<std::string>(row[0]));
  co_return found;
}

}  // namespace

Task<Result<std::vector<ForeignKey>>> SqliteDialect::foreign_keys(Session& session, std::string table) const {
  const Cell cells[] = {std::move(table)};
  auto rows =
      co_await session.query(R"(SELECT id,"table","from","to" FROM pragma_foreign_key_list(?) ORDER BY id,seq)", cells);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  std::map<std::int64_t, ForeignKey> all;
  for (auto& row : *rows) {
    auto& key = all[std::get<std::int64_t>(row[0])];
    key.table = std::get<std::string>(row[1]);
    key.from.push_back(std::get<std::string>(row[2]));
    if (auto* to = std::get_if<std::string>(&row[3])) key.to.push_back(*to);
  }
  std::vector<ForeignKey> found;
  for (auto& [id, key] : all) {
    if (key.to.empty()) {  // the primary key, unnamed
      auto primary = co_await names(session, "SELECT name FROM pragma_table_info(?) WHERE pk>0 ORDER BY pk", key.table);
      if (!primary) co_return std::unexpected(std::move(primary).error());
      key.to = std::move(*primary);
    }
    found.push_back(std::move(key));
  }
  co_return found;
}

Task<Result<PresentStatements>> SqliteDialect::present_statements(Session& session,
                                                                  const TableDefinition& table) const {
  // What SQLite and FTS5 make by themselves has no text, or the name of a shadow of the search index.
  const Cell names[] = {table.name, table.name + "_search", table.name + "_search_rows"};
  auto rows = co_await session.query(
      "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND (name IN (?1,?2,?3) OR tbl_name IN (?1,?3)) "
      "ORDER BY type='trigger', type='index', name=?2, rowid",
      names);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  PresentStatements all;
  for (auto& row : *rows) all.tables.push_back(text_at(row, 0) + ";");
  co_return all;
}

Statement SqliteDialect::has_table(std::string name) const {
  return {"SELECT 1 FROM sqlite_schema WHERE name=? AND type='table'", {std::move(name)}};
}

}  // namespace plimsoll::database
