#include "plimsoll/handler/table/ddl.hpp"

#include "plimsoll/handler/table/statement.hpp"

#include <algorithm>
#include <cctype>

namespace plimsoll::table {
namespace {

constexpr std::size_t kMostIndexes = 32;

std::string_view type_of(Kind kind) {
  switch (kind) {
    case Kind::integer:
    case Kind::boolean: return "INTEGER";
    case Kind::real: return "REAL";
    case Kind::decimal:
    case Kind::number: return "TEXT COLLATE decimal";
    case Kind::instant: return "TEXT COLLATE instant";
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

std::string lower(std::string_view text) {
  std::string made(text);
  std::ranges::transform(made, made.begin(), [](unsigned char c) { return std::tolower(c); });
  return made;
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
  if (strict && lower(there.type) == "any") return "BLOB";
  return affinity_of(there.type);
}

/// Why a column cannot hold what the contract says; nothing where it can.
std::optional<std::string> unfit(const Column& column, const FoundColumn& there, bool strict) {
  const auto affinity = held_by(there, strict);
  const bool numeric = affinity == "NUMERIC", whole = affinity == "INTEGER", text = affinity == "TEXT";
  const auto cannot = "which cannot hold what the contract says (" + std::string(type_of(column.kind)) + ")";
  if (strict && lower(there.type) == "blob") return cannot;
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

std::string names(const Table& table, const IndexColumns& columns, std::string_view between, bool quote) {
  std::string text;
  for (auto column : columns) {
    const auto& name = table.columns[column].name;
    (text += text.empty() ? "" : between) += quote ? quoted(name) : name;
  }
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

std::string column_definition(const Model& model, const Table& table, std::size_t index, bool alone,
                              const std::vector<std::string>& plain_keys) {
  const auto& column = table.columns[index];
  std::string text = quoted(column.name) + " " + std::string(type_of(column.kind));
  if (index == table.key && alone) {
    // AUTOINCREMENT: the number of a row that was deleted is never given to another.
    if (column.kind == Kind::integer) return text + " PRIMARY KEY AUTOINCREMENT";
    return text + " PRIMARY KEY NOT NULL";
  }
  if (column.required || index == table.key || (!alone && index == *table.tenant)) text += " NOT NULL";
  if (column.kind == Kind::json) text += " CHECK(" + json_check(column) + ")";
  if (auto* other = foreign(model, table, index); other && !keyed_in_tenant(*other, plain_keys))
    text += " REFERENCES " + quoted(other->name) + "(" + quoted(other->key_column().name) + ")";
  return text;
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

std::string create_index(const Table& table, const IndexColumns& columns) {
  return "CREATE INDEX " + quoted(table.name + "_by_" + names(table, columns, "_", false)) + " ON " +
         quoted(table.name) + "(" + names(table, columns, ",", true) + ")";
}

std::vector<std::string> create_table(const Model& model, const Table& table,
                                      const std::vector<std::string>& plain_keys) {
  const bool alone = !table.key_in_tenant;
  const auto key = quoted(table.key_column().name);
  std::string text = "CREATE TABLE " + quoted(table.name) + "(";
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    text += (i ? "," : "") + column_definition(model, table, i, alone, plain_keys);
  if (!alone) text += ",PRIMARY KEY(" + quoted(table.columns[*table.tenant].name) + "," + key + ")";
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    if (auto* other = foreign(model, table, i); other && keyed_in_tenant(*other, plain_keys))
      text += ",FOREIGN KEY(" + quoted(table.columns[*table.tenant].name) + "," + quoted(table.columns[i].name) +
              ") REFERENCES " + quoted(other->name) + "(" + quoted(other->columns[*other->tenant].name) + "," +
              quoted(other->key_column().name) + ")";
  text += alone && table.key_column().kind == Kind::integer ? ") STRICT" : ") STRICT, WITHOUT ROWID";
  std::vector<std::string> statements{std::move(text)};
  for (auto& columns : needed_indexes(model, table))
    if (alone || columns != IndexColumns{*table.tenant, table.key}) statements.push_back(create_index(table, columns));
  return statements;
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

std::string json_check(const Column& column) {
  const auto name = quoted(column.name);
  return name + " IS NULL OR json_valid(" + name + ")";  // of NULL it is not valid
}

std::map<std::string, std::string> collations_of(std::string_view text) {
  std::map<std::string, std::string> all;
  std::vector<std::string> words;
  const auto end_column = [&] {
    for (std::size_t i = 1; i + 1 < words.size(); ++i)
      if (lower(words[i]) == "collate") all[words[0]] = lower(words[i + 1]);
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

namespace {

void note_storage(Column& column, const FoundColumn& there, const FoundTable& found) {
  const auto affinity = found.view ? std::string_view("BLOB") : held_by(there, found.strict);
  const auto own = type_of(column.kind);
  const bool declared = own.starts_with(affinity) &&
                        (own.size() == affinity.size() || own.ends_with(there.collation)) &&
                        (own.size() == affinity.size() || !there.collation.empty());
  const bool rowid = !found.view && !found.rowless && there.primary == 1 && lower(there.type) == "integer" &&
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
}

}  // namespace

void note_storage(Table& table, const FoundTable& found) {
  for (auto& column : table.columns)
    if (const auto there = std::ranges::find(found.columns, column.name, &FoundColumn::name);
        there != found.columns.end())
      note_storage(column, *there, found);
}

namespace {

/// A row is addressed, changed and paged past by its key alone, so no two rows may share one. An index that is not
/// unique, is partial, or has the key beside other columns does not show that.
void check_key(const Model& model, const Table& table, const FoundTable& found, std::vector<Disagreement>& all) {
  const auto& key = table.key_column().name;
  const auto name = quoted(table.name);
  if (std::ranges::find(found.columns, key, &FoundColumn::name) == found.columns.end()) return;  // reported already
  if (found.keys_missing)
    all.push_back(
        {"table " + name + " has rows whose key " + quoted(key) + " is NULL: no request can address them",
         "-- give each of these rows a key: SELECT rowid, * FROM " + name + " WHERE " + quoted(key) + " IS NULL;"});
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

/// Types that other programs declare are taken where the values of the contract can be read from them and come back as
/// they were sent.
void check_storage(const Table& table, const Column& column, const FoundColumn& there, const FoundTable& found,
                   std::vector<Disagreement>& all) {
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
  note_storage(held, there, found);
  const bool compares =
      std::ranges::any_of(table.sort, [&](auto sort) { return &table.columns[sort] == &column; }) ||
      std::ranges::any_of(table.filters, [&](auto& filter) { return &table.columns[filter.column] == &column; });
  if (held.compared != Compared::plain && compares)
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

}  // namespace

std::vector<Disagreement> compare(const Model& model, const Table& table, const FoundTable& found) {
  std::vector<Disagreement> all;
  const auto name = quoted(table.name);
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const auto& column = table.columns[i];
    const auto there = std::ranges::find(found.columns, column.name, &FoundColumn::name);
    if (there == found.columns.end()) {
      auto definition = column_definition(model, table, i, true, {});
      if (column.required)
        definition += column.kind == Kind::integer || column.kind == Kind::boolean ? " DEFAULT 0"
                      : column.kind == Kind::json                                  ? " DEFAULT 'null'"
                                                                                   : " DEFAULT ''";
      all.push_back({"table " + name + " has no column " + quoted(column.name),
                     "ALTER TABLE " + name + " ADD COLUMN " + definition + ";"});
      continue;
    }
    check_storage(table, column, *there, found, all);
    if (there->not_null && !column.required && !there->has_default && !there->primary)
      all.push_back({"column " + quoted(column.name) + " of table " + name +
                         " is NOT NULL, and the contract lets it be null or absent",
                     "-- in the contract: list \"" + column.name + "\" under `required` and take null from its type"});
    else if (!there->not_null && column.required && !there->primary && !found.view)
      all.push_back(
          {"column " + quoted(column.name) + " of table " + name + " can be null, and the contract says it cannot",
           "-- rebuild the table with " + quoted(column.name) + " NOT NULL", true});
  }
  for (auto& column : found.columns)
    if (column.not_null && !column.has_default && !column.primary && !table.column(column.name))
      all.push_back({"column " + quoted(column.name) + " of table " + name +
                         " is NOT NULL without a default and not in the contract: rows cannot be created",
                     "-- add \"" + column.name + "\" to the schema, or give the column a default", true});
  check_key(model, table, found, all);
  if (found.view) return all;
  const auto indexed = [&](const IndexColumns& columns) {
    return std::ranges::any_of(found.indexes, [&](const std::vector<std::string>& index) {
      // The key at the end may be implied: an integer key and that of a table WITHOUT ROWID end every index.
      auto wanted = columns.size();
      if (wanted > 1 && columns.back() == table.key) --wanted;
      if (index.size() < wanted) return false;
      for (std::size_t i = 0; i < wanted; ++i)
        if (index[i] != table.columns[columns[i]].name) return false;
      return true;
    });
  };
  for (auto& columns : needed_indexes(model, table))
    if (!indexed(columns))
      all.push_back({"table " + name + " has no index on " + names(table, columns, ", ", false) +
                         ": lists that need it read the whole table",
                     create_index(table, columns) + ";", true});
  return all;
}

}  // namespace plimsoll::table
