#include "plimsoll/handler/table/statement.hpp"

#include "plimsoll/database/sqlite_connection.hpp"
#include "plimsoll/database/sqlite_dialect.hpp"
#include "plimsoll/handler/table/ddl.hpp"
#include "plimsoll/json/yaml.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cmath>
#include <cstdlib>

namespace plimsoll::table {
namespace {

constexpr auto kPackages = R"(
x-plimsoll:
  tables:
    packages:
      schema: '#/components/schemas/Package'
      key: name
      filters: {section: [eq, in], installed_size: [ge, le]}
      sort: [installed_size, name]
      embeds: {dependencies: {table: dependencies, by: package, limit: 100}}
    dependencies:
      schema: '#/components/schemas/Dependency'
      embeds: {of: {table: packages, on: package}}
components:
  schemas:
    Package:
      type: object
      required: [name, version, section]
      properties:
        name: {type: string}
        version: {type: string}
        section: {type: string}
        installed_size: {type: [integer, 'null']}
        description: {type: [string, 'null']}
    Dependency:
      type: object
      required: [id, package, target]
      properties:
        id: {type: integer, readOnly: true}
        package: {type: string}
        target: {type: string}
)";

/// The model of the packages, and a database with its tables.
class Statements : public testing::Test {
 protected:
  void SetUp() override {
    auto root = json::parse_yaml(kPackages, arena);
    ASSERT_TRUE(root) << root.error().detail;
    root_ = *root;
    std::vector<Wrong> wrong;
    model = read_model(root_, wrong);
    for (auto& w : wrong) ADD_FAILURE() << w.what;
    packages = model.find("packages");
    ASSERT_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
    sqlite3_create_collation(db, "decimal", SQLITE_UTF8, nullptr,
                             [](void*, int, const void*, int, const void*) { return 0; });
    database::add_row_functions(db, embedded);
    for (auto& table : model.tables)
      for (auto& sql : dialect.create_table(definition_of(model, table)))
        ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sql << sqlite3_errmsg(db);
  }
  void TearDown() override { sqlite3_close(db); }

  sqlite3_stmt* prepare(const Statement& statement) {
    sqlite3_stmt* made = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db, statement.sql.c_str(), -1, &made, nullptr), SQLITE_OK)
        << statement.sql << sqlite3_errmsg(db);
    for (int i = 0; i < static_cast<int>(statement.cells.size()); ++i) {
      auto& cell = statement.cells[static_cast<std::size_t>(i)];
      if (auto* n = std::get_if<std::int64_t>(&cell)) sqlite3_bind_int64(made, i + 1, *n);
      if (auto* s = std::get_if<std::string>(&cell)) sqlite3_bind_text(made, i + 1, s->c_str(), -1, SQLITE_TRANSIENT);
    }
    return made;
  }
  std::string explain(const Statement& statement) {
    auto* made = prepare({"EXPLAIN QUERY PLAN " + statement.sql, statement.cells});
    std::string text;
    while (sqlite3_step(made) == SQLITE_ROW)
      text += std::string(reinterpret_cast<const char*>(sqlite3_column_text(made, 3))) + "\n";
    sqlite3_finalize(made);
    return text;
  }
  Statement list(std::string_view fields, const std::vector<std::string_view>& embeds, std::vector<Sort> sort,
                 std::vector<Condition> conditions, std::optional<Position> from = {}) {
    auto selection = select(model, *packages, fields, embeds);
    EXPECT_TRUE(selection) << selection.error();
    const Wanted wanted{.model = &model, .table = packages, .conditions = std::move(conditions), .search = {}};
    return list_statements(dialect, wanted, *selection,
                           {.sort = total_order(*packages, std::move(sort)), .from = std::move(from), .limit = 50})
        ->front();
  }

  Arena arena;
  json::Value root_;
  Model model;
  const Table* packages = nullptr;
  sqlite3* db = nullptr;
  database::EmbeddedRows embedded;
  const database::Dialect& dialect = database::sqlite_dialect();
};

TEST_F(Statements, AFilteredSortedPageWithEmbedsIsOneStatementThatReadsOnlyTheColumnsNeeded) {
  // section=libs&sort=-installed_size,name&limit=50&fields=name,version&embed=dependencies
  const auto size = *packages->column("installed_size");
  const auto statement = list("name,version", {"dependencies"}, {{size, true}, {packages->keys[0], false}},
                              {{.column = *packages->column("section"), .values = {std::string("libs")}}});
  EXPECT_EQ(statement.sql,
            R"(SELECT t."name",t."version",(SELECT plimsoll_rows(1,json_object('id',e1."id",'package',)"
            R"(CAST(e1."package" AS TEXT),'target',CAST(e1."target" AS TEXT))) FROM (SELECT e1."id",e1."package",)"
            R"(e1."target" FROM "dependencies" e1 WHERE e1."package"=t."name" ORDER BY e1."id" LIMIT ?) e1),)"
            R"((SELECT 1 FROM "dependencies" e2 WHERE e2."package"=t."name" LIMIT 1 OFFSET ?),)"
            R"(t."installed_size" FROM "packages" t )"
            R"(WHERE t."section"=? ORDER BY t."installed_size" DESC,t."name" LIMIT ?)");
  const auto plan = explain(statement);
  EXPECT_NE(plan.find("SEARCH t USING INDEX packages_by_section_installed_size_name (section=?)"), std::string::npos)
      << plan;
  EXPECT_NE(plan.find("SEARCH e1 USING INDEX dependencies_by_package_id (package=?)"), std::string::npos) << plan;
  EXPECT_EQ(plan.find("SCAN t"), std::string::npos) << plan;
}

TEST_F(Statements, NoValueOfARequestIsInTheText) {
  const auto statement =
      list("name", {}, {}, {{.column = *packages->column("section"), .values = {std::string("'; DROP")}}});
  EXPECT_EQ(statement.sql.find("DROP"), std::string::npos);
  EXPECT_EQ(statement.cells.size(), 2u);
}

TEST_F(Statements, NeitherPageNorCursorSortsOrScans) {
  const auto section = *packages->column("section"), size = *packages->column("installed_size");
  for (const bool descending : {false, true})
    for (const bool backward : {false, true})
      for (const bool null : {false, true})
        for (const bool first : {true, false}) {
          std::optional<Position> from;
          if (!first)
            from = Position{.values = {null ? database::Cell{} : database::Cell{std::int64_t{7}}, std::string("m")},
                            .backward = backward};
          const auto plan = explain(list("name,version", {}, {{size, descending}},
                                         {{.column = section, .values = {std::string("libs")}}}, from));
          EXPECT_EQ(plan.find("TEMP B-TREE"), std::string::npos) << plan;
          EXPECT_EQ(plan.find("SCAN t"), std::string::npos) << plan;
          EXPECT_NE(plan.find("USING INDEX packages_by_section_installed_size_name (section=?"), std::string::npos)
              << plan;
        }
}

/// Steps of the virtual machine and pages touched by one run, on a connection with a cold cache.
struct Cost {
  int steps = 0, pages = 0;
  int rows = 0;
};

TEST_F(Statements, APageCostsTheSameAtAnyDepth) {
  // 2,000,000 rows under PLIMSOLL_TORTURE; the cost of a page does not know how many there are.
  const char* torture = std::getenv("PLIMSOLL_TORTURE");
  const std::int64_t rows = torture && *torture ? 2'000'000 : 60'000;
  const auto fill =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<" + std::to_string(rows) +
      ") INSERT INTO packages(name,version,section,installed_size) SELECT printf('%08d', i), '1', 'libs', "
      "iif(i % 10 = 0, NULL, (i * 2654435761) % (" +
      std::to_string(rows) + "/20)) FROM n";
  ASSERT_EQ(sqlite3_exec(db, fill.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  const auto section = *packages->column("section"), size = *packages->column("installed_size");
  const std::vector<Condition> libs{{.column = section, .values = {std::string("libs")}}};
  constexpr int kPage = 51;
  const auto run = [&](const Statement& statement, Cost& spent) {
    auto* made = prepare(statement);
    int now = 0, peak = 0;
    sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_HIT, &now, &peak, 1);
    sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_MISS, &now, &peak, 1);
    while (sqlite3_step(made) == SQLITE_ROW) ++spent.rows;
    spent.steps += sqlite3_stmt_status(made, SQLITE_STMTSTATUS_VM_STEP, 1);
    EXPECT_EQ(sqlite3_stmt_status(made, SQLITE_STMTSTATUS_SORT, 1), 0);
    EXPECT_EQ(sqlite3_stmt_status(made, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1), 0) << statement.sql;
    for (auto what : {SQLITE_DBSTATUS_CACHE_HIT, SQLITE_DBSTATUS_CACHE_MISS}) {
      sqlite3_db_status(db, what, &now, &peak, 1);
      spent.pages += now;
    }
    sqlite3_finalize(made);
  };
  const auto cost = [&](std::vector<Statement> statements) {
    Cost spent;
    for (auto& statement : statements) {
      if (spent.rows == kPage) break;
      statement.cells.back() = std::int64_t{kPage - spent.rows};
      run(statement, spent);
    }
    return spent;
  };
  const auto position_at = [&](std::int64_t depth, bool descending) {
    auto* made = prepare({std::string("SELECT installed_size, name FROM packages WHERE section='libs' ORDER BY "
                                      "installed_size ") +
                              (descending ? "DESC, name DESC" : "ASC NULLS LAST, name") + " LIMIT 1 OFFSET ?",
                          {depth}});
    EXPECT_EQ(sqlite3_step(made), SQLITE_ROW);
    Position position;
    position.values.push_back(sqlite3_column_type(made, 0) == SQLITE_NULL
                                  ? database::Cell{}
                                  : database::Cell{std::int64_t{sqlite3_column_int64(made, 0)}});
    position.values.push_back(std::string(reinterpret_cast<const char*>(sqlite3_column_text(made, 1))));
    sqlite3_finalize(made);
    return position;
  };
  for (const bool descending : {false, true}) {
    const auto page = [&](std::optional<Position> from) {
      auto selection = *select(model, *packages, "name,version", {});
      const Wanted wanted{.model = &model, .table = packages, .conditions = libs, .search = {}};
      return *list_statements(
          dialect, wanted, selection,
          {.sort = total_order(*packages, {{size, descending}}), .from = std::move(from), .limit = kPage});
    };
    const auto first = cost(page({}));
    std::printf("%s page 1: %d steps, %d pages\n", descending ? "-installed_size" : "installed_size", first.steps,
                first.pages);
    for (const std::int64_t depth : {rows / 4, rows / 2, rows - rows / 20}) {
      const auto deep = cost(page(position_at(depth, descending)));
      std::printf("  row %lld: %d steps, %d pages\n", static_cast<long long>(depth), deep.steps, deep.pages);
      EXPECT_EQ(deep.rows, first.rows);
      EXPECT_NEAR(deep.steps, first.steps, first.steps * 0.1) << depth;
      EXPECT_NEAR(deep.pages, first.pages, first.pages * 0.1) << depth;
    }
    auto by_offset = page({}).front();
    by_offset.sql += " OFFSET 9950";
    Cost offset;
    run(by_offset, offset);
    std::printf("  by offset, row 9,950: %d steps, %d pages\n", offset.steps, offset.pages);
  }
}

}  // namespace
}  // namespace plimsoll::table
