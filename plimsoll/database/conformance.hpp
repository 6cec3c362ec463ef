#pragma once

// What every Database must do. A backend's test defines how one is opened and instantiates the suite:
//   INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, DatabaseConformance, SqliteMaker);
// A maker has `std::unique_ptr<Database> open()` (the same data each time), `kReal`, the type of a double, and
// `why_not()`: why the engine is not there, or empty.

#include "plimsoll/database/database.hpp"
#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace plimsoll::database {

template <class Maker>
class DatabaseConformance : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = maker.why_not(); !why.empty()) GTEST_SKIP() << why;
    database = maker.open();
    ASSERT_TRUE(database);
    write("CREATE TABLE thing(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size " + std::string(Maker::kReal) +
          ", note TEXT, CONSTRAINT size CHECK(size >= 0))");
    write("CREATE TABLE part(id INTEGER PRIMARY KEY, thing INTEGER NOT NULL REFERENCES thing(id))");
  }

  Result<> write(std::string_view sql, std::vector<Cell> cells = {}) {
    return wait_for([&](Loop& loop) -> Task<Result<>> {
      auto done = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
        auto rows = co_await session.query(sql, cells);
        if (!rows) co_return std::unexpected(std::move(rows).error());
        co_return Result<>{};
      });
      co_return done;
    });
  }
  Result<Rows> read(std::string_view sql, std::vector<Cell> cells = {}, bool quick = true) {
    return wait_for([&](Loop& loop) -> Task<Result<Rows>> {
      auto rows = co_await database->read(loop, sql, cells, quick);
      co_return rows;
    });
  }
  std::int64_t count(std::string_view table) {
    auto rows = read("SELECT count(*) FROM " + std::string(table));
    return rows ? std::get<std::int64_t>((*rows)[0][0]) : -1;
  }

  Maker maker;
  std::unique_ptr<Database> database;
};
TYPED_TEST_SUITE_P(DatabaseConformance);

TYPED_TEST_P(DatabaseConformance, GivesBackWhatWasWritten) {
  ASSERT_TRUE(
      this->write("INSERT INTO thing VALUES(?,?,?,?)", {std::int64_t{7}, std::string("a\"'; --\u00e9"), 0.1, {}}));
  for (const bool quick : {true, false}) {
    auto rows = this->read("SELECT id, name, size, note FROM thing WHERE id=?", {std::int64_t{7}}, quick);
    ASSERT_TRUE(rows);
    ASSERT_EQ(rows->size(), 1u);
    EXPECT_EQ((*rows)[0], (std::vector<Cell>{std::int64_t{7}, std::string("a\"'; --\u00e9"), 0.1, {}}));
  }
}

TYPED_TEST_P(DatabaseConformance, AFailedUnitLeavesNothingAndHarmsNoOther) {
  Loop loop;
  std::vector<Scope> scopes(20);
  std::vector<std::optional<Result<>>> results(20);
  auto unit = [&](std::int64_t i) -> Task<> {
    auto done = co_await this->database->write(loop, [&](Session& session) -> Task<Result<>> {
      const Cell cells[] = {i, "n" + std::to_string(i)};
      auto rows = co_await session.query("INSERT INTO thing(id,name) VALUES(?,?)", cells);
      if (!rows) co_return std::unexpected(std::move(rows).error());
      if (i % 3 == 0) co_return fail(kConflict);
      if (i % 3 == 1) throw std::runtime_error("boom");
      co_return Result<>{};
    });
    results[static_cast<std::size_t>(i)] = std::move(done);
  };
  for (std::size_t i = 0; i < 20; ++i) loop.spawn(scopes[i], unit(static_cast<std::int64_t>(i)));
  loop.run();
  for (std::size_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(results[i]);
    EXPECT_EQ(results[i]->has_value(), i % 3 == 2) << i;
  }
  EXPECT_EQ(this->count("thing"), 6);
}

TYPED_TEST_P(DatabaseConformance, ViolationsNameTheColumn) {
  ASSERT_TRUE(this->write("INSERT INTO thing(id,name) VALUES(1,'a')"));
  struct Case {
    const char* sql;
    const Problem* problem;
    const char* pointer;
  };
  const Case cases[] = {{"INSERT INTO thing(id,name) VALUES(2,'a')", &kConflict, "/name"},
                        {"INSERT INTO thing(id) VALUES(2)", &kConstraint, "/name"},
                        {"INSERT INTO thing(id,name,size) VALUES(2,'b',-1)", &kConstraint, "/size"},
                        {"INSERT INTO part VALUES(1, 99)", &kConstraint, nullptr}};
  for (const auto& c : cases) {
    auto done = this->write(c.sql);
    ASSERT_FALSE(done) << c.sql;
    EXPECT_EQ(done.error().problem, c.problem) << c.sql;
    if (!c.pointer) continue;
    ASSERT_EQ(done.error().more().fields.size(), 1u) << c.sql << done.error().more().cause;
    EXPECT_EQ(done.error().more().fields[0].pointer, c.pointer);
  }
}

TYPED_TEST_P(DatabaseConformance, ExecuteCountsTheRowsThatAStatementHasChanged) {
  ASSERT_TRUE(this->write("INSERT INTO thing(id,name) VALUES(1,'a'),(2,'b'),(3,'c')"));
  struct Case {
    const char* sql;
    std::int64_t changed;
  };
  static constexpr Case cases[] = {
      {"INSERT INTO thing(id,name) VALUES(4,'d'),(5,'e')", 2},
      {"INSERT INTO thing(id,name) VALUES(5,'e') ON CONFLICT DO NOTHING", 0},
      {"INSERT INTO thing(id,name) VALUES(6,'f') ON CONFLICT(id) DO UPDATE SET name='z'", 1},
      {"INSERT INTO thing(id,name) VALUES(6,'f') ON CONFLICT(id) DO UPDATE SET name='z' WHERE thing.name='f'", 1},
      {"INSERT INTO thing(id,name) VALUES(6,'f') ON CONFLICT(id) DO UPDATE SET name='y' WHERE thing.name='f'", 0},
      {"UPDATE thing SET note='n' WHERE id<=3", 3},
      {"UPDATE thing SET note='n' WHERE id>9", 0},
      {"DELETE FROM thing WHERE id<=2", 2},
      {"DELETE FROM thing WHERE id<=2", 0},
      {"DELETE FROM thing", 4},
  };
  wait_for([&](Loop& loop) -> Task<Result<>> {
    for (const auto& c : cases) {
      auto transaction = co_await this->database->begin(loop);
      EXPECT_TRUE(transaction);
      if (!transaction) co_return Result<>{};
      auto here = co_await (*transaction)->execute(c.sql, {});
      EXPECT_TRUE(here && *here == c.changed) << c.sql;
      auto undone = co_await (*transaction)->end(false);
      EXPECT_TRUE(undone);
      std::int64_t changed = -1;
      auto written = co_await this->database->write(loop, [&](Session& session) -> Task<Result<>> {
        auto done = co_await session.execute(c.sql, {});
        if (!done) co_return std::unexpected(std::move(done).error());
        changed = *done;
        co_return Result<>{};
      });
      EXPECT_TRUE(written) << c.sql;
      EXPECT_EQ(changed, c.changed) << c.sql;
    }
    co_return Result<>{};
  });
}

TYPED_TEST_P(DatabaseConformance, ATransactionSeesItsOwnRowsAndOthersSeeThemAfterTheCommit) {
  wait_for([&](Loop& loop) -> Task<Result<>> {
    for (const bool commit : {false, true}) {
      auto transaction = co_await this->database->begin(loop);
      EXPECT_TRUE(transaction);
      if (!transaction) co_return Result<>{};
      auto put = co_await (*transaction)->query("INSERT INTO thing(id,name) VALUES(1,'a')", {});
      EXPECT_TRUE(put);
      auto mine = co_await (*transaction)->query("SELECT id FROM thing", {});
      EXPECT_EQ(mine->size(), 1u);
      auto theirs = co_await this->database->read(loop, "SELECT id FROM thing", {}, false);
      EXPECT_EQ(theirs->size(), 0u);
      auto ended = co_await (*transaction)->end(commit);
      EXPECT_TRUE(ended);
      auto after = co_await this->database->read(loop, "SELECT id FROM thing", {}, true);
      EXPECT_EQ(after->size(), commit ? 1u : 0u);
    }
    co_return Result<>{};
  });
}

TYPED_TEST_P(DatabaseConformance, AnAbandonedTransactionIsRolledBack) {
  wait_for([&](Loop& loop) -> Task<Result<>> {
    {
      auto transaction = co_await this->database->begin(loop);
      auto put = co_await (*transaction)->query("INSERT INTO thing(id,name) VALUES(1,'a')", {});
      EXPECT_TRUE(put);
    }
    auto next = co_await this->database->begin(loop);  // waits until the writer is free again
    EXPECT_TRUE(next);
    auto rows = co_await (*next)->query("SELECT id FROM thing", {});
    EXPECT_EQ(rows->size(), 0u);
    auto ended = co_await (*next)->end(true);
    EXPECT_TRUE(ended);
    co_return Result<>{};
  });
}

TYPED_TEST_P(DatabaseConformance, AReadSeesEveryAcknowledgedWriteFromAnyThread) {
  std::vector<std::jthread> threads;
  std::atomic<int> stale{0};
  for (std::int64_t t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (std::int64_t i = 0; i < 20; ++i) {
        const std::vector<Cell> row{t * 100 + i, std::to_string(t * 100 + i)};
        const bool written = this->write("INSERT INTO thing(id,name) VALUES(?,?)", row).has_value();
        auto rows = this->read("SELECT name FROM thing WHERE id=?", {t * 100 + i}, i % 2 == 0);
        if (!written || !rows || rows->size() != 1) ++stale;
      }
    });
  threads.clear();
  EXPECT_EQ(stale, 0);
  EXPECT_EQ(this->count("thing"), 60);
}

TYPED_TEST_P(DatabaseConformance, AStoppedLineOfWorkIsRefusedBeforeItBegins) {
  Loop loop;
  Scope scope;
  scope.stop(Stop::deadline);
  std::optional<Result<>> written;
  std::optional<Result<Rows>> rows;
  auto work = [&]() -> Task<> {
    auto w = co_await this->database->write(loop, [&](Session& session) -> Task<Result<>> {
      auto done = co_await session.query("INSERT INTO thing(id,name) VALUES(1,'a')", {});
      if (!done) co_return std::unexpected(std::move(done).error());
      co_return Result<>{};
    });
    written = std::move(w);
    auto r = co_await this->database->read(loop, "SELECT 1", {}, false);
    rows = std::move(r);
  };
  loop.spawn(scope, work());
  loop.run();
  ASSERT_FALSE(*written);
  EXPECT_EQ(written->error().problem, &kDeadlineExceeded);
  ASSERT_FALSE(*rows);
  EXPECT_EQ(this->count("thing"), 0);
}

TYPED_TEST_P(DatabaseConformance, WhatWasCommittedIsThereAfterOpeningAgain) {
  ASSERT_TRUE(this->write("INSERT INTO thing(id,name) VALUES(1,'a')"));
  this->database.reset();
  this->database = this->maker.open();
  EXPECT_EQ(this->count("thing"), 1);
}

REGISTER_TYPED_TEST_SUITE_P(DatabaseConformance, GivesBackWhatWasWritten, AFailedUnitLeavesNothingAndHarmsNoOther,
                            ViolationsNameTheColumn, ExecuteCountsTheRowsThatAStatementHasChanged,
                            ATransactionSeesItsOwnRowsAndOthersSeeThemAfterTheCommit,
                            AnAbandonedTransactionIsRolledBack, AReadSeesEveryAcknowledgedWriteFromAnyThread,
                            AStoppedLineOfWorkIsRefusedBeforeItBegins, WhatWasCommittedIsThereAfterOpeningAgain);

}  // namespace plimsoll::database
