#include "plimsoll/database/postgres_statement.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {
namespace {

TEST(PostgresStatement, NumbersParametersOutsideQuotesAndComments) {
  const struct {
    const char *sql, *numbered;
  } cases[] = {
      {"SELECT 1", "SELECT 1"},
      {"SELECT ?, ? FROM t WHERE a=?", "SELECT $1, $2 FROM t WHERE a=$3"},
      {"SELECT ?2, ?1, ?12", "SELECT $2, $1, $12"},
      {"SELECT '?', 'it''s ?', ?", "SELECT '?', 'it''s ?', $1"},
      {"SELECT \"a?\"\"b?\", ?", "SELECT \"a?\"\"b?\", $1"},
      {"SELECT E'\\'?', e'\\\\', ?", "SELECT E'\\'?', e'\\\\', $1"},
      {"SELECT type'\\', ?", "SELECT type'\\', $1"},
      {"SELECT ? -- what?\n, ?", "SELECT $1 -- what?\n, $2"},
      {"SELECT /* ? /* ? */ ? */ ?", "SELECT /* ? /* ? */ ? */ $1"},
      {"SELECT $$?$$, $q$ $$ ? $q$, ?", "SELECT $$?$$, $q$ $$ ? $q$, $1"},
      {"SELECT a$b, $1", "SELECT a$b, $1"},
      {"SELECT data ?? 'k' AND a=?", "SELECT data ? 'k' AND a=$1"},
      {"SELECT '?", "SELECT '?"},
      {"SELECT /*?", "SELECT /*?"},
      {"", ""},
  };
  for (const auto& c : cases) EXPECT_EQ(numbered_parameters(c.sql), c.numbered) << c.sql;
}

TEST(PostgresStatement, RecognizesReads) {
  for (const auto* sql : {"SELECT 1", "  select 'insert' -- delete\n", "(SELECT 1) UNION (SELECT 2)", "TABLE t",
                          "VALUES (1)", "WITH a AS (SELECT 1) SELECT * FROM a", "SELECT updated FROM t"})
    EXPECT_TRUE(reads_only(sql)) << sql;
  for (const auto* sql : {"", "INSERT INTO t VALUES(1)", "WITH a AS (DELETE FROM t RETURNING 1) SELECT * FROM a",
                          "SELECT 1 FROM t FOR UPDATE", "SELECT 1 INTO t", "CALL p()", "EXPLAIN ANALYZE SELECT 1"})
    EXPECT_FALSE(reads_only(sql)) << sql;
}

TEST(PostgresStatement, FindsTheTablesWritten) {
  const struct {
    const char* sql;
    std::vector<std::string> tables;
  } cases[] = {
      {"SELECT * FROM a WHERE x='insert into b'", {}},
      {"INSERT INTO a(x) SELECT y FROM b", {"a"}},
      {"insert into shop.\"Order Items\" values(1) ON CONFLICT(id) DO UPDATE SET x=1", {"Order Items"}},
      {"UPDATE ONLY A SET x=1", {"a"}},
      {"DELETE FROM a USING b", {"a"}},
      {"WITH gone AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM gone", {"a", "b"}},
      {"MERGE INTO a USING b ON a.id=b.id WHEN MATCHED THEN UPDATE SET x=1", {"a"}},
      {"TRUNCATE TABLE a", {"a"}},
      {"SELECT 1 FROM a FOR UPDATE", {}},
      {"SELECT 1 FROM a FOR NO KEY UPDATE SKIP LOCKED", {}},
      {"DELETE FROM a WHERE x IN (SELECT x FROM b) -- update c", {"a"}},
  };
  for (const auto& c : cases) EXPECT_EQ(tables_written(c.sql), c.tables) << c.sql;
}

}  // namespace
}  // namespace plimsoll::database
