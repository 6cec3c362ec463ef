#include "plimsoll/database/postgres_copy.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/database/dialect.hpp"
#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_server.hpp"
#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <random>

namespace plimsoll::database {
namespace {

Task<Result<>> store(RowCopier& copier, std::string_view rows) {
  auto sent = co_await copier.send(rows, static_cast<std::size_t>(std::ranges::count(rows, '\n')));
  if (!sent) co_return sent;
  auto stored = co_await copier.stored();
  co_return stored;
}

/// How the server is reached: with prepared statements, without, or through PgBouncer in transaction mode.
enum class Way : std::uint8_t { statements, no_statements, bouncer };

class PostgresCopy : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    if (!PostgresServer::shared() || (GetParam() == Way::bouncer && !PgBouncer::installed()))
      GTEST_SKIP() << "PostgreSQL or PgBouncer is not installed: scripts/install-dependencies test";
    PostgresOptions options{.least = 1, .most = 1};
    if (GetParam() == Way::bouncer) {
      bouncer_.emplace(*PostgresServer::shared());
      options.url = bouncer_->url(PostgresServer::shared()->fresh_database());
    } else {
      options.url = PostgresServer::shared()->fresh_schema();
    }
    if (GetParam() != Way::statements) options.statements = PostgresOptions::Statements::off;
    auto opened = open_postgres(options);
    ASSERT_TRUE(opened) << reason_of(opened.error());
    database = std::move(*opened);
  }

  template <class F>
  Result<> work(F work) {
    return wait_for([&](Loop& loop) -> Task<Result<>> {
      auto done = co_await database->write(loop, work);
      co_return done;
    });
  }
  void script(std::string_view sql) {
    const auto done = work([&](Session& session) -> Task<Result<>> {
      auto run = co_await session.script(sql);
      co_return run;
    });
    ASSERT_TRUE(done) << reason_of(done.error()) << " in " << sql;
  }
  Rows read(std::string_view sql) {
    auto rows = wait_for([&](Loop& loop) -> Task<Result<Rows>> {
      auto made = co_await database->read(loop, sql, {}, true);
      co_return made;
    });
    EXPECT_TRUE(rows) << (rows ? "" : reason_of(rows.error())) << " in " << sql;
    return rows ? std::move(*rows) : Rows{};
  }
  std::int64_t count(const std::string& table) {
    return std::get<std::int64_t>(read("SELECT count(*) FROM " + table).at(0).at(0));
  }
  /// Whether rows with values of these columns are copied; a null has no value.
  bool takes(std::string_view table, const std::vector<const Column*>& columns, const std::vector<Cell>& values) {
    CopiedRows rows{.table = table};
    for (const auto* column : columns) rows.columns.push_back({column});
    bool taken = false;
    const auto done = work([&](Session& session) -> Task<Result<>> {
      auto copier = co_await session.copier(rows);
      if (!copier) co_return std::unexpected(std::move(copier).error());
      std::vector<const Cell*> cells;
      for (const auto& value : values) cells.push_back(value.index() ? &value : nullptr);
      std::string text;
      taken = *copier && (*copier)->append(text, cells);
      EXPECT_EQ(taken, !text.empty());
      co_return Result<>{};
    });
    EXPECT_TRUE(done) << (done ? "" : reason_of(done.error()));
    return taken;
  }

  std::optional<PgBouncer> bouncer_;
  std::unique_ptr<Database> database;
};
std::string name_of_way(const testing::TestParamInfo<Way>& way) {
  constexpr const char* kNames[] = {"Statements", "NoStatements", "Bouncer"};
  return kNames[static_cast<std::size_t>(way.param)];
}
INSTANTIATE_TEST_SUITE_P(Ways, PostgresCopy, testing::Values(Way::statements, Way::no_statements, Way::bouncer),
                         name_of_way);

/// A column, and random values of it.
struct Kept {
  Column column;
  std::string type;
  Cell (*value)(std::mt19937& random);
};

std::string random_text(std::mt19937& random) {
  static const std::string_view kParts[] = {"a",  "\t", "\n",  "\r",       "\\", "\\N", "\\.", "\b", "\f",   "\v",
                                            "\"", "'",  "\\t", "\xc3\xa9", ",",  " ",   "$1",  "?",  "\x01", "\x7f"};
  std::string made;
  for (auto parts = random() % 12; parts > 0; --parts) made += kParts[random() % std::size(kParts)];
  return made;
}
std::int64_t random_integer(std::mt19937& random) {
  const auto wide = static_cast<std::int64_t>(std::uint64_t{random()} << 32 | random());
  return wide >> random() % 64;
}
Cell random_instant(std::mt19937& random) {
  char made[40];
  std::snprintf(made, sizeof made, "%04d-%02d-%02dT%02d:%02d:%02d", 1 + static_cast<int>(random() % 9999),
                1 + static_cast<int>(random() % 12), 1 + static_cast<int>(random() % 28),
                static_cast<int>(random() % 24), static_cast<int>(random() % 60), static_cast<int>(random() % 60));
  std::string text = made;
  if (const auto digits = random() % 7)
    text += "." + std::to_string(1'000'000 + random() % 1'000'000).substr(1, digits);
  return text + "Z";
}
std::string random_json(std::mt19937& random) {
  static const std::string_view kValues[] = {
      "null", "true", R"({"b": 1,"a" : [1.50, -0, 1e3]})", R"("\t\"\\ \u00e9")", "[]", R"({"a":{"a":"\n"}})"};
  return std::string(kValues[random() % std::size(kValues)]);
}

std::vector<Kept> kept_columns() {
  const auto text = [](std::mt19937& random) -> Cell { return random_text(random); };
  const auto json = [](std::mt19937& random) -> Cell { return random_json(random); };
  return {
      {{.name = "t"}, "text COLLATE \"C\"", text},
      {{.name = "v", .type = "character varying"}, "varchar(400)", text},
      {{.name = "a \"quoted\" name"}, "text", text},
      {{.name = "u", .uuid = true},
       "uuid",
       [](std::mt19937& random) -> Cell {
         return "c0ffee00-0000-4000-8000-" + std::to_string(100'000'000'000 + random() % 1'000'000);
       }},
      {{.name = "i8", .kind = Kind::integer},
       "bigint",
       [](std::mt19937& random) -> Cell { return random_integer(random); }},
      {{.name = "i4", .kind = Kind::integer, .type = "integer"},
       "int",
       [](std::mt19937& random) -> Cell { return std::int64_t{static_cast<std::int32_t>(random())}; }},
      {{.name = "i2", .kind = Kind::integer, .type = "smallint"},
       "smallint",
       [](std::mt19937& random) -> Cell { return std::int64_t{static_cast<std::int16_t>(random())}; }},
      {{.name = "b", .kind = Kind::boolean},
       "boolean",
       [](std::mt19937& random) -> Cell { return static_cast<std::int64_t>(random() % 2); }},
      {{.name = "f", .kind = Kind::real},
       "double precision",
       [](std::mt19937& random) -> Cell {
         const auto bits = std::uint64_t{random()} << 32 | random();
         const auto value = std::bit_cast<double>(bits);
         return value == value && value - value == 0 ? value : -0.0;
       }},
      {{.name = "n", .kind = Kind::decimal},
       "numeric",
       [](std::mt19937& random) -> Cell {
         return std::to_string(random_integer(random)) + (random() % 2 ? "." + std::to_string(random()) + "00" : "");
       }},
      {{.name = "z", .kind = Kind::instant}, "timestamptz", random_instant},
      {{.name = "l", .kind = Kind::instant, .type = "timestamp without time zone"}, "timestamp", random_instant},
      {{.name = "j", .kind = Kind::json}, "json", json},
      {{.name = "jb", .kind = Kind::json, .type = "jsonb"}, "jsonb", json},
      {{.name = "y", .kind = Kind::bytes},
       "bytea",
       [](std::mt19937& random) -> Cell {
         std::string made(random() % 20, '\0');
         for (auto& c : made) c = static_cast<char>(random());
         return made;
       }},
  };
}

TEST_P(PostgresCopy, StoresWhatAnInsertStores) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  const auto columns = kept_columns();
  std::string types = "row bigint NOT NULL";
  for (const auto& [column, type, value] : columns) types += "," + database::quoted(column.name) + " " + type;
  script("CREATE TABLE inserted(" + types + "); CREATE TABLE copied(" + types + ")");
  const Column number{.name = "row", .kind = Kind::integer};
  CopiedRows copied{.table = "copied", .columns = {{&number}}};
  for (const auto& each : columns) copied.columns.push_back({&each.column});
  const std::size_t kRows = 400;
  std::vector<std::vector<Cell>> all;
  for (std::size_t i = 0; i < kRows; ++i) {
    auto& row = all.emplace_back();
    row.emplace_back(static_cast<std::int64_t>(i));
    for (const auto& each : columns) row.push_back(random() % 5 ? each.value(random) : Cell{});
  }
  const auto done = work([&](Session& session) -> Task<Result<>> {
    auto copier = co_await session.copier(copied);
    if (!copier) co_return std::unexpected(std::move(copier).error());
    if (!*copier) co_return fail(kInternal, "they are not copied");
    std::string text;
    for (const auto& row : all) {
      std::vector<const Cell*> cells;
      // What has no value is a null, as one that is said.
      for (const auto& cell : row) cells.push_back(cell.index() || random() % 2 ? &cell : nullptr);
      EXPECT_TRUE((*copier)->append(text, cells)) << "seed " << seed;
      Insert insert{.into = {.name = "inserted"}};
      for (std::size_t i = 0; i < row.size(); ++i) insert.values.push_back({copied.columns[i].column, &row[i]});
      const auto statement = database->dialect().insert(insert);
      auto inserted =
          co_await session.query(statement.sql.substr(0, statement.sql.find(" RETURNING")), statement.cells);
      if (!inserted) co_return std::unexpected(std::move(inserted).error());
    }
    auto stored = co_await store(**copier, text);
    co_return stored;
  });
  ASSERT_TRUE(done) << reason_of(done.error()) << " seed " << seed;
  std::string texts;
  for (const auto& each : copied.columns)
    texts += (texts.empty() ? "" : ",") + database::quoted(each.column->name) + "::text";
  const auto one = read("SELECT " + texts + " FROM inserted ORDER BY row");
  const auto other = read("SELECT " + texts + " FROM copied ORDER BY row");
  ASSERT_EQ(one.size(), kRows);
  ASSERT_EQ(other.size(), kRows);
  for (std::size_t i = 0; i < kRows; ++i) EXPECT_EQ(one[i], other[i]) << "seed " << seed << " row " << i;
}

TEST_P(PostgresCopy, TakesOnlyWhatComesOutAsItIsSent) {
  const Column text{.name = "t"}, number{.name = "n", .kind = Kind::decimal},
      integer{.name = "i", .kind = Kind::integer}, when{.name = "w", .kind = Kind::instant},
      uuid{.name = "u", .uuid = true};
  const auto one = [&](const std::string& type, const Column& column, Cell value) {
    script("DROP TABLE IF EXISTS one CASCADE; CREATE TABLE one(" + column.name + " " + type + ")");
    return takes("one", {&column}, {std::move(value)});
  };
  EXPECT_TRUE(one("text", text, "a"));
  EXPECT_TRUE(one("text", text, ""));
  EXPECT_TRUE(one("varchar(3)", text, "abcd")) << "the database refuses it";
  EXPECT_FALSE(one("char(3)", text, "a"));
  EXPECT_FALSE(one("text", text, std::string("a\0b", 3)));
  EXPECT_TRUE(one("numeric", number, "1.005"));
  EXPECT_FALSE(one("numeric(10,2)", number, "1.005"));
  EXPECT_FALSE(one("int GENERATED BY DEFAULT AS IDENTITY", integer, std::int64_t{1})) << "its sequence moves on";
  EXPECT_FALSE(one("int GENERATED ALWAYS AS IDENTITY", integer, std::int64_t{1}));
  EXPECT_FALSE(one("serial", integer, std::int64_t{1}));
  EXPECT_FALSE(one("int GENERATED ALWAYS AS (7) STORED", integer, std::int64_t{1}));
  EXPECT_TRUE(one("int DEFAULT 7", integer, std::int64_t{1}));
  EXPECT_FALSE(one("int DEFAULT 7", integer, {}));
  EXPECT_TRUE(one("int", integer, {}));
  EXPECT_TRUE(one("timestamptz", when, "2026-01-01T00:00:00.120Z")) << "the same instant";
  EXPECT_FALSE(one("timestamptz", when, "2026-01-01T00:00:00.1234567Z"));
  EXPECT_FALSE(one("timestamptz", when, "2026-06-30T23:59:60Z"));
  EXPECT_FALSE(one("timestamptz(0)", when, "2026-01-01T00:00:00Z"));
  EXPECT_FALSE(one("text", when, "2026-01-01T00:00:00Z"));
  EXPECT_TRUE(one("uuid", uuid, "c0ffee00-0000-4000-8000-000000000000"));
  EXPECT_FALSE(one("uuid", uuid, "C0FFEE00-0000-4000-8000-000000000000"));
  script("CREATE DOMAIN word AS text CHECK(value<>'')");
  EXPECT_TRUE(one("word", text, "a"));
  script("CREATE DOMAIN short AS varchar(3) DEFAULT 'x'");
  EXPECT_TRUE(one("short", text, "a"));
  EXPECT_FALSE(one("short", text, {})) << "its domain has a default";
  script("CREATE DOMAIN money2 AS numeric(10,2)");
  EXPECT_FALSE(one("money2", number, "1"));
}

TEST_P(PostgresCopy, TheDatabaseCountsWhatHasNoValue) {
  const Column key{.name = "k", .kind = Kind::integer}, text{.name = "t"};
  for (const std::string type :
       {"bigserial", "int GENERATED ALWAYS AS IDENTITY", "int GENERATED BY DEFAULT AS IDENTITY"}) {
    script("DROP TABLE IF EXISTS one; CREATE TABLE one(k " + type + " PRIMARY KEY, t text)");
    const auto done = work([&](Session& session) -> Task<Result<>> {
      const CopiedRows rows{.table = "one", .columns = {{.column = &key, .counted = true}, {&text}}};
      auto copier = co_await session.copier(rows);
      if (!copier || !*copier) co_return fail(kInternal, "they are not copied");
      std::string all;
      for (const Cell& value : {Cell{std::string{}}, Cell{std::string("b")}, Cell{}}) {
        const Cell* const values[] = {nullptr, &value};
        EXPECT_TRUE((*copier)->append(all, values));
      }
      const Cell number{std::int64_t{7}};
      const Cell* const said[] = {&number, &number};
      EXPECT_FALSE((*copier)->append(all, said)) << "a number that is said moves the sequence";
      auto stored = co_await store(**copier, all);
      co_return stored;
    });
    ASSERT_TRUE(done) << reason_of(done.error()) << " with " << type;
    EXPECT_EQ(read("SELECT k,t FROM one ORDER BY k"),
              (Rows{{std::int64_t{1}, std::string{}}, {std::int64_t{2}, std::string("b")}, {std::int64_t{3}, Cell{}}}));
  }
  const auto counts = [&](const std::string& type) {
    script("DROP TABLE IF EXISTS one; CREATE TABLE one(k " + type + ", t text)");
    bool copied = false;
    const auto done = work([&](Session& session) -> Task<Result<>> {
      const CopiedRows rows{.table = "one", .columns = {{.column = &key, .counted = true}, {&text}}};
      auto copier = co_await session.copier(rows);
      if (!copier) co_return std::unexpected(std::move(copier).error());
      const Cell value{std::string("a")};
      const Cell* const values[] = {nullptr, &value};
      std::string all;
      copied = *copier && (*copier)->append(all, values);
      co_return Result<>{};
    });
    EXPECT_TRUE(done) << (done ? "" : reason_of(done.error()));
    return copied;
  };
  EXPECT_TRUE(counts("int GENERATED ALWAYS AS IDENTITY"));
  EXPECT_FALSE(counts("int GENERATED ALWAYS AS IDENTITY(INCREMENT -1 START -1)"));
  EXPECT_FALSE(counts("int GENERATED ALWAYS AS (7) STORED"));
  EXPECT_FALSE(counts("int DEFAULT 7"));
}

TEST_P(PostgresCopy, TablesWhoseRowsPassThroughMoreAreInsertedInto) {
  const Column text{.name = "t"};
  const auto with = [&](const std::string& statements) {
    script("DROP VIEW IF EXISTS two; DROP TABLE IF EXISTS one CASCADE; CREATE TABLE one(t text); " + statements);
    return takes("one", {&text}, {std::string("a")});
  };
  EXPECT_TRUE(with(""));
  script(
      "CREATE OR REPLACE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.t=upper(NEW.t); RETURN NEW; "
      "END$$");
  EXPECT_FALSE(with("CREATE TRIGGER loud BEFORE INSERT ON one FOR EACH ROW EXECUTE FUNCTION shout()"));
  EXPECT_FALSE(with("CREATE CONSTRAINT TRIGGER later AFTER INSERT ON one FOR EACH ROW EXECUTE FUNCTION shout()"));
  EXPECT_TRUE(with("CREATE TRIGGER loud BEFORE UPDATE ON one FOR EACH ROW EXECUTE FUNCTION shout()"));
  EXPECT_TRUE(
      with("CREATE TRIGGER loud BEFORE INSERT ON one FOR EACH ROW EXECUTE FUNCTION shout(); "
           "ALTER TABLE one DISABLE TRIGGER loud"));
  EXPECT_FALSE(
      with("CREATE TABLE log(t text); CREATE RULE noted AS ON INSERT TO one DO ALSO INSERT INTO log VALUES(NEW.t)"));
  script("DROP TABLE IF EXISTS log CASCADE");
  EXPECT_TRUE(with("ALTER TABLE one ADD UNIQUE(t), ADD CHECK(t<>'')"));
  EXPECT_FALSE(takes("nothing", {&text}, {std::string("a")}));
  script("CREATE VIEW two AS SELECT t FROM one");
  EXPECT_FALSE(takes("two", {&text}, {std::string("a")}));
  const auto partitioned = [&](const std::string& statements) {
    script(
        "DROP VIEW IF EXISTS two; DROP TABLE IF EXISTS one CASCADE; CREATE TABLE one(t text) PARTITION BY LIST(t); "
        "CREATE TABLE one_a PARTITION OF one FOR VALUES IN('a'); " +
        statements);
    return takes("one", {&text}, {std::string("a")});
  };
  EXPECT_TRUE(partitioned(""));
  EXPECT_FALSE(partitioned("CREATE TRIGGER loud BEFORE INSERT ON one_a FOR EACH ROW EXECUTE FUNCTION shout()"));
}

TEST_P(PostgresCopy, AnErrorStoresNothingAndLeavesTheTransactionToItsSavepoint) {
  script("CREATE TABLE one(i bigint UNIQUE, t text NOT NULL CHECK(t<>'x'))");
  const Column integer{.name = "i", .kind = Kind::integer}, text{.name = "t"};
  const CopiedRows rows{.table = "one", .columns = {{&integer}, {&text}}};
  const auto& written = database->versions().of("one");
  const auto before = database->versions().now();
  const auto done = work([&](Session& session) -> Task<Result<>> {
    auto copier = co_await session.copier(rows);
    if (!copier || !*copier) co_return fail(kInternal);
    const std::pair<std::string, const Problem*> kBlocks[] = {
        {"1\ta\n2\tb\n", nullptr},   {"3\tc\n1\td\n", &kConflict},
        {"4\t\\N\n", &kConstraint},  {"5\tx\n", &kConstraint},
        {"many\ty\n", &kConstraint}, {"6\n", &kConstraint},
        {"7\te\n", nullptr},         {std::string(300'000, '8') + "\te\n", &kConstraint},
    };
    for (const auto& [block, problem] : kBlocks) {
      auto nested = co_await session.query("SAVEPOINT block", {});
      if (!nested) co_return std::unexpected(std::move(nested).error());
      auto stored = co_await store(**copier, block);
      EXPECT_EQ(stored ? nullptr : stored.error().problem, problem) << block.substr(0, 100);
      if (!stored) {
        auto back = co_await session.query("ROLLBACK TO block", {});
        if (!back) co_return std::unexpected(std::move(back).error());
      }
      auto released = co_await session.query("RELEASE block", {});
      if (!released) co_return std::unexpected(std::move(released).error());
    }
    co_return Result<>{};
  });
  ASSERT_TRUE(done) << reason_of(done.error());
  EXPECT_EQ(read("SELECT i,t FROM one ORDER BY i"), (Rows{{std::int64_t{1}, std::string("a")},
                                                          {std::int64_t{2}, std::string("b")},
                                                          {std::int64_t{7}, std::string("e")}}));
  EXPECT_TRUE(written.written_since(before)) << "caches must know that the table was written";
  // Without a savepoint all of it is undone.
  const auto undone = work([&](Session& session) -> Task<Result<>> {
    auto copier = co_await session.copier(rows);
    if (!copier || !*copier) co_return fail(kInternal);
    (void)co_await store(**copier, "8\tf\n");
    auto stored = co_await store(**copier, "8\tf\n");
    EXPECT_FALSE(stored);
    co_return Result<>{};
  });
  ASSERT_FALSE(undone);
  EXPECT_EQ(undone.error().problem, &kConflict);
  EXPECT_EQ(count("one"), 3);
}

TEST_P(PostgresCopy, NothingComesBetweenRowsThatAreSentAndWhatHasBecomeOfThem) {
  script("CREATE TABLE one(i bigint UNIQUE)");
  const Column integer{.name = "i", .kind = Kind::integer};
  const CopiedRows rows{.table = "one", .columns = {{&integer}}};
  for (const bool asks : {true, false}) {
    const auto done = work([&](Session& session) -> Task<Result<>> {
      auto copier = co_await session.copier(rows);
      if (!copier || !*copier) co_return fail(kInternal);
      auto sent = co_await (*copier)->send("1\n", 1);
      EXPECT_TRUE(sent);
      if (!asks) co_return Result<>{};
      auto between = co_await session.query("SELECT 1", {});
      EXPECT_FALSE(between);
      co_return Result<>{};
    });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().problem, &kInternal);
    // The one connection of the pool serves on.
    EXPECT_EQ(count("one"), 0);
  }
}

}  // namespace
}  // namespace plimsoll::database
