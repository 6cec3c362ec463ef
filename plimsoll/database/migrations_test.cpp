#include "plimsoll/database/migrations.hpp"

#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>
#include <fstream>
#include <thread>

namespace plimsoll::database {
namespace {

using State = MigrationStatus::State;

class Migrations : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder / "m");
    database = open();
  }
  std::unique_ptr<Database> open() {
    auto opened = open_sqlite({.path = folder / "m.db"});
    return opened ? std::move(*opened) : nullptr;
  }
  void file(const std::string& name, const std::string& sql) {
    std::ofstream(folder / ("m/" + name + ".sql").c_str()) << sql;
  }
  Result<std::vector<std::string>> up(Database& on) {
    auto files = read_migrations(folder / "m");
    if (!files) return std::unexpected(files.error());
    return apply_migrations(on, *files, 1'700'000'000'000'000'000);
  }
  std::vector<State> states() {
    std::vector<State> all;
    auto status = migration_status(*database, *read_migrations(folder / "m"));
    for (auto& one : *status) all.push_back(one.state);
    return all;
  }
  TestFolder folder;
  std::unique_ptr<Database> database;
};

TEST_F(Migrations, AreAppliedInOrderAndOnce) {
  file("0002_b", "INSERT INTO t VALUES(2); -- a comment; with a semicolon\nINSERT INTO t VALUES(';');");
  file(
      "0001_a",
      "CREATE TABLE t(x);\nCREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET x=x; DELETE FROM t WHERE x=0; END;\n");
  EXPECT_EQ(states(), (std::vector{State::pending, State::pending}));
  auto first = up(*database);
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_EQ(*first, (std::vector<std::string>{"0001_a", "0002_b"}));
  EXPECT_EQ(up(*database)->size(), 0u);
  EXPECT_EQ(states(), (std::vector{State::applied, State::applied}));
}

TEST_F(Migrations, OneThatFailsLeavesNothingAndStopsTheRest) {
  file("1", "CREATE TABLE a(x);");
  file("2", "CREATE TABLE b(x); INSERT INTO nowhere VALUES(1);");
  file("3", "CREATE TABLE c(x);");
  auto failed = up(*database);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().detail.find("migration 2 failed"), std::string::npos) << failed.error().detail;
  EXPECT_NE(failed.error().detail.find("no such table: nowhere"), std::string::npos) << failed.error().detail;
  EXPECT_EQ(states(), (std::vector{State::applied, State::pending, State::pending}));
  file("2", "CREATE TABLE b(x);");
  EXPECT_EQ(up(*database)->size(), 2u);
}

TEST_F(Migrations, CannotEndTheTransactionTheyRunIn) {
  file("1", "CREATE TABLE a(x); COMMIT; CREATE TABLE b(x);");
  EXPECT_FALSE(up(*database));
}

TEST_F(Migrations, EditedMissingAndOutOfOrderFilesAreRefused) {
  file("2", "CREATE TABLE b(x);");
  ASSERT_TRUE(up(*database));
  file("2", "CREATE TABLE b(x, y);");
  EXPECT_EQ(states(), std::vector{State::changed});
  EXPECT_NE(up(*database).error().detail.find("edited"), std::string::npos);
  file("2", "CREATE TABLE b(x);");
  file("1", "CREATE TABLE a(x);");
  EXPECT_EQ(states(), (std::vector{State::out_of_order, State::applied}));
  EXPECT_FALSE(up(*database));
  std::filesystem::remove(folder / "m/1.sql");
  std::filesystem::remove(folder / "m/2.sql");
  EXPECT_EQ(states(), std::vector{State::missing});
  EXPECT_FALSE(up(*database));
}

TEST_F(Migrations, TwoProcessesAtOnceApplyEachFileOnce) {
  for (int i = 1; i < 8; ++i)
    file(std::to_string(i),
         "CREATE TABLE t" + std::to_string(i) + "(x); INSERT INTO t" + std::to_string(i) + " VALUES(1);");
  auto other = open();
  std::size_t applied[2] = {};
  {
    std::jthread a([&] { applied[0] = up(*database).value_or(std::vector<std::string>(99)).size(); });
    std::jthread b([&] { applied[1] = up(*other).value_or(std::vector<std::string>(99)).size(); });
  }
  EXPECT_EQ(applied[0] + applied[1], 7u);
}

}  // namespace
}  // namespace plimsoll::database
