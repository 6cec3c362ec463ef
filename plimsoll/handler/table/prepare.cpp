#include "plimsoll/handler/table/prepare.hpp"

#include "plimsoll/contract/parameters.hpp"
#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/handler/table/row_writer.hpp"
#include "plimsoll/handler/table/statement.hpp"
#include "plimsoll/json/parse.hpp"

#include <algorithm>
#include <chrono>
#include <map>

namespace plimsoll::table {
namespace {

using database::Cell;
using database::Dialect;
using database::Session;
using database::text_at;

/// Whether the tables of a database are made by migrations: then by nothing else.
Task<Result<bool>> made_by_migrations(Session& session, const Dialect& dialect) {
  const auto asked = dialect.has_table("plimsoll_migrations");
  auto known = co_await session.query(asked.sql, asked.cells);
  if (!known) co_return std::unexpected(std::move(known).error());
  if (known->empty()) co_return false;
  auto applied = co_await session.query("SELECT 1 FROM plimsoll_migrations LIMIT 1", {});
  if (!applied) co_return std::unexpected(std::move(applied).error());
  co_return !applied->empty();
}

/// Makes the index of `q`, or makes it anew where it was made for something else; `fill`: the table has rows.
Task<Result<>> prepare_search(Session& session, const Dialect& dialect, const database::TableDefinition& table,
                              database::SearchState state, bool fill, std::vector<Disagreement>& all) {
  if (state.current && fill) co_return Result<>{};
  if (state.foreign) {
    all.push_back({std::move(*state.foreign)});
    co_return Result<>{};
  }
  auto statements = std::move(state.drop);
  for (auto& statement : dialect.create_search(table)) statements.push_back(std::move(statement));
  for (auto& statement : statements) {
    auto made = co_await session.query(statement, {});
    if (!made) co_return std::unexpected(std::move(made).error());
  }
  if (const auto filling = fill ? dialect.fill_search(table) : std::string{}; !filling.empty()) {
    auto filled = co_await session.script(filling);
    if (!filled) co_return filled;
  }
  co_return Result<>{};
}

using FoundTables = std::map<const Table*, std::optional<FoundTable>>;

/// What all tables of a contract are made with: those that are there already.
struct Standing {
  const Dialect* dialect = nullptr;
  FoundTables found;
  std::map<const Table*, std::vector<database::ForeignKey>> keys;  ///< of these
  std::map<const Table*, database::SearchState> searches;          ///< of the tables that have `q`
  std::vector<std::string> plain_keys;  ///< names of tables whose keys are unique over all tenants
  bool by_migrations = false;           ///< tables are made by migrations, and by nothing else
};

/// What stands in the database of the tables of the model for which `which` is true.
template <class Which>
Task<Result<FoundTables>> find_tables(Session& session, const Dialect& dialect, const Model& model,
                                      const std::vector<std::string>& plain_keys, Which which) {
  std::vector<const Table*> tables;
  std::vector<database::TableDefinition> definitions;
  for (auto& table : model.tables) {
    if (!which(table)) continue;
    tables.push_back(&table);
    definitions.push_back(definition_of(model, table, plain_keys));
  }
  auto found = co_await dialect.find_tables(session, definitions);
  if (!found) co_return std::unexpected(std::move(found).error());
  FoundTables all;
  for (std::size_t i = 0; i < tables.size(); ++i) all[tables[i]] = std::move(found->at(i));
  co_return all;
}

Task<Result<Standing>> find_all(Session& session, const Dialect& dialect, const Model& model) {
  Standing standing{.dialect = &dialect};
  auto found = co_await find_tables(session, dialect, model, {}, [](auto&) { return true; });
  if (!found) co_return std::unexpected(std::move(found).error());
  standing.found = std::move(*found);
  for (auto& table : model.tables) {
    const auto& there = standing.found.at(&table);
    if (!there) continue;
    if (has_plain_key(table, *there)) standing.plain_keys.push_back(table.name);
    auto keys = co_await dialect.foreign_keys(session, table.name);
    if (!keys) co_return std::unexpected(std::move(keys).error());
    standing.keys[&table] = std::move(*keys);
  }
  std::vector<const Table*> searchable;
  std::vector<database::TableDefinition> definitions;
  for (auto& table : model.tables) {
    if (table.search.empty()) continue;
    searchable.push_back(&table);
    definitions.push_back(definition_of(model, table, standing.plain_keys));
  }
  auto searches = co_await dialect.find_searches(session, definitions);
  if (!searches) co_return std::unexpected(std::move(searches).error());
  for (std::size_t i = 0; i < searchable.size(); ++i) standing.searches[searchable[i]] = std::move(searches->at(i));
  auto by_migrations = co_await made_by_migrations(session, dialect);
  if (!by_migrations) co_return std::unexpected(std::move(by_migrations).error());
  standing.by_migrations = *by_migrations;
  co_return standing;
}

Task<Result<>> prepare_table(Session& session, const Model& model, const Table& table, const Standing& standing,
                             std::vector<Disagreement>& all) {
  auto& found = standing.found.at(&table);
  const auto& dialect = *standing.dialect;
  const auto definition = definition_of(model, table, standing.plain_keys);
  const bool there = found.has_value();
  if (there) {
    auto differences = compare(dialect, model, table, *found, standing.keys.at(&table));
    const bool sound = std::ranges::all_of(differences, &Disagreement::warning);
    for (auto& one : differences) all.push_back(std::move(one));
    if (sound && !found->view) warn_of_long_texts(dialect, table, definition, all);
    if (!sound || table.search.empty()) co_return Result<>{};
    if (found->view) {
      all.push_back({"`q` cannot look through the view " + quoted(table.name), "-- search a table instead"});
      co_return Result<>{};
    }
  } else if (standing.by_migrations) {
    std::string statements;
    for (auto& statement : dialect.create_table(definition))
      statements += (statements.empty() ? "" : "\n") + statement + ";";
    for (auto& statement : dialect.create_references(definition)) statements += "\n" + statement + ";";
    all.push_back(
        {"there is no table " + quoted(table.name) + ", and the tables of this database are made by migrations",
         std::move(statements)});
    co_return Result<>{};
  } else {
    for (auto& statement : dialect.create_table(definition)) {
      auto made = co_await session.query(statement, {});
      if (!made) co_return std::unexpected(std::move(made).error());
    }
    if (!table.key_in_tenant)
      if (auto warning = warn_of_shared_keys(model, table)) all.push_back(std::move(*warning));
    warn_of_long_texts(dialect, table, definition, all);
    if (table.search.empty()) co_return Result<>{};
  }
  auto searchable = co_await prepare_search(session, dialect, definition, standing.searches.at(&table), there, all);
  co_return searchable;
}

Task<Result<>> prepare_in(Session& session, const Dialect& dialect, const Model& model, std::vector<Disagreement>& all,
                          ForeignKeys& keys, StandingTables& tables) {
  session.alone("plimsoll.tables");
  all.clear();  // a start may try again
  keys.of.clear();
  auto standing = co_await find_all(session, dialect, model);
  if (!standing) co_return std::unexpected(std::move(standing).error());
  tables.found.clear();
  tables.made.clear();
  for (auto& [table, found] : standing->found)
    if (found) tables.found[table->name] = *found;
  for (auto& table : model.tables) {
    const auto before = all.size();
    auto prepared = co_await prepare_table(session, model, table, *standing, all);
    if (!prepared) co_return prepared;
    for (auto i = before; i < all.size(); ++i) all[i].table = &table;
  }
  if (!standing->by_migrations && !dialect.has_statistics()) {
    const auto is_new = [&](const Table& table) { return !standing->found.at(&table); };
    auto made = co_await find_tables(session, dialect, model, standing->plain_keys, is_new);
    if (!made) co_return std::unexpected(std::move(made).error());
    for (auto& [table, found] : *made)
      if (found) tables.made[table->name] = std::move(*found);
  }
  for (auto& table : model.tables) {
    if (!standing->found.at(&table) && !standing->by_migrations)
      for (auto& statement : dialect.create_references(definition_of(model, table, standing->plain_keys)))
        if (auto made = co_await session.query(statement, {}); !made)
          co_return std::unexpected(std::move(made).error());
    if (const auto known = standing->keys.find(&table); known != standing->keys.end()) {
      keys.of[table.name] = std::move(known->second);
      continue;
    }
    auto declared = co_await dialect.foreign_keys(session, table.name);
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
      auto prepared = co_await prepare_in(session, database.dialect(), model, all, keys, tables);
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
  const auto& dialect = *standing.dialect;
  const auto definition = definition_of(model, table, standing.plain_keys);
  if (!found) {
    for (auto& statement : dialect.create_table(definition)) all.push_back(statement + ";");
  } else {
    for (auto& one : compare(dialect, model, table, *found, standing.keys.at(&table)))
      if (!one.warning || !one.migration.starts_with("--")) all.push_back(std::move(one.migration));
    if (found->view) co_return Result<>{};
  }
  if (table.search.empty()) co_return Result<>{};
  const auto& state = standing.searches.at(&table);
  if (state.current || state.foreign) co_return Result<>{};
  for (auto& statement : state.drop) all.push_back(statement + ";");
  for (auto& statement : dialect.create_search(definition)) all.push_back(statement + ";");
  if (const auto filling = found ? dialect.fill_search(definition) : std::string{}; !filling.empty())
    all.push_back(filling + ";");
  co_return Result<>{};
}

Task<Result<>> append_present(Session& session, const Model& model, const Table& table, const Standing& standing,
                              database::PresentStatements& all) {
  const auto definition = definition_of(model, table, standing.plain_keys);
  auto statements = co_await standing.dialect->present_statements(session, definition);
  if (!statements) co_return std::unexpected(std::move(statements).error());
  const auto add = [](std::vector<std::string>& into, std::vector<std::string>& made) {
    for (auto& statement : made)
      if (std::ranges::find(into, statement) == into.end()) into.push_back(std::move(statement));
  };
  add(all.needed, statements->needed);
  add(all.tables, statements->tables);
  add(all.views, statements->views);
  add(all.references, statements->references);
  co_return Result<>{};
}

/// Foreign keys of the tables that are missing.
void append_references(const Model& model, const Standing& standing, std::vector<std::string>& all) {
  for (auto& table : model.tables)
    if (!standing.found.at(&table))
      for (auto& statement : standing.dialect->create_references(definition_of(model, table, standing.plain_keys)))
        all.push_back(statement + ";");
}

/// Asks the writer, which changes nothing here: it alone is sure to see what is there.
template <class Append, class Finish>
Result<std::vector<std::string>> statements_of(database::Database& database, const Model& model, const Append& append,
                                               const Finish& finish) {
  std::vector<std::string> all;
  auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto looked = co_await database.write(loop, [&](Session& session) -> Task<Result<>> {
      auto standing = co_await find_all(session, database.dialect(), model);
      if (!standing) co_return std::unexpected(std::move(standing).error());
      all.clear();  // the transaction may be tried again
      for (auto& table : model.tables) {
        auto appended = co_await append(session, table, *standing, all);
        if (!appended) co_return appended;
      }
      finish(*standing, all);
      co_return Result<>{};
    });
    co_return looked;
  });
  if (!done) return std::unexpected(std::move(done).error());
  return all;
}

}  // namespace

Result<std::vector<std::string>> missing_statements(database::Database& database, const Model& model) {
  return statements_of(
      database, model,
      [&](Session& session, const Table& table, const Standing& standing,
          std::vector<std::string>& all) -> Task<Result<>> {
        auto done = co_await append_missing(session, model, table, standing, all);
        co_return done;
      },
      [&](const Standing& standing, std::vector<std::string>& all) { append_references(model, standing, all); });
}

Result<std::vector<std::string>> present_statements(database::Database& database, const Model& model) {
  database::PresentStatements present;
  return statements_of(
      database, model,
      [&](Session& session, const Table& table, const Standing& standing, std::vector<std::string>&) -> Task<Result<>> {
        if (&table == &model.tables.front()) present = {};  // the transaction may be tried again
        auto done = co_await append_present(session, model, table, standing, present);
        co_return done;
      },
      [&](const Standing&, std::vector<std::string>& all) {
        for (auto* part : {&present.needed, &present.tables, &present.views, &present.references})
          std::ranges::move(*part, std::back_inserter(all));
      });
}

Result<std::vector<IndexUse>> index_uses(database::Database& database, const Model& model) {
  std::vector<IndexUse> uses;
  const auto& dialect = database.dialect();
  auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto looked = co_await database.write(loop, [&](Session& session) -> Task<Result<>> {
      auto standing = co_await find_all(session, dialect, model);
      if (!standing) co_return std::unexpected(std::move(standing).error());
      uses.clear();  // the transaction may be tried again
      for (auto& table : model.tables) {
        const auto& found = standing->found.at(&table);
        if (!found || found->view) continue;
        auto needs = index_needs(model, table);
        for (auto& need : key_needs(table, standing->keys.at(&table))) needs.push_back(std::move(need));
        for (auto& need : needs)
          if (const auto* index = index_for(dialect, table, *found, need))
            uses.push_back({.table = &table, .uses = {need.use}, .index = index->name});
        const auto definition = definition_of(model, table, standing->plain_keys);
        const auto is_there = [&](std::size_t column) {
          return std::ranges::find(found->columns, table.columns[column].name, &database::FoundColumn::name) !=
                 found->columns.end();
        };
        for (auto& one : missing_indexes(dialect, model, table, *found, standing->keys.at(&table)))
          if (std::ranges::all_of(one.columns, is_there))  // else a migration adds the column first
            uses.push_back({.table = &table,
                            .uses = std::move(one.uses),
                            .statement = dialect.create_index(definition, one.columns) + ";"});
      }
      co_return Result<>{};
    });
    co_return looked;
  });
  if (!done) return std::unexpected(std::move(done).error());
  return uses;
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
    for (auto key : found.table->keys) {
      if (key != found.table->keys.front()) found.example += ", ";
      append_json(found.example, found.table->columns[key].kind, fields[key]);
    }
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
    const auto statement = rows_statement(database.dialect(), table, whole, kMostLooked + 1);
    auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
      auto read = co_await database.read(loop, statement.sql, statement.cells, false, looking);
      co_return read;
    });
    if (!done) return std::unexpected(std::move(done).error());
    if (looking.found.broken > 0 || !looking.found.all) all.push_back(std::move(looking.found));
  }
  return all;
}

}  // namespace plimsoll::table
