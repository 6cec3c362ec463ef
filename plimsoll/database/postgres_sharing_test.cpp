// Reads by a unique key that share a connection, on a real server.

#include "plimsoll/async/pause.hpp"
#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_server.hpp"
#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace plimsoll::database {
namespace {

constexpr Reading kByKey{.quick = true, .order = ReadClass::key, .site = 1};

class PostgresSharing : public testing::Test {
 protected:
  void SetUp() override {
    auto* server = PostgresServer::shared();
    if (!server) GTEST_SKIP() << "PostgreSQL is not installed: scripts/install-dependencies test";
    options.url = server->fresh_schema();
    auto opened = open_postgres(options);
    ASSERT_TRUE(opened) << reason_of(opened.error());
    database = std::move(*opened);
  }
  Task<Result<Rows>> read(Loop& loop, std::string_view sql, std::span<const Cell> parameters) {
    RowKeeper keeper;
    auto done = co_await database->read(loop, sql, parameters, kByKey, keeper);
    if (!done) co_return std::unexpected(std::move(done).error());
    co_return std::move(keeper.rows);
  }
  /// As many lines of work at once, on one loop.
  template <class F>
  void at_once(std::size_t count, F work) {
    Loop loop;
    std::vector<Scope> scopes(count);
    for (std::size_t i = 0; i < count; ++i) loop.spawn(scopes[i], work(loop, i));
    loop.run();
  }
  /// A connection that is shared next has these statements already.
  void warm(const std::vector<std::string_view>& statements) {
    at_once(1, [&](Loop& loop, std::size_t) -> Task<> {
      for (const auto sql : statements) {
        const Cell one[] = {std::int64_t{1}};
        auto rows = co_await read(loop, sql, one);
        EXPECT_TRUE(rows) << reason_of(rows.error());
      }
    });
  }
  PostgresOptions options{.least = 1, .most = 4};
  std::unique_ptr<Database> database;
};

constexpr std::string_view kWho = "SELECT ?::int8, pg_backend_pid()";

TEST_F(PostgresSharing, EachGetsItsOwnRowOverFewConnections) {
  warm({kWho});
  std::set<Cell> connections;
  std::size_t right = 0;
  constexpr std::size_t kLines = 200;
  at_once(kLines, [&](Loop& loop, std::size_t i) -> Task<> {
    for (std::int64_t round = 0; round < 5; ++round) {
      const Cell key[] = {static_cast<std::int64_t>(i) * 10 + round};
      auto rows = co_await read(loop, kWho, key);
      EXPECT_TRUE(rows) << (rows ? "" : reason_of(rows.error()));
      if (!rows) co_return;
      EXPECT_EQ(rows->size(), 1u);
      right += (*rows)[0][0] == key[0];
      connections.insert((*rows)[0][1]);
    }
  });
  EXPECT_EQ(right, kLines * 5);
  EXPECT_LE(connections.size(), 4u);
  EXPECT_EQ(database->pool_state().in_use, 0);
  // Those that come in one turn of the loop go over one connection, which the pool gives once.
  connections.clear();
  at_once(8, [&](Loop& loop, std::size_t i) -> Task<> {
    const Cell key[] = {static_cast<std::int64_t>(i)};
    if (i > 0) co_await next_turn(loop);  // the first has brought one
    auto rows = co_await read(loop, kWho, key);
    EXPECT_TRUE(rows);
    if (rows) connections.insert((*rows)[0][1]);
  });
  EXPECT_EQ(connections.size(), 1u);
}

TEST_F(PostgresSharing, ManyReadsAtOnceShareAFewConnections) {
  options.least = 10;
  options.most = 20;
  auto opened = open_postgres(options);
  ASSERT_TRUE(opened) << reason_of(opened.error());
  database = std::move(*opened);
  constexpr std::string_view kSlow = "SELECT pg_backend_pid(), pg_sleep(0.005 * ?::int8)";
  const Cell one[] = {std::int64_t{1}};
  std::set<Cell> connections;
  // Each connection has the statement then: these reads are not quick, and share none.
  while (connections.size() < 10)
    at_once(10, [&](Loop& loop, std::size_t) -> Task<> {
      RowKeeper keeper;
      auto done = co_await database->read(loop, kSlow, one, {.order = ReadClass::key, .site = 1}, keeper);
      EXPECT_TRUE(done) << (done ? "" : reason_of(done.error()));
      if (done) connections.insert(keeper.rows[0][0]);
    });
  connections.clear();
  at_once(48, [&](Loop& loop, std::size_t) -> Task<> {
    auto rows = co_await read(loop, kSlow, one);
    EXPECT_TRUE(rows) << (rows ? "" : reason_of(rows.error()));
    if (rows) connections.insert((*rows)[0][0]);
  });
  EXPECT_LE(connections.size(), 4u) << "16 reads on each";
}

TEST_F(PostgresSharing, AnErrorIsForItsOwnReadAlone) {
  constexpr std::string_view kDivides = "SELECT 10 / ?::int8";
  warm({kDivides});
  std::size_t failed = 0, right = 0;
  at_once(40, [&](Loop& loop, std::size_t i) -> Task<> {
    const Cell by[] = {static_cast<std::int64_t>(i % 4)};
    auto rows = co_await read(loop, kDivides, by);
    if (rows)
      right += (*rows)[0][0] == Cell{std::int64_t{10} / static_cast<std::int64_t>(i % 4)};
    else
      failed += rows.error().problem == &kConstraint && i % 4 == 0;
  });
  EXPECT_EQ(failed, 10u);
  EXPECT_EQ(right, 30u);
}

TEST_F(PostgresSharing, WhoeverLeavesCancelsNothing) {
  constexpr std::string_view kSlow = "SELECT ?::int8 FROM pg_sleep(0.3)";
  warm({kSlow, kWho});
  std::size_t late = 0, right = 0;
  // The first, which waits at the socket for all, leaves before its answer; others leave behind it, and some stay.
  at_once(12, [&](Loop& loop, std::size_t i) -> Task<> {
    const Cell key[] = {static_cast<std::int64_t>(i)};
    if (i > 0) co_await next_turn(loop);
    if (i % 3 == 0) {
      auto rows = co_await within(loop, 50 * kMillisecond, read(loop, i == 0 ? kSlow : kWho, key));
      EXPECT_TRUE(!rows || i > 0);
      late += !rows && rows.error().problem == &kDeadlineExceeded;
    } else {
      auto rows = co_await read(loop, kWho, key);
      EXPECT_TRUE(rows) << (rows ? "" : reason_of(rows.error()));
      right += rows && (*rows)[0][0] == key[0];
    }
  });
  EXPECT_GE(late, 1u);
  EXPECT_EQ(right, 8u);
}

TEST_F(PostgresSharing, EverybodyMayLeave) {
  constexpr std::string_view kSlow = "SELECT ?::int8 FROM pg_sleep(0.2)";
  warm({kSlow});
  at_once(5, [&](Loop& loop, std::size_t i) -> Task<> {
    const Cell key[] = {static_cast<std::int64_t>(i)};
    if (i > 0) co_await next_turn(loop);
    auto rows = co_await within(loop, 20 * kMillisecond, read(loop, kSlow, key));
    EXPECT_FALSE(rows);
  });
  warm({kWho});  // the pool is whole
  while (database->pool_state().in_use != 0) std::this_thread::yield();
}

TEST_F(PostgresSharing, ALostConnectionIsNotSeen) {
  constexpr std::string_view kEnds = "SELECT ?::int8, pg_terminate_backend(pg_backend_pid())";
  warm({kWho});
  for (int round = 0; round < 5; ++round) {
    std::size_t right = 0;
    at_once(10, [&](Loop& loop, std::size_t i) -> Task<> {
      const Cell key[] = {static_cast<std::int64_t>(i)};
      if (i == 5) {  // repeated as well, until it is given up
        auto rows = co_await read(loop, kEnds, key);
        EXPECT_FALSE(rows);
        co_return;
      }
      auto rows = co_await read(loop, kWho, key);
      EXPECT_TRUE(rows) << (rows ? "" : reason_of(rows.error()));
      right += rows && (*rows)[0][0] == key[0];
    });
    EXPECT_EQ(right, 9u);
  }
}

TEST_F(PostgresSharing, AChangedTableIsSeenByAll) {
  const auto write = [&](std::string_view sql) {
    return wait_for([&](Loop& loop) -> Task<Result<>> {
      auto done = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
        auto rows = co_await session.script(sql);
        co_return rows;
      });
      co_return done;
    });
  };
  ASSERT_TRUE(write("CREATE TABLE t(id int8 PRIMARY KEY); INSERT INTO t SELECT generate_series(0, 50)"));
  constexpr std::string_view kAll = "SELECT * FROM t WHERE id=?";
  for (std::size_t width = 1; width < 5; ++width) {
    at_once(20, [&](Loop& loop, std::size_t i) -> Task<> {
      const Cell key[] = {static_cast<std::int64_t>(i)};
      auto rows = co_await read(loop, kAll, key);
      EXPECT_TRUE(rows) << (rows ? "" : reason_of(rows.error()));
      if (rows) EXPECT_EQ((*rows)[0].size(), width);
    });
    ASSERT_TRUE(write("ALTER TABLE t ADD COLUMN c" + std::to_string(width) + " int"));
  }
}

TEST_F(PostgresSharing, RandomReadsGetTheirOwnAnswers) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr std::string_view kStatements[] = {"SELECT ?::int8, 'a'", "SELECT ?::int8 + 1 - 1, 'b' FROM pg_sleep(0.002)",
                                              "SELECT 100 / ?::int8", "SELECT ?::int8, repeat('x', 20000)"};
  std::size_t wrong = 0, answered = 0, left = 0;
  at_once(60, [&](Loop& loop, std::size_t) -> Task<> {
    for (int round = 0; round < 20; ++round) {
      const Cell key[] = {static_cast<std::int64_t>(random() % 5)};
      const auto which = random() % std::size(kStatements);
      const auto span = random() % 8 == 0 ? static_cast<Nanoseconds>(random() % 20) * kMillisecond : 20 * kSecond;
      auto rows = co_await within(loop, span + 1, read(loop, kStatements[which], key));
      const auto number = std::get<std::int64_t>(key[0]);
      if (!rows) {
        const bool divides = which == 2 && number == 0 && rows.error().problem == &kConstraint;
        const bool late = span < kSecond && rows.error().problem == &kDeadlineExceeded;
        wrong += !divides && !late;
        left += late;
        if (!divides && !late) ADD_FAILURE() << reason_of(rows.error()) << rows.error().problem->code;
      } else {
        ++answered;
        const auto expected = which == 2 ? (number == 0 ? -1 : 100 / number) : number;
        wrong += rows->size() != 1 || (*rows)[0][0] != Cell{expected};
      }
    }
  });
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(answered, 500u);
  while (database->pool_state().in_use != 0) std::this_thread::yield();
}

}  // namespace
}  // namespace plimsoll::database
