// A disk that hangs under the one writer: who waits goes on at its deadline, is told the truth, and what it left behind
// harms no other.

#include "plimsoll/async/pause.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <random>
#include <thread>

namespace plimsoll::database {
namespace {

std::atomic<bool> hangs{false};
std::atomic<int> hanging{0}, error_behind{0};

ssize_t write_when_it_may(int file, const void* from, std::size_t size, off_t at) {
  if (hangs.load()) {
    ++hanging;
    hangs.wait(true);
    --hanging;
    if (const int error = error_behind.load()) return errno = error, -1;
  }
  return ::pwrite(file, from, size, at);
}

struct Kind {
  bool interactive = false;
  bool many = false;  ///< rows, so that some are written before the commit
};

class HangingDisk : public testing::Test {
 protected:
  void SetUp() override {
    (void)open_sqlite({.path = folder / "first.db"});  // the first that is opened replaces calls too
    replace(reinterpret_cast<sqlite3_syscall_ptr>(&write_when_it_may));
    auto opened = open_sqlite(options);
    ASSERT_TRUE(opened) << opened.error().detail;
    database = std::move(*opened);
    ASSERT_TRUE(run("CREATE TABLE thing(id INTEGER, name TEXT)"));
  }
  void TearDown() override {
    go_on();
    database.reset();
    replace(nullptr);
  }
  static void replace(sqlite3_syscall_ptr call) {
    auto* vfs = sqlite3_vfs_find("unix");
    for (const auto* name : {"pwrite", "pwrite64"})
      if (vfs->xGetSystemCall(vfs, name)) vfs->xSetSystemCall(vfs, name, call);
  }
  static void hang() { hangs.store(true); }
  /// What hangs ends, with that error; 0: well.
  static void go_on(int error = 0) {
    error_behind.store(error);
    hangs.store(false);
    hangs.notify_all();
  }
  static Task<Result<>> until_it_hangs(Loop& loop) {
    while (hanging.load() == 0) {
      const bool rested = co_await pause(loop, kMillisecond);
      if (!rested) co_return fail(kCancelled);
    }
    co_return Result<>{};
  }

  static Task<Result<>> execute(Session& session, std::string sql) {
    auto rows = co_await session.query(sql, {});
    if (!rows) co_return std::unexpected(std::move(rows).error());
    co_return Result<>{};
  }
  /// One row of that id, or so many that SQLite writes some of them before the commit.
  static std::string insert_of(std::int64_t id, bool many = false) {
    const auto rows = std::to_string(many ? kMany : 1);
    return "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<" + rows +
           ") INSERT INTO thing(id,name) SELECT " + std::to_string(id) + ", hex(zeroblob(2000)) FROM n";
  }
  Result<> run(std::string sql) {
    return wait_for([&](Loop& loop) -> Task<Result<>> {
      auto done = co_await database->write(loop, [&](Session& session) -> Task<Result<>> {
        auto ended = co_await execute(session, sql);
        co_return ended;
      });
      co_return done;
    });
  }
  Task<Result<>> unit(Loop& loop, std::int64_t id, bool many = false) {
    auto done = co_await database->write(
        loop,
        [&](Session& session) -> Task<Result<>> {
          auto inserted = co_await execute(session, insert_of(id, many));
          co_return inserted;
        },
        Hold::brief);
    co_return done;
  }
  Task<Result<>> transaction(Loop& loop, std::int64_t id, bool many = false) {
    auto begun = co_await database->begin(loop);
    if (!begun) co_return std::unexpected(std::move(begun).error());
    auto inserted = co_await execute(**begun, insert_of(id, many));
    if (!inserted) co_return inserted;
    auto ended = co_await (*begun)->end(true);
    co_return ended;
  }
  Task<Result<>> write(Loop& loop, std::int64_t id, Kind kind, Nanoseconds span) {
    auto done = kind.interactive ? co_await within(loop, span, transaction(loop, id, kind.many))
                                 : co_await within(loop, span, unit(loop, id, kind.many));
    co_return done;
  }
  static const Problem* problem_of(const Result<>& done) {
    return done ? nullptr : static_cast<const Problem*>(done.error().problem);
  }
  /// What a write gives whose time is over while the disk hangs.
  const Problem* problem_of_write(std::int64_t id, Kind kind = {}) {
    Loop loop;
    Scope writing, looking;
    Result<> done;
    auto write = [&]() -> Task<> {
      done = kind.interactive ? co_await transaction(loop, id, kind.many) : co_await unit(loop, id, kind.many);
    };
    auto look = [&]() -> Task<> {
      (void)co_await until_it_hangs(loop);
      co_await pause(loop, 10 * kMillisecond);
      writing.stop(Stop::deadline);
    };
    loop.spawn(writing, write());
    loop.spawn(looking, look());
    loop.run();
    return problem_of(done);
  }
  /// How many rows of each id there are, when all that waits has been done.
  std::map<std::int64_t, std::int64_t> rows() {
    EXPECT_TRUE(run("DELETE FROM thing WHERE id = -1"));
    auto read = wait_for([&](Loop& loop) -> Task<Result<Rows>> {
      auto rows = co_await database->read(loop, "SELECT id, count(*) FROM thing GROUP BY id", {}, false);
      co_return rows;
    });
    std::map<std::int64_t, std::int64_t> found;
    EXPECT_TRUE(read);
    for (const auto& row : *read) found[std::get<std::int64_t>(row[0])] = std::get<std::int64_t>(row[1]);
    return found;
  }

  static constexpr std::int64_t kMany = 60;
  static constexpr Nanoseconds kSpan = 50 * kMillisecond;
  using Found = std::map<std::int64_t, std::int64_t>;
  TestFolder folder;
  SqliteOptions options{.path = folder / "hang.db", .cache = config::kibibytes(64)};
  std::unique_ptr<Database> database;
};

TEST_F(HangingDisk, ACommitThatHangsIsOfUnknownOutcomeAndWhatIsBehindItWasNeverDone) {
  for (const int error : {0, ENOSPC}) {
    const auto before = database->counts();
    hang();
    EXPECT_EQ(problem_of_write(1), &kOutcomeUnknown);
    EXPECT_EQ(hanging.load(), 1);
    EXPECT_EQ(problem_of_write(2), &kDeadlineExceeded);
    EXPECT_EQ(problem_of_write(3, {.interactive = true}), &kDeadlineExceeded);
    EXPECT_EQ(database->load().writes_waiting + database->load().writes_running, 0);
    EXPECT_EQ(database->counts().outcomes_unknown, before.outcomes_unknown + 1);
    go_on(error);
    EXPECT_EQ(rows(), (Found{{1, 1}})) << "stored by the first, and not by the one that failed";
  }
}

TEST_F(HangingDisk, AStatementThatHangsIsLeftAndRolledBack) {
  hang();
  EXPECT_EQ(problem_of_write(1, {.many = true}), &kDeadlineExceeded);
  EXPECT_EQ(hanging.load(), 1);
  go_on();
  EXPECT_EQ(rows(), Found{});
  hang();
  EXPECT_EQ(problem_of_write(2, {.interactive = true, .many = true}), &kDeadlineExceeded);
  EXPECT_EQ(hanging.load(), 1);
  go_on();
  EXPECT_EQ(rows(), Found{});
  EXPECT_EQ(database->counts().outcomes_unknown, 0u);
}

TEST_F(HangingDisk, TheCommitOfATransactionIsLeftToo) {
  for (const int error : {0, ENOSPC}) {
    hang();
    EXPECT_EQ(problem_of_write(1, {.interactive = true}), &kOutcomeUnknown);
    go_on(error);
    EXPECT_EQ(rows(), (Found{{1, 1}}));
    EXPECT_EQ(database->load().writes_running, 0);
  }
}

TEST_F(HangingDisk, WorkThatGoesOnBehindAStatementThatItHasLeftIsRefusedItsNextOne) {
  hang();
  bool went_on = false;
  const auto work = [&](Session& session) -> Task<Result<>> {
    auto first = co_await execute(session, insert_of(1, true));
    EXPECT_EQ(first.error().problem, &kDeadlineExceeded);
    auto second = co_await execute(session, insert_of(2));
    EXPECT_EQ(second.error().problem, &kDeadlineExceeded);
    went_on = true;
    co_return Result<>{};
  };
  EXPECT_EQ(problem_of(wait_for([&](Loop& loop) -> Task<Result<>> {
              auto done = co_await within(loop, kSpan, database->write(loop, work, Hold::brief));
              co_return done;
            })),
            &kDeadlineExceeded);
  EXPECT_TRUE(went_on);
  go_on();
  EXPECT_EQ(rows(), Found{});
}

TEST_F(HangingDisk, AClientThatHasGoneGivesUpNothingThatWasBegunAndItsDeadlineDoes) {
  std::int64_t written = 0;
  for (const bool deadline : {false, true}) {
    for (const bool interactive : {false, true}) {
      hang();
      Loop loop;
      Scope writing, looking;
      std::optional<Result<>> done;
      auto write = [&]() -> Task<> { done = interactive ? co_await transaction(loop, 1) : co_await unit(loop, 1); };
      auto look = [&]() -> Task<> {
        (void)co_await until_it_hangs(loop);
        writing.stop(Stop::client_gone);
        co_await next_turn(loop);
        EXPECT_FALSE(done);
        if (deadline)
          writing.stop(Stop::deadline);
        else
          go_on();
      };
      loop.spawn(writing, write());
      loop.spawn(looking, look());
      loop.run();
      go_on();
      ASSERT_TRUE(done);
      EXPECT_EQ(problem_of(*done), deadline ? &kOutcomeUnknown : nullptr);
      EXPECT_EQ(rows(), (Found{{1, ++written}}));
    }
  }
}

/// A disk that hangs again and again, under writes of all kinds that are short of time.
TEST_F(HangingDisk, EveryAnswerIsTrueWhateverHangsWhen) {
  const auto seed = std::random_device{}();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const char* torture = std::getenv("PLIMSOLL_TORTURE");
  const int rounds = torture && *torture ? 60 : 4;
  std::map<std::string_view, int> said;
  for (int round = 0; round < rounds; ++round) {
    constexpr std::size_t kWrites = 100;
    Loop loop;
    std::vector<Scope> scopes(kWrites + 1);
    std::vector<std::optional<Result<>>> results(kWrites);
    std::vector<Kind> kinds(kWrites);
    std::size_t left = kWrites;
    auto one = [&](std::size_t i, Nanoseconds after, Nanoseconds span) -> Task<> {
      co_await pause(loop, after);
      const auto id = static_cast<std::int64_t>(static_cast<std::size_t>(round) * kWrites + i);
      results[i] = co_await write(loop, id, kinds[i], span);
      --left;
    };
    auto disk = [&]() -> Task<> {
      while (left > 0) {
        if (random() % 2)
          hang();
        else
          go_on(random() % 4 == 0 ? ENOSPC : 0);
        co_await pause(loop, static_cast<Nanoseconds>(random() % 4) * kMillisecond);
      }
      go_on();
    };
    for (std::size_t i = 0; i < kWrites; ++i) {
      kinds[i] = {.interactive = random() % 2 == 0, .many = random() % 2 == 0};
      const auto after = static_cast<Nanoseconds>(random() % 60) * kMillisecond;
      loop.spawn(scopes[i], one(i, after, static_cast<Nanoseconds>(1 + random() % 40) * kMillisecond));
    }
    loop.spawn(scopes[kWrites], disk());
    loop.run();
    const auto found = rows();
    for (std::size_t i = 0; i < kWrites; ++i) {
      const auto id = static_cast<std::int64_t>(static_cast<std::size_t>(round) * kWrites + i);
      const auto there = found.contains(id) ? found.at(id) : 0;
      const auto all = kinds[i].many ? kMany : 1;
      ASSERT_TRUE(results[i]);
      const auto* problem = problem_of(*results[i]);
      ++said[problem ? problem->code : "stored"];
      EXPECT_TRUE(there == 0 || there == all) << there << " of " << all;
      if (!problem) EXPECT_EQ(there, all) << "what was acknowledged is there";
      if (problem && problem != &kOutcomeUnknown) EXPECT_EQ(there, 0) << problem->code << " says that nothing was done";
    }
    EXPECT_EQ(database->load().writes_waiting + database->load().writes_running, 0);
  }
  for (const auto& [what, count] : said) std::printf("%.*s: %d\n", int(what.size()), what.data(), count);
  EXPECT_EQ(database->counts().outcomes_unknown, std::uint64_t(said["outcome-unknown"]));
}

}  // namespace
}  // namespace plimsoll::database
