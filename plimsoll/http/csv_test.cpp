#include "plimsoll/http/csv_check.hpp"
#include "plimsoll/http/rows.hpp"

#include <gtest/gtest.h>

#include <random>

namespace plimsoll::http {
namespace {

using csv_check::Reading;
using csv_check::Row;
using Cells = std::vector<std::pair<std::string, bool>>;

Reading read(std::string_view text) { return csv_check::read(text, text.size() + 1); }

TEST(Csv, ReadsTheExamplesOfTheStandard) {
  const std::vector<Row> two{{{{"aaa", false}, {"bbb", false}, {"ccc", false}}, 1},
                             {{{"zzz", false}, {"yyy", false}, {"xxx", false}}, 2}};
  EXPECT_EQ(read("aaa,bbb,ccc\r\nzzz,yyy,xxx\r\n").rows, two);
  EXPECT_EQ(read("aaa,bbb,ccc\r\nzzz,yyy,xxx").rows, two) << "the last line break may be missing";
  EXPECT_EQ(read("aaa,bbb,ccc\nzzz,yyy,xxx\n").rows, two) << "LF alone";
  EXPECT_EQ(read("\"aaa\",\"b \r\nbb\",\"c\"\"c\"\r\n").rows[0].cells,
            (Cells{{"aaa", true}, {"b \r\nbb", true}, {"c\"c", true}}));
  EXPECT_EQ(read(" a ,b, c").rows[0].cells, (Cells{{" a ", false}, {"b", false}, {" c", false}}))
      << "spaces are part of a cell";
}

TEST(Csv, TellsNothingFromAnEmptyText) {
  EXPECT_EQ(read("a,,\"\"\n").rows[0].cells, (Cells{{"a", false}, {"", false}, {"", true}}));
  EXPECT_EQ(read("\"\"\n").rows.size(), 1u);
  EXPECT_TRUE(read("\n\r\n\n").rows.empty()) << "lines without a character";
  EXPECT_EQ(read(",\n").rows[0].cells.size(), 2u);
}

TEST(Csv, SaysInWhichLineARowBegins) {
  const auto all = read("id\n\n\"a\nb\"\nc\n");
  ASSERT_EQ(all.rows.size(), 3u);
  EXPECT_EQ(all.rows[1].line, 3);
  EXPECT_EQ(all.rows[2].line, 5);
}

TEST(Csv, PassesOverAByteOrderMark) {
  EXPECT_EQ(read("\xEF\xBB\xBF\"id\",n\n").rows[0].cells, (Cells{{"id", true}, {"n", false}}));
  EXPECT_EQ(read("\xEF\xBBx\n").rows[0].cells[0].first, "\xEF\xBBx") << "a part of one is a text";
}

TEST(Csv, RefusesWhatTheStandardDoesNotAllow) {
  const std::tuple<std::string_view, std::string_view, std::int64_t> cases[] = {
      {"a\nb\"c\n", "a quote inside of a cell that does not begin with one", 2},
      {"a\n\"b\"c\n", "text behind the closing quote of a cell", 2},
      {"a\rb\n", "a line break that is neither CRLF nor LF", 1},
      {"a\r", "a line break that is neither CRLF nor LF", 1},
      {"a\nb,\"c\n\n", "a quote that is never closed", 2},
  };
  for (const auto& [text, why, line] : cases) {
    const auto all = read(text);
    EXPECT_TRUE(all.wrong) << text;
    EXPECT_EQ(all.why, why);
    EXPECT_EQ(all.line, line) << text;
  }
}

TEST(Csv, HoldsNoRowThatIsLongerThanAllowed) {
  const CsvReader::Limits limits{.row = 10, .cells = 3};
  EXPECT_FALSE(csv_check::read("1234567890\n1,2,3\n", 4, limits).wrong);
  EXPECT_EQ(csv_check::read("x\n12345678901\n", 4, limits).why, "a row is longer than allowed");
  EXPECT_EQ(csv_check::read("\"1234567890\n", 4, limits).line, 1) << "also where a quote is never closed";
  EXPECT_EQ(csv_check::read("1,2,3,4\n", 4, limits).why, "a row has more cells than allowed");
}

TEST(Csv, ReadsWhatIsWrittenByExports) {
  const std::string_view texts[] = {"plain", "a,b", "say \"no\"", "two\r\nlines", " blanks ", "", "\"", "semi;colon"};
  std::string text;
  for (const auto one : texts) {
    if (!text.empty()) text += ',';
    append_csv_text(text, one);
  }
  const auto all = read(text + "\r\n");
  ASSERT_EQ(all.rows.size(), 1u);
  for (std::size_t i = 0; i < std::size(texts); ++i) EXPECT_EQ(all.rows[0].cells[i].first, texts[i]);
}

TEST(Csv, MeansTheSameInPiecesOfAnySize) {
  std::mt19937 random{20261129};
  constexpr std::string_view kPieces[] = {"a",    "bc", ",",  ",", "\"",           "\"\"",
                                          "\r\n", "\n", "\r", " ", "\xEF\xBB\xBF", "\xC3\xA4"};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    for (auto length = random() % 12; length > 0; --length) text += kPieces[random() % std::size(kPieces)];
    const auto fault = csv_check::fault(text);
    ASSERT_FALSE(fault) << *fault << " in: " << text;
  }
}

}  // namespace
}  // namespace plimsoll::http
