#include "plimsoll/database/sqlite_readers.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <atomic>
#include <coroutine>
#include <filesystem>
#include <thread>

namespace plimsoll::database {
namespace {

/// Goes on at the next turn of the loop.
struct NextTurn {
  Loop& loop;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> who) const {
    loop.expect();
    loop.resume(who);
  }
  void await_resume() const noexcept {}
};

/// A database with one row, and somebody else who writes to it as another process would.
class TurnReader : public testing::Test {
 protected:
  void open() {
    database = *open_sqlite(options);
    readers = std::make_unique<SqliteReaders>(options);
    ASSERT_TRUE(readers->start());
    ASSERT_EQ(sqlite3_open(options.path.c_str(), &other), SQLITE_OK);
    change("CREATE TABLE counter(id INTEGER PRIMARY KEY, n INTEGER, filling TEXT); INSERT INTO counter VALUES(1,0,'')");
  }
  void TearDown() override { sqlite3_close(other); }
  void change(const std::string& sql) {
    ASSERT_EQ(sqlite3_exec(other, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(other);
  }
  void set(int n) { change("UPDATE counter SET n=" + std::to_string(n)); }
  Task<std::int64_t> read(Loop& loop) {
    RowKeeper keeper;
    auto done = co_await readers->read(loop, "SELECT n FROM counter WHERE id=1", {}, true, keeper);
    co_return done ? std::get<std::int64_t>(keeper.rows.at(0).at(0)) : -1;
  }

  TestFolder folder;
  SqliteOptions options{.path = folder / "test.db"};
  std::unique_ptr<Database> database;
  std::unique_ptr<SqliteReaders> readers;
  sqlite3* other = nullptr;
};

TEST_F(TurnReader, ReadsOfATurnShareASnapshotAndSeeEachCommitBeforeThem) {
  open();
  wait_for([&](Loop& loop) -> Task<Result<>> {
    for (int n = 1; n <= 200; ++n) {
      set(n);  // acknowledged: whoever asks from here on sees it, in the same turn too
      for (int i = 0; i < 3; ++i) {
        const auto seen = co_await read(loop);
        EXPECT_EQ(seen, n);
      }
      if (n % 10 == 0) co_await NextTurn{loop};
    }
    co_return Result<>{};
  });
  EXPECT_GT(readers->shared(), 500u);
}

TEST_F(TurnReader, ATurnsOwnWritesAreSeenByItsNextRead) {
  open();
  wait_for([&](Loop& loop) -> Task<Result<>> {
    for (int n = 1; n <= 100; ++n) {
      (void)co_await read(loop);
      (void)co_await read(loop);
      auto written = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
        const Cell cells[] = {std::int64_t{n}};
        auto rows = co_await session.query("UPDATE counter SET n=?", cells);
        if (!rows) co_return std::unexpected(std::move(rows).error());
        co_return Result<>{};
      });
      EXPECT_TRUE(written);
      for (int i = 0; i < 2; ++i) {
        const auto seen = co_await read(loop);
        EXPECT_EQ(seen, n);
      }
    }
    co_return Result<>{};
  });
}

TEST_F(TurnReader, ALoneReadOfATurnSharesNothing) {
  open();
  wait_for([&](Loop& loop) -> Task<Result<>> {
    for (int n = 0; n < 50; ++n) {
      (void)co_await read(loop);
      co_await NextTurn{loop};
    }
    co_return Result<>{};
  });
  EXPECT_EQ(readers->shared(), 0u);
}

TEST_F(TurnReader, ASnapshotEndsWithItsTurn) {
  open();
  wait_for([&](Loop& loop) -> Task<Result<>> {
    for (int i = 0; i < 3; ++i) (void)co_await read(loop);
    co_return Result<>{};
  });
  EXPECT_GT(readers->shared(), 0u);
  // Nobody reads the log any more: it can be truncated, which a snapshot that is still open would forbid.
  int log = -1, done = -1;
  EXPECT_EQ(sqlite3_wal_checkpoint_v2(other, nullptr, SQLITE_CHECKPOINT_TRUNCATE, &log, &done), SQLITE_OK);
  EXPECT_EQ(std::filesystem::file_size(options.path + "-wal"), 0u);
}

TEST_F(TurnReader, AnErrorEndsTheSnapshotAndTheNextReadIsRight) {
  open();
  wait_for([&](Loop& loop) -> Task<Result<>> {
    for (int n = 1; n <= 10; ++n) {
      for (int i = 0; i < 3; ++i) (void)co_await read(loop);
      RowKeeper keeper;
      auto wrong = co_await readers->read(loop, "SELECT nothing FROM nowhere", {}, true, keeper);
      EXPECT_FALSE(wrong);
      auto much = co_await readers->read(
          loop, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000) SELECT sum(i) FROM n", {},
          true, keeper);
      EXPECT_TRUE(much);
      set(n);
      const auto seen = co_await read(loop);
      EXPECT_EQ(seen, n);
    }
    co_return Result<>{};
  });
}

TEST_F(TurnReader, TheDatabaseMayEndBeforeTheTurn) {
  open();
  wait_for([&](Loop& loop) -> Task<Result<>> {
    for (int i = 0; i < 3; ++i) (void)co_await read(loop);
    EXPECT_GT(readers->shared(), 0u);
    readers.reset();
    co_await NextTurn{loop};
    co_return Result<>{};
  });
}

TEST_F(TurnReader, TheLogBeginsAnewUnderReadsWithoutEnd) {
  options.checkpoint = config::kibibytes(256);
  options.synchronous = SqliteOptions::Synchronous::off;
  open();
  std::atomic<bool> stop{false};
  std::thread reading([&] {
    wait_for([&](Loop& loop) -> Task<Result<>> {
      while (!stop.load(std::memory_order_relaxed)) {
        for (int i = 0; i < 50; ++i) (void)co_await read(loop);
        co_await NextTurn{loop};
      }
      co_return Result<>{};
    });
  });
  const std::string filling(6'000, 'x');
  for (int n = 1; n <= 1'500; ++n)
    wait_for([&](Loop& loop) -> Task<Result<>> {
      auto written = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
        const Cell cells[] = {std::int64_t{n}, filling + std::to_string(n)};
        auto rows = co_await session.query("UPDATE counter SET n=?, filling=?", cells);
        if (!rows) co_return std::unexpected(std::move(rows).error());
        co_return Result<>{};
      });
      EXPECT_TRUE(written);
      co_return Result<>{};
    });
  stop = true;
  reading.join();
  EXPECT_GT(readers->shared(), 0u);
  // 1,500 times two or more pages were written: 12 MB, had the log never begun anew.
  EXPECT_LT(std::filesystem::file_size(options.path + "-wal"), std::uintmax_t{4} << 20);
}

}  // namespace
}  // namespace plimsoll::database
