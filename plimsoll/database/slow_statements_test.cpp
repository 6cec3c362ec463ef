#include "plimsoll/database/slow_statements.hpp"

#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/telemetry/log.hpp"
#include "plimsoll/telemetry/metrics.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

namespace plimsoll::database {
namespace {

/// A clock that a test moves.
struct Moved final : Clock {
  Nanoseconds steady() const noexcept override { return now; }
  Nanoseconds wall() const noexcept override { return now; }
  std::atomic<Nanoseconds> now = kSecond;
};

class SlowStatementsTest : public testing::Test {
 protected:
  SlowStatementsTest()
      : descriptor(::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600)),
        log(std::make_unique<telemetry::Log>(descriptor, telemetry::Level::info, telemetry::Log::Format::json)) {}
  ~SlowStatementsTest() override { ::close(descriptor); }

  std::vector<std::string> lines() {
    log->flush();
    std::ifstream file{path};
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  void add(std::string_view sql, std::span<const Cell> parameters = {}, Nanoseconds took = 700 * kMillisecond) {
    slow.add({.sql = sql, .parameters = parameters, .operation = "listNotes", .took = took, .rows = 3});
  }

  TestFolder folder;
  std::string path = folder / "log";
  int descriptor;
  std::unique_ptr<telemetry::Log> log;
  telemetry::Registry metrics;
  Moved clock;
  SlowStatements slow{500 * kMillisecond, log.get(), &metrics, clock};
};

TEST_F(SlowStatementsTest, OneAtTheBoundIsSlow) {
  EXPECT_FALSE(slow.is_slow(500 * kMillisecond - 1));
  EXPECT_TRUE(slow.is_slow(500 * kMillisecond));
  EXPECT_FALSE((SlowStatements{0, log.get(), &metrics, clock}.is_slow(3600 * kSecond))) << "0: none";
}

TEST_F(SlowStatementsTest, TellsTextTimeAndRowsAndNoValue) {
  const Cell cells[] = {std::string("my secret"), std::int64_t{4711}, 2.5, Cell{}};
  add("SELECT * FROM notes WHERE a=? AND b=? AND c=? AND d=?", cells);
  const auto all = lines();
  ASSERT_EQ(all.size(), 1u);
  for (const auto* part : {R"("event":"slow-statement")", R"("level":"warning")", R"("operation":"listNotes")",
                           R"("duration_ms":700)", R"("rows":3)", R"("statement":"SELECT * FROM notes WHERE a=? AND)",
                           R"("parameters":"text(9), integer, real, null")"})
    EXPECT_TRUE(all[0].contains(part)) << part << " in " << all[0];
  EXPECT_FALSE(all[0].contains("secret") || all[0].contains("4711") || all[0].contains("2.5")) << all[0];
}

TEST_F(SlowStatementsTest, TellsEachTextSeldomAndHowManyWereLeftOut) {
  for (int i = 0; i < 5; ++i) add("SELECT 1");
  add("SELECT 2");
  EXPECT_EQ(lines().size(), 2u);
  clock.now += SlowStatements::kBetweenLines;
  add("SELECT 1");
  const auto all = lines();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_TRUE(all[2].contains(R"("left_out":4)")) << all[2];
  EXPECT_TRUE(metrics.expose().contains("plimsoll_database_slow_statements_total 7"));
}

TEST_F(SlowStatementsTest, RemembersSoManyTextsAndNoMore) {
  for (std::size_t i = 0; i <= SlowStatements::kTexts; ++i) {
    clock.now += 1;
    add("SELECT " + std::to_string(i));
  }
  EXPECT_EQ(lines().size(), SlowStatements::kTexts + 1);
  add("SELECT " + std::to_string(SlowStatements::kTexts));
  EXPECT_EQ(lines().size(), SlowStatements::kTexts + 1) << "known";
  add("SELECT 0");
  EXPECT_EQ(lines().size(), SlowStatements::kTexts + 2) << "told longest ago, forgotten";
}

TEST_F(SlowStatementsTest, CutsLongTextsBetweenCharacters) {
  add("SELECT '" + std::string(SlowStatements::kLongestText - 9, 'x') + "\xC3\xA4'");
  const auto all = lines();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(all[0].contains("xx…\"")) << all[0].substr(all[0].size() - 100);
  const std::vector<Cell> many(40);
  EXPECT_TRUE(kinds_of(many).ends_with("null, and 8 more"));
}

TEST_F(SlowStatementsTest, AsksForThePlanOnceInAWhileAndRunsNothing) {
  SqliteOptions options{.path = folder / "notes.db"};
  options.slow = &slow;
  auto database = open_sqlite(options);
  ASSERT_TRUE(database);
  auto made = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto done = co_await (*database)->write(loop, [](Session& session) -> Task<Result<>> {
      auto ran = co_await session.script("CREATE TABLE notes(id TEXT PRIMARY KEY, text TEXT)");
      co_return ran;
    });
    co_return done;
  });
  ASSERT_TRUE(made);
  const Cell cells[] = {std::string("my secret")};
  add("INSERT INTO notes(id) SELECT id FROM notes WHERE text=?", cells);
  clock.now += SlowStatements::kBetweenLines;
  while (lines().empty()) std::this_thread::yield();
  add("INSERT INTO notes(id) SELECT id FROM notes WHERE text=?", cells);
  add("SELECT nothing FROM nowhere");
  database->reset();  // ends what is under way
  auto all = lines();
  ASSERT_EQ(all.size(), 3u);
  std::erase_if(all,
                [](const auto& line) { return line.contains("nowhere"); });  // told by another thread, perhaps first
  ASSERT_EQ(all.size(), 2u);
  EXPECT_TRUE(all[0].contains(R"("plan":"SCAN notes")")) << all[0];
  EXPECT_FALSE(all[1].contains("\"plan\"")) << "not again so soon: " << all[1];
}

}  // namespace
}  // namespace plimsoll::database
