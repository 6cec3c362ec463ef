#include "plimsoll/database/postgres.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/database/conformance.hpp"
#include "plimsoll/database/migrations.hpp"
#include "plimsoll/database/postgres_server.hpp"
#include "plimsoll/database/postgres_target.hpp"

#include <sys/resource.h>

namespace plimsoll::database {
namespace {

constexpr const char* kNotInstalled = "PostgreSQL is not installed: scripts/install-dependencies test";

struct PostgresMaker {
  static constexpr std::string_view kReal = "DOUBLE PRECISION";
  static std::string why_not() { return PostgresServer::shared() ? "" : kNotInstalled; }
  PostgresOptions options{.least = 1, .most = 8};
  std::unique_ptr<Database> open() {
    if (options.url.empty()) options.url = PostgresServer::shared()->fresh_schema();
    auto opened = open_postgres(options);
    EXPECT_TRUE(opened) << (opened ? "" : reason_of(opened.error()));
    return opened ? std::move(*opened) : nullptr;
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, DatabaseConformance, PostgresMaker);

struct PostgresWithoutStatements : PostgresMaker {
  PostgresWithoutStatements() { options.statements = PostgresOptions::Statements::off; }
};
INSTANTIATE_TYPED_TEST_SUITE_P(PostgresWithoutStatements, DatabaseConformance, PostgresWithoutStatements);

struct PgBouncerMaker : PostgresMaker {
  std::optional<PgBouncer> bouncer;
  static std::string why_not() {
    return PgBouncer::installed() ? PostgresMaker::why_not()
                                  : "PgBouncer is not installed: scripts/install-dependencies test";
  }
  std::unique_ptr<Database> open() {
    if (!bouncer) {
      bouncer.emplace(*PostgresServer::shared());
      options.url = bouncer->url(PostgresServer::shared()->fresh_database());
      options.statements = PostgresOptions::Statements::off;
    }
    return PostgresMaker::open();
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(PgBouncer, DatabaseConformance, PgBouncerMaker);

class Postgres : public DatabaseConformance<PostgresMaker> {
 protected:
  /// As many lines of work at once as asked for, each with a scope.
  template <class F>
  static void at_once(std::size_t count, F work) {
    Loop loop;
    std::vector<Scope> scopes(count);
    for (std::size_t i = 0; i < count; ++i) loop.spawn(scopes[i], work(loop, i));
    loop.run();
  }
};

TEST_F(Postgres, ReadsEachTypeByTheConventionsOfSqlite) {
  auto rows = read(
      "SELECT true, 1::int2, 2::int4, 3::int8, 0.1::float8, 1.50::numeric, '2026-01-01 02:00:00.5+02'::timestamptz, "
      "'2026-01-01'::date, '{\"a\": 1}'::jsonb, 'c0ffee00-0000-4000-8000-000000000000'::uuid, 'x'::varchar, "
      "'\\x00ff'::bytea, NULL::int8");
  ASSERT_TRUE(rows) << reason_of(rows.error());
  EXPECT_EQ((*rows)[0],
            (std::vector<Cell>{std::int64_t{1}, std::int64_t{1}, std::int64_t{2}, std::int64_t{3}, 0.1,
                               std::string("1.50"), std::string("2026-01-01T00:00:00.5Z"), std::string("2026-01-01"),
                               std::string("{\"a\": 1}"), std::string("c0ffee00-0000-4000-8000-000000000000"),
                               std::string("x"), std::string("\0\xff", 2), Cell{}}));
}

TEST_F(Postgres, SendsParametersWithTheTypeOfTheirPlace) {
  ASSERT_TRUE(
      write("CREATE TABLE kinds(b bool, i int8, f float8, n numeric, t timestamptz, d date, j jsonb, u uuid, "
            "x text, y bytea)"));
  const std::vector<Cell> cells{std::int64_t{1},
                                std::int64_t{-7},
                                0.25,
                                std::string("12345678901234567890.10"),
                                std::string("2026-01-01T00:00:00.123Z"),
                                std::string("2026-02-03"),
                                std::string("{\"a\":[1,null]}"),
                                std::string("c0ffee00-0000-4000-8000-000000000000"),
                                std::string("\xc3\xa9 \\x41 ?"),
                                std::string("\0\\x41\xff", 6)};
  auto done = write("INSERT INTO kinds VALUES(?,?,?,?,?,?,?,?,?,?)", cells);
  ASSERT_TRUE(done) << reason_of(done.error());
  auto rows = read("SELECT * FROM kinds WHERE x=? AND b=? AND u=?", {cells[8], std::int64_t{1}, cells[7]});
  ASSERT_TRUE(rows) << reason_of(rows.error());
  ASSERT_EQ(rows->size(), 1u);
  auto expected = cells;
  expected[6] = std::string("{\"a\": [1, null]}");
  EXPECT_EQ((*rows)[0], expected);
  auto refused = write("INSERT INTO kinds(x) VALUES(?)", {std::string("a\0b", 3)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().problem, &kConstraint);
  auto wrong = write("INSERT INTO kinds(i) VALUES(?)", {std::string("seven")});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().problem, &kConstraint);
}

/// Whatever goes ahead of a statement (BEGIN, savepoints, a way back to one, in any letters), the statement knows its
/// caller and its time limit.
void expect_settings_hold(bool statements) {
  PostgresMaker maker;
  maker.options.row_security = true;
  if (!statements) maker.options.statements = PostgresOptions::Statements::off;
  auto database = maker.open();
  const std::vector<std::vector<std::string>> histories[] = {
      {{}, {"SAVEPOINT a"}, {"RELEASE a"}},
      {{"SAVEPOINT a"}, {"ROLLBACK TO a"}},
      {{"SAVEPOINT a"}, {"SAVEPOINT b"}, {"RELEASE b", "ROLLBACK TO a"}},
      {{"SAVEPOINT a", "SAVEPOINT b"}, {"ROLLBACK TO b", "RELEASE b", "ROLLBACK TO a", "RELEASE a"}},
      {{"SAVEPOINT a"}, {"savepoint b"}, {"release b", "rollback to a"}},
      {{"SAVEPOINT a"}, {" \n-- back\nRollback To a"}},
  };
  for (const auto& history : histories) {
    std::string told;
    const auto work = [&](Session& session) -> Task<Result<>> {
      for (const auto& step : history) {
        for (const auto& sql : step) {
          told += sql + "; ";
          auto sent = co_await session.query(sql, {});
          if (!sent) co_return std::unexpected(std::move(sent).error());
        }
        auto rows = co_await session.query(
            "SELECT current_setting('plimsoll.tenant',true)||'/'||current_setting('plimsoll.subject',true)||'/'||"
            "current_setting('statement_timeout')",
            {});
        if (!rows) co_return std::unexpected(std::move(rows).error());
        EXPECT_EQ(std::get<std::string>((*rows)[0][0]), "acme/ada/1min") << told;
      }
      co_return Result<>{};
    };
    const Reading who{.tenant = "acme", .subject = "ada", .exchange = true};
    auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
      auto written = co_await within(loop, 45 * kSecond, database->write_for(who, loop, work, Hold::brief));
      co_return written;
    });
    EXPECT_TRUE(done) << told << (done ? "" : reason_of(done.error()));
  }
}
TEST(PostgresSettings, HoldForEachStatementWhateverGoesAheadOfIt) {
  if (const auto why = PostgresMaker::why_not(); !why.empty()) GTEST_SKIP() << why;
  expect_settings_hold(true);
}
TEST(PostgresSettings, HoldForEachStatementWithoutPreparedOnes) {
  if (const auto why = PostgresMaker::why_not(); !why.empty()) GTEST_SKIP() << why;
  expect_settings_hold(false);
}

TEST(PostgresSettings, WhoTheCallerIsIsPreparedOnceForEachConnection) {
  if (const auto why = PostgresMaker::why_not(); !why.empty()) GTEST_SKIP() << why;
  PostgresMaker maker;
  maker.options.row_security = true;
  maker.options.least = maker.options.most = 1;
  const auto database = maker.open();
  const auto ask = [&](std::string_view tenant, std::string_view sql) {
    return wait_for([&](Loop& loop) -> Task<Result<Rows>> {
      RowKeeper keeper;
      const Reading who{.tenant = tenant, .subject = "ada", .exchange = true};
      auto done = co_await database->read(loop, sql, {}, who, keeper);
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return std::move(keeper.rows);
    });
  };
  // The first fails behind it, so that nobody knows whether it is known there.
  EXPECT_FALSE(ask("acme", "SELECT 1/0"));
  for (const auto* tenant : {"acme", "globex", "acme"}) {
    auto rows = ask(tenant, "SELECT current_setting('plimsoll.tenant',true)");
    ASSERT_TRUE(rows) << reason_of(rows.error());
    EXPECT_EQ((*rows)[0][0], Cell{std::string(tenant)});
  }
  auto kept =
      ask("acme", "SELECT count(*),max(generic_plans+custom_plans) FROM pg_prepared_statements WHERE name='caller'");
  ASSERT_TRUE(kept) << reason_of(kept.error());
  EXPECT_EQ((*kept)[0][0], Cell{std::int64_t{1}});
  EXPECT_EQ((*kept)[0][1], Cell{std::int64_t{4}}) << "parsed again for each transaction";
}

TEST_F(Postgres, ConcurrentReadModifyWriteLosesNoUpdate) {
  ASSERT_TRUE(write("INSERT INTO thing(id,name,size) VALUES(1,'a',0)"));
  constexpr std::size_t kWriters = 12;
  int failed = 0;
  at_once(kWriters, [&](Loop& loop, std::size_t) -> Task<> {
    auto done = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
      auto rows = co_await session.query("SELECT size FROM thing WHERE id=1", {});
      if (!rows) co_return std::unexpected(std::move(rows).error());
      const Cell more[] = {std::get<double>((*rows)[0][0]) + 1};
      auto put = co_await session.query("UPDATE thing SET size=? WHERE id=1", more);
      if (!put) co_return std::unexpected(std::move(put).error());
      co_return Result<>{};
    });
    failed += done ? 0 : 1;
  });
  EXPECT_EQ(failed, 0);
  auto rows = read("SELECT size FROM thing WHERE id=1");
  EXPECT_EQ((*rows)[0][0], Cell{static_cast<double>(kWriters)});
}

TEST_F(Postgres, RollbackToSavepointRecoversFromAFailedStatement) {
  auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
      for (const auto* sql :
           {"SAVEPOINT item", "INSERT INTO thing(id,name) VALUES(1,'a')", "RELEASE item", "SAVEPOINT item"})
        if (auto did = co_await session.query(sql, {}); !did) co_return std::unexpected(std::move(did).error());
      auto twice = co_await session.query("INSERT INTO thing(id,name) VALUES(2,'a')", {});
      EXPECT_FALSE(twice);
      auto undone = co_await session.query("ROLLBACK TO item", {});
      EXPECT_TRUE(undone);
      auto put = co_await session.query("INSERT INTO thing(id,name) VALUES(3,'c')", {});
      if (!put) co_return std::unexpected(std::move(put).error());
      co_return Result<>{};
    });
    co_return written;
  });
  ASSERT_TRUE(done) << reason_of(done.error());
  EXPECT_EQ(count("thing"), 2);
}

TEST_F(Postgres, IgnoredStatementErrorIsReportedAtCommit) {
  auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
      auto put = co_await session.query("INSERT INTO thing(id,name) VALUES(1,'a')", {});
      EXPECT_TRUE(put);
      auto bad = co_await session.query("INSERT INTO thing(id,name) VALUES(2,'a')", {});
      EXPECT_FALSE(bad);
      co_return Result<>{};
    });
    co_return written;
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().problem, &kConflict);
  EXPECT_EQ(count("thing"), 0);
}

TEST_F(Postgres, ScriptRunsInItsTransactionAndMustNotEndIt) {
  const auto script = [&](std::string_view sql) {
    return wait_for([&](Loop& loop) -> Task<Result<>> {
      auto written = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
        auto done = co_await session.script(sql);
        co_return done;
      });
      co_return written;
    });
  };
  EXPECT_TRUE(script("CREATE TABLE a(x int);\nINSERT INTO a VALUES(1),(2);"));
  EXPECT_EQ(count("a"), 2);
  auto bad = script("INSERT INTO a VALUES(3);\n\nINSERT INTO nowhere VALUES(1);");
  ASSERT_FALSE(bad);
  EXPECT_NE(reason_of(bad.error()).find("line 3"), std::string::npos) << reason_of(bad.error());
  for (const auto* sql : {"INSERT INTO a VALUES(4); COMMIT;", "INSERT INTO a VALUES(4); ROLLBACK; BEGIN;"}) {
    auto ended = script(sql);
    ASSERT_FALSE(ended) << sql;
    EXPECT_NE(reason_of(ended.error()).find("ended its transaction"), std::string::npos) << reason_of(ended.error());
  }
  EXPECT_TRUE(script("INSERT INTO a VALUES(5)"));  // the connection is good still
}

TEST_F(Postgres, PreparedStatementsAreBounded) {
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 300; ++i) {
      auto rows = read("SELECT " + std::to_string(i));
      ASSERT_TRUE(rows) << reason_of(rows.error());
      ASSERT_EQ((*rows)[0][0], Cell{std::int64_t{i}});
    }
  auto kept = read("SELECT count(*) FROM pg_prepared_statements");
  EXPECT_LE(std::get<std::int64_t>((*kept)[0][0]), 257);
}

TEST_F(Postgres, PreparesAgainWhenTheTableHasChanged) {
  for (int i = 0; i < 3; ++i) {
    auto rows = read("SELECT * FROM thing");
    ASSERT_TRUE(rows) << reason_of(rows.error());
    ASSERT_TRUE(write("ALTER TABLE thing ADD COLUMN more" + std::to_string(i) + " int"));
  }
}

TEST_F(Postgres, ReadBeyondItsBudgetIsRefused) {
  ASSERT_TRUE(write("INSERT INTO thing(id,name) SELECT g, 'n' || g FROM generate_series(1,100) g"));
  wait_for([&](Loop& loop) -> Task<Result<>> {
    ReadBudget budget{.rows = 150};
    const Reading reading{.order = ReadClass::list, .budget = &budget};
    for (const bool fits : {true, false}) {
      RowKeeper keeper;
      auto done = co_await database->read(loop, "SELECT id FROM thing", {}, reading, keeper);
      EXPECT_EQ(done.has_value(), fits);
      if (!done) EXPECT_EQ(done.error().problem, &kResponseTooLarge);
      if (fits) EXPECT_EQ(budget.rows, 50);
    }
    co_return Result<>{};
  });
}

TEST_F(Postgres, StoppedReadReturnsAtOnceAndCancelsTheStatement) {
  const auto began = std::chrono::steady_clock::now();
  wait_for([&](Loop& loop) -> Task<Result<>> {
    auto rows = co_await within(loop, 50 * kMillisecond, database->read(loop, "SELECT pg_sleep(30)", {}, false));
    EXPECT_FALSE(rows);
    if (!rows) EXPECT_EQ(rows.error().problem, &kDeadlineExceeded);
    co_return Result<>{};
  });
  // Another connection sees it end, and long before its time.
  for (;;) {
    auto sleeping = read(
        "SELECT count(*) FROM pg_stat_activity WHERE state='active' AND query LIKE '%pg_sleep(30)%' AND "
        "pid<>pg_backend_pid()");
    ASSERT_TRUE(sleeping);
    if ((*sleeping)[0][0] == Cell{std::int64_t{0}}) break;
    ASSERT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(20));
  }
}

TEST_F(Postgres, InterruptCancelsTheRunningTransaction) {
  std::optional<Result<>> done;
  std::jthread other([&] { done = write("INSERT INTO thing(id,name) SELECT 1, 'a' FROM pg_sleep(60)"); });
  const auto* sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event='PgSleep'";
  for (;;) {
    auto there = read(sleeping);
    ASSERT_TRUE(there);
    if ((*there)[0][0] != Cell{std::int64_t{0}}) break;
  }
  database->interrupt();
  other.join();
  ASSERT_TRUE(done);
  EXPECT_FALSE(*done);
  EXPECT_EQ(count("thing"), 0);
}

TEST_F(Postgres, UnusedTransactionLeavesNothingOnTheConnection) {
  wait_for([&](Loop& loop) -> Task<Result<>> {
    for (int i = 0; i < 20; ++i) {
      auto transaction = co_await database->begin(loop);  // not a statement follows
      EXPECT_TRUE(transaction);
      transaction->reset();
      auto written = co_await database->write(loop, [](Session&) -> Task<Result<>> { co_return fail(kConflict); });
      EXPECT_FALSE(written);
      auto open = co_await database->read(
          loop, "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'", {}, true);
      EXPECT_TRUE(open);
      if (open) EXPECT_EQ((*open)[0][0], Cell{std::int64_t{0}});
    }
    co_return Result<>{};
  });
}

TEST_F(Postgres, SetsStatementTimeoutFromTheDeadline) {
  wait_for([&](Loop& loop) -> Task<Result<>> {
    auto rows = co_await within(loop, 9 * kSecond, database->read(loop, "SHOW statement_timeout", {}, false));
    EXPECT_TRUE(rows);
    if (rows) EXPECT_EQ((*rows)[0][0], Cell{std::string("10s")});
    auto any = co_await database->read(loop, "SHOW statement_timeout", {}, false);
    EXPECT_TRUE(any);
    if (any) EXPECT_EQ((*any)[0][0], Cell{std::string("1h")});
    co_return Result<>{};
  });
}

TEST_F(Postgres, AloneSerializesTransactions) {
  ASSERT_TRUE(write("CREATE TABLE tally(n int)"));
  ASSERT_TRUE(write("INSERT INTO tally VALUES(0)"));
  constexpr std::size_t kLines = 6;
  int failed = 0, attempts = 0;
  at_once(kLines, [&](Loop& loop, std::size_t) -> Task<> {
    auto done = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
      ++attempts;
      session.alone("tally");
      auto rows = co_await session.query("SELECT n FROM tally", {});
      if (!rows) co_return std::unexpected(std::move(rows).error());
      const Cell more[] = {std::get<std::int64_t>((*rows)[0][0]) + 1};
      auto put = co_await session.query("UPDATE tally SET n=?", more);
      if (!put) co_return std::unexpected(std::move(put).error());
      co_return Result<>{};
    });
    failed += done ? 0 : 1;
  });
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(attempts, static_cast<int>(kLines));  // none is repeated
  EXPECT_EQ((*read("SELECT n FROM tally"))[0][0], Cell{std::int64_t{kLines}});
}

// Units that change the same rows in opposite orders wait for each other; each is undone a few times at most.
TEST_F(Postgres, UnitsThatDeadlockGoOneAtATimeWhenTheyAreRepeated) {
  ASSERT_TRUE(write("CREATE TABLE crossed(id int PRIMARY KEY, n int)"));
  constexpr std::int64_t kRows = 20;
  ASSERT_TRUE(write("INSERT INTO crossed SELECT i,0 FROM generate_series(1,20) i"));
  constexpr std::size_t kLines = 6;
  std::atomic<int> failed{0}, attempts{0};
  at_once(kLines, [&](Loop& loop, std::size_t line) -> Task<> {
    auto done = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
      ++attempts;
      for (std::int64_t i = 1; i <= kRows; ++i) {
        const Cell row[] = {line % 2 ? i : kRows + 1 - i};
        auto put = co_await session.query("UPDATE crossed SET n=n+1 WHERE id=?", row);
        if (!put) co_return std::unexpected(std::move(put).error());
      }
      co_return Result<>{};
    });
    failed += done ? 0 : 1;
  });
  EXPECT_EQ(failed, 0);
  EXPECT_LE(attempts, static_cast<int>(6 * kLines));
  EXPECT_EQ((*read("SELECT sum(n) FROM crossed"))[0][0], (Cell{std::int64_t{kRows * kLines}}));
}

// A session is told to be alone inside an exchange, whose savepoint goes ahead of it.
TEST_F(Postgres, AloneKeepsTheSavepointBeforeIt) {
  ASSERT_TRUE(write("CREATE TABLE kept(n int)"));
  wait_for([&](Loop& loop) -> Task<Result<>> {
    auto done = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
      (void)co_await session.query("SAVEPOINT handler", {});
      session.alone("kept");
      auto put = co_await session.query("INSERT INTO kept VALUES(1)", {});
      EXPECT_TRUE(put);
      auto level = co_await session.query("SHOW transaction_isolation", {});
      EXPECT_TRUE(level);
      if (level) EXPECT_EQ((*level)[0][0], Cell{std::string("read committed")});
      (void)co_await session.query("ROLLBACK TO handler", {});
      co_return Result<>{};
    });
    EXPECT_TRUE(done);
    co_return Result<>{};
  });
  EXPECT_EQ(count("kept"), 0);
}

TEST_F(Postgres, CommittedWritesRaiseTheVersionsOfTheirTables) {
  auto& versions = database->versions();
  auto &thing = versions.of("thing"), &part = versions.of("part");
  auto before = versions.now();
  ASSERT_TRUE(write("INSERT INTO thing(id,name) VALUES(1,'a')"));
  EXPECT_TRUE(thing.written_since(before));
  EXPECT_FALSE(part.written_since(before));
  before = versions.now();
  EXPECT_FALSE(write("INSERT INTO thing(id,name) VALUES(1,'a')"));
  EXPECT_TRUE(read("SELECT * FROM thing"));
  EXPECT_FALSE(thing.written_since(before));
}

TEST_F(Postgres, TrialSeesItsChangesAndLeavesNone) {
  ASSERT_TRUE(write("INSERT INTO thing(id,name) VALUES(1,'a')"));
  maker.options.trial = true;
  database = maker.open();
  ASSERT_TRUE(write("CREATE TABLE tried(x int)"));
  ASSERT_TRUE(write("INSERT INTO thing(id,name) VALUES(2,'b')"));
  EXPECT_FALSE(write("INSERT INTO thing(id,name) VALUES(3,'b')"));
  EXPECT_FALSE(read("SELECT * FROM nowhere"));
  EXPECT_EQ(count("thing"), 2);
  EXPECT_EQ(count("tried"), 0);
  maker.options.trial = false;
  database = maker.open();
  EXPECT_EQ(count("thing"), 1);
  EXPECT_FALSE(read("SELECT * FROM tried"));
}

TEST_F(Postgres, InstancesThatMigrateAtOnceApplyEachFileOnce) {
  const std::vector<Migration> files{
      {.name = "0001_a", .sql = "CREATE TABLE a(x int); INSERT INTO a VALUES(1);", .checksum = "1"},
      {.name = "0002_b", .sql = "INSERT INTO a SELECT x + 1 FROM a;", .checksum = "2"},
      {.name = "0003_c", .sql = "INSERT INTO a SELECT x + 2 FROM a;", .checksum = "3"}};
  std::atomic<std::size_t> applied{0}, failed{0};
  {
    std::vector<std::jthread> instances;
    for (int i = 0; i < 3; ++i)
      instances.emplace_back([&] {
        auto mine = maker.open();
        auto done = apply_migrations(*mine, files, 1'700'000'000 * kSecond);
        done ? applied += done->size() : failed += 1;
      });
  }
  EXPECT_EQ(failed, 0u);
  EXPECT_EQ(applied, files.size());
  EXPECT_EQ(count("a"), 4);
  auto status = migration_status(*database, files);
  ASSERT_TRUE(status) << reason_of(status.error());
  for (const auto& one : *status) EXPECT_EQ(one.state, MigrationStatus::State::applied) << one.name;
  const std::vector<Migration> broken{
      {.name = "0004_d", .sql = "INSERT INTO a VALUES(9);\nINSERT INTO nowhere VALUES(1);", .checksum = "4"}};
  auto with_broken = files;
  with_broken.push_back(broken[0]);
  auto refused = apply_migrations(*database, with_broken, 0);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().detail.find("line 2"), std::string::npos) << refused.error().detail;
  EXPECT_EQ(count("a"), 4);
}

TEST_F(Postgres, WaitersAreServedOrRefusedAsBusy) {
  maker.options.most = 2;
  maker.options.acquire = config::milliseconds(200);
  maker.options.queue = 30;
  database = maker.open();
  int served = 0, busy = 0, other = 0;
  at_once(50, [&](Loop& loop, std::size_t i) -> Task<> {
    auto done = co_await database->read(loop, i < 2 ? "SELECT pg_sleep(0.02)" : "SELECT 1", {}, false);
    ++(done ? served : done.error().problem == &kBusy ? busy : other);
  });
  EXPECT_EQ(other, 0);
  EXPECT_GT(busy, 0);
  EXPECT_GE(served, 30);
  EXPECT_EQ(served + busy, 50);
  EXPECT_EQ(database->load().reads_waiting, 0);
}

/// A server that is stopped and frozen, and no other test uses.
class PostgresFaults : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!PostgresServer::programs().empty()) server.emplace();
  }
  static void TearDownTestSuite() { server.reset(); }
  void SetUp() override {
    if (!server) GTEST_SKIP() << kNotInstalled;
    ASSERT_EQ(server->why(), "");
    options.url = server->url();
    auto opened = open_postgres(options);
    ASSERT_TRUE(opened) << reason_of(opened.error());
    database = std::move(*opened);
  }
  void TearDown() override { database.reset(); }
  Result<Rows> read(std::string_view sql, Nanoseconds within_span = 30 * kSecond) {
    return wait_for([&](Loop& loop) -> Task<Result<Rows>> {
      auto rows = co_await within(loop, within_span, database->read(loop, sql, {}, true));
      co_return rows;
    });
  }
  /// Asks until the answer is there; the limit is the test program's own.
  void until_served() {
    while (!read("SELECT 1")) std::this_thread::yield();
  }

  PostgresOptions options{.least = 2, .most = 4, .acquire = config::seconds(20), .connect = config::milliseconds(500)};
  static inline std::optional<PostgresServer> server;
  std::unique_ptr<Database> database;
};

TEST_F(PostgresFaults, StoppedServerIsUnavailableAtOnceAndUsedAgainAfterItsStart) {
  ASSERT_TRUE(read("SELECT 1"));
  server->stop("immediate");
  while (!database->pool_state().down) (void)read("SELECT 1");
  // Nobody waits for a connection: all of them together take less than one may wait.
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    auto rows = read("SELECT 1");
    ASSERT_FALSE(rows);
    EXPECT_EQ(rows.error().problem, &kUnavailable);
    EXPECT_EQ(rows.error().more().retry_after, 1);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::nanoseconds(options.acquire.nanoseconds));
  EXPECT_EQ(database->pool_state().idle, 0);
  server->start();
  until_served();
  EXPECT_FALSE(database->pool_state().down);
}

TEST_F(PostgresFaults, ClosedIdleConnectionsAreReplaced) {
  for (int round = 0; round < 5; ++round) {
    ASSERT_TRUE(read("SELECT 1"));
    ASSERT_EQ(server->psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name='plimsoll'"),
              0);
    auto rows = read("SELECT 1");
    EXPECT_TRUE(rows) << reason_of(rows.error());
  }
}

TEST_F(PostgresFaults, WorkIsRepeatedWhenItsConnectionIsLostBeforeCommit) {
  int runs = 0;
  auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
      auto who = co_await session.query("SELECT pg_backend_pid()", {});
      if (!who) co_return std::unexpected(std::move(who).error());
      if (++runs == 1)
        server->psql("SELECT pg_terminate_backend(" + std::to_string(std::get<std::int64_t>((*who)[0][0])) + ")");
      auto made = co_await session.query("CREATE TABLE once(x int)", {});
      if (!made) co_return std::unexpected(std::move(made).error());
      co_return Result<>{};
    });
    co_return written;
  });
  EXPECT_TRUE(done) << reason_of(done.error());
  EXPECT_EQ(runs, 2);
}

TEST_F(PostgresFaults, OutcomeIsUnknownWhereNoAnswerToCommitComes) {
  ASSERT_EQ(server->psql("CREATE TABLE slow(x int);"
                         "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                         " IF NEW.x = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
                         " PERFORM pg_sleep(1); RETURN NULL; END $$;"
                         "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED"
                         " FOR EACH ROW EXECUTE FUNCTION slow()"),
            0);
  int runs = 0;
  const auto insert = [&](std::int64_t x, Nanoseconds deadline, bool open) {
    const Cell cells[] = {x};
    return wait_for([&](Loop& loop) -> Task<Result<>> {
      const auto work = [&](Session& session) -> Task<Result<>> {
        ++runs;
        auto made = co_await session.query("INSERT INTO slow VALUES(?)", cells);
        if (!made) co_return std::unexpected(std::move(made).error());
        co_return Result<>{};
      };
      if (!open) {
        auto written = co_await within(loop, deadline, database->write(loop, work));
        co_return written;
      }
      auto begun = co_await database->begin(loop);
      if (!begun) co_return std::unexpected(std::move(begun).error());
      auto done = co_await work(**begun);
      if (!done) co_return done;
      auto ended = co_await within(loop, deadline, (*begun)->end(true));
      co_return ended;
    });
  };
  const auto count = [&](std::int64_t x) { return read("SELECT count(*) FROM slow WHERE x=" + std::to_string(x)); };
  for (const bool open : {false, true}) {
    runs = 0;
    auto lost = insert(1, 30 * kSecond, open);
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().problem, &kOutcomeUnknown) << reason_of(lost.error());
    EXPECT_EQ(lost.error().more().retry_after, 1);
    EXPECT_EQ(runs, 1) << "what may have been done is not done again";
    // It commits after its deadline, since nobody breaks a commit off.
    const std::int64_t late_row = open ? 3 : 2;
    auto late = insert(late_row, 300 * kMillisecond, open);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().problem, &kOutcomeUnknown) << reason_of(late.error());
    for (;;) {
      auto rows = count(late_row);
      if (rows && (*rows)[0][0] == Cell{std::int64_t{1}}) break;
      std::this_thread::yield();
    }
  }
}

TEST_F(PostgresFaults, FrozenServerCostsEachReadItsDeadline) {
  ASSERT_TRUE(read("SELECT 1"));
  server->freeze(true);
  constexpr Nanoseconds kDeadline = 200 * kMillisecond;
  int deadline = 0, unavailable = 0;
  const auto began = std::chrono::steady_clock::now();
  {
    Loop loop;
    std::vector<Scope> scopes(12);
    auto ask = [&]() -> Task<> {
      auto rows = co_await within(loop, kDeadline, database->read(loop, "SELECT 1", {}, true));
      EXPECT_FALSE(rows);
      if (rows) co_return;
      deadline += rows.error().problem == &kDeadlineExceeded;
      unavailable += rows.error().problem == &kUnavailable;
    };
    for (auto& scope : scopes) loop.spawn(scope, ask());
    loop.run();
  }
  EXPECT_EQ(deadline + unavailable, 12);
  EXPECT_GT(deadline, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::nanoseconds(options.acquire.nanoseconds));
  server->freeze(false);
  until_served();
}

TEST_F(PostgresFaults, WrongUserOrDatabaseIsNotRetried) {
  for (const auto& [url, says] :
       {std::pair{server->url("nowhere"), "does not exist"},
        std::pair{std::string("postgres://nobody@/postgres?host=") + server->folder(), "role"}}) {
    auto opened = open_postgres({.url = url});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().problem, &kUnavailable);
    EXPECT_FALSE(opened.error().retryable) << reason_of(opened.error());
    EXPECT_NE(reason_of(opened.error()).find(says), std::string::npos) << reason_of(opened.error());
  }
  auto gone = open_postgres({.url = "postgres:///postgres?host=/nowhere"});
  ASSERT_FALSE(gone);
  EXPECT_TRUE(gone.error().retryable) << reason_of(gone.error());
}

}  // namespace
}  // namespace plimsoll::database
