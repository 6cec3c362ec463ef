// Whether an index serves a read is decided from the catalogue: the planners of both databases are the judges.

#include "plimsoll/handler/table/indexes.hpp"

#include "plimsoll/database/cells.hpp"
#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_server.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/handler/table/ddl.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace plimsoll::table {
namespace {

using database::Cell;
using testkit::Api;

Table random_table(std::mt19937& random) {
  Table table{.name = "things"};
  const auto add = [&](const char* name, Kind kind, bool required) {
    Column column;
    column.name = name;
    column.kind = kind;
    column.required = required;
    table.columns.push_back(std::move(column));
  };
  add("id", random() % 2 ? Kind::integer : Kind::text, true);
  add("a", Kind::text, false);
  add("b", Kind::integer, true);
  add("c", Kind::text, true);
  add("t", Kind::text, true);
  table.keys = {0};
  if (random() % 2) table.tenant = 4;
  for (std::size_t i = 1; i < 4; ++i) {
    if (random() % 2) table.filters.push_back({i, {Operator::eq}});
    if (random() % 2) table.sort.push_back(i);
  }
  return table;
}

struct Shape {
  std::vector<std::string> statements;
  std::map<std::string, std::vector<std::string>> indexes;  ///< their columns, by name
};

Shape random_shape(std::mt19937& random, const Table& table, bool postgres) {
  const bool number = table.columns[0].kind == Kind::integer;
  const std::string text = postgres ? "text COLLATE \"C\"" : "TEXT";
  Shape shape;
  shape.statements = {"DROP TABLE IF EXISTS things",
                      "CREATE TABLE things(id " + (number ? (postgres ? "bigint" : "INTEGER") : text) +
                          " NOT NULL PRIMARY KEY, a " + text + ", b INTEGER NOT NULL, c " + text + " NOT NULL, t " +
                          text + " NOT NULL)" + (!postgres && random() % 4 == 0 ? " WITHOUT ROWID" : "")};
  shape.indexes[postgres ? "things_pkey" : "PRIMARY KEY"] = {"id"};
  for (unsigned i = 0, count = random() % 5; i < count; ++i) {
    std::vector<std::string> columns{"id", "a", "b", "c", "t"};
    std::ranges::shuffle(columns, random);
    columns.resize(1 + random() % 4);
    const auto name = "i" + std::to_string(i);
    std::string list;
    for (auto& column : columns) {
      list += (list.empty() ? "" : ",") + column;
      if (random() % 10 == 0 && (column == "a" || column == "c"))
        list += postgres ? " COLLATE \"POSIX\"" : " COLLATE NOCASE";
      if (random() % 4 == 0) list += " DESC";
      if (postgres && random() % 8 == 0) list += random() % 2 ? " NULLS FIRST" : " NULLS LAST";
    }
    if (random() % 12 == 0) list += ",lower(a)";
    shape.statements.push_back("CREATE INDEX " + name + " ON things(" + list + ")" +
                               (random() % 10 == 0 ? " WHERE b>0" : ""));
    shape.indexes[name] = columns;
  }
  return shape;
}

/// What a database makes of a read.
struct Planned {
  std::string plan;
  bool served = false;
};

Planned planned(database::Database& database, const Table& table, const Shape& shape, const IndexNeed& need,
                bool descending, bool postgres, std::string_view by) {
  const Cell number{std::int64_t{0}}, text{std::string("x")};
  database::Select select{.from = {.name = table.name, .key = {&table.columns[0]}}, .limit = 5};
  for (auto& column : table.columns) select.columns.push_back(&column);
  std::vector<Cell> values;
  values.reserve(need.equal.size());
  for (auto column : need.equal) {
    values.push_back(table.columns[column].kind == Kind::integer ? number : text);
    select.where.push_back({.column = &table.columns[column], .values = {&values.back(), 1}});
  }
  for (auto column : need.order) select.order.push_back({.column = &table.columns[column], .descending = descending});
  auto statement = database.dialect().select(select);
  // Without statistics SQLite may prefer another index, and sort.
  if (const auto from = statement.sql.find("things\" t"); !postgres && !by.empty() && by != "PRIMARY KEY")
    statement.sql.insert(from + 9, " INDEXED BY \"" + std::string(by) + "\"");
  Planned made;
  const auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto asked = co_await database.write(loop, [&](database::Session& session) -> Task<Result<>> {
      if (postgres)
        for (const auto* setting : {"seqscan", "bitmapscan", "sort", "incremental_sort"}) {
          auto set = co_await session.query(std::string("SET LOCAL enable_") + setting + "=off", {});
          if (!set) co_return std::unexpected(std::move(set).error());
        }
      auto rows = co_await session.query((postgres ? "EXPLAIN (COSTS OFF) " : "EXPLAIN QUERY PLAN ") + statement.sql,
                                         statement.cells);
      if (!rows) co_return std::unexpected(std::move(rows).error());
      for (auto& row : *rows) made.plan += database::text_at(row, postgres ? 0 : 3) + "\n";
      co_return Result<>{};
    });
    co_return asked;
  });
  EXPECT_TRUE(done) << statement.sql << (done ? "" : database::reason_of(done.error()));
  const auto& plan = made.plan;
  const auto count = [&](std::string_view what) {
    std::size_t found = 0;
    for (auto at = plan.find(what); at != plan.npos; at = plan.find(what, at + 1)) ++found;
    return found;
  };
  const auto limit = need.equal.size();
  if (!postgres) {
    made.served = !plan.contains("TEMP B-TREE") && count("=?") == limit;
    return made;
  }
  if (plan.contains("Sort") || plan.contains("Seq Scan") || plan.contains("Filter:")) return made;
  const auto condition = plan.find("Index Cond:");
  const auto equalities = condition == plan.npos ? 0 : count(" = ");
  if (equalities != limit) return made;
  // A column of the condition that does not stand at the front is compared, and narrows nothing.
  for (auto& [name, columns] : shape.indexes)
    if (plan.contains("using " + name + " on"))
      made.served = std::ranges::all_of(need.equal, [&](auto column) {
        const auto front = std::ranges::find(columns, table.columns[column].name);
        return front != columns.end() && static_cast<std::size_t>(front - columns.begin()) < limit;
      });
  return made;
}

std::optional<FoundTable> look(database::Database& database, const database::TableDefinition& definition) {
  std::optional<FoundTable> found;
  const auto done = database::wait_for([&](Loop& loop) -> Task<Result<>> {
    auto looked = co_await database.write(loop, [&](database::Session& session) -> Task<Result<>> {
      auto there = co_await database.dialect().find_table(session, definition);
      if (!there) co_return std::unexpected(std::move(there).error());
      found = std::move(*there);
      co_return Result<>{};
    });
    co_return looked;
  });
  EXPECT_TRUE(done);
  return found;
}

void judge(database::Database& database, bool postgres, std::mt19937& random, int rounds) {
  int served = 0, missing = 0;
  for (int round = 0; round < rounds && !testing::Test::HasFailure(); ++round) {
    Model model{.tables = {random_table(random)}};
    model.places["things"] = 0;
    const auto& table = model.tables[0];
    const auto shape = random_shape(random, table, postgres);
    for (auto& statement : shape.statements) {
      const auto done = Api::run(database, statement);
      ASSERT_TRUE(done) << statement << database::reason_of(done.error());
    }
    const auto definition = definition_of(model, table);
    const auto found = look(database, definition);
    ASSERT_TRUE(found);
    for (auto& need : index_needs(model, table)) {
      const auto* index = index_for(database.dialect(), table, *found, need);
      (index ? served : missing) += 1;
      for (const bool descending : {false, true}) {
        const auto said =
            planned(database, table, shape, need, descending, postgres, index ? index->name : std::string{});
        std::string all;
        for (auto& statement : shape.statements) all += statement + ";\n";
        EXPECT_EQ(said.served, index != nullptr)
            << need.use << (descending ? " descending" : "") << " by " << (index ? index->name : "nothing") << "\n"
            << said.plan << all;
      }
    }
    // The statement of a missing index makes one that serves.
    for (auto& one : missing_indexes(database.dialect(), model, table, *found, {}))
      ASSERT_TRUE(Api::run(database, database.dialect().create_index(definition, one.columns)));
    const auto then = look(database, definition);
    ASSERT_TRUE(then);
    EXPECT_TRUE(missing_indexes(database.dialect(), model, table, *then, {}).empty());
  }
  // That the judge has seen both; by chance a short run may see few of one.
  EXPECT_GT(served, rounds / 60);
  EXPECT_GT(missing, rounds / 60);
}

std::mt19937 seeded() {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  return std::mt19937{seed};
}
int rounds() { return std::getenv("PLIMSOLL_TORTURE") ? 3'000 : 60; }

/// Of every shape of a table: with keys of several columns, which lists sort by too, an owner, and filters on both.
/// Roles that `except-roles` names read the same lists without the owner: an index that begins with it serves none.
TEST(IndexNeeds, ListsOfAllOwnersHaveTheirOwn) {
  std::mt19937 random(1);
  auto table = random_table(random);
  table.tenant = 4;
  table.owner = 3;
  table.filters = {{1, {Operator::eq}}};
  table.sort = {2};
  const auto columns_of = [&] {
    std::set<std::vector<std::string>> all;
    for (const auto& need : index_needs({}, table)) {
      std::vector<std::string> names;
      for (auto column : need.columns(table)) names.push_back(table.columns[column].name);
      all.insert(std::move(names));
    }
    return all;
  };
  const std::set<std::vector<std::string>> bound{
      {"t", "c", "b", "id"}, {"t", "c", "a", "b", "id"}, {"t", "c", "a", "id"}, {"t", "c", "id"}};
  EXPECT_EQ(columns_of(), bound);
  table.owner_except = {"support"};
  auto all = bound;
  all.insert({{"t", "b", "id"}, {"t", "a", "b", "id"}, {"t", "a", "id"}, {"t", "id"}});
  EXPECT_EQ(columns_of(), all);
}

TEST(IndexNeeds, OfATableThatTheServerMakesAreAllServed) {
  for (const auto* key : {"id", "[id, a]", "[a, b]"})
    for (const auto* sort : {"[a]", "[a, b]", "[b, c]", "[id]"})
      for (const auto* more : {"", "      owner: who\n", "      owner: who\n      tenant: firm\n"}) {
        const std::string with = more;
        const std::string filters = with.contains("tenant")  ? "{who: [eq], firm: [eq], a: [eq, in]}"
                                    : with.contains("owner") ? "{who: [eq, in], b: [eq]}"
                                                             : "{a: [eq], c: [eq, is-null]}";
        const auto contract = std::string(R"(openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    things:
      schema: '#/components/schemas/Thing'
      key: )") + key +
                              "\n      sort: " + sort + "\n      filters: " + filters + "\n" + with + R"(components:
  schemas:
    Thing:
      type: object
      required: [id, a, b]
      properties:
        id: {type: integer}
        a: {type: string}
        b: {type: integer}
        c: {type: [string, 'null']}
        who: {type: string, readOnly: true}
        firm: {type: string, readOnly: true}
  securitySchemes: {key: {type: apiKey, in: header, name: X-API-Key}}
security: [{key: []}]
paths:
  /things: {get: {operationId: list, x-plimsoll: {table: things}, responses: {'200': {description: ok}}}}
)";
        Api api{contract};
        ASSERT_TRUE(api.client) << api.complaints << contract;
        ASSERT_TRUE(api.start()) << api.complaints;
        for (auto& remark : api.instance->remarks())
          EXPECT_FALSE(remark.contains("has no index")) << remark << contract;
      }
}

/// What the server does not make, because it would be one too many, a later start says once.
TEST(IndexNeeds, BeyondThoseThatTheServerMakesAreToldInOneRemark) {
  Api api{R"(openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  tables:
    things:
      schema: '#/components/schemas/Thing'
      key: id
      sort: [a, b, c, d, e, f]
      filters: {a: [eq], b: [eq], c: [eq], d: [eq], e: [eq], f: [eq]}
components:
  schemas:
    Thing:
      type: object
      required: [id, a, b, c, d, e, f]
      properties:
        id: {type: integer}
        a: {type: string}
        b: {type: string}
        c: {type: string}
        d: {type: string}
        e: {type: string}
        f: {type: string}
paths:
  /things: {get: {operationId: list, x-plimsoll: {table: things}, responses: {'200': {description: ok}}}}
)"};
  ASSERT_TRUE(api.client) << api.complaints;
  const auto made = api.sql("SELECT count(*) FROM sqlite_schema WHERE type='index' AND tbl_name='things'");
  ASSERT_TRUE(made);
  EXPECT_EQ(std::get<std::int64_t>(made->at(0).at(0)), std::int64_t{kMostIndexes});
  ASSERT_TRUE(api.start()) << api.complaints;
  std::vector<std::string> told;
  for (auto& remark : api.instance->remarks())
    if (remark.contains("has no index")) told.push_back(remark);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].contains("more than the 32")) << told[0];
  EXPECT_TRUE(told[0].contains("filter `f` with sort `e`")) << told[0];
}

TEST(IndexNeeds, AreServedJustWhereSqliteNeitherScansNorSorts) {
  database::TestFolder folder;
  auto database = database::open_sqlite({.path = folder / "i.db"});
  ASSERT_TRUE(database);
  auto random = seeded();
  judge(**database, false, random, rounds());
}

TEST(IndexNeeds, AreServedJustWherePostgresNeitherScansNorSorts) {
  auto* server = database::PostgresServer::shared();
  if (!server) GTEST_SKIP() << "PostgreSQL is not installed";
  auto database = database::open_postgres({.url = server->url()});
  ASSERT_TRUE(database) << database::reason_of(database.error());
  auto random = seeded();
  judge(**database, true, random, rounds());
}

}  // namespace
}  // namespace plimsoll::table
