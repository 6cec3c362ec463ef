#include "plimsoll/handler/table/prepare.hpp"

#include "plimsoll/base/digest.hpp"
#include "plimsoll/base/encoding.hpp"
#include "plimsoll/contract/parameters.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/handler/table/row_writer.hpp"
#include "plimsoll/handler/table/search_index.hpp"
#include "plimsoll/handler/table/statement.hpp"
#include "plimsoll/json/parse.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <map>

namespace plimsoll::table {
namespace {

using database::Cell;
using database::Rows;
using database::Session;

std::string text_at(const std::vector<Cell>& row, std::size_t i) {
  auto* text = std::get_if<std::string>(&row.at(i));
  return text ? *text : std::string{};
}
std::int64_t number_at(const std::vector<Cell>& row, std::size_t i) {
  auto* number = std::get_if<std::int64_t>(&row.at(i));
  return number ? *number : 0;
}

/// Rows that the key cannot name: those without one, and in a view, which has no unique index, those that share one.
Task<Result<>> look_at_keys(Session& session, const Table& table, FoundTable& found) {
  const auto& name = table.key_column().name;
  const auto column = std::ranges::find(found.columns, name, &FoundColumn::name);
  if (column == found.columns.end()) co_return Result<>{};
  const auto from = " FROM " + quoted(table.name), key = quoted(name);
  if (!column->not_null) {
    auto missing = co_await session.query("SELECT 1" + from + " WHERE " + key + " IS NULL LIMIT 1", {});
    if (!missing) co_return std::unexpected(std::move(missing).error());
    found.keys_missing = !missing->empty();
  }
  if (found.view) {
    auto repeated = co_await session.query("SELECT 1" + from + " GROUP BY " + key + " HAVING count(*)>1 LIMIT 1", {});
    if (!repeated) co_return std::unexpected(std::move(repeated).error());
    found.keys_repeated = !repeated->empty();
  }
  co_return Result<>{};
}

constexpr std::int64_t kInstantsLooked = 1'000;  ///< rows

/// The forms in which a column that others made holds instants: of the first rows, and of what the database fills in.
Task<Result<>> look_at_instants(Session& session, const Table& table, FoundColumn& column) {
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
    if (!database::stored_instant(text)) continue;
    const auto form = form_of(text);
    column.instants = column.instants == Instants::none || column.instants == form ? form : Instants::several;
  }
  const auto& filled = column.default_value;
  const auto has = [&](std::string_view part) {
    return !std::ranges::search(filled, part, {}, [](unsigned char c) { return std::tolower(c); }).empty();
  };
  if (column.instants == Instants::none && (has("current_timestamp") || has("datetime(")))
    column.instants = Instants::spaced;
  co_return Result<>{};
}

/// What stands in the database under the table's name; nothing when there is none.
Task<Result<std::optional<FoundTable>>> find(Session& session, const Table& table) {
  const Cell name[] = {table.name};
  auto known =
      co_await session.query("SELECT type, sql FROM sqlite_schema WHERE name=? AND type IN ('table','view')", name);
  if (!known) co_return std::unexpected(std::move(known).error());
  if (known->empty()) co_return std::nullopt;
  FoundTable found;
  found.view = text_at(known->front(), 0) == "view";
  found.sql = text_at(known->front(), 1);
  if (!found.view) {
    auto options = found.sql.substr(std::min(found.sql.rfind(')'), found.sql.size()));
    std::ranges::transform(options, options.begin(), [](unsigned char c) { return std::tolower(c); });
    found.strict = options.contains("strict");
    found.rowless = options.contains("without");
  }
  const auto collations = found.view ? std::map<std::string, std::string>{} : collations_of(found.sql);
  auto columns = co_await session.query(
      "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, dflt_value FROM pragma_table_info(?)", name);
  if (!columns) co_return std::unexpected(std::move(columns).error());
  std::map<std::int64_t, std::string> primary;  // by the place in the primary key
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
    const auto wanted = std::ranges::find(table.columns, column.name, &Column::name);
    const bool own = found.strict && column.collation == "instant";
    if (wanted != table.columns.end() && wanted->kind == Kind::instant && !own)
      if (auto looked = co_await look_at_instants(session, table, column); !looked)
        co_return std::unexpected(std::move(looked).error());
    if (number_at(row, 4) > 0) primary[number_at(row, 4)] = text_at(row, 0);
  }
  if (!primary.empty()) {
    auto& whole = found.indexes.emplace_back();
    for (auto& [place, column] : primary) whole.push_back(column);
    found.unique.push_back(whole);
  }
  auto indexes = co_await session.query(
      "SELECT l.name, i.name, l.\"unique\" FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) i "
      "WHERE l.partial=0 ORDER BY l.seq, i.seqno",
      name);
  if (!indexes) co_return std::unexpected(std::move(indexes).error());
  std::string last;
  for (auto& row : *indexes) {
    const bool unique = number_at(row, 2) != 0;
    if (text_at(row, 0) != last) {
      found.indexes.emplace_back();
      if (unique) found.unique.emplace_back();
    }
    last = text_at(row, 0);
    found.indexes.back().push_back(text_at(row, 1));
    if (unique) found.unique.back().push_back(text_at(row, 1));
  }
  auto keys = co_await look_at_keys(session, table, found);
  if (!keys) co_return std::unexpected(std::move(keys).error());
  co_return found;
}

/// What stands under the names of the search index.
Task<Result<FoundSearch>> find_search(Session& session, const Table& table) {
  FoundSearch found;
  for (auto& name : search_names(table)) {
    const Cell cells[] = {name};
    auto rows = co_await session.query("SELECT type,name,sql FROM sqlite_schema WHERE name=?", cells);
    if (!rows) co_return std::unexpected(std::move(rows).error());
    if (!rows->empty())
      found.push_back({text_at(rows->front(), 0), text_at(rows->front(), 1), text_at(rows->front(), 2)});
  }
  co_return found;
}

/// Whether the tables of a database are made by migrations: then by nothing else.
Task<Result<bool>> made_by_migrations(Session& session) {
  auto known = co_await session.query("SELECT 1 FROM sqlite_schema WHERE name='plimsoll_migrations'", {});
  if (!known) co_return std::unexpected(std::move(known).error());
  if (known->empty()) co_return false;
  auto applied = co_await session.query("SELECT 1 FROM plimsoll_migrations LIMIT 1", {});
  if (!applied) co_return std::unexpected(std::move(applied).error());
  co_return !applied->empty();
}

/// Makes the index of `q`, or makes it anew where it was made for something else; `fill`: the table has rows.
Task<Result<>> prepare_search(Session& session, const Table& table, bool fill, std::vector<Disagreement>& all) {
  auto found = co_await find_search(session, table);
  if (!found) co_return std::unexpected(std::move(found).error());
  auto state = compare_search(table, *found);
  if (state.current && fill) co_return Result<>{};
  if (state.foreign) {
    const auto& [type, taken, sql] = *state.foreign;
    all.push_back({type + " " + quoted(taken) + " is not the index that this server keeps for `q` of table " +
                       quoted(table.name) + ", and stands where that belongs",
                   (type == "table" ? "ALTER TABLE " + quoted(taken) + " RENAME TO " + quoted(taken + "_old")
                                    : "DROP " + type + " " + quoted(taken)) +
                       "; -- the index is then made, and filled, at the next start"});
    co_return Result<>{};
  }
  auto statements = std::move(state.drop);
  for (auto& statement : create_search(table)) statements.push_back(std::move(statement));
  for (auto& statement : statements) {
    auto made = co_await session.query(statement, {});
    if (!made) co_return std::unexpected(std::move(made).error());
  }
  if (fill) {
    auto filled = co_await session.script(fill_search(table));
    if (!filled) co_return filled;
  }
  co_return Result<>{};
}

/// What all tables of a contract are made with: those that are there already.
struct Standing {
  std::map<const Table*, std::optional<FoundTable>> found;
  std::vector<std::string> plain_keys;  ///< names of tables whose keys are unique over all tenants
  bool by_migrations = false;           ///< tables are made by migrations, and by nothing else
};

Task<Result<Standing>> find_all(Session& session, const Model& model) {
  Standing standing;
  for (auto& table : model.tables) {
    auto found = co_await find(session, table);
    if (!found) co_return std::unexpected(std::move(found).error());
    if (*found && has_plain_key(table, **found)) standing.plain_keys.push_back(table.name);
    standing.found[&table] = std::move(*found);
  }
  auto by_migrations = co_await made_by_migrations(session);
  if (!by_migrations) co_return std::unexpected(std::move(by_migrations).error());
  standing.by_migrations = *by_migrations;
  co_return standing;
}

Task<Result<>> prepare_table(Session& session, const Model& model, const Table& table, const Standing& standing,
                             std::vector<Disagreement>& all) {
  auto& found = standing.found.at(&table);
  const bool there = found.has_value();
  if (there) {
    auto differences = compare(model, table, *found);
    const bool sound = std::ranges::all_of(differences, &Disagreement::warning);
    for (auto& one : differences) all.push_back(std::move(one));
    if (!sound || table.search.empty()) co_return Result<>{};
    if (found->view) {
      all.push_back({"`q` cannot look through the view " + quoted(table.name), "-- search a table instead"});
      co_return Result<>{};
    }
  } else if (standing.by_migrations) {
    std::string statements;
    for (auto& statement : create_table(model, table, standing.plain_keys))
      statements += (statements.empty() ? "" : "\n") + statement + ";";
    all.push_back(
        {"there is no table " + quoted(table.name) + ", and the tables of this database are made by migrations",
         std::move(statements)});
    co_return Result<>{};
  } else {
    for (auto& statement : create_table(model, table, standing.plain_keys)) {
      auto made = co_await session.query(statement, {});
      if (!made) co_return std::unexpected(std::move(made).error());
    }
    if (!table.key_in_tenant)
      if (auto warning = warn_of_shared_keys(model, table)) all.push_back(std::move(*warning));
    if (table.search.empty()) co_return Result<>{};
  }
  auto searchable = co_await prepare_search(session, table, there, all);
  co_return searchable;
}

Task<Result<>> prepare_in(Session& session, const Model& model, std::vector<Disagreement>& all, ForeignKeys& keys,
                          StandingTables& tables) {
  all.clear();  // a start may try again
  keys.of.clear();
  auto standing = co_await find_all(session, model);
  if (!standing) co_return std::unexpected(std::move(standing).error());
  tables.found.clear();
  for (auto& [table, found] : standing->found)
    if (found) tables.found[table->name] = *found;
  for (auto& table : model.tables) {
    const auto before = all.size();
    auto prepared = co_await prepare_table(session, model, table, *standing, all);
    if (!prepared) co_return prepared;
    for (auto i = before; i < all.size(); ++i) all[i].table = &table;
    auto declared = co_await foreign_keys(session, table.name);
    if (!declared) co_return std::unexpected(std::move(declared).error());
    keys.of[table.name] = std::move(*declared);
  }
  co_return Result<>{};
}

}  // namespace

Result<std::vector<Disagreement>> prepare_tables(database::Database& database, const Model& model, ForeignKeys& keys,
                                                 StandingTables& tables) {
  std::vector<Disagreement> all;
  auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await database.write(loop, [&](Session& session) -> Task<Result<>> {
      auto prepared = co_await prepare_in(session, model, all, keys, tables);
      co_return prepared;
    });
    co_return written;
  });
  if (!done) return std::unexpected(std::move(done).error());
  return all;
}

namespace {

Task<Result<>> append_missing(Session& session, const Model& model, const Table& table, const Standing& standing,
                              std::vector<std::string>& all) {
  auto& found = standing.found.at(&table);
  if (!found) {
    for (auto& statement : create_table(model, table, standing.plain_keys)) all.push_back(statement + ";");
  } else {
    for (auto& one : compare(model, table, *found))
      if (!one.warning || !one.migration.starts_with("--")) all.push_back(std::move(one.migration));
    if (found->view) co_return Result<>{};
  }
  if (table.search.empty()) co_return Result<>{};
  auto search = co_await find_search(session, table);
  if (!search) co_return std::unexpected(std::move(search).error());
  auto state = compare_search(table, *search);
  if (state.current || state.foreign) co_return Result<>{};
  for (auto& statement : state.drop) all.push_back(statement + ";");
  for (auto& statement : create_search(table)) all.push_back(statement + ";");
  if (found) all.push_back(fill_search(table) + ";");
  co_return Result<>{};
}

Task<Result<>> append_present(Session& session, const Table& table, std::vector<std::string>& all) {
  // What SQLite and FTS5 make by themselves has no text, or the name of a shadow of the search index.
  const Cell names[] = {table.name, table.name + "_search", table.name + "_search_rows"};
  auto rows = co_await session.query(
      "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND (name IN (?1,?2,?3) OR tbl_name IN (?1,?3)) "
      "ORDER BY type='trigger', type='index', name=?2, rowid",
      names);
  if (!rows) co_return std::unexpected(std::move(rows).error());
  for (auto& row : *rows) {
    auto statement = text_at(row, 0) + ";";
    if (std::ranges::find(all, statement) == all.end()) all.push_back(std::move(statement));
  }
  co_return Result<>{};
}

/// Asks the writer, which changes nothing here: it alone is sure to see what is there.
template <class Append>
Result<std::vector<std::string>> statements_of(database::Database& database, const Model& model, const Append& append) {
  std::vector<std::string> all;
  auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto looked = co_await database.write(loop, [&](Session& session) -> Task<Result<>> {
      auto standing = co_await find_all(session, model);
      if (!standing) co_return std::unexpected(std::move(standing).error());
      all.clear();  // the transaction may be tried again
      for (auto& table : model.tables) {
        auto appended = co_await append(session, table, *standing, all);
        if (!appended) co_return appended;
      }
      co_return Result<>{};
    });
    co_return looked;
  });
  if (!done) return std::unexpected(std::move(done).error());
  return all;
}

}  // namespace

Result<std::vector<std::string>> missing_statements(database::Database& database, const Model& model) {
  return statements_of(database, model,
                       [&](Session& session, const Table& table, const Standing& standing,
                           std::vector<std::string>& all) -> Task<Result<>> {
                         auto done = co_await append_missing(session, model, table, standing, all);
                         co_return done;
                       });
}

Result<std::vector<std::string>> present_statements(database::Database& database, const Model& model) {
  return statements_of(
      database, model,
      [](Session& session, const Table& table, const Standing&, std::vector<std::string>& all) -> Task<Result<>> {
        auto done = co_await append_present(session, table, all);
        co_return done;
      });
}

namespace {

constexpr std::int64_t kMostLooked = 10'000;                   ///< rows of one table
constexpr std::int64_t kMostBytes = 64 << 20;                  ///< of the rows of all tables
constexpr auto kLongestLook = std::chrono::milliseconds{500};  ///< at all tables

struct LookBudget {
  using Clock = std::chrono::steady_clock;
  Clock::time_point until = Clock::now() + kLongestLook;
  std::int64_t bytes = kMostBytes;
  bool spent() const { return bytes <= 0 || Clock::now() >= until; }
};

class Looking final : public database::RowSink {
 public:
  Looking(const Table& table, const Selection& selection, const schema::Validator& validator, LookBudget& budget)
      : validator_(validator), writer_(table, selection, RowWriter::Hidden::shown), budget_(budget) {
    found.table = &table;
  }
  void begin() override {
    found.looked = found.broken = 0;
    found.all = true;
  }
  bool row(std::span<const database::Field> fields) override {
    found.all = found.looked < kMostLooked && !budget_.spent();
    if (!found.all) return false;
    ++found.looked;
    Arena arena{4096};
    text_.clear();
    const auto* blobs = std::get_if<std::int64_t>(&fields.back());
    const bool odd = writer_.append(text_, fields) > 0 || (blobs && *blobs > 0);
    budget_.bytes -= static_cast<std::int64_t>(text_.size());
    const auto value = json::parse(text_, arena);
    if (!odd && value && validator_.valid(*value)) return true;
    if (found.broken++ == 0) tell(value ? &*value : nullptr, fields);
    return true;
  }
  BrokenRows found;

 private:
  void tell(const json::Value* value, std::span<const database::Field> fields) {
    found.example = "key ";
    append_json(found.example, found.table->key_column().kind, fields[found.table->key]);
    auto failures = value ? validator_.validate(*value, 1) : std::vector<schema::Failure>{};
    if (failures.empty()) {
      found.example += ": a value is not of its column's type";
      return;
    }
    const auto error = contract::field_error("body", {}, failures.front());
    found.example += ": " + error.pointer + " " + error.message;
  }
  const schema::Validator& validator_;
  RowWriter writer_;
  LookBudget& budget_;
  std::string text_;
};

}  // namespace

Result<std::vector<BrokenRows>> find_broken_rows(database::Database& database, const Model& model,
                                                 const StandingTables& standing, const contract::Contract& contract) {
  std::vector<BrokenRows> all;
  LookBudget budget;
  for (auto& table : model.tables) {
    const auto found = standing.found.find(table.name);
    if (found == standing.found.end() || found->second.view) continue;  // a view may take any time for its first row
    auto first = database::wait_for([&](Loop& loop) -> Task<Result<database::Rows>> {
      auto read = co_await database.read(loop, "SELECT 1 FROM " + quoted(table.name) + " LIMIT 1", {}, false);
      co_return read;
    });
    if (!first) return std::unexpected(std::move(first).error());
    if (first->empty()) continue;
    if (budget.spent()) {
      all.push_back({.table = &table, .all = false});
      continue;
    }
    auto validator = contract.compile(*table.schema, schema::CompileOptions::Direction::none);
    if (!validator) continue;
    Selection whole;
    for (std::size_t i = 0; i < table.columns.size(); ++i) whole.columns.push_back(i);
    Looking looking{table, whole, *validator, budget};
    const auto sql = rows_statement(table, whole) + " LIMIT " + std::to_string(kMostLooked + 1);
    auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
      auto read = co_await database.read(loop, sql, {}, false, looking);
      co_return read;
    });
    if (!done) return std::unexpected(std::move(done).error());
    if (looking.found.broken > 0 || !looking.found.all) all.push_back(std::move(looking.found));
  }
  return all;
}

Result<std::string> database_secret(database::Database& database, std::string_view name) {
  std::string secret;
  auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await database.write(loop, [&](Session& session) -> Task<Result<>> {
      auto made = co_await session.query(
          "CREATE TABLE IF NOT EXISTS plimsoll_secrets(name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) STRICT",
          {});
      if (!made) co_return std::unexpected(std::move(made).error());
      const Cell cells[] = {std::string(name), to_hex(random_bytes(32))};
      auto put = co_await session.query(
          "INSERT INTO plimsoll_secrets(name,value) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET value=value RETURNING "
          "value",
          cells);
      if (!put) co_return std::unexpected(std::move(put).error());
      secret = text_at(put->at(0), 0);
      co_return Result<>{};
    });
    co_return written;
  });
  if (!done) return std::unexpected(std::move(done).error());
  return secret;
}

}  // namespace plimsoll::table
