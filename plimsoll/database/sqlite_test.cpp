#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/async/pause.hpp"
#include "plimsoll/database/conformance.hpp"
#include "plimsoll/database/test_folder.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include <thread>

namespace plimsoll::database {
namespace {

using namespace std::chrono_literals;

struct SqliteMaker {
  static constexpr std::string_view kReal = "REAL";
  static std::string why_not() { return {}; }
  TestFolder folder;
  SqliteOptions options{.path = folder / "test.db", .busy = config::milliseconds(50)};
  std::unique_ptr<Database> open() {
    auto opened = open_sqlite(options);
    EXPECT_TRUE(opened) << opened.error().detail;
    return opened ? std::move(*opened) : nullptr;
  }
};
INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, DatabaseConformance, SqliteMaker);

class Sqlite : public DatabaseConformance<SqliteMaker> {};

TEST_F(Sqlite, EveryCommittedWriteIsKnownByItsTableAndNoOther) {
  auto& versions = database->versions();
  const auto& things = versions.of("thing");
  const auto& parts = versions.of("part");
  auto before = versions.now();
  ASSERT_TRUE(write("INSERT INTO thing(id,name) VALUES(1,'a')"));
  EXPECT_TRUE(things.written_since(before));
  EXPECT_FALSE(parts.written_since(before));
  before = versions.now();
  ASSERT_TRUE(write("UPDATE thing SET size = 2"));
  EXPECT_TRUE(things.written_since(before));
  // A key that is no row number, a trigger, a truncation.
  ASSERT_TRUE(write("CREATE TABLE keyed(key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID"));
  ASSERT_TRUE(write("CREATE TRIGGER beside AFTER INSERT ON keyed BEGIN DELETE FROM part; END"));
  const auto& keyed = versions.of("keyed");
  before = versions.now();
  ASSERT_TRUE(write("INSERT INTO keyed(key) VALUES('a')"));
  EXPECT_TRUE(keyed.written_since(before) && parts.written_since(before));
  before = versions.now();
  ASSERT_TRUE(write("DELETE FROM keyed"));
  EXPECT_TRUE(keyed.written_since(before));
  before = versions.now();
  for (const bool commit : {false, true}) {
    wait_for([&](Loop& loop) -> Task<Result<>> {
      auto transaction = co_await database->begin(loop);
      if (!transaction) co_return std::unexpected(std::move(transaction).error());
      auto put = co_await (*transaction)->query("INSERT INTO part(id,thing) VALUES(1,1)", {});
      EXPECT_TRUE(put);
      EXPECT_FALSE(parts.written_since(before));
      auto ended = co_await (*transaction)->end(commit);
      co_return ended;
    });
    EXPECT_EQ(parts.written_since(before), commit);
  }
}

TEST_F(Sqlite, WorkThatWaitsForSomethingElseIsRefusedAtOnce) {
  wait_for([&](Loop& loop) -> Task<Result<>> {
    auto ends_elsewhere = co_await database->write(loop, [&](Session&) -> Task<Result<>> {
      const bool rested = co_await plimsoll::pause(loop, 3600 * kSecond);
      EXPECT_FALSE(rested);
      const Scope* scope = co_await this_scope();
      co_return std::unexpected(error_of(scope->stopped()));
    });
    EXPECT_FALSE(ends_elsewhere);
    co_return Result<>{};
  });
}

TEST_F(Sqlite, ATransactionThatStaysOpenTooLongIsRolledBackAndTheWriterGoesOn) {
  database.reset();
  maker.options.transaction = config::milliseconds(20);
  database = maker.open();
  wait_for([&](Loop& loop) -> Task<Result<>> {
    auto transaction = co_await database->begin(loop);
    auto put = co_await (*transaction)->query("INSERT INTO thing(id,name) VALUES(1,'a')", {});
    EXPECT_TRUE(put);
    auto other = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
      auto done = co_await session.query("INSERT INTO thing(id,name) VALUES(2,'b')", {});
      EXPECT_TRUE(done);
      co_return Result<>{};
    });
    EXPECT_TRUE(other);  // got the writer though the transaction was never ended
    auto late = co_await (*transaction)->query("SELECT 1", {});
    EXPECT_EQ(late.error().problem, &kUnavailable);
    auto ended = co_await (*transaction)->end(true);
    EXPECT_EQ(ended.error().problem, &kUnavailable);
    co_return Result<>{};
  });
  EXPECT_EQ(count("thing"), 1);
}

TEST_F(Sqlite, WritesThatArriveTogetherAreCommittedTogether) {
  const auto before = database->counts();
  Loop loop;
  std::vector<Scope> scopes(200);
  int done = 0;
  auto unit = [&](std::int64_t i) -> Task<> {
    auto written = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
      const Cell cells[] = {i, std::to_string(i)};
      auto rows = co_await session.query("INSERT INTO thing(id,name) VALUES(?,?)", cells);
      if (!rows) co_return std::unexpected(std::move(rows).error());
      co_return Result<>{};
    });
    done += written.has_value();
  };
  for (std::size_t i = 0; i < scopes.size(); ++i) loop.spawn(scopes[i], unit(static_cast<std::int64_t>(i)));
  loop.run();
  const auto after = database->counts();
  EXPECT_EQ(done, 200);
  EXPECT_EQ(after.units - before.units, 200u);
  EXPECT_LT(after.commits - before.commits, 100u);
}

TEST_F(Sqlite, AReadOverItsStepBudgetMovesToAReader) {
  const auto before = database->counts();
  auto rows = read("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50000) SELECT sum(i) FROM n");
  ASSERT_TRUE(rows);
  EXPECT_EQ(std::get<std::int64_t>((*rows)[0][0]), 1'250'025'000);
  const auto after = database->counts();
  EXPECT_EQ(after.reads_moved - before.reads_moved, 1u);
  EXPECT_EQ(after.reads_queued - before.reads_queued, 1u);
}

/// Where it stands as well as on a reader's thread, and without being begun anew.
TEST_F(Sqlite, AReadThatMayTakeSoManyStepsEndsBehindThem) {
  constexpr std::string_view kRows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n";
  for (const bool quick : {true, false}) {
    const auto before = database->counts();
    ReadBudget budget{.rows = 1'000'000};
    RowKeeper kept;
    auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
      auto read = co_await database->read(loop, kRows, {}, {.quick = quick, .budget = &budget, .steps = 5'000}, kept);
      co_return read;
    });
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().problem, &kOverBudget);
    ASSERT_FALSE(kept.rows.empty());
    EXPECT_LT(kept.rows.size(), 5'000u);
    EXPECT_EQ(std::get<std::int64_t>(kept.rows.back()[0]), static_cast<std::int64_t>(kept.rows.size()));
    EXPECT_EQ(budget.rows, 1'000'000);
    const auto after = database->counts();
    EXPECT_EQ(after.reads_moved, before.reads_moved);
    EXPECT_EQ(after.reads_queued - before.reads_queued, quick ? 0u : 1u);
  }
}

TEST_F(Sqlite, ARunningReadEndsWhenItsLineOfWorkIsToldToStop) {
  auto result = wait_for([&](Loop& loop) -> Task<Result<Rows>> {
    auto rows = co_await within(
        loop, 20 * kMillisecond,
        database->read(loop, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n", {},
                       false));
    co_return rows;
  });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().problem, &kDeadlineExceeded);
}

TEST_F(Sqlite, LoadCountsWhatWaitsAndWhatRunsAndNothingAfterwards) {
  constexpr std::string_view kEndless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n";
  const auto readers = database->load().readers;
  const auto more = 3;
  Loop loop;
  std::vector<Scope> scopes(static_cast<std::size_t>(readers + more));
  auto endless = [&](Scope& scope) -> Task<> {
    auto rows = co_await in(scope, database->read(loop, kEndless, {}, false));
    EXPECT_FALSE(rows);
  };
  auto watch = [&]() -> Task<> {
    for (bool rested = true; rested && database->load().reads_running < readers;)
      rested = co_await plimsoll::pause(loop, kMillisecond);
    EXPECT_EQ(database->load().reads_waiting, more);
    for (auto& scope : scopes) scope.stop(Stop::client_gone);
  };
  std::vector<Scope> outer(scopes.size() + 1);
  for (std::size_t i = 0; i < scopes.size(); ++i) loop.spawn(outer[i], endless(scopes[i]));
  loop.spawn(outer.back(), watch());
  loop.run();
  wait_for([&](Loop& own) -> Task<Result<>> {
    auto transaction = co_await database->begin(own);
    EXPECT_EQ(database->load().writes_running, 1);
    auto ended = co_await (*transaction)->end(false);
    co_return ended;
  });
  while (database->load().reads_running != 0) std::this_thread::yield();  // nobody waits for those that were left
  const auto load = database->load();
  EXPECT_EQ(load.reads_waiting + load.writes_waiting + load.writes_running, 0);
}

TEST_F(Sqlite, ABudgetEndsAReadWhileItMakesEmbeddedRows) {
  constexpr std::string_view kEndless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT plimsoll_rows(1, '{}') FROM n";
  constexpr std::string_view kLong =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT 0, (SELECT plimsoll_rows(1, "
      "hex(zeroblob(500))) FROM n)";
  for (auto sql : {kEndless, kLong})
    for (const bool quick : {true, false}) {
      ReadBudget budget{.rows = 5'000, .bytes = 1 << 20};
      RowKeeper keeper;
      const Reading reading{.quick = quick, .budget = &budget};
      auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
        auto read = co_await database->read(loop, sql, {}, reading, keeper);
        co_return read;
      });
      ASSERT_FALSE(done);
      EXPECT_EQ(done.error().problem, &kResponseTooLarge);
      EXPECT_TRUE(keeper.rows.empty());
      EXPECT_EQ(budget.rows > 0, sql == kLong);
    }
}

TEST_F(Sqlite, ABudgetIsSpentByOneReadAfterTheOther) {
  ReadBudget budget{.rows = 10, .bytes = 1000};
  RowKeeper keeper;
  const Reading reading{.quick = true, .budget = &budget};
  constexpr std::string_view kFour =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2) SELECT i, plimsoll_row(1, '{}') FROM n";
  for (const std::int64_t left : {6, 2, 0}) {
    auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
      auto read = co_await database->read(loop, kFour, {}, reading, keeper);
      co_return read;
    });
    EXPECT_EQ(done.has_value(), left > 0);
    EXPECT_EQ(budget.rows, left);
    EXPECT_EQ(keeper.rows.size(), left > 0 ? 2u : 1u);  // rows that came are whole
  }
}

/// Searches of one caller in the order in which they end, beside one of another.
TEST_F(Sqlite, ManySearchesOfOneCallerDoNotKeepAnothersWaiting) {
  constexpr std::string_view kCount =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000) SELECT count(*) FROM n";
  Loop loop;
  std::vector<Scope> scopes(63);
  std::vector<std::string> ended;
  auto search = [&](std::string who) -> Task<> {
    RowKeeper keeper;
    const Reading reading{.order = ReadClass::search, .subject = who};
    auto done = co_await database->read(loop, kCount, {}, reading, keeper);
    EXPECT_TRUE(done);
    ended.push_back(who);
  };
  for (std::size_t i = 0; i < 60; ++i) loop.spawn(scopes[i], search("many"));
  for (std::size_t i = 60; i < 63; ++i) loop.spawn(scopes[i], search("few"));
  loop.run();
  ASSERT_EQ(ended.size(), 63u);
  const auto last_of_few = std::ranges::find(ended.rbegin(), ended.rend(), "few");
  // In the order of arrival it would be after the sixty. Some end while the others are still being asked for.
  EXPECT_LT(ended.rend() - last_of_few, 30) << "of 63, the last of the three was served so late";
}

TEST_F(Sqlite, ReadsThatNeverEndLeaveThreadsToOtherCallers) {
  constexpr std::string_view kEndless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n";
  Loop loop;
  std::vector<Scope> inner(20), outer(21);
  auto endless = [&](std::size_t i) -> Task<> {
    RowKeeper keeper;
    const Reading reading{.order = ReadClass::list, .site = 7};
    auto done = co_await in(inner[i], database->read(loop, kEndless, {}, reading, keeper));
    EXPECT_FALSE(done);
  };
  auto other = [&]() -> Task<> {
    for (int i = 0; i < 20; ++i) {
      RowKeeper keeper;
      const Reading reading{.order = ReadClass::search, .site = 8};
      auto done = co_await database->read(loop, "SELECT count(*) FROM thing", {}, reading, keeper);
      EXPECT_TRUE(done);
    }
    for (auto& scope : inner) scope.stop(Stop::deadline);
  };
  for (std::size_t i = 0; i < inner.size(); ++i) loop.spawn(outer[i], endless(i));
  loop.spawn(outer.back(), other());
  loop.run();
}

TEST_F(Sqlite, AQueueThatIsFullRefusesAtOnceAndSaysWhenToComeBack) {
  database.reset();
  maker.options.queue = 5;
  database = maker.open();
  constexpr std::string_view kEndless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n";
  Loop loop;
  std::vector<Scope> inner(30), outer(30);
  int refused = 0;
  auto endless = [&](std::size_t i) -> Task<> {
    RowKeeper keeper;
    const Reading reading{.order = ReadClass::list, .site = 7};
    auto done = co_await in(inner[i], database->read(loop, kEndless, {}, reading, keeper));
    if (done.error().problem != &kBusy) co_return;
    EXPECT_EQ(done.error().more().retry_after, 1);
    if (++refused == 23)  // two run, five wait
      for (auto& scope : inner) scope.stop(Stop::deadline);
  };
  for (std::size_t i = 0; i < inner.size(); ++i) loop.spawn(outer[i], endless(i));
  loop.run();
  EXPECT_GE(refused, 23);
  EXPECT_LE(refused, 25);  // before any thread had taken one
  EXPECT_EQ(database->counts().reads_refused, static_cast<std::uint64_t>(refused));
}

TEST_F(Sqlite, ReadsCannotWrite) {
  auto rows = read("DELETE FROM thing");
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().problem, &kUnavailable);  // read-only
}

TEST_F(Sqlite, ALockedDatabaseIsUnavailableUntilItIsFree) {
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(maker.options.path.c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  auto refused = write("INSERT INTO thing(id,name) VALUES(1,'a')");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().problem, &kUnavailable);
  EXPECT_TRUE(refused.error().retryable);
  EXPECT_EQ(count("thing"), 0);  // reads go on
  sqlite3_exec(other, "COMMIT", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  EXPECT_TRUE(write("INSERT INTO thing(id,name) VALUES(1,'a')"));
}

TEST_F(Sqlite, AFullDatabaseIsUnavailableForWritesAndServesReads) {
  ASSERT_TRUE(write("PRAGMA max_page_count=12"));
  Result<> done{};
  for (std::int64_t i = 0; done && i < 100; ++i)
    done = write("INSERT INTO thing(id,name,note) VALUES(?,?,?)", {i, std::to_string(i), std::string(2000, 'x')});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().problem, &kUnavailable);
  EXPECT_GT(count("thing"), 0);
  ASSERT_TRUE(write("PRAGMA max_page_count=100000"));
  EXPECT_TRUE(write("INSERT INTO thing(id,name) VALUES(1000,'a')"));
}

TEST_F(Sqlite, ADatabaseThatIsGoneIsUnavailableUntilItIsBack) {
  const auto elsewhere = maker.options.path + ".elsewhere";
  std::filesystem::rename(maker.options.path, elsewhere);
  auto refused = write("INSERT INTO thing(id,name) VALUES(1,'a')");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().problem, &kUnavailable);
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (read("SELECT 1") && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  auto unread = read("SELECT 1");
  ASSERT_FALSE(unread);
  EXPECT_EQ(unread.error().problem, &kUnavailable);
  std::filesystem::rename(elsewhere, maker.options.path);
  EXPECT_TRUE(write("INSERT INTO thing(id,name) VALUES(1,'a')"));
  while (!read("SELECT 1") && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_TRUE(read("SELECT 1"));
}

TEST(SqliteOpening, SaysWhyAFileCannotBeUsed) {
  TestFolder folder;
  const auto path = folder / "no.db";
  const int file = ::open(path.c_str(), O_CREAT | O_WRONLY, 0600);
  const std::string noise(8192, 'n');
  ASSERT_EQ(::write(file, noise.data(), noise.size()), 8192);
  ::close(file);
  auto garbage = open_sqlite({.path = path});
  ASSERT_FALSE(garbage);
  EXPECT_NE(reason_of(garbage.error()).find("not a database"), std::string::npos) << reason_of(garbage.error());
  EXPECT_FALSE(garbage.error().retryable) << "no further attempt makes it one";
  EXPECT_EQ(garbage.error().detail, "") << "paths are for operators, not for callers";
  auto nowhere = open_sqlite({.path = folder / "none/x.db"});
  ASSERT_FALSE(nowhere);
  EXPECT_NE(reason_of(nowhere.error()).find("cannot open"), std::string::npos) << reason_of(nowhere.error());
  EXPECT_FALSE(nowhere.error().retryable) << "the folder is not there: a mistake of the deployment";
}

}  // namespace
}  // namespace plimsoll::database
