#include "plimsoll/handler/job/declaration.hpp"
#include "plimsoll/handler/job/run.hpp"
#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>

namespace plimsoll::handler::job {
namespace {

Result<Declaration> declared(std::string_view text, std::string_view method) {
  Arena arena;
  auto value = json::parse(text, arena);
  EXPECT_TRUE(value) << text;
  return read(*value, method);
}

TEST(JobDeclaration, TheMethodTellsTheAction) {
  EXPECT_EQ(declared(R"("report")", "POST")->action, Action::start);
  EXPECT_EQ(declared(R"("report")", "GET")->action, Action::status);
  EXPECT_EQ(declared(R"("report")", "DELETE")->action, Action::cancel);
  EXPECT_EQ(declared(R"({"kind":"report","action":"result"})", "GET")->action, Action::result);
  EXPECT_EQ(declared(R"({"kind":"report","action":"cancel"})", "POST")->action, Action::cancel);
}

TEST(JobDeclaration, WhatChangesSomethingIsNoGet) {
  EXPECT_FALSE(declared(R"({"kind":"report","action":"start"})", "GET"));
  EXPECT_FALSE(declared(R"({"kind":"report","action":"status"})", "POST"));
  EXPECT_FALSE(declared(R"({"kind":"report","action":"stop"})", "POST"));
  EXPECT_FALSE(declared(R"({"action":"status"})", "GET"));
  EXPECT_FALSE(declared(R"({"kind":"report","acton":"status"})", "GET"));
}

TEST(NamedStatement, NamesBecomeParametersInTheirOrder) {
  auto read = named_statement("UPDATE orders SET status = :status, note = :note WHERE id = :id AND :status <> ''");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->sql, "UPDATE orders SET status = ?, note = ? WHERE id = ? AND ? <> ''");
  EXPECT_EQ(read->names, (std::vector<std::string>{"status", "note", "id", "status"}));
}

TEST(NamedStatement, TextsNamesCommentsAndCastsAreLeftAlone) {
  for (auto* text : {"SELECT ':a', 'it''s :b', \":c\", `:d` -- :e\n FROM t", "SELECT 1 /* :a ? */", "SELECT x::text",
                     "SELECT ':never ends"}) {
    auto read = named_statement(text);
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(read->sql, text);
    EXPECT_TRUE(read->names.empty()) << text;
  }
  EXPECT_FALSE(named_statement("SELECT ?"));
}

TEST(NamedStatement, NoTextMakesItReadBeyondItsEnd) {
  for (std::string_view text : {"'", "\"", ":", "::", "-", "--", "/*", "'a''", ":a:", "/"})
    EXPECT_TRUE(named_statement(text)) << text;
}

TEST(HttpRun, AUrlThatIsNoneIsRefusedAtTheStart) {
  Arena arena;
  for (auto* text :
       {R"("ftp://x")", R"("http://")", R"("http://user@x/")", R"({"url":"http://x:0/"})", R"({"uri":"http://x"})"}) {
    auto value = json::parse(text, arena);
    EXPECT_FALSE(run_http(*value)) << text;
  }
  auto fine = json::parse(R"({"url":"https://[::1]:9/x?y","headers":{"authorization":"Bearer t"}})", arena);
  EXPECT_TRUE(run_http(*fine));
}

}  // namespace
}  // namespace plimsoll::handler::job
