#include "plimsoll/database/postgres_error.hpp"

#include "plimsoll/async/scope.hpp"
#include "plimsoll/database/database.hpp"

#include <gtest/gtest.h>

namespace plimsoll::database {
namespace {

TEST(PostgresError, ViolationsNameTheirColumns) {
  const struct {
    PostgresDiagnostics said;
    const Problem* problem;
    std::vector<std::string> pointers;
  } cases[] = {
      {{"23505", "duplicate key", "Key (name)=(a) already exists.", "thing", "", "thing_name_key"},
       &kConflict,
       {"/name"}},
      {{"23505", "doppelt", "Schl\u00fcssel \u00bb(tenant, \"a, b\")=(1, 2)\u00ab existiert bereits."},
       &kConflict,
       {"/tenant", "/a, b"}},
      {{"23505", "duplicate key", "Key (lower(name), year)=(a, 1) already exists."}, &kConflict, {"/year"}},
      {{"23505", "duplicate key"}, &kConflict, {}},
      {{"23502", "null value", "", "thing", "name", ""}, &kConstraint, {"/name"}},
      {{"23514", "breaks", "", "thing", "", "size"}, &kConstraint, {"/size"}},
      {{"23514", "breaks", "", "thing", "", "thing.size:minimum"}, &kConstraint, {"/size"}},
      {{"23514", "breaks", "", "thing", "", "thing_max_size_check1"}, &kConstraint, {"/max_size"}},
      {{"23514", "breaks", "", "thing", "", "thing_check"}, &kConstraint, {}},
      {{"23514", "breaks", "", "", "", "email_check"}, &kConstraint, {}},
      {{"23503", "breaks", "Key (thing)=(9) is not present in table \"thing\".", "part"}, &kConstraint, {"/thing"}},
      {{"23503", "breaks", "Key (id)=(9) is still referenced from table \"part\".", "part"}, &kConflict, {}},
      {{"22P02", "invalid input syntax for type integer"}, &kConstraint, {}},
      {{"P0001", "no sundays"}, &kConflict, {}},
  };
  for (const auto& c : cases) {
    auto error = postgres_error(c.said, "");
    EXPECT_EQ(error.problem, c.problem) << c.said.detail;
    std::vector<std::string> pointers;
    for (auto& field : error.more().fields) pointers.push_back(field.pointer);
    EXPECT_EQ(pointers, c.pointers) << c.said.constraint << c.said.detail;
    EXPECT_NE(error.more().cause.find(c.said.message), std::string::npos);
  }
}

TEST(PostgresError, EachClassOfErrorsHasItsProblem) {
  const struct {
    const char* state;
    const Problem* problem;
  } cases[] = {{"40001", &kRunAgain},    {"40P01", &kRunAgain},    {"57014", &kDeadlineExceeded},
               {"55P03", &kBusy},        {"57P01", &kUnavailable}, {"57P03", &kUnavailable},
               {"08006", &kUnavailable}, {"53300", &kUnavailable}, {"53100", &kUnavailable},
               {"25006", &kUnavailable}, {"28P01", &kUnavailable}, {"42P01", &kInternal},
               {"25P02", &kInternal},    {"XX000", &kInternal},    {"54000", &kConstraint}};
  for (const auto& c : cases) EXPECT_EQ(postgres_error({c.state, "said"}, "SELECT 1").problem, c.problem) << c.state;
  const PostgresDiagnostics row{.sqlstate = "42501", .message = "new row", .routine = "ExecWithCheckOptions"};
  EXPECT_EQ(postgres_error(row, "").problem, &kConstraint) << "of a row, not of a table";
  EXPECT_EQ(postgres_error({"42501", "permission denied for table"}, "").problem, &kInternal);
  EXPECT_EQ(postgres_error({"53300", "too many"}, "").more().retry_after, 1);
  EXPECT_NE(postgres_error({"42P01", "no table"}, "SELECT 1").more().cause.find("SELECT 1"), std::string::npos);
}

TEST(PostgresError, TellsWhichErrorsEndTheConnection) {
  for (const auto* state : {"57P01", "57P02", "57P03", "08006", "25P03"}) EXPECT_TRUE(ends_connection(state)) << state;
  for (const auto* state : {"57014", "23505", "40001", "53100"}) EXPECT_FALSE(ends_connection(state)) << state;
}

TEST(PostgresError, AMissingRightBringsTheStatementThatGivesIt) {
  const struct {
    std::string_view state, message, sql, remedy;
  } cases[] = {
      {"42501", "permission denied for table orders", "SELECT id FROM orders", "GRANT SELECT ON orders TO web;"},
      {"42501", "permission denied for table orders", "SELECT id FROM orders FOR UPDATE SKIP LOCKED",
       "GRANT SELECT, UPDATE ON orders TO web;"},
      {"42501", "permission denied for table orders", "DELETE FROM orders WHERE id=$1",
       "GRANT SELECT, DELETE ON orders TO web;"},
      {"42501", "permission denied for table Order", "INSERT INTO \"Order\"(a) VALUES(1)",
       "GRANT INSERT ON \"Order\" TO web;"},
      {"42501", "permission denied for table o",
       "INSERT INTO o(a) VALUES(1) ON CONFLICT(a) DO UPDATE SET a=2 RETURNING a",
       "GRANT SELECT, INSERT, UPDATE ON o TO web;"},
      {"42501", "permission denied for materialized view sums", "SELECT 1 FROM sums", "GRANT SELECT ON sums TO web;"},
      {"42501", "permission denied for sequence orders_id_seq", "INSERT INTO orders DEFAULT VALUES",
       "GRANT USAGE ON SEQUENCE orders_id_seq TO web;"},
      {"42501", "permission denied for schema billing", "SELECT 1 FROM billing.a",
       "GRANT USAGE ON SCHEMA billing TO web;"},
      {"42501", "permission denied for schema public", "CREATE TABLE a(b INTEGER)",
       "GRANT USAGE, CREATE ON SCHEMA public TO web;"},
      {"42501", "permission denied for function f", "SELECT f()", "GRANT EXECUTE ON ROUTINE f TO web;"},
      {"3F000", "no schema has been selected to create in", "CREATE TABLE a(b INTEGER)",
       "GRANT USAGE, CREATE ON SCHEMA public TO web;"},
  };
  for (const auto& c : cases) {
    const auto error = postgres_error({.sqlstate = c.state, .message = c.message, .role = "web"}, c.sql);
    EXPECT_TRUE(is_refused_statement(error)) << c.message;
    EXPECT_EQ(remedy_of(error), c.remedy) << c.message;
    EXPECT_NE(reason_of(error).find(std::string(c.state) + ": " + std::string(c.message) + " (role web)"),
              std::string::npos)
        << reason_of(error);
    EXPECT_EQ(error.detail, "") << "nothing of it is for callers";
  }
  // What no GRANT gives, and what is said in another language, has a remedy all the same.
  for (const std::string_view message : {"must be owner of table orders", "keine Berechtigung f\u00fcr Tabelle orders"})
    EXPECT_FALSE(own_remedy_of(postgres_error({.sqlstate = "42501", .message = message, .role = "web"}, "")).empty());
}

}  // namespace
}  // namespace plimsoll::database
