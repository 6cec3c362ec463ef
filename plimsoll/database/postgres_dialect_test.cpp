#include "plimsoll/database/postgres_dialect.hpp"

#include "plimsoll/database/dialect_conformance.hpp"
#include "plimsoll/database/postgres_server.hpp"
#include "plimsoll/database/sqlite_speaker.hpp"
#include "plimsoll/database/test_folder.hpp"

#include <array>
#include <cctype>
#include <cstdio>
#include <tuple>

namespace plimsoll::database {
namespace {

/// Says statements to a real PostgreSQL by psql: PREPARE, which is where types and names are checked, and EXECUTE.
struct PostgresSpeaker {
  PostgresSpeaker() {
    if (auto* server = PostgresServer::shared()) url = server->fresh_schema();
  }
  const Dialect& dialect() const { return postgres_dialect(); }
  std::string why_not() const { return url.empty() ? "PostgreSQL is not installed (package postgresql)" : ""; }

  Result<Rows> ask(std::string_view sql, std::span<const Cell> cells, std::string_view before = {}) {
    std::string script =
        "\\set ON_ERROR_STOP 1\n\\pset null '\\x01'\n\\pset fieldsep '\\x1f'\n\\pset recordsep '\\x1e'\n";
    if (cells.empty()) {
      script += std::string(sql) + ";\n";
    } else {
      script += "PREPARE q AS " + numbered(sql) + ";\n" + std::string(before) + "EXECUTE q(";
      for (std::size_t i = 0; i < cells.size(); ++i) (script += i ? "," : "") += literal(cells[i]);
      script += ");\n";
    }
    std::ofstream(folder / "script") << script;
    const auto command = "PGTZ=UTC PGCLIENTENCODING=UTF8 '" + PostgresServer::programs() + "/psql' -X -q -A -t -f '" +
                         (folder / "script") + "' '" + url + "' 2>'" + (folder / "said") + "'";
    auto* pipe = ::popen(command.c_str(), "r");
    if (!pipe) return fail(kUnavailable);
    std::string text;
    std::array<char, 4096> piece;
    while (const auto size = std::fread(piece.data(), 1, piece.size(), pipe)) text.append(piece.data(), size);
    if (::pclose(pipe) != 0) {
      std::ifstream said(folder / "said");
      return std::unexpected(Error{&kInternal}.because(std::string(std::istreambuf_iterator<char>(said), {})));
    }
    return rows_of(text);
  }

 private:
  static std::string numbered(std::string_view sql) {
    std::string made;
    int next = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < sql.size(); ++i) {
      made += sql[i];
      if (sql[i] == '\'') quoted = !quoted;
      if (sql[i] != '?' || quoted) continue;
      made.back() = '$';
      if (i + 1 >= sql.size() || !std::isdigit(static_cast<unsigned char>(sql[i + 1]))) made += std::to_string(++next);
    }
    return made;
  }
  static std::string literal(const Cell& cell) {
    if (cell.index() == 0) return "NULL";
    std::string made = "'";
    for (char c : shown(cell)) made += c == '\'' ? "''" : std::string(1, c);
    return made + "'";
  }
  /// By the conventions of `Cell`, as far as they can be told from the text.
  static Cell cell_of(std::string text) {
    if (text == "\x01") return {};
    if (text == "t" || text == "f") return std::int64_t{text == "t"};
    std::int64_t number{};
    const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
    if (read.ec == std::errc{} && read.ptr == text.data() + text.size()) return number;
    constexpr std::size_t kSeconds = 19;
    if (text.size() >= kSeconds + 3 && text[10] == ' ' && text.ends_with("+00") && text[4] == '-' && text[13] == ':') {
      text[10] = 'T';
      text.resize(text.size() - 3);
      text += 'Z';
    }
    return text;
  }
  static Rows rows_of(std::string_view text) {
    Rows rows;
    if (text.ends_with('\n')) text.remove_suffix(1);
    while (!text.empty()) {
      const auto end = std::min(text.find('\x1e'), text.size());
      auto line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      auto& row = rows.emplace_back();
      for (;;) {
        const auto field = std::min(line.find('\x1f'), line.size());
        row.push_back(cell_of(std::string(line.substr(0, field))));
        if (field == line.size()) break;
        line.remove_prefix(field + 1);
      }
    }
    return rows;
  }

  TestFolder folder;
  std::string url;
};
INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, DialectConformance, PostgresSpeaker);

/// The rows of a JSON text, embedded ones included.
std::int64_t rows_in(const json::Value& value) {
  std::int64_t rows = value.is(json::Type::object) ? 1 : 0;
  if (value.is(json::Type::object))
    for (auto& member : value.object()) rows += rows_in(member.value);
  if (value.is(json::Type::array))
    for (auto& item : value.array()) rows += rows_in(item);
  return rows;
}

TEST(Dialects, PostgresCountsTheRowsOfAStatementThatMayGiveTooMany) {
  PostgresSpeaker postgres;
  if (const auto why = postgres.why_not(); !why.empty()) GTEST_SKIP() << why;
  const auto& dialect = postgres.dialect();
  const Library library{dialect};
  const auto authors = library.authors(), books = library.books();
  for (const auto& table : {authors, books})
    for (auto& sql : dialect.create_table(table)) ASSERT_TRUE(postgres.ask(sql, {})) << sql;
  ASSERT_TRUE(
      postgres.ask("INSERT INTO authors(id,name) SELECT md5(g::text)::uuid,'a'||g FROM generate_series(1,6) g", {}));
  ASSERT_TRUE(
      postgres.ask("INSERT INTO books(author,title) SELECT CASE WHEN g%7>0 THEN md5((g%7)::text)::uuid END,'b'||g FROM "
                   "generate_series(1,40) g",
                   {}));
  Embedded writer{.of = authors.relation(), .name = "writer", .more = {}};
  writer.inside = {&library.author[0]};
  writer.outside = {&library.book[1]};
  writer.columns = {&library.author[1]};
  Embedded written{.of = books.relation(), .name = "books", .more = "books_has_more", .limit = 4};
  written.inside = {&library.book[1]};
  written.outside = {&library.author[0]};
  written.columns = {&library.book[2]};
  written.embeds = {writer};
  writer.embeds = {written};
  const auto ask = [&](std::optional<std::int64_t> most, std::int64_t limit, std::int64_t offset) {
    Select select{.from = books.relation(), .columns = {&library.book[2]}, .embeds = {writer}};
    select.places = {&library.book[0]};
    select.order = {{.column = &library.book[2], .descending = true}};
    select.limit = limit;
    select.offset = offset;
    select.most = most;
    const auto statement = dialect.select(select);
    EXPECT_EQ(statement.counted.has_value(), most.has_value() && limit * (1 + 1 + 4 * 2) > *most) << statement.sql;
    return postgres.ask(statement.sql, statement.cells);
  };
  for (const auto& [limit, offset] : {std::pair{7, 0}, std::pair{1000, 0}, std::pair{5, 20}}) {
    auto all = ask({}, limit, offset);
    ASSERT_TRUE(all) << all.error().more().cause;
    std::int64_t total = 0;
    for (auto& row : *all) {
      Arena arena;
      total += 1 + rows_in(*json::parse(std::get<std::string>(row[1]), arena));
    }
    ASSERT_GT(total, 3 * std::ssize(*all));
    for (const auto most : {total, total + 5}) {
      auto counted = ask(most, limit, offset);
      ASSERT_TRUE(counted) << counted.error().more().cause;
      if (counted->front().size() == all->front().size()) continue;  // there cannot be more
      EXPECT_EQ(counted->back().back(), Cell{most - total});
      for (auto& row : *counted) row.pop_back();
      EXPECT_EQ(shown(*counted), shown(*all));
    }
    for (const auto most : {total - 1, total / 2, std::int64_t{0}}) {
      auto counted = ask(most, limit, offset);
      ASSERT_FALSE(counted) << most << " of " << total;
      EXPECT_NE(counted.error().more().cause.find(kMoreThanAllowed), std::string::npos) << counted.error().more().cause;
    }
  }
}

/// Lists that nobody thought of: both engines give the same rows in the same order.
TEST(Dialects, EnginesAgreeOnRandomLists) {
  PostgresSpeaker postgres;
  if (const auto why = postgres.why_not(); !why.empty()) GTEST_SKIP() << why;
  SqliteSpeaker sqlite;
  const char* torture = std::getenv("PLIMSOLL_TORTURE");
  const int lists = torture && *torture ? 3'000 : 60;
  const char* given = std::getenv("PLIMSOLL_SEED");
  const unsigned seed = given ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  std::mt19937 random{seed};
  const auto below = [&](std::size_t most) { return std::uniform_int_distribution<std::size_t>{0, most - 1}(random); };
  const std::vector<std::vector<Cell>> values{
      {},
      {std::string("0190c1a2-0000-7000-8000-0000000000aa"), std::string("0190c1a2-0000-7000-8000-0000000000bb")},
      {std::string("a"), std::string("A"), std::string("b"), std::string("ß"), std::string("é"), std::string(""),
       std::string("ab"), std::string("a%b"), std::string("a_b"), std::string("\\"), std::string("日本"),
       std::string("a b"), std::string("Z")},
      {std::string("0"), std::string("1.50"), std::string("1.5"), std::string("-7"), std::string("10"),
       std::string("9.99"), std::string("100000000000000000000.01")},
      {std::string("0"), std::string("2.50"), std::string("-0.001"), std::string("12345678901234567890")},
      {0.0, 0.1, -2.5, 1e300, 3.0, 1e-7},
      {std::int64_t{0}, std::int64_t{1}},
      {std::string("2026-01-31T09:30:00Z"), std::string("2026-01-31T09:30:00.5Z"), std::string("1999-12-31T23:59:59Z"),
       std::string("2026-01-31T09:30:00.25Z")},
      {std::string("{}"), std::string("[1,2]"), std::string("null")},
      {std::string("x"), std::string("y z")},
      {std::string("u1"), std::string("U1"), std::string("u2")}};
  // One set of rows, in both.
  const Library in_sqlite{sqlite.dialect()}, in_postgres{postgres.dialect()};
  const auto both = [&](const auto& make) {
    const auto one = make(in_sqlite, sqlite.dialect()), other = make(in_postgres, postgres.dialect());
    auto rows = sqlite.ask(one.sql, one.cells), same = postgres.ask(other.sql, other.cells);
    ASSERT_TRUE(rows) << rows.error().more().cause << one.sql;
    ASSERT_TRUE(same) << same.error().more().cause << other.sql;
    ASSERT_EQ(shown(*rows), shown(*same)) << one.sql << "\n" << other.sql;
  };
  auto here = in_sqlite.books(), there = in_postgres.books();
  here.references.clear();  // there are no authors
  for (auto& sql : sqlite.dialect().create_table(here)) ASSERT_TRUE(sqlite.ask(sql, {})) << sql;
  for (auto& sql : postgres.dialect().create_table(there)) ASSERT_TRUE(postgres.ask(sql, {})) << sql;
  for (int row = 0; row < 40; ++row) {
    std::vector<Cell> cells(values.size());
    for (std::size_t i = 1; i < values.size(); ++i)
      if (i == 2 || below(4) > 0) cells[i] = values[i][below(values[i].size())];
    both([&](const Library& library, const Dialect& dialect) {
      const auto definition = library.books();
      Insert insert{.into = definition.relation(), .returning = pointers(library.book)};
      for (std::size_t i = 1; i < cells.size(); ++i)
        if (cells[i].index() != 0) insert.values.push_back({&library.book[i], &cells[i]});
      return dialect.insert(insert);
    });
    if (testing::Test::HasFatalFailure()) return;
  }
  for (int list = 0; list < lists; ++list) {
    struct Wish {
      std::size_t column;
      Operator op;
      std::vector<Cell> values;
      bool negated;
    };
    std::vector<Wish> wishes;
    for (auto left = below(3); left > 0; --left) {
      const auto column = 1 + below(values.size() - 1);
      auto op = static_cast<Operator>(below(9));
      if (column == 8) op = Operator::is_null;
      if (op == Operator::like && column != 2 && column != 9) op = Operator::eq;
      Wish wish{column, op, {}, below(2) == 0};
      const auto count = op == Operator::is_null ? 0 : op == Operator::in ? 1 + below(4) : 1;
      for (std::size_t i = 0; i < count; ++i) wish.values.push_back(values[column][below(values[column].size())]);
      if (op == Operator::like && below(2) == 0) wish.values[0] = std::string(below(2) ? "%A%" : "_b%");
      if (op == Operator::like && wish.values[0] == Cell{std::string("\\")}) wish.values[0] = std::string("\\\\");
      if (op != Operator::is_null) wish.negated = false;
      wishes.push_back(std::move(wish));
    }
    std::vector<std::tuple<std::size_t, bool, Order::Nulls>> sorts;
    for (auto left = below(3); left > 0; --left) {
      const auto column = 1 + below(values.size() - 1);
      if (column == 8) continue;
      sorts.emplace_back(column, below(2) == 0, below(2) ? Order::Nulls::first : Order::Nulls::last);
    }
    const bool last_descending = below(2) == 0;
    const auto limit = 1 + below(50), offset = below(3) ? 0 : below(10);
    both([&](const Library& library, const Dialect& dialect) {
      const auto definition = library.books();
      Select select{.from = definition.relation(), .columns = pointers(library.book)};
      for (auto& wish : wishes)
        select.where.push_back(
            {.column = &library.book[wish.column], .op = wish.op, .values = wish.values, .negated = wish.negated});
      for (auto& [column, descending, nulls] : sorts)
        select.order.push_back({.column = &library.book[column], .descending = descending, .nulls = nulls});
      select.order.push_back({.column = &library.book[0], .descending = last_descending});
      select.limit = static_cast<std::int64_t>(limit);
      select.offset = static_cast<std::int64_t>(offset);
      return dialect.select(select);
    });
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace plimsoll::database
