#include "plimsoll/database/sqlite_words.hpp"

#include "plimsoll/database/sqlite_dialect.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace plimsoll::database {
namespace {

class Words : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
    ASSERT_TRUE(add_word_function(db, budget));
    run("CREATE TABLE rows(id INTEGER PRIMARY KEY, name TEXT, note TEXT)");
    run("CREATE VIRTUAL TABLE found USING fts5(name, note, content='', tokenize='unicode61 remove_diacritics 2')");
  }
  void TearDown() override { sqlite3_close(db); }
  void run(const std::string& sql) {
    ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sql << sqlite3_errmsg(db);
  }
  void put(int id, const std::string* name, const std::string& note) {
    for (const char* sql : {"INSERT INTO rows VALUES(?,?,?)", "INSERT INTO found(rowid,name,note) VALUES(?,?,?)"}) {
      sqlite3_stmt* statement = nullptr;
      ASSERT_EQ(sqlite3_prepare_v2(db, sql, -1, &statement, nullptr), SQLITE_OK);
      sqlite3_bind_int(statement, 1, id);
      if (name) sqlite3_bind_text(statement, 2, name->data(), static_cast<int>(name->size()), SQLITE_STATIC);
      sqlite3_bind_text(statement, 3, note.data(), static_cast<int>(note.size()), SQLITE_STATIC);
      EXPECT_EQ(sqlite3_step(statement), SQLITE_DONE);
      sqlite3_finalize(statement);
    }
  }
  /// The rows that a statement gives for words; `code`: how it ended.
  std::string found_by(const char* sql, const std::string& words, int* code = nullptr) {
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db, sql, -1, &statement, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
    sqlite3_bind_text(statement, 1, words.data(), static_cast<int>(words.size()), SQLITE_STATIC);
    std::string ids;
    int last;
    while ((last = sqlite3_step(statement)) == SQLITE_ROW)
      ids += std::to_string(sqlite3_column_int(statement, 0)) + " ";
    if (code)
      *code = last;
    else
      EXPECT_EQ(last, SQLITE_DONE) << words << sqlite3_errmsg(db);
    sqlite3_finalize(statement);
    return ids;
  }
  static constexpr auto kByRow = "SELECT id FROM rows WHERE plimsoll_finds(?,name,note) ORDER BY id";
  static constexpr auto kByIndex = "SELECT rowid FROM found WHERE found MATCH ? ORDER BY rowid";

  sqlite3* db = nullptr;
  TextBudget budget;
};

TEST_F(Words, AreFoundInARowJustWhereTheIndexFindsThem) {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  std::mt19937 random{seed};
  const std::vector<std::string> pieces{
      "a",  "A",  "ab", "weg",  "Weg", "é",    "É",    "e\xcc\x81",    "ß",   "日本",
      "日", "\"", "-",  "*",    " ",   "  ",   ".",    "x_y",          "1.5", "𝄞",
      "\n", "OR", "(",  "null", "'",   "NEAR", "\xff", "\xe2\x80\xae", "ǅ",   "name:"};
  const auto text = [&](std::size_t most) {
    std::string made;
    for (auto n = random() % most; n > 0; --n) {
      made += pieces[random() % pieces.size()];
      if (random() % 3) made += ' ';
    }
    return made;
  };
  for (int i = 1; i <= 300; ++i) {
    const auto name = text(8), note = i % 50 ? text(12) : std::string(40'000, 'z') + " " + text(4);
    put(i, i % 7 ? &name : nullptr, note);
  }
  std::size_t rows = 0;
  const int rounds = std::getenv("PLIMSOLL_TORTURE") ? 20'000 : 1'000;
  for (int i = 0; i < rounds; ++i) {
    const auto typed = i == 0 ? std::string(40'000, 'z') : text(5);
    const auto words = sqlite_dialect().search_words(typed);
    if (words.empty()) continue;
    const auto expected = found_by(kByIndex, words);
    ASSERT_EQ(found_by(kByRow, words), expected) << typed << " is " << words;
    rows += expected.size();
  }
  EXPECT_GT(rows, 1'000U);
}

TEST_F(Words, AreLookedForInNoMoreTextThanAllowed) {
  for (int i = 1; i <= 10; ++i) put(i, nullptr, std::string(100, 'x'));
  int code = 0;
  budget.left = 1'000;
  EXPECT_EQ(found_by(kByRow, "\"y\"", &code), "");
  EXPECT_EQ(code, SQLITE_DONE);
  budget.left = 999;
  (void)found_by(kByRow, "\"y\"", &code);
  EXPECT_EQ(code & 0xff, SQLITE_INTERRUPT);
}

}  // namespace
}  // namespace plimsoll::database
