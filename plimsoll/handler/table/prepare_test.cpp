#include "plimsoll/handler/table/prepare.hpp"

#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/json/yaml.hpp"
#include "plimsoll/testkit/api.hpp"
#include "plimsoll/testkit/growth.hpp"

#include <gtest/gtest.h>

namespace plimsoll::table {
namespace {

using testkit::Api;
using testkit::member;

std::string contract(const std::string& table, const std::string& properties, const std::string& required = "[id]") {
  return R"(openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  tables:
    things:
)" + table +
         R"(
components:
  schemas:
    Thing:
      type: object
      required: )" +
         required + R"(
      properties:
)" + properties +
         R"(
paths:
  /things:
    get:
      operationId: listThings
      x-plimsoll: {table: things}
      responses: {'200': {description: ok}}
)";
}

/// With a way to say who one is, which a table with a tenant needs.
std::string with_caller(std::string text) {
  text.insert(text.find("x-plimsoll:"), "security: [{key: []}]\n");
  text.insert(text.find("components:") + 12, "  securitySchemes: {key: {type: apiKey, in: header, name: x-key}}\n");
  return text;
}

const std::string kPlain = "      schema: '#/components/schemas/Thing'\n";
const std::string kColumns = "        id: {type: integer, readOnly: true}\n        name: {type: string}\n";

TEST(TablePreparing, ServesATableItFinds) {
  Api api{
      contract(kPlain, kColumns),
      {"CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT, more TEXT)", "INSERT INTO things VALUES(1,'a','b')"}};
  ASSERT_TRUE(api.client) << api.complaints;
  EXPECT_EQ(member(api.client->get("/things").body, "data"), R"([{"id":1,"name":"a"}])");
}

TEST(TablePreparing, RefusesTheStartWithTheMigrationToWrite) {
  Api missing{contract(kPlain, kColumns + "        size: {type: integer}\n"),
              {"CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT)"}};
  EXPECT_FALSE(missing.client);
  EXPECT_NE(missing.complaints.find("has no column \"size\""), std::string::npos) << missing.complaints;
  EXPECT_NE(missing.complaints.find("ALTER TABLE \"things\" ADD COLUMN \"size\" INTEGER"), std::string::npos);
  Api type{contract(kPlain, kColumns), {"CREATE TABLE things(id INTEGER PRIMARY KEY, name INTEGER)"}};
  EXPECT_FALSE(type.client);
  EXPECT_NE(type.complaints.find("cannot hold"), std::string::npos) << type.complaints;
  Api null{contract(kPlain, kColumns), {"CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT NOT NULL)"}};
  EXPECT_FALSE(null.client);
  EXPECT_NE(null.complaints.find("NOT NULL"), std::string::npos) << null.complaints;
  Api key{contract(kPlain, kColumns), {"CREATE TABLE things(id INTEGER, name TEXT)"}};
  EXPECT_FALSE(key.client);
  EXPECT_NE(key.complaints.find("not unique by itself"), std::string::npos) << key.complaints;
}

/// The database itself says whether a key is unique: it takes two rows that differ in all but the key, or does not.
TEST(TablePreparing, ServesATableJustWhereTheDatabaseAdmitsNoTwoRowsOfOneKey) {
  const std::vector<std::string> shapes[] = {
      {"CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT)"},
      {"CREATE TABLE things(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)"},
      {"CREATE TABLE things(id INTEGER NOT NULL PRIMARY KEY, name TEXT) WITHOUT ROWID"},
      {"CREATE TABLE things(id INTEGER UNIQUE, name TEXT)"},
      {"CREATE TABLE things(id INTEGER, name TEXT PRIMARY KEY)", "CREATE UNIQUE INDEX u ON things(id DESC)"},
      {"CREATE TABLE things(id INTEGER, name TEXT, UNIQUE(name, id), UNIQUE(id))"},
      {"CREATE TABLE things(id INTEGER, name TEXT)"},
      {"CREATE TABLE things(id INTEGER, name TEXT)", "CREATE INDEX i ON things(id)"},
      {"CREATE TABLE things(id INTEGER, name TEXT, PRIMARY KEY(id, name))"},
      {"CREATE TABLE things(id INTEGER, name TEXT, PRIMARY KEY(name, id))"},
      {"CREATE TABLE things(id INTEGER NOT NULL, name TEXT, PRIMARY KEY(id, name)) WITHOUT ROWID"},
      {"CREATE TABLE things(id INTEGER, name TEXT PRIMARY KEY)", "CREATE UNIQUE INDEX u ON things(id, name)"},
      {"CREATE TABLE things(id INTEGER, name TEXT)", "CREATE UNIQUE INDEX u ON things(id) WHERE name='a'"},
      {"CREATE TABLE things(id INTEGER, name TEXT)", "CREATE UNIQUE INDEX u ON things(abs(id), name)"},
      {"CREATE TABLE things(id INTEGER, name TEXT UNIQUE)", "CREATE INDEX i ON things(id, name)"},
  };
  for (auto& shape : shapes) {
    auto before = shape;
    before.insert(before.end(), {"INSERT OR IGNORE INTO things(id,name) VALUES(1,'a'),(1,'b')",
                                 "CREATE TABLE seen AS SELECT count(*) AS n FROM things", "DELETE FROM things"});
    Api api{contract(kPlain, kColumns), before};
    auto database = database::open_sqlite({.path = api.path("api.db")});
    ASSERT_TRUE(database);
    const auto rows = Api::run(**database, "SELECT n FROM seen");
    ASSERT_TRUE(rows);
    const bool unique = std::get<std::int64_t>(rows->at(0).at(0)) == 1;
    EXPECT_EQ(api.client != nullptr, unique) << shape.back() << "\n" << api.complaints;
    if (unique) continue;
    for (std::string_view said : {"error[table-disagrees]: the key \"id\" of table \"things\" is not unique by itself",
                                  "CREATE UNIQUE INDEX \"things_key\" ON \"things\"(\"id\")"})
      EXPECT_NE(api.complaints.find(said), std::string::npos) << shape.back() << "\n" << api.complaints;
  }
}

/// A 409 for another tenant's row tells of it: the database itself says whether it refuses one.
TEST(TablePreparing, SaysWhereTheDatabaseKeepsAValueUniqueOverAllTenants) {
  struct Shape {
    std::string columns;
    std::vector<std::string> more;
    std::string replaces;  ///< what the remedy names
  };
  const Shape shapes[] = {
      {"", {}, ""},
      {"", {"CREATE UNIQUE INDEX u ON things(name)"}, "DROP INDEX \"u\";"},
      {"", {"CREATE UNIQUE INDEX u ON things(size)"}, "DROP INDEX \"u\";"},
      {"", {"CREATE UNIQUE INDEX u ON things(name, size)"}, "DROP INDEX \"u\";"},
      {"", {"CREATE UNIQUE INDEX u ON things(name) WHERE size=1"}, "DROP INDEX \"u\";"},
      {"", {"CREATE UNIQUE INDEX u ON things(lower(name))"}, "DROP INDEX \"u\";"},
      {", UNIQUE(name)", {}, "without UNIQUE(\"name\")"},
      {", UNIQUE(name, tenant_id)", {}, ""},
      {"", {"CREATE UNIQUE INDEX u ON things(size, tenant_id)"}, ""},
      {"", {"CREATE INDEX u ON things(name)"}, ""},
      {"", {"CREATE UNIQUE INDEX u ON things(id, name)"}, ""},  // the server makes the key
  };
  const std::string columns = "        size: {type: integer}\n        tenant_id: {type: string}\n";
  for (const auto* declared : {"", "      unique: [name]\n"}) {
    for (auto& shape : shapes) {
      const auto rule = shape.more.empty() ? shape.columns : shape.more[0];
      const bool of_name = rule.contains("(name)") && !rule.contains("lower");
      const std::string own = *declared && !(of_name && !shape.replaces.empty())
                                  ? "CREATE UNIQUE INDEX own ON things(tenant_id, name)"
                                  : "SELECT 1";
      std::vector<std::string> before{
          "CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT, size INTEGER, tenant_id TEXT" + shape.columns + ")",
          own};
      before.insert(before.end(), shape.more.begin(), shape.more.end());
      auto tried = before;
      tried.insert(tried.end(), {"INSERT OR IGNORE INTO things(name,size,tenant_id) VALUES('a',1,'one'),('a',1,'two')",
                                 "CREATE TABLE seen AS SELECT count(*) AS n FROM things", "DELETE FROM things"});
      const auto text = contract(kPlain + "      tenant: tenant_id\n" + declared, kColumns + columns);
      Api api{with_caller(text), tried};
      auto database = database::open_sqlite({.path = api.path("api.db")});
      ASSERT_TRUE(database);
      const auto rows = Api::run(**database, "SELECT n FROM seen");
      ASSERT_TRUE(rows);
      const bool shared = std::get<std::int64_t>(rows->at(0).at(0)) == 1;
      EXPECT_EQ(shared, !shape.replaces.empty()) << "the shape is not what this test takes it for";
      auto told = api.complaints;
      for (auto& remark : api.instance ? api.instance->remarks() : std::vector<std::string>{}) told += remark + "\n";
      EXPECT_EQ(told.contains("is unique over all tenants"), shared) << before.back() << "\n" << told;
      const bool against = shared && *declared && of_name;
      if (shared) EXPECT_TRUE(told.contains(shape.replaces)) << told;
      EXPECT_EQ(api.client == nullptr, against) << before.back() << "\n" << api.complaints;
      if (against) {
        EXPECT_TRUE(told.contains(shape.replaces)) << told;
        EXPECT_TRUE(api.complaints.contains("CREATE UNIQUE INDEX \"things_unique_tenant_id_name\"")) << api.complaints;
      }
    }
  }
}

TEST(TablePreparing, RefusesRowsThatTheKeyCannotName) {
  Api missing{contract(kPlain + "      key: name\n", kColumns, "[name]"),
              {"CREATE TABLE things(id INTEGER, name TEXT PRIMARY KEY)", "INSERT INTO things VALUES(1,NULL),(2,NULL)"}};
  EXPECT_FALSE(missing.client);
  EXPECT_NE(missing.complaints.find("has rows whose key \"name\" is NULL"), std::string::npos) << missing.complaints;
  Api repeated{contract(kPlain, kColumns),
               {"CREATE VIEW things AS SELECT 1 AS id, 'a' AS name UNION ALL SELECT 1, 'b'"}};
  EXPECT_FALSE(repeated.client);
  EXPECT_NE(repeated.complaints.find("the key \"id\" of view \"things\" is not unique"), std::string::npos);
  Api view{contract(kPlain, kColumns), {"CREATE VIEW things AS SELECT 1 AS id, 'a' AS name UNION ALL SELECT 2, 'b'"}};
  EXPECT_TRUE(view.client) << view.complaints;
}

/// Another program may drop the index while the server runs.
TEST(TablePreparing, AChangeOfOneRowNeverChangesSeveral) {
  auto text = contract(kPlain, kColumns);
  text += R"(  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    patch:
      operationId: changeThing
      x-plimsoll: {table: things, authorization: any-caller}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
    delete: {operationId: removeThing, x-plimsoll: {table: things, authorization: any-caller}, responses: {'204': {description: gone}}}
)";
  Api api{text, {"CREATE TABLE things(id INTEGER, name TEXT)", "CREATE UNIQUE INDEX u ON things(id)"}};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_TRUE(api.sql("DROP INDEX u"));
  ASSERT_TRUE(api.sql("INSERT INTO things VALUES(1,'a'),(1,'b'),(2,'c')"));
  EXPECT_EQ(api.client->patch("/things/1", R"({"name":"d"})").status, 500);
  EXPECT_EQ(api.client->request("DELETE", "/things/1").status, 500);
  EXPECT_EQ(api.client->request("DELETE", "/things/2").status, 204);
  EXPECT_EQ(member(api.client->get("/things").body, "data"), R"([{"id":1,"name":"a"},{"id":1,"name":"b"}])");
}

TEST(TablePreparing, AdvisesOnIndexesThatAreMissing) {
  Api api{contract(kPlain + "      sort: [name]\n", kColumns),
          {"CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT)"}};
  ASSERT_TRUE(api.client) << api.complaints;
  std::string all;
  for (auto& remark : api.instance->remarks()) all += remark;
  EXPECT_NE(all.find("CREATE INDEX \"things_by_name_id\""), std::string::npos) << all;
  Api indexed{contract(kPlain + "      sort: [name]\n", kColumns),
              {"CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT)", "CREATE INDEX n ON things(name)"}};
  ASSERT_TRUE(indexed.client);
  for (auto& remark : indexed.instance->remarks()) EXPECT_EQ(remark.find("no index"), std::string::npos) << remark;
}

TEST(TablePreparing, MakesAndFillsTheSearchOfATableItFinds) {
  const std::string text_key = "        id: {type: string}\n        name: {type: string}\n";
  for (auto& [columns, table] : {std::pair{kColumns, "INTEGER"}, std::pair{text_key, "TEXT"}}) {
    Api api{contract(kPlain + "      search: [name]\n", columns),
            {"CREATE TABLE things(id " + std::string(table) + " PRIMARY KEY, name TEXT)",
             "INSERT INTO things VALUES('1','green door'),('2','blue door'),('3',NULL)"}};
    ASSERT_TRUE(api.client) << api.complaints;
    const auto data = member(api.client->get("/things?fields=name&q=blue").body, "data");
    EXPECT_EQ(data, R"([{"name":"blue door"}])");
    ASSERT_TRUE(api.sql("UPDATE things SET name='red door' WHERE name='blue door'"));
    EXPECT_EQ(member(api.client->get("/things?fields=name&q=blue").body, "data"), "[]");
    EXPECT_EQ(member(api.client->get("/things?fields=name&q=red").body, "data"), R"([{"name":"red door"}])");
    ASSERT_TRUE(api.start());
    EXPECT_EQ(member(api.client->get("/things?fields=name&q=door&limit=1").body, "has_more"), "true");
  }
}

const std::string kTwoTexts = kColumns + "        note: {type: string}\n";
const std::vector<std::string> kDoors = {"CREATE TABLE things(id INTEGER PRIMARY KEY, name TEXT, note TEXT)",
                                         "INSERT INTO things VALUES(1,'green','door'),(2,'blue','door')"};

/// A name of the index that somebody else uses is told at the start, not by a failing `q`.
TEST(TablePreparing, RefusesASearchThatSomebodyElseMade) {
  const std::pair<std::string, std::string> cases[] = {
      {"CREATE VIRTUAL TABLE things_search USING fts5(name, content=things, content_rowid=id)",
       "ALTER TABLE \"things_search\" RENAME TO \"things_search_old\";"},
      {"CREATE VIRTUAL TABLE things_search USING fts5(title, body)", "table \"things_search\" is not the index"},
      {"CREATE TABLE things_search(rowid INTEGER, name TEXT)", "table \"things_search\" is not the index"},
      {"CREATE VIEW things_search AS SELECT name FROM things", "DROP view \"things_search\";"},
      {"CREATE TRIGGER things_search_insert AFTER INSERT ON things BEGIN SELECT 1; END",
       "DROP trigger \"things_search_insert\";"},
      {"CREATE TABLE things_search_rows(a)", "table \"things_search_rows\" is not the index"},
  };
  for (auto& [made, said] : cases) {
    auto before = kDoors;
    before.push_back(made);
    Api api{contract(kPlain + "      search: [name, note]\n", kTwoTexts), before};
    EXPECT_FALSE(api.client) << made;
    EXPECT_NE(api.complaints.find(said), std::string::npos) << made << api.complaints;
    EXPECT_NE(api.complaints.find("for `q` of table \"things\""), std::string::npos) << api.complaints;
  }
}

TEST(TablePreparing, MakesTheSearchAnewThatItMadeForSomethingElse) {
  const auto found = [](Api& api, std::string_view word) {
    const auto answer = api.client->get("/things?fields=id&q=" + std::string(word));
    return std::to_string(answer.status) + member(answer.body, "data");
  };
  Api api{contract(kPlain + "      search: [name]\n", kTwoTexts), kDoors};
  ASSERT_TRUE(api.client) << api.complaints;
  EXPECT_EQ(found(api, "blue"), R"(200[{"id":2}])");
  EXPECT_EQ(found(api, "door"), "200[]");
  ASSERT_TRUE(api.start(contract(kPlain + "      search: [note, name]\n", kTwoTexts))) << api.complaints;
  EXPECT_EQ(found(api, "door"), R"(200[{"id":1},{"id":2}])");
  // What is lost is made up for: a table that a migration rebuilt has no triggers any more.
  ASSERT_TRUE(api.sql("DROP TRIGGER things_search_update"));
  ASSERT_TRUE(api.sql("UPDATE things SET name='red' WHERE id=2"));
  ASSERT_TRUE(api.start()) << api.complaints;
  EXPECT_EQ(found(api, "blue"), "200[]");
  EXPECT_EQ(found(api, "red"), R"(200[{"id":2}])");
  ASSERT_TRUE(api.sql("DROP TABLE things"));  // its search stays behind
  ASSERT_TRUE(api.start()) << api.complaints;
  EXPECT_EQ(found(api, "red"), "200[]");
}

TEST(TablePreparing, AnAddedPropertyIsAskedForAsAMigration) {
  Api api{contract(kPlain, kColumns)};
  ASSERT_TRUE(api.client) << api.complaints;
  EXPECT_FALSE(api.start(contract(kPlain, kColumns + "        size: {type: integer}\n")));
  EXPECT_NE(api.complaints.find("ALTER TABLE"), std::string::npos);
}

TEST(TablePreparing, SaysWhatIsWrongWithADeclaration) {
  const std::pair<std::string, std::string> cases[] = {
      {kPlain + "      filters: {nam: eq}\n", "did you mean \"name\"?"},
      {kPlain + "      filters: {name: [equals]}\n", "one of eq, ne"},
      {kPlain + "      sort: [siez]\n", "no column \"siez\""},
      {kPlain + "      key: uuid\n", "no column \"uuid\""},
      {kPlain + "      embeds: {x: {table: nowhere, on: name}}\n", "not declared"},
      {kPlain + "      embeds: {x: {table: things}}\n", "either `on` or `by`"},
      {kPlain + "      page: {default: 0}\n", "must be 1 to 10000"},
      {kPlain + "      filtres: {name: eq}\n", "did you mean \"filters\"?"},
      {"      schema: '#/components/schemas/Thong'\n", "cannot be resolved"},
      {"      key: id\n", "has no `schema`"},
      {kPlain + "      search: [id]\n", "is no text"},
      {kPlain + "      naming: shouting\n", "snake"},
  };
  for (auto& [table, said] : cases) {
    Api api{contract(table, kColumns)};
    EXPECT_FALSE(api.client) << table;
    EXPECT_NE(api.complaints.find(said), std::string::npos) << table << api.complaints;
  }
}

/// Of each column of a key, on both sides of an embed.
TEST(TablePreparing, ColumnsOfAnEmbedHaveTheTypesOfTheKey) {
  const std::string columns =
      "        order: {type: integer}\n        line: {type: string}\n        a: {type: integer}\n"
      "        b: {type: string}\n        c: {type: integer}\n        d: {type: number}\n"
      "        t: {type: string, format: date-time}\n";
  const auto table = [](const std::string& embed) {
    return kPlain + "      key: [order, line]\n      embeds: {x: {table: things, " + embed + "}}\n";
  };
  for (const auto* good : {"on: [a, b]", "by: [a, b]", "on: [c, line]"}) {
    Api api{contract(table(good), columns, "[order, line]")};
    EXPECT_TRUE(api.client) << good << api.complaints;
  }
  for (const auto& [wrong, said] : std::vector<std::pair<std::string, std::string>>{
           {"on: [b, b]",
            "column \"b\" of table \"things\" is text, and the key \"order\" of table \"things\" is an integer"},
           {"by: [a, c]",
            "column \"c\" of table \"things\" is an integer, and the key \"line\" of table \"things\" is text"},
           {"on: [d, b]", "column \"d\" of table \"things\" is a number, and the key \"order\""},
           {"on: [a, t]", "column \"t\" of table \"things\" is a date-time, and the key \"line\""}}) {
    Api api{contract(table(wrong), columns, "[order, line]")};
    EXPECT_FALSE(api.client) << wrong;
    EXPECT_NE(api.complaints.find(said), std::string::npos) << wrong << api.complaints;
  }
}

/// Whichever part of the schema says what it breaks.
TEST(TablePreparing, ADefaultThatItsSchemaRefusesIsTold) {
  const std::string id = "        id: {type: integer, readOnly: true}\n";
  const auto start = [&](const std::string& schema) {
    Api api{contract(kPlain, id + "        c: " + schema + "\n")};
    return api.client ? std::string() : api.complaints;
  };
  for (const auto* good :
       {"{type: string, enum: [open, closed], default: open}", "{type: integer, default: 3}",
        "{type: [string, 'null'], default: null}", "{type: string, format: decimal, default: '1.50'}",
        "{type: object, default: {a: 1}}", "{type: string, format: date-time, default: '2026-01-31T00:00:00Z'}"})
    EXPECT_EQ(start(good), "") << good;
  for (const auto* wrong :
       {"{type: string, enum: [open, closed], default: opne}", "{type: integer, default: '3'}",
        "{type: integer, maximum: 2, default: 3}", "{type: string, format: date, default: today}",
        "{allOf: [{type: string, maxLength: 2}, {default: abc}]}", "{type: integer, default: 9223372036854775808}",
        "{type: object, required: [a], default: {}}"})
    EXPECT_NE(
        start(wrong).find(
            "error[invalid-default]: the default of column \"c\" of table \"things\" does not satisfy its schema"),
        std::string::npos)
        << wrong;
}

TEST(TablePreparing, NothingIsServedAsIfOwnersWereAbsent) {
  for (std::string key : {"owner", "tenant"}) {
    Api api{contract(kPlain + "      " + key + ": name\n", kColumns)};
    EXPECT_FALSE(api.client);
    EXPECT_NE(api.complaints.find("has an owner or tenant"), std::string::npos) << api.complaints;
  }
}

/// A database that counts the statements of its writes, and those of them that read the whole catalogue of SQLite.
class CountedWrites final : public database::Database {
 public:
  explicit CountedWrites(database::Database& inside) : inside_(inside) {}
  const database::Dialect& dialect() const noexcept override { return inside_.dialect(); }
  Task<Result<>> write(Loop& loop, database::Work work, database::Hold hold) override {
    auto done = co_await inside_.write(
        loop,
        [&](database::Session& session) -> Task<Result<>> {
          CountedSession counted{*this, session};
          auto worked = co_await work(counted);
          co_return worked;
        },
        hold);
    co_return done;
  }
  Task<Result<std::unique_ptr<database::Transaction>>> begin(Loop&) override { co_return fail(kInternal); }
  Task<Result<>> read(Loop& loop, std::string_view sql, std::span<const database::Cell> parameters,
                      const database::Reading& reading, database::RowSink& into) override {
    auto done = co_await inside_.read(loop, sql, parameters, reading, into);
    co_return done;
  }
  Result<bool> only_reads(std::string_view sql) override { return inside_.only_reads(sql); }
  database::Counts counts() const override { return {}; }
  database::Load load() const noexcept override { return {}; }

  int statements = 0, catalogue = 0;

 private:
  class CountedSession final : public database::Session {
   public:
    CountedSession(CountedWrites& of, database::Session& inside) : of_(of), inside_(inside) {}
    Task<Result<database::Rows>> query(std::string_view sql, std::span<const database::Cell> parameters) override {
      ++of_.statements;
      of_.catalogue += sql.contains("sqlite_schema");
      auto rows = co_await inside_.query(sql, parameters);
      co_return rows;
    }
    Task<Result<>> script(std::string_view sql) override {
      auto done = co_await inside_.script(sql);
      co_return done;
    }
    std::int64_t changed() const override { return inside_.changed(); }

   private:
    CountedWrites& of_;
    database::Session& inside_;
  };
  database::Database& inside_;
};

/// SQLite reads the whole catalogue for each question about it: a start asks as often, however many tables there are.
TEST(Growth, OfTheCatalogueThatAStartReads) {
  Arena arena;
  const auto start = [&](std::size_t tables) {
    const auto text =
        "x-plimsoll:\n  tables:\n" +
        testkit::listed(tables, "",
                        [](auto i) {
                          return "    t" + testkit::number(i) +
                                 ": {schema: '#/components/schemas/T', search: [a], filters: {a: eq}, sort: [a]}\n";
                        }) +
        "components: {schemas: {T: {type: object, required: [id], properties: {id: {type: integer}, a: "
        "{type: string}}}}}\n";
    const auto root = json::parse_yaml(text, arena);
    EXPECT_TRUE(root);
    std::vector<Wrong> wrong;
    const auto model = read_model(*root, wrong);
    EXPECT_EQ(wrong.size(), 0);
    const database::TestFolder folder;
    auto opened = database::open_sqlite({.path = folder / "start.db"});
    EXPECT_TRUE(opened);
    std::vector<std::pair<int, int>> counts;
    for (const bool first : {true, false}) {
      CountedWrites counted{**opened};
      ForeignKeys keys;
      StandingTables standing;
      const auto done = prepare_tables(counted, model, keys, standing);
      EXPECT_TRUE(done) << database::reason_of(done.error());
      EXPECT_EQ((first ? standing.made : standing.found).size(), tables);
      counts.emplace_back(counted.catalogue, counted.statements);
    }
    return counts;
  };
  const auto few = start(10), more = start(20), most = start(40);
  for (const bool first : {true, false}) {
    const auto at = first ? 0U : 1U;
    EXPECT_EQ(few[at].first, most[at].first) << "reads of the catalogue, " << (first ? "first" : "second") << " start";
    EXPECT_LE(few[at].first, 6);
    EXPECT_EQ(most[at].second - more[at].second, 2 * (more[at].second - few[at].second)) << "statements";
  }
}

}  // namespace
}  // namespace plimsoll::table
