#include "plimsoll/database/sqlite_readers.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <coroutine>
#include <filesystem>

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

constexpr Reading kQuick{.quick = true, .order = ReadClass::key};

/// A database with one row, and somebody else who writes to it as another process would.
class TurnReader : public testing::Test {
 protected:
  void open() {
    database = *open_sqlite(options);
    readers = std::make_unique<SqliteReaders>(options, gate);
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
    auto done = co_await readers->read(loop, "SELECT n FROM counter WHERE id=1", {}, kQuick, keeper);
    co_return done ? std::get<std::int64_t>(keeper.rows.at(0).at(0)) : -1;
  }

  TestFolder folder;
  SqliteOptions options{.path = folder / "test.db"};
  std::unique_ptr<Database> database;
  SqliteGate gate;
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
      auto wrong = co_await readers->read(loop, "SELECT nothing FROM nowhere", {}, kQuick, keeper);
      EXPECT_FALSE(wrong);
      auto much = co_await readers->read(
          loop, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000) SELECT sum(i) FROM n", {},
          kQuick, keeper);
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

/// A writer restarts the log only when no reader stands in it: once it is long, the reads of a turn do not stay there.
TEST_F(TurnReader, TheLogBeginsAnewUnderReadsWithoutEnd) {
  options.checkpoint = config::kibibytes(256);
  open();
  sqlite3* holding = nullptr;  // somebody else's transaction, for the log to grow
  ASSERT_EQ(sqlite3_open(options.path.c_str(), &holding), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(holding, "BEGIN; SELECT n FROM counter", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto log = options.path + "-wal";
  for (int n = 1; std::filesystem::file_size(log) < 512u << 10; ++n)
    change("UPDATE counter SET n=7, filling='" + std::string(6'000, 'a' + n % 26) + "'");
  const auto begins_anew = [&] {
    int frames = 0, moved = 0;
    return sqlite3_wal_checkpoint_v2(other, nullptr, SQLITE_CHECKPOINT_RESTART, &frames, &moved) == SQLITE_OK;
  };
  EXPECT_FALSE(begins_anew());
  sqlite3_close(holding);
  wait_for([&](Loop& loop) -> Task<Result<>> {
    for (int i = 0; i < 10; ++i) {
      const auto seen = co_await read(loop);
      EXPECT_EQ(seen, 7);
    }
    EXPECT_EQ(readers->shared(), 0u);
    EXPECT_TRUE(begins_anew()) << "in the middle of a turn that reads";
    set(8);  // the first of the new log, which is short
    for (int i = 0; i < 10; ++i) {
      const auto seen = co_await read(loop);
      EXPECT_EQ(seen, 8);
    }
    EXPECT_GT(readers->shared(), 0u);
    EXPECT_FALSE(begins_anew()) << "a short log may wait for the end of a turn";
    co_await NextTurn{loop};
    EXPECT_TRUE(begins_anew());
    co_return Result<>{};
  });
}

}  // namespace
}  // namespace plimsoll::database
