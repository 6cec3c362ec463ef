#include "plimsoll/http/rows.hpp"

#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace plimsoll::http {
namespace {

std::string cell(std::string_view text) {
  std::string out;
  append_csv_text(out, text);
  return out;
}

TEST(Csv, QuotesWhatMustBeQuoted) {
  EXPECT_EQ(cell("plain"), "plain");
  EXPECT_EQ(cell("a,b"), "\"a,b\"");
  EXPECT_EQ(cell("say \"hi\""), "\"say \"\"hi\"\"\"");
  EXPECT_EQ(cell("a\nb"), "\"a\nb\"");
  EXPECT_EQ(cell(" a"), "\" a\"");
  for (auto text : {"a;b", "a\tb", ";", "a;=1+1"}) EXPECT_EQ(cell(text), "\"" + std::string(text) + "\"");
  EXPECT_EQ(cell(""), "\"\"");
}

TEST(Csv, FormulasAreDefusedAndNumbersAreNot) {
  for (auto text :
       {"=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "--1", "-", "+", "-a", "-1e", "=cmd|' /C calc'!A0"})
    EXPECT_TRUE(cell(text).starts_with("\"'")) << text;
  for (auto text : {"-1", "+1.5", "-12.5e3", "1=1", "a=b", "a@b.example", "'=1"}) EXPECT_EQ(cell(text), text);
}

/// Spreadsheets take off what is not seen before they look, and take full-width signs for the narrow ones.
TEST(Csv, FormulasAreDefusedWhateverUnseenStandsBeforeThem) {
  const std::string_view unseen[] = {"",
                                     " ",
                                     "  ",
                                     "\x01",
                                     "\x1f",
                                     "\x7f",
                                     "\xC2\xA0",
                                     "\xC2\x85",
                                     "\xC2\xAD",
                                     "\xEF\xBB\xBF",
                                     "\xE2\x80\x8B",
                                     "\xE2\x80\x83",
                                     "\xE2\x81\xA0",
                                     "\xE3\x80\x80",
                                     " \t\xEF\xBB\xBF "};
  const std::string_view signs[] = {"=", "+", "-", "@", "\uFF1D", "\uFF0B", "\uFF0D", "\uFF20"};
  for (const auto before : unseen)
    for (const auto sign : signs) {
      const auto text = std::string(before) + std::string(sign) + "SUM(A1)";
      EXPECT_TRUE(cell(text).starts_with("\"'")) << text;
    }
  for (auto text : {"\u00e9=1", "\u2014 no", "\uFF11", "\xC2", "\xE2\x80"}) EXPECT_EQ(cell(text), text);
  EXPECT_EQ(cell(" a=1"), "\" a=1\"");
}

TEST(Csv, NumbersStayNumbers) {
  Arena arena;
  const auto row = json::parse(R"({"a":-1e-7,"b":-1E+20,"c":-0,"d":1e-7})", arena).value();
  constexpr std::string_view kColumns[] = {"a", "b", "c", "d"};
  std::string out;
  append_csv(out, row, kColumns);
  EXPECT_EQ(out.find('\''), out.npos) << out;
  EXPECT_EQ(out.find('"'), out.npos) << out;
  for (auto text : {"-1e-7", "+2E+3", "-.5"}) EXPECT_EQ(cell(text), text);
  for (auto text : {"-1e-", "-1e-7-1", "-1e7A1"}) EXPECT_TRUE(cell(text).starts_with("\"'")) << text;
}

TEST(Csv, ARowIsItsMembersInTheOrderOfTheColumns) {
  Arena arena;
  const auto row = json::parse(R"({"b":-1.50,"a":"x","d":null,"e":true,"f":[1,"="],"g":"=1"})", arena).value();
  constexpr std::string_view kColumns[] = {"a", "b", "c", "d", "e", "f", "g"};
  std::string out;
  append_csv_header(out, kColumns);
  append_csv(out, row, kColumns);
  EXPECT_EQ(out, "a,b,c,d,e,f,g\r\nx,-1.50,,,true,\"[1,\"\"=\"\"]\",\"'=1\"\r\n");
}

TEST(Ndjson, ARowIsALine) {
  Arena arena;
  std::string out;
  append_ndjson(out, json::parse("{\"a\": \"x\\ny\",\n \"b\": 1}", arena).value());
  EXPECT_EQ(out, "{\"a\":\"x\\ny\",\"b\":1}\n");
}

struct Counted final : Rows {
  Arena arena;
  json::Value row = json::parse(R"({"a":"0123456789012345678901234567890123456789"})", arena).value();
  int left, asked = 0;
  bool fails = false;
  explicit Counted(int count) : left(count) {}
  Task<Result<const json::Value*>> next() override {
    ++asked;
    if (left == 0 && fails) co_return fail(kInternal, "lost");
    if (left-- <= 0) co_return nullptr;
    co_return &row;
  }
};

/// Runs a task that never really waits.
Result<std::string> all(Stream& stream) {
  std::string out;
  for (;;) {
    auto task = stream.read();
    task.handle().resume();
    auto piece = task.handle().promise().take();
    if (!piece) return std::unexpected(piece.error());
    if (piece->empty()) return out;
    EXPECT_LT(piece->size(), 20'000u);
    out += as_text(*piece);
  }
}

TEST(RowStream, GathersRowsIntoPiecesAndEnds) {
  Counted rows{1000};
  RowStream stream{rows, {}};
  const auto text = all(stream);
  ASSERT_TRUE(text);
  EXPECT_EQ(std::ranges::count(*text, '\n'), 1000);
  EXPECT_EQ(rows.asked, 1001);
}

TEST(RowStream, AnEmptyTableHasItsHeaderAndAFaultIsOne) {
  Counted none{0};
  constexpr std::string_view kColumns[] = {"a"};
  RowStream empty{none, kColumns};
  EXPECT_EQ(all(empty).value(), "a\r\n");
  Counted broken{3};
  broken.fails = true;
  RowStream stream{broken, {}};
  EXPECT_FALSE(all(stream));
}

}  // namespace
}  // namespace plimsoll::http
