#include "plimsoll/client/graphql_document.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

namespace plimsoll::client {
namespace {

using enum GraphqlOperation;

TEST(GraphqlDocument, TellsTheKindOfItsOperation) {
  const struct {
    const char *document, *name;
    GraphqlOperation kind;
  } cases[] = {
      {"{a}", "", query},
      {"query{a}", "", query},
      {"query Q {a}", "", query},
      {"query Q {a}", "Q", query},
      {"query ($a: Int = 1, $b: In = {x: {y: 2}}) @d(e: {f: 1}) { a }", "", query},
      {"mutation {a}", "", mutation},
      {"mutation M($a: In) { a }", "M", mutation},
      {"subscription {a}", "", subscription},
      {"\xEF\xBB\xBF # mutation {\n , query { a }", "", query},
      {"# query {a}\nmutation {a}", "", mutation},
      {"#\rmutation{a}", "", mutation},
      {"fragment F on T { a } { ...F }", "", query},
      {"{ ...F } fragment F on T { a }", "", query},
      {"fragment mutation on T { a } query Q { ...mutation }", "", query},
      {"query mutation { a }", "", query},
      {"mutation query { a }", "", mutation},
      {"query Q {a} mutation M {b}", "Q", query},
      {"query Q {a} mutation M {b}", "M", mutation},
      {R"({ a(b: "} mutation { c") })", "", query},
      {R"({ a(b: "\"} mutation { c") })", "", query},
      {R"({ a(b: """ " } mutation { \""" } """) })", "", query},
      {R"(query Q { a(b: """""") } mutation M { a })", "M", mutation},
  };
  for (const auto& each : cases) EXPECT_EQ(graphql_operation(each.document, each.name), each.kind) << each.document;
}

TEST(GraphqlDocument, WhatCannotBeToldCountsAsAMutation) {
  for (const auto* document : {"",
                               "#",
                               "query",
                               "query {",
                               "{a",
                               "a}",
                               "{a}}",
                               "{a} {b}",
                               "query A {a} query B {b}",
                               "type T { a: Int } {a}",
                               R"({ a(b: "x })",
                               "{ a(b: \"x\n\") }",
                               R"({ a(b: """x) })",
                               "{a} mutation",
                               "{a} mutation M",
                               "Query {a}",
                               "query M Q[} a[M}",
                               "query Q x {a}",
                               "query Q [a] {a}",
                               "query Q @ {a}",
                               "{a(b: [1})]}",
                               "query Q @a(b {c}) {a"})
    EXPECT_EQ(graphql_operation(document, ""), mutation) << document;
  EXPECT_EQ(graphql_operation("query Q {a}", "q"), mutation);
  EXPECT_EQ(graphql_operation("{a}", "Q"), mutation);
}

// Documents made of definitions whose order, names, strings, comments and blanks are random: the kind is that of the
// definition that is meant, whatever the others say in their texts.
TEST(GraphqlDocument, WhateverItsTextsSay) {
  const auto* said = std::getenv("PLIMSOLL_SEED");
  const auto seed = said ? static_cast<unsigned>(std::strtoul(said, nullptr, 10)) : std::random_device{}();
  SCOPED_TRACE("PLIMSOLL_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  const auto any = [&](std::initializer_list<const char*> of) { return std::string(of.begin()[random() % of.size()]); };
  const auto blank = [&] {
    return any({" ", "\n", ",", "\t", "# mutation M { a }\n", "# \" \"\"\" {{\r\n", "\xEF\xBB\xBF "});
  };
  const auto text = [&] {
    return any({R"("")", R"("mutation { a }")", R"("\"}")", R"("\\")", "\"\"\"mutation M { \"quoted\" }\"\"\"",
                "\"\"\" \\\"\"\" } \"\"\"", R"("# no comment")", "\"\"\"\"\"\""});
  };
  const auto selection = [&](auto&& self, int depth) -> std::string {
    std::string made = "{" + blank();
    for (auto i = random() % 3 + 1; i > 0; --i) {
      made += any({"a", "mutation", "query: b", "... on T"}) + blank();
      if (random() % 2) made += "(x: [" + text() + blank() + "{y: {z: " + text() + "}}])" + blank();
      if (depth > 0 && random() % 2) made += self(self, depth - 1) + blank();
    }
    return made + "}";
  };
  for (int i = 0; i < 5000; ++i) {
    std::string document;
    const auto count = random() % 4 + 1, wanted = random() % count;
    auto kind = mutation;
    for (std::size_t at = 0; at < count; ++at) {
      const auto keyword = any({"query", "mutation", "subscription"});
      if (at == wanted) kind = keyword == "query" ? query : keyword == "mutation" ? mutation : subscription;
      document += blank() + keyword + blank() + "Op" + std::to_string(at) + blank();
      if (random() % 2) document += "($v: T = {mutation: [" + text() + "]}" + blank() + ")" + blank();
      if (random() % 2) document += "@d(e: " + text() + ")" + blank();
      document += selection(selection, 2) + blank();
      if (random() % 2) document += "fragment query on T" + blank() + selection(selection, 1) + blank();
    }
    ASSERT_EQ(graphql_operation(document, "Op" + std::to_string(wanted)), kind) << document;
  }
}

}  // namespace
}  // namespace plimsoll::client
