#include "plimsoll/base/out_of_memory.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/telemetry/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace plimsoll::database {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kEndlessInsert =
    "INSERT INTO thing(id, name) SELECT 1000000 + i, i FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 "
    "FROM "
    "n) SELECT i FROM n)";
constexpr std::string_view kEndlessSelect =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n";

/// A database whose writer gives little time to each exchange.
class Writer : public testing::Test {
 protected:
  void open() {
    auto opened = open_sqlite(options);
    ASSERT_TRUE(opened) << opened.error().detail;
    database = std::move(*opened);
    ASSERT_TRUE(run("CREATE TABLE IF NOT EXISTS thing(id INTEGER PRIMARY KEY, name TEXT) STRICT"));
  }
  Result<> run(std::string sql) {
    return wait_for([&](Loop& loop) -> Task<Result<>> {
      auto done = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
        auto rows = co_await session.query(sql, {});
        if (!rows) co_return std::unexpected(std::move(rows).error());
        co_return Result<>{};
      });
      co_return done;
    });
  }
  std::int64_t count() {
    auto rows = wait_for([&](Loop& loop) -> Task<Result<Rows>> {
      auto read = co_await database->read(loop, "SELECT count(*) FROM thing", {}, false);
      co_return read;
    });
    return rows ? std::get<std::int64_t>((*rows)[0][0]) : -1;
  }
  Task<Result<>> insert(Loop& loop, std::int64_t id, Hold hold = Hold::brief) {
    auto done = co_await database->write(
        loop,
        [&](Session& session) -> Task<Result<>> {
          const Cell cells[] = {id, std::string(100, 'x')};
          auto rows = co_await session.query("INSERT INTO thing(id,name) VALUES(?,?)", cells);
          if (!rows) co_return std::unexpected(std::move(rows).error());
          co_return Result<>{};
        },
        hold);
    co_return done;
  }
  /// `sql` as an exchange's work.
  Task<Result<>> work(Loop& loop, std::string_view sql, Hold hold = Hold::brief) {
    auto done = co_await database->write(
        loop,
        [&](Session& session) -> Task<Result<>> {
          auto rows = co_await session.query(sql, {});
          if (!rows) co_return std::unexpected(std::move(rows).error());
          co_return Result<>{};
        },
        hold);
    co_return done;
  }

  TestFolder folder;
  SqliteOptions options{.path = folder / "writer.db", .writer = config::milliseconds(200)};
  std::unique_ptr<Database> database;
};

TEST_F(Writer, AWriteThatTakesTooLongIsRolledBackAndThoseOfItsGroupAreCommitted) {
  open();
  Loop loop;
  std::vector<Scope> scopes(20);
  std::vector<std::optional<Result<>>> results(20);
  auto unit = [&](std::size_t i) -> Task<> {
    auto done = i % 8 == 5 ? co_await work(loop, kEndlessInsert) : co_await insert(loop, static_cast<std::int64_t>(i));
    results[i] = std::move(done);
  };
  for (std::size_t i = 0; i < results.size(); ++i) loop.spawn(scopes[i], unit(i));
  loop.run();
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i]);
    EXPECT_EQ(results[i]->has_value(), i % 8 != 5) << i;
    if (!*results[i]) EXPECT_EQ(results[i]->error().problem, &kWriteTooLong) << i;
  }
  EXPECT_EQ(count(), 18);
  EXPECT_EQ(database->counts().writes_ended, 2u);
  EXPECT_EQ(database->load().writes_running + database->load().writes_waiting, 0);
}

// As a trigger with RAISE(ROLLBACK), a constraint with ON CONFLICT ROLLBACK, or a table that has no further key.
TEST_F(Writer, AStatementThatRollsBackTheWholeTransactionHarmsNoOtherOfItsGroup) {
  open();
  ASSERT_TRUE(run("CREATE TABLE picky(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE ON CONFLICT ROLLBACK)"));
  ASSERT_TRUE(run("INSERT INTO picky(id, name) VALUES(9223372036854775807, 'taken')"));
  constexpr std::string_view kRefused[] = {"INSERT INTO picky(id, name) VALUES(7, 'taken')",
                                           "INSERT INTO picky(name) VALUES('other')"};
  Loop loop;
  std::vector<Scope> scopes(40);
  std::vector<std::optional<Result<>>> results(40);
  auto unit = [&](std::size_t i) -> Task<> {
    auto done =
        i % 8 == 5 ? co_await work(loop, kRefused[i / 8 % 2]) : co_await insert(loop, static_cast<std::int64_t>(i));
    results[i] = std::move(done);
  };
  for (std::size_t i = 0; i < results.size(); ++i) loop.spawn(scopes[i], unit(i));
  loop.run();
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i]);
    EXPECT_EQ(results[i]->has_value(), i % 8 != 5) << i << ": " << (*results[i] ? "" : results[i]->error().detail);
    if (!*results[i]) EXPECT_EQ(results[i]->error().problem, &kConflict) << i;
  }
  EXPECT_EQ(count(), 35);
}

TEST_F(Writer, NothingFollowsAStatementThatHasRolledBackTheWholeTransaction) {
  open();
  ASSERT_TRUE(run("CREATE TABLE picky(id INTEGER PRIMARY KEY, name TEXT UNIQUE ON CONFLICT ROLLBACK)"));
  ASSERT_TRUE(run("INSERT INTO picky(id, name) VALUES(1, 'taken')"));
  const auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
      auto put = co_await session.query("INSERT INTO thing(id,name) VALUES(1,'a')", {});
      EXPECT_TRUE(put);
      auto refused = co_await session.query("INSERT INTO picky(name) VALUES('taken')", {});
      EXPECT_EQ(refused.error().problem, &kConflict);
      auto more = co_await session.query("INSERT INTO thing(id,name) VALUES(2,'a')", {});
      EXPECT_EQ(more.error().problem, &kConflict) << more.error().detail;
      co_return Result<>{};
    });
    co_return written;
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().problem, &kConflict);
  EXPECT_EQ(count(), 0);
}

TEST_F(Writer, AReadInsideAWriteIsEndedTooAndItsWorkCannotPassOverIt) {
  open();
  auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await database->write(
        loop,
        [&](Session& session) -> Task<Result<>> {
          auto put = co_await session.query("INSERT INTO thing(id,name) VALUES(1,'a')", {});
          EXPECT_TRUE(put);
          auto rows = co_await session.query(kEndlessSelect, {});
          EXPECT_EQ(rows.error().problem, &kWriteTooLong);
          auto more = co_await session.query("INSERT INTO thing(id,name) VALUES(2,'a')", {});
          EXPECT_EQ(more.error().problem, &kWriteTooLong);
          co_return Result<>{};
        },
        Hold::brief);
    co_return written;
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().problem, &kWriteTooLong);
  EXPECT_EQ(count(), 0);
}

TEST_F(Writer, WhatIsDoneBetweenStatementsCountsToo) {
  options.writer = config::milliseconds(20);
  open();
  auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await database->write(
        loop,
        [&](Session& session) -> Task<Result<>> {
          for (const auto until = std::chrono::steady_clock::now() + 30ms; std::chrono::steady_clock::now() < until;) {}
          auto rows = co_await session.query("INSERT INTO thing(id,name) VALUES(1,'a')", {});
          if (!rows) co_return std::unexpected(std::move(rows).error());
          co_return Result<>{};
        },
        Hold::brief);
    co_return written;
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().problem, &kWriteTooLong);
}

TEST_F(Writer, APatientWriteEndsAtItsDeadline) {
  open();
  auto done = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto written = co_await within(loop, 50 * kMillisecond, work(loop, kEndlessInsert, Hold::patient));
    co_return written;
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().problem, &kDeadlineExceeded);
  EXPECT_EQ(count(), 0);
  EXPECT_TRUE(run("INSERT INTO thing(id,name) VALUES(1,'a')"));
}

TEST_F(Writer, ATransactionWhoseStatementTakesTooLongIsGoneAndNothingFollowsIt) {
  open();
  wait_for([&](Loop& loop) -> Task<Result<>> {
    auto transaction = co_await database->begin(loop);
    EXPECT_TRUE(transaction);
    auto put = co_await (*transaction)->query("INSERT INTO thing(id,name) VALUES(1,'a')", {});
    EXPECT_TRUE(put);
    auto endless = co_await (*transaction)->query(kEndlessInsert, {});
    EXPECT_EQ(endless.error().problem, &kWriteTooLong);
    auto after = co_await (*transaction)->query("INSERT INTO thing(id,name) VALUES(2,'a')", {});
    EXPECT_FALSE(after);
    auto ended = co_await (*transaction)->end(true);
    EXPECT_FALSE(ended);
    co_return Result<>{};
  });
  EXPECT_EQ(count(), 0);
  EXPECT_TRUE(run("INSERT INTO thing(id,name) VALUES(1,'a')"));
  EXPECT_EQ(database->load().writes_running, 0);
}

TEST_F(Writer, AFullQueueRefusesExchangesAndNotTheServersOwnWrites) {
  options.queue = 2;
  open();
  Loop loop;
  std::vector<Scope> scopes(7);
  int refused = 0, written = 0;
  std::unique_ptr<Transaction> held;
  auto write = [&](std::int64_t id, Hold hold) -> Task<> {
    auto done = co_await insert(loop, id, hold);
    if (done)
      ++written;
    else if (done.error().problem == &kBusy)
      ++refused;
    if (refused == 3 && held) {
      auto mine = std::move(held);
      auto ended = co_await mine->end(true);
      EXPECT_TRUE(ended);
    }
  };
  auto all = [&]() -> Task<> {
    auto begun = co_await database->begin(loop);
    held = std::move(*begun);
    for (std::size_t i = 1; i < scopes.size(); ++i)
      loop.spawn(scopes[i], write(static_cast<std::int64_t>(i), i == 6 ? Hold::patient : Hold::brief));
  };
  loop.spawn(scopes[0], all());
  loop.run();
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(written, 3);
  EXPECT_EQ(database->counts().writes_refused, 3u);
}

TEST_F(Writer, AnAllocationThatFailsIsAnErrorAndTheThreadsGoOn) {
  open();
  ASSERT_TRUE(run("INSERT INTO thing(id,name) VALUES(1,'a')"));
  struct NoRoom final : RowSink {
    void begin() override {}
    bool row(std::span<const Field>) override { throw std::bad_alloc{}; }
  } sink;
  for (const bool quick : {true, false}) {
    auto read = wait_for([&](Loop& loop) -> Task<Result<>> {
      auto done = co_await database->read(loop, "SELECT name FROM thing", {}, quick, sink);
      co_return done;
    });
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().problem, &kOutOfMemory);
    EXPECT_EQ(count(), 1);
  }
  auto written = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto done = co_await database->write(
        loop,
        [&](Session& session) -> Task<Result<>> {
          auto put = co_await session.query("INSERT INTO thing(id,name) VALUES(2,'a')", {});
          EXPECT_TRUE(put);
          throw std::bad_alloc{};
        },
        Hold::brief);
    co_return done;
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().problem, &kOutOfMemory);
  EXPECT_EQ(count(), 1);
}

/// Reads that overlap without a pause, and commits beside them.
TEST_F(Writer, TheLogStaysShortUnderConstantReadsAndWrites) {
  options.checkpoint = config::kibibytes(256);
  options.synchronous = SqliteOptions::Synchronous::off;
  open();
  ASSERT_TRUE(
      run("INSERT INTO thing(name) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3000) "
          "SELECT hex(zeroblob(50)) FROM n"));
  const char* torture = std::getenv("PLIMSOLL_TORTURE");
  const int commits = torture && *torture ? 5'000 : 400;
  Loop loop;
  std::vector<Scope> scopes(7);
  bool done = false;
  std::int64_t longest = 0, reads = 0;
  auto keep_reading = [&](std::uint64_t site) -> Task<> {
    while (!done) {
      RowKeeper keeper;
      const Reading reading{.order = ReadClass::list, .site = site};
      auto read = co_await database->read(
          loop, "SELECT count(*) FROM thing a, (SELECT 1 FROM thing LIMIT 20) WHERE a.id <= 3000 AND a.name LIKE '%1%'",
          {}, reading, keeper);
      EXPECT_TRUE(read || read.error().problem == &kBusy);
      ++reads;
    }
  };
  auto write = [&]() -> Task<> {
    for (int i = 0; i < commits; ++i) {
      auto written = co_await work(loop, "INSERT INTO thing(name) SELECT hex(zeroblob(10000))");
      EXPECT_TRUE(written);
      longest = std::max(longest, database->log_state().bytes);
    }
    done = true;
  };
  for (std::size_t i = 0; i < 6; ++i) loop.spawn(scopes[i], keep_reading(i + 1));
  loop.spawn(scopes[6], write());
  loop.run();
  const auto state = database->log_state();
  std::printf("%d commits beside %lld reads: log at most %lld KiB, began anew %llu times, held %llu times\n", commits,
              static_cast<long long>(reads), static_cast<long long>(longest >> 10),
              static_cast<unsigned long long>(state.restarts), static_cast<unsigned long long>(state.held));
  EXPECT_GT(state.restarts, 0u);
  EXPECT_LE(longest, 6 * 256 * 1024);
  EXPECT_GT(commits * 20'000, 12 * 256 * 1024);  // it would have been longer
}

TEST_F(Writer, AForeignReaderThatHoldsTheLogIsReportedAndTheLogShrinksWhenItIsGone) {
  options.checkpoint = config::kibibytes(64);
  options.synchronous = SqliteOptions::Synchronous::off;
  const auto place = folder / "log";
  const int descriptor = ::open(place.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
  {
    telemetry::Log log{descriptor, telemetry::Level::info, telemetry::Log::Format::json};
    options.log = &log;
    open();
    sqlite3* foreign = nullptr;
    ASSERT_EQ(sqlite3_open(options.path.c_str(), &foreign), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(foreign, "BEGIN; SELECT count(*) FROM thing", nullptr, nullptr, nullptr), SQLITE_OK);
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(run("INSERT INTO thing(name) SELECT hex(zeroblob(10000))"));
    EXPECT_GT(database->log_state().held, 0u);
    EXPECT_GT(database->log_state().bytes, 5 * 64 * 1024);
    EXPECT_EQ(count(), 60);
    sqlite3_close(foreign);
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (database->log_state().restarts == 0 && std::chrono::steady_clock::now() < until)
      ASSERT_TRUE(run("UPDATE thing SET name='a' WHERE id=1"));
    EXPECT_LT(database->log_state().bytes, 64 * 1024);
    EXPECT_LE(std::filesystem::file_size(options.path + "-wal"), 64u * 1024);
    database.reset();
  }
  ::close(descriptor);
  std::stringstream lines;
  lines << std::ifstream(place).rdbuf();
  EXPECT_NE(lines.str().find("database-log-held"), std::string::npos) << lines.str();
}

}  // namespace
}  // namespace plimsoll::database
