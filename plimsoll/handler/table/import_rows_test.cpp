#include "plimsoll/handler/table/import_rows.hpp"

#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>

namespace plimsoll::table {
namespace {

Table parts() {
  Table table;
  table.name = "parts";
  const std::pair<const char*, Kind> columns[] = {{"sku", Kind::text},
                                                  {"amount", Kind::integer},
                                                  {"fragile", Kind::boolean},
                                                  {"tags", Kind::json},
                                                  {"price", Kind::decimal}};
  for (const auto& [name, kind] : columns) {
    auto& column = table.columns.emplace_back();
    column.name = name;
    column.kind = kind;
  }
  return table;
}

/// Each row as JSON, or what is wrong, with its line.
std::vector<std::string> read(ImportRows::Format format, std::string_view text, std::size_t piece) {
  const auto table = parts();
  const contract::Sanitizer none;
  ImportRows rows{table, format, none};
  std::vector<std::string> all;
  for (bool ended = false; !ended;) {
    ended = text.empty();
    if (ended)
      rows.end();
    else
      rows.feed(text.substr(0, piece));
    text.remove_prefix(std::min(piece, text.size()));
    for (;;) {
      Arena arena;
      const auto state = rows.next(arena);
      if (state == ImportRows::State::more) break;
      const auto line = std::to_string(rows.line()) + " ";
      all.push_back(line + (state == ImportRows::State::row ? json::to_string(rows.row()) : std::string(rows.why())));
      if (state == ImportRows::State::wrong) return all;
    }
  }
  return all;
}

using Lines = std::vector<std::string>;

TEST(ImportRows, CellsAreValuesOfTheirColumns) {
  constexpr std::string_view kText =
      "sku,amount,fragile,tags,price\n7,7,true,\"[1]\",7\n\"\",,,,\nx,1.5,no,plain,\"1.50\"\n";
  const Lines expected{R"(2 {"sku":"7","amount":7,"fragile":true,"tags":[1],"price":"7"})", R"(3 {"sku":""})",
                       R"(4 {"sku":"x","amount":1.5,"fragile":"no","tags":"plain","price":"1.50"})"};
  for (const std::size_t piece : {1, 2, 5, 1000}) EXPECT_EQ(read(ImportRows::Format::csv, kText, piece), expected);
}

TEST(ImportRows, LinesAreJson) {
  constexpr std::string_view kText = "{\"sku\":\"a\"}\r\n\n{\"sku\":\"b\"}\nno\n[1]";
  for (const std::size_t piece : {1, 3, 1000}) {
    const auto all = read(ImportRows::Format::ndjson, kText, piece);
    ASSERT_EQ(all.size(), 4u);
    EXPECT_EQ(all[0], R"(1 {"sku":"a"})");
    EXPECT_EQ(all[1], R"(3 {"sku":"b"})");
    EXPECT_TRUE(all[2].starts_with("4 is not JSON: ")) << all[2];
    EXPECT_EQ(all[3], "5 [1]") << "whoever checks it says what is wrong with it";
  }
}

TEST(ImportRows, AFirstLineThatDoesNotFitEndsTheReading) {
  using enum ImportRows::Format;
  EXPECT_EQ(read(csv, "sku,colour\nx,y\n", 4),
            (Lines{"1 the first line names \"colour\", and the table has no such column"}));
  EXPECT_EQ(read(csv, "sku,sku\nx,y\n", 4), (Lines{"1 the first line names \"sku\" twice"}));
  EXPECT_EQ(read(csv, "sku\nx\ny,z\n\xFF\nw\n", 4),
            (Lines{"2 {\"sku\":\"x\"}", "3 has 2 cells, and the first line names 1",
                   "4 has a cell that is not UTF-8: sku", "5 {\"sku\":\"w\"}"}));
}

TEST(ImportRows, ARowHasALongestLength) {
  using enum ImportRows::Format;
  const std::string text(ImportRows::kLongestRow + 1, 'x');
  EXPECT_EQ(read(ndjson, "{}\n" + text, 4096).back(), "2 a row is longer than allowed");
  EXPECT_EQ(read(csv, "sku\n" + text, 4096).back(), "2 a row is longer than allowed");
}

}  // namespace
}  // namespace plimsoll::table
