#include "plimsoll/database/sqlite_files.hpp"

#include "plimsoll/database/sqlite_connection.hpp"
#include "plimsoll/database/test_folder.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

namespace plimsoll::database {
namespace {

class SqliteFiles : public testing::Test {
 protected:
  std::unique_ptr<SqliteConnection> writer(const std::string& path) {
    auto opened = SqliteConnection::open({.path = path}, SqliteConnection::Role::writer);
    EXPECT_TRUE(opened) << reason_of(opened.error());
    return std::move(*opened);
  }
  static std::string bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static mode_t mode(const std::string& path) {
    struct stat is{};
    return ::stat(path.c_str(), &is) == 0 ? is.st_mode & 0777 : 0;
  }
  TestFolder folder;
  const std::string path = folder / "a.db";
};

TEST_F(SqliteFiles, ANewDatabaseAndItsLogAreForTheirOwnerAlone) {
  const auto before = ::umask(0);
  auto connection = writer(path);
  ASSERT_TRUE(connection->script("CREATE TABLE t(a); INSERT INTO t VALUES(1)"));
  ::umask(before);
  EXPECT_EQ(mode(path), 0600u);
  EXPECT_EQ(mode(path + "-wal"), 0600u);
  EXPECT_EQ(mode(path + "-shm"), 0600u);
}

TEST_F(SqliteFiles, ABackupOfADatabaseInUseIsItsLastCommit) {
  auto connection = writer(path);
  ASSERT_TRUE(
      connection->script("CREATE TABLE t(a TEXT COLLATE decimal UNIQUE); INSERT INTO t VALUES('1.5'),('10'),('9'); "
                         "BEGIN; INSERT INTO t VALUES('never committed')"));
  const auto to = folder / "copy.db";
  auto done = back_up({.path = path}, to);
  ASSERT_TRUE(done) << reason_of(done.error());
  EXPECT_EQ(mode(to), 0600u);
  auto copy = writer(to);
  RowKeeper rows;
  ASSERT_TRUE(copy->run("SELECT a FROM t ORDER BY a", {}, &rows));
  EXPECT_EQ(rows.rows, (Rows{{"1.5"}, {"9"}, {"10"}}));
  EXPECT_FALSE(back_up({.path = path}, to)) << "nothing is written over";
  EXPECT_FALSE(back_up({.path = folder / "none.db"}, folder / "other.db"));
  EXPECT_FALSE(std::ifstream(folder / "other.db").good());
  EXPECT_FALSE(std::ifstream(folder / "copy.db.part").good());
}

TEST_F(SqliteFiles, VerificationFindsDamageAndStrayRows) {
  {
    auto connection = writer(path);
    ASSERT_TRUE(connection->script(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE child(parent REFERENCES parent(id)); "
        "CREATE TABLE t(a TEXT COLLATE decimal); CREATE INDEX i ON t(a); INSERT INTO t VALUES('1'),('2'); "
        "PRAGMA foreign_keys=OFF"));
    EXPECT_EQ(verify({.path = path}).value().size(), 0u);
    ASSERT_TRUE(connection->script("INSERT INTO child VALUES(7)"));
    const auto strays = verify({.path = path}).value();
    ASSERT_EQ(strays.size(), 1u);
    EXPECT_NE(strays[0].find("a row of child (rowid 1) refers to a row of parent"), std::string::npos) << strays[0];
    ASSERT_TRUE(connection->script("PRAGMA wal_checkpoint(TRUNCATE)"));
  }
  auto whole = bytes(path);
  ASSERT_GT(whole.size(), 8192u);
  for (std::size_t i = 4096; i < whole.size(); ++i) whole[i] = static_cast<char>(i * 7);
  std::ofstream(path, std::ios::binary) << whole;
  const auto damage = verify({.path = path});
  EXPECT_TRUE(!damage || !damage->empty());
}

TEST_F(SqliteFiles, WhatAKilledWriterLeftInTheLogIsTold) {
  EXPECT_FALSE(inspect_wal(path)) << "there is no log";
  // The files as they stand while the writer has committed twice and a third transaction has spilled into the log.
  auto connection = writer(path);
  ASSERT_TRUE(connection->script("CREATE TABLE t(a); INSERT INTO t VALUES(1)"));
  EXPECT_FALSE(inspect_wal(folder / "nowhere.db"));
  const auto take = [&](const char* name) {
    const auto to = folder / name;
    std::ofstream(to, std::ios::binary) << bytes(path);
    std::ofstream(to + "-wal", std::ios::binary) << bytes(path + "-wal");
    return to;
  };
  const auto clean = inspect_wal(take("clean.db"));
  ASSERT_TRUE(clean);
  EXPECT_GT(clean->kept, 0);
  EXPECT_EQ(clean->dropped, 0);
  ASSERT_TRUE(connection->script("PRAGMA cache_size=5; PRAGMA cache_spill=5"));
  ASSERT_TRUE(
      connection->script("BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) "
                         "INSERT INTO t SELECT randomblob(200) FROM n"));
  const auto copy = take("killed.db");
  const auto killed = inspect_wal(copy);
  ASSERT_TRUE(killed);
  EXPECT_EQ(killed->kept, clean->kept);
  EXPECT_GT(killed->dropped, 10);
  EXPECT_FALSE(killed->torn);
  // The judgement is SQLite's own: it keeps as many rows as were committed.
  RowKeeper rows;
  ASSERT_TRUE(writer(copy)->run("SELECT count(*) FROM t", {}, &rows));
  EXPECT_EQ(rows.rows, (Rows{{std::int64_t{1}}}));

  const auto half = take("half.db");
  auto log = bytes(half + "-wal");
  std::ofstream(half + "-wal", std::ios::binary | std::ios::trunc) << log.substr(0, log.size() - 100);
  EXPECT_TRUE(inspect_wal(half)->torn);
}

}  // namespace
}  // namespace plimsoll::database
