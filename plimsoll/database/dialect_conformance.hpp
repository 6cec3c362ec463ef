#pragma once

// Everything that can be said to a Dialect, said on a real database. A dialect's test defines how statements are run
// there and instantiates the suite:
//   INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, DialectConformance, SqliteSpeaker);
// A speaker has `const Dialect& dialect()`, `std::string why_not()` (why the engine is not there, or empty) and
// `Result<Rows> ask(std::string_view sql, std::span<const Cell> cells)`, each time on the same, at first empty,
// database.

#include "plimsoll/database/dialect.hpp"
#include "plimsoll/database/wait.hpp"
#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>

namespace plimsoll::database {

/// A cell as text, so that engines are compared by what callers see.
inline std::string shown(const Cell& cell) {
  return std::visit(
      []<class T>(const T& value) -> std::string {
        if constexpr (std::is_same_v<T, std::monostate>)
          return "NULL";
        else if constexpr (std::is_same_v<T, std::string>)
          return value;
        else {
          char text[40];
          return {text, std::to_chars(text, text + sizeof text, value).ptr};
        }
      },
      cell);
}
inline std::vector<std::string> shown(const Rows& rows) {
  std::vector<std::string> all;
  for (auto& row : rows) {
    auto& text = all.emplace_back();
    for (auto& cell : row) (text += text.empty() ? "" : "|") += shown(cell);
  }
  return all;
}
inline Column column_named(std::string name, Kind kind, bool required = false, bool nullable = true) {
  Column made;
  made.name = std::move(name);
  made.kind = kind;
  made.required = required;
  made.nullable = nullable;
  return made;
}

/// Authors and their books, with a column of each kind, reviews whose keys are unique within a tenant, copies that a
/// book and a number name together, and the loans of copies.
struct Library {
  std::vector<Column> author{column_named("id", Kind::text, true, false), column_named("name", Kind::text, true, false),
                             column_named("born", Kind::integer)};
  std::vector<Column> book{column_named("id", Kind::integer, true, false),
                           column_named("author", Kind::text),
                           column_named("title", Kind::text, true, false),
                           column_named("price", Kind::decimal),
                           column_named("rating", Kind::number),
                           column_named("weight", Kind::real),
                           column_named("lent", Kind::boolean),
                           column_named("since", Kind::instant),
                           column_named("more", Kind::json),
                           column_named("note", Kind::text, false, false),
                           column_named("owner", Kind::text)};
  std::vector<Column> review{column_named("tenant", Kind::text, true, false),
                             column_named("code", Kind::text, true, false), column_named("text", Kind::text),
                             column_named("of", Kind::integer)};
  std::vector<Column> copy{column_named("book", Kind::integer, true, false),
                           column_named("number", Kind::text, true, false), column_named("shelf", Kind::text)};
  std::vector<Column> loan{column_named("id", Kind::integer, true, false), column_named("of_book", Kind::integer),
                           column_named("of_number", Kind::text)};

  explicit Library(const Dialect& dialect) {
    author[0].format = "uuid";
    book[10].verbatim = review[0].verbatim = true;
    for (auto* table : {&author, &book, &review, &copy, &loan})
      for (auto& column : *table) dialect.note_storage(column, nullptr, nullptr);
    // As the table handler does: a column that refers to a key has its type.
    book[1].type = author[0].type;
    book[1].uuid = author[0].uuid;
  }
  Library(const Library&) = delete;

  static TableDefinition definition(std::string name, const std::vector<Column>& columns) {
    TableDefinition made{.name = std::move(name), .columns = {}};
    for (auto& column : columns) made.columns.push_back({.is = &column, .not_null = column.required, .listed = true});
    return made;
  }
  TableDefinition authors() const {
    auto made = definition("authors", author);
    made.indexes = {{1, 0}};
    made.search = {1};
    return made;
  }
  TableDefinition books() const {
    auto made = definition("books", book);
    made.references = {{{1}, "authors", {"id"}}};
    made.columns[1].to = &author[0];
    made.indexes = {{1, 0}, {3, 0}, {7, 2, 0}};
    made.search = {2, 9};
    return made;
  }
  TableDefinition reviews() const {
    auto made = definition("reviews", review);
    made.key = {1};
    made.tenant = 0;
    made.references = {{{3}, "books", {"id"}}};
    made.columns[3].to = &book[0];
    made.indexes = {{0, 1}, {3, 1}};
    made.search = {2};
    return made;
  }
  TableDefinition copies() const {
    auto made = definition("copies", copy);
    made.key = {0, 1};
    made.references = {{{0}, "books", {"id"}}};
    made.columns[0].to = &book[0];
    made.indexes = {{2, 0, 1}};
    made.search = {2};
    return made;
  }
  TableDefinition loans() const {
    auto made = definition("loans", loan);
    made.references = {{{1, 2}, "copies", {"book", "number"}}};
    made.columns[1].to = &copy[0];
    made.columns[2].to = &copy[1];
    made.indexes = {{1, 2, 0}};
    return made;
  }
  std::vector<TableDefinition> all() const { return {authors(), books(), reviews(), copies(), loans()}; }
};

inline std::vector<const Column*> pointers(const std::vector<Column>& columns) {
  std::vector<const Column*> all;
  for (auto& column : columns) all.push_back(&column);
  return all;
}

template <class Speaker>
class DialectConformance : public testing::Test {
 protected:
  static constexpr const char* kAda = "0190c1a2-0000-7000-8000-0000000000aa";
  static constexpr const char* kBob = "0190c1a2-0000-7000-8000-0000000000bb";

  void SetUp() override {
    speaker = std::make_unique<Speaker>();
    if (const std::string why = speaker->why_not(); !why.empty()) GTEST_SKIP() << why;
    library = std::make_unique<Library>(dialect());
    for (auto& table : library->all()) {
      for (auto& sql : dialect().create_table(table)) say({sql, {}});
      if (table.search.empty()) continue;
      for (auto& sql : dialect().create_search(table)) say({sql, {}});
    }
    for (auto& table : library->all())
      for (auto& sql : dialect().create_references(table)) say({sql, {}});
  }
  void fill() {
    const auto null = Cell{};
    put_author(kAda, "Ada Löwe", 1815);
    put_author(kBob, "bob \"the\" \\builder'", null);
    const auto i = [](std::int64_t value) { return Cell{value}; };
    const auto s = [](std::string_view value) { return Cell{std::string(value)}; };
    put_book({null, s(kAda), s("Zeta"), s("10.50"), s("4.125"), Cell{0.1}, i(1), s("2026-01-31T09:30:00.5Z"),
              s(R"({"a":[1,null],"b":"é"})"), s("first note"), s("u1")});
    put_book({null, s(kAda), s("alpha"), s("9.9"), null, Cell{-2.5}, i(0), s("2026-01-31T09:30:00Z"), s("null"), null,
              s("U1")});
    put_book({null, s(kBob), s("100% _sure\\"), s("-3"), s("12345678901234567890.12345"), Cell{1e300}, null,
              s("1999-12-31T23:59:59Z"), s("[]"), null, null});
    put_book(
        {null, null, s("it's \"quoted\""), null, s("4"), null, i(1), null, s("\"text\""), s("zeta again"), s("u2")});
  }
  void put_author(std::string_view id, std::string_view name, Cell born) {
    const Cell cells[] = {std::string(id), std::string(name), std::move(born)};
    const auto definition = library->authors();
    Insert insert{.into = definition.relation(), .returning = {&library->author[0]}};
    for (std::size_t i = 0; i < 3; ++i) insert.values.push_back({&library->author[i], &cells[i]});
    EXPECT_EQ(say(dialect().insert(insert)), std::vector{std::string(id)});
  }
  void put_book(const std::vector<Cell>& cells) {
    const auto definition = library->books();
    Insert insert{.into = definition.relation(), .returning = {&library->book[2]}};
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (cells[i].index() != 0) insert.values.push_back({&library->book[i], &cells[i]});
    EXPECT_EQ(say(dialect().insert(insert)), std::vector{std::get<std::string>(cells[2])});
  }

  const Dialect& dialect() { return speaker->dialect(); }
  Rows ask(const Statement& statement) {
    auto rows = speaker->ask(statement.sql, statement.cells);
    if (rows) return std::move(*rows);
    ADD_FAILURE() << rows.error().detail << " " << (rows.error().more_ ? rows.error().more_->cause : "") << "\n"
                  << statement.sql;
    return {};
  }
  std::vector<std::string> say(const Statement& statement) { return shown(ask(statement)); }

  /// The books that a condition names, by their numbers in the order of the key.
  std::string books_where(Condition condition) {
    const auto definition = library->books();
    const auto& id = library->book[0];
    Select select{.from = definition.relation(), .columns = {&id}, .where = {condition}, .order = {{.column = &id}}};
    std::string all;
    for (auto& row : say(dialect().select(select))) (all += all.empty() ? "" : " ") += row;
    return all;
  }
  std::string books_where(std::size_t column, Operator op, std::vector<Cell> values, bool negated = false) {
    return books_where({.column = &library->book[column], .op = op, .values = values, .negated = negated});
  }
  const Column& book(std::string_view name) const { return *std::ranges::find(library->book, name, &Column::name); }

  /// The catalogue is asked through a session.
  class Asking final : public Session {
   public:
    explicit Asking(Speaker& speaker) : speaker_(speaker) {}
    Task<Result<Rows>> query(std::string_view sql, std::span<const Cell> cells) override {
      co_return speaker_.ask(sql, cells);
    }
    Task<Result<>> script(std::string_view sql) override {
      auto rows = speaker_.ask(sql, {});
      if (!rows) co_return std::unexpected(std::move(rows).error());
      co_return Result<>{};
    }
    std::int64_t changed() const override { return 0; }  // it asks only

   private:
    Speaker& speaker_;
  };
  template <class T, class Ask>
  T found(const Ask& question) {
    auto answer = wait_for([&](Loop&) -> Task<Result<T>> {
      Asking session{*speaker};
      auto answered = co_await question(session);
      co_return answered;
    });
    EXPECT_TRUE(answer) << answer.error().detail << (answer.error().more_ ? answer.error().more_->cause : "");
    return answer ? std::move(*answer) : T{};
  }
  std::optional<FoundTable> find_table(const TableDefinition& table) {
    return found<std::optional<FoundTable>>([&](Session& session) -> Task<Result<std::optional<FoundTable>>> {
      auto there = co_await dialect().find_table(session, table);
      co_return there;
    });
  }
  SearchState find_search(const TableDefinition& table) {
    return found<SearchState>([&](Session& session) -> Task<Result<SearchState>> {
      auto there = co_await dialect().find_search(session, table);
      co_return there;
    });
  }

  std::unique_ptr<Speaker> speaker;
  std::unique_ptr<Library> library;
};
TYPED_TEST_SUITE_P(DialectConformance);

TYPED_TEST_P(DialectConformance, FindsTheTablesThatItMakesAsTheyShouldBe) {
  for (auto& table : this->library->all()) {
    const auto found = this->find_table(table);
    ASSERT_TRUE(found) << table.name;
    EXPECT_FALSE(found->view);
    ASSERT_EQ(found->columns.size(), table.columns.size());
    std::vector<Finding> findings;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
      EXPECT_EQ(found->columns[i].name, table.column(i).name);
      if (found->columns[i].primary == 0)
        EXPECT_EQ(found->columns[i].not_null, table.columns[i].not_null) << found->columns[i].name;
      this->dialect().check_storage(table, i, found->columns[i], *found, findings);
      auto noted = table.column(i);
      this->dialect().note_storage(noted, &found->columns[i], &*found);
      EXPECT_FALSE(noted.foreign) << noted.name;
      EXPECT_EQ(noted.uuid, table.column(i).uuid) << noted.name;
    }
    for (auto& one : findings) ADD_FAILURE() << one.what;
    std::vector<std::string> key;
    for (auto column : table.primary_key()) key.push_back(table.column(column).name);
    EXPECT_NE(std::ranges::find(found->unique, key), found->unique.end()) << table.name;
    for (auto& columns : table.indexes) {
      std::vector<std::string> names;
      for (auto column : columns) names.push_back(table.column(column).name);
      EXPECT_NE(std::ranges::find(found->indexes, names, &FoundIndex::columns), found->indexes.end()) << table.name;
    }
  }
  auto other = this->library->authors();
  other.name = "no such \"table\"";
  EXPECT_FALSE(this->find_table(other));
  EXPECT_EQ(this->say(this->dialect().has_table("authors")).size(), 1u);
  EXPECT_EQ(this->say(this->dialect().has_table("nothing")).size(), 0u);
}

TYPED_TEST_P(DialectConformance, FindsForeignKeys) {
  const auto keys =
      this->template found<std::vector<ForeignKey>>([&](Session& session) -> Task<Result<std::vector<ForeignKey>>> {
        auto there = co_await this->dialect().foreign_keys(session, "books");
        co_return there;
      });
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0].table, "authors");
  EXPECT_EQ(keys[0].from, std::vector<std::string>{"author"});
  EXPECT_EQ(keys[0].to, std::vector<std::string>{"id"});
}

TYPED_TEST_P(DialectConformance, NamesRowsByKeysOfSeveralColumns) {
  this->fill();
  const auto copies = this->library->copies(), loans = this->library->loans();
  const auto put = [&](const TableDefinition& table, const std::vector<Cell>& cells) {
    Insert insert{.into = table.relation(), .returning = {table.columns[0].is}};
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (cells[i].index() != 0) insert.values.push_back({table.columns[i].is, &cells[i]});
    const auto statement = this->dialect().insert(insert);
    return this->speaker->ask(statement.sql, statement.cells);
  };
  const Cell one = std::int64_t{1}, two = std::int64_t{2}, a = std::string("a"), b = std::string("b");
  EXPECT_TRUE(put(copies, {one, b, std::string("red shelf")}));
  EXPECT_TRUE(put(copies, {one, a, std::string("blue shelf")}));
  EXPECT_TRUE(put(copies, {two, a, std::string("red shelf")}));
  EXPECT_FALSE(put(copies, {one, a})) << "there is this copy already";
  EXPECT_FALSE(put(copies, {Cell{std::int64_t{99}}, a})) << "there is no such book";
  EXPECT_FALSE(put(copies, {one})) << "a part of the key is missing";
  // A reference is to the whole key; with a null in it there is none.
  EXPECT_TRUE(put(loans, {Cell{}, one, b}));
  EXPECT_TRUE(put(loans, {Cell{}, two}));
  EXPECT_FALSE(put(loans, {Cell{}, two, b}));
  const auto keys =
      this->template found<std::vector<ForeignKey>>([&](Session& session) -> Task<Result<std::vector<ForeignKey>>> {
        auto there = co_await this->dialect().foreign_keys(session, "loans");
        co_return there;
      });
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0].table, "copies");
  EXPECT_EQ(keys[0].from, (std::vector<std::string>{"of_book", "of_number"}));
  EXPECT_EQ(keys[0].to, (std::vector<std::string>{"book", "number"}));
  // Words find the rows that have them and no other part of the same whole.
  const auto& copy = this->library->copy;
  const auto words = this->dialect().search_words("red");
  const Search search{.columns = {&copy[2]}, .words = &words};
  Select select{.from = copies.relation(), .columns = {&copy[0], &copy[1]}, .search = &search};
  select.order = {{.column = &copy[0]}, {.column = &copy[1]}};
  EXPECT_EQ(this->say(this->dialect().select(select)), (std::vector<std::string>{"1|b", "2|a"}));
  Update update{.of = copies.relation(), .returning = {&copy[2]}};
  const Cell shelf = std::string("red wall");
  update.values = {{&copy[2], &shelf}};
  update.where = {{.column = &copy[0], .values = {&one, 1}}, {.column = &copy[1], .values = {&a, 1}}};
  EXPECT_EQ(this->say(this->dialect().update(update)), std::vector<std::string>{"red wall"});
  EXPECT_EQ(this->say(this->dialect().select(select)), (std::vector<std::string>{"1|a", "1|b", "2|a"}));
  // Inside rows: the one that both columns name, and the many in the order of the whole key.
  Embedded of{.of = copies.relation(), .name = "copy", .more = {}, .columns = {&copy[2]}};
  of.inside = {&copy[0], &copy[1]};
  of.outside = {&this->library->loan[1], &this->library->loan[2]};
  Select lent{.from = loans.relation(), .embeds = {of}, .order = {{.column = &this->library->loan[0]}}};
  const auto inside = this->say(this->dialect().select(lent));
  ASSERT_EQ(inside.size(), 2u);
  EXPECT_EQ(inside[0], R"({"shelf":"red shelf"})");
  EXPECT_TRUE(inside[1] == "null" || inside[1] == "NULL") << inside[1];
  Embedded many{.of = copies.relation(), .name = "copies", .more = "copies_has_more", .columns = {&copy[1]}};
  many.inside = {&copy[0]};
  many.outside = {&this->book("id")};
  many.limit = 9;
  const auto books = this->library->books();
  Select whole{.from = books.relation(), .embeds = {many}, .order = {{.column = &this->book("id")}}};
  whole.limit = 1;
  EXPECT_EQ(this->say(this->dialect().select(whole)),
            std::vector<std::string>{R"([{"number":"a"},{"number":"b"}]|NULL)"});
  Delete remove{.from = copies.relation(), .where = update.where};
  EXPECT_EQ(this->say(this->dialect().remove(remove)), std::vector<std::string>{"1"});
  EXPECT_EQ(this->say(this->dialect().select(select)), (std::vector<std::string>{"1|b", "2|a"}));
  // The index of words is filled anew for rows that are there.
  auto state = this->template found<SearchState>([&](Session& session) -> Task<Result<SearchState>> {
    auto other = copies;
    other.search = {1, 2};
    auto there = co_await this->dialect().find_search(session, other);
    co_return there;
  });
  for (auto& sql : state.drop) this->say({sql, {}});
  for (auto& sql : this->dialect().create_search(copies)) this->say({sql, {}});
  if (const auto filling = this->dialect().fill_search(copies); !filling.empty()) this->say({filling, {}});
  EXPECT_EQ(this->say(this->dialect().select(select)), (std::vector<std::string>{"1|b", "2|a"}));
}

TYPED_TEST_P(DialectConformance, KnowsItsIndexOfWordsAndThatOfAnotherContract) {
  auto table = this->library->books();
  EXPECT_TRUE(this->find_search(table).current);
  table.search = {2};
  auto state = this->find_search(table);
  EXPECT_FALSE(state.current);
  EXPECT_FALSE(state.foreign) << state.foreign->what;
  ASSERT_FALSE(state.drop.empty());
  this->fill();
  for (auto& sql : state.drop) this->say({sql, {}});
  for (auto& sql : this->dialect().create_search(table)) this->say({sql, {}});
  if (const auto filling = this->dialect().fill_search(table); !filling.empty()) this->say({filling, {}});
  EXPECT_TRUE(this->find_search(table).current);
  const auto words = this->dialect().search_words("zeta");
  const Search search{.columns = {&this->library->book[2]}, .words = &words};
  const Select select{.from = table.relation(), .columns = {&this->library->book[0]}, .search = &search};
  EXPECT_EQ(this->say(this->dialect().select(select)), std::vector<std::string>{"1"});
  this->say({"CREATE TABLE " + quoted("other_search") + "(a INTEGER)", {}});
  table.name = "other";
  EXPECT_TRUE(this->find_search(table).foreign);
}

TYPED_TEST_P(DialectConformance, StatementsThatMadeATableMakeItAgain) {
  const auto books = this->library->books();
  const auto present =
      this->template found<PresentStatements>([&](Session& session) -> Task<Result<PresentStatements>> {
        auto there = co_await this->dialect().present_statements(session, books);
        co_return there;
      });
  auto all = present.tables;
  all.insert(all.end(), present.references.begin(), present.references.end());
  ASSERT_FALSE(all.empty());
  EXPECT_TRUE(all[0].starts_with("CREATE TABLE \"books\"")) << all[0];
  for (auto* name : {"reviews", "loans", "copies", "books"}) this->say({"DROP TABLE " + std::string(name), {}});
  for (auto& name : {"books_search", "books_search_rows"}) this->say({"DROP TABLE IF EXISTS " + std::string(name), {}});
  for (auto& sql : all) this->say({sql, {}});
  const auto found = this->find_table(this->library->books());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->columns.size(), this->library->book.size());
  EXPECT_TRUE(this->find_search(this->library->books()).current);
}

TYPED_TEST_P(DialectConformance, GivesBackWhatIsStored) {
  this->fill();
  const auto definition = this->library->books();
  const Select select{.from = definition.relation(),
                      .columns = pointers(this->library->book),
                      .order = {{.column = &this->library->book[0]}}};
  const std::string ada = this->kAda, bob = this->kBob;
  const std::vector<std::string> wanted{
      "1|" + ada + R"(|Zeta|10.50|4.125|0.1|1|2026-01-31T09:30:00.5Z|{"a":[1,null],"b":"é"}|first note|u1)",
      "2|" + ada + "|alpha|9.9|NULL|-2.5|0|2026-01-31T09:30:00Z|null|NULL|U1",
      "3|" + bob + "|100% _sure\\|-3|12345678901234567890.12345|1e+300|NULL|1999-12-31T23:59:59Z|[]|NULL|NULL",
      R"(4|NULL|it's "quoted"|NULL|4|NULL|1|NULL|"text"|zeta again|u2)"};
  EXPECT_EQ(this->say(this->dialect().select(select)), wanted);
}

TYPED_TEST_P(DialectConformance, ComparesByValueWithEveryOperator) {
  this->fill();
  using enum Operator;
  const auto s = [](std::string_view text) { return std::vector<Cell>{std::string(text)}; };
  const auto i = [](std::int64_t value) { return std::vector<Cell>{Cell{value}}; };
  const auto d = [](double value) { return std::vector<Cell>{Cell{value}}; };
  enum : std::size_t { id, author, title, price, rating, weight, lent, since, more, note, owner };
  EXPECT_EQ(this->books_where(id, eq, i(2)), "2");
  EXPECT_EQ(this->books_where(id, gt, i(INT64_MAX)), "");
  EXPECT_EQ(this->books_where(id, in, {std::int64_t{4}, std::int64_t{1}, std::int64_t{9}}), "1 4");
  EXPECT_EQ(this->books_where(author, eq, s(this->kAda)), "1 2");
  EXPECT_EQ(this->books_where(author, ne, s(this->kAda)), "3 4");  // NULL is another value
  EXPECT_EQ(this->books_where(author, is_null, {}), "4");
  EXPECT_EQ(this->books_where(author, is_null, {}, true), "1 2 3");
  EXPECT_EQ(this->books_where(author, eq, {Cell{}}), "4");
  EXPECT_EQ(this->books_where(title, lt, s("a")), "1 3");  // by bytes: capitals first
  EXPECT_EQ(this->books_where(title, ge, s("alpha")), "2 4");
  EXPECT_EQ(this->books_where(title, like, s("%ETA")), "1");
  EXPECT_EQ(this->books_where(title, like, s("100\\% \\_sure\\\\")), "3");
  EXPECT_EQ(this->books_where(title, like, s("_lpha")), "2");
  EXPECT_EQ(this->books_where(title, in, {std::string("Zeta"), std::string("alpha"), std::string("x")}), "1 2");
  EXPECT_EQ(this->books_where(price, eq, s("10.5")), "1");
  EXPECT_EQ(this->books_where(price, lt, s("10")), "2 3");
  EXPECT_EQ(this->books_where(price, ne, s("9.90")), "1 3 4");
  EXPECT_EQ(this->books_where(price, in, {std::string("-3.0"), std::string("10.500")}), "1 3");
  EXPECT_EQ(this->books_where(rating, ge, s("12345678901234567890.12345")), "3");
  EXPECT_EQ(this->books_where(rating, gt, s("12345678901234567890.12345")), "");
  EXPECT_EQ(this->books_where(weight, le, d(0.1)), "1 2");
  EXPECT_EQ(this->books_where(weight, eq, d(1e300)), "3");
  EXPECT_EQ(this->books_where(lent, eq, i(1)), "1 4");
  EXPECT_EQ(this->books_where(lent, ne, i(1)), "2 3");
  EXPECT_EQ(this->books_where(since, gt, s("2026-01-31T09:30:00Z")), "1");
  EXPECT_EQ(this->books_where(since, eq, s("2026-01-31T09:30:00.500Z")), "1");
  EXPECT_EQ(this->books_where(since, le, s("2026-01-31T09:30:00Z")), "2 3");
  const auto exactly = [&](std::size_t column, const std::vector<Cell>& values) {
    return this->books_where({.column = &this->library->book[column], .values = values, .exact = true});
  };
  EXPECT_EQ(exactly(owner, s("u1")), "1");
  EXPECT_EQ(exactly(owner, s("U1")), "2");
  EXPECT_EQ(exactly(id, i(3)), "3");
  EXPECT_EQ(exactly(author, s(this->kBob)), "3");
}

TYPED_TEST_P(DialectConformance, OrdersWithNullsWhereTheyAreWanted) {
  this->fill();
  using enum Order::Nulls;
  const auto definition = this->library->books();
  const auto order = [&](std::string_view name, bool descending, Order::Nulls nulls) {
    Select select{.from = definition.relation(),
                  .columns = {&this->book("id")},
                  .order = {{.column = &this->book(name), .descending = descending, .nulls = nulls},
                            {.column = &this->book("id")}}};
    std::string all;
    for (auto& row : this->say(this->dialect().select(select))) all += row;
    return all;
  };
  EXPECT_EQ(order("price", false, last), "3214");
  EXPECT_EQ(order("price", false, first), "4321");
  EXPECT_EQ(order("price", true, last), "1234");
  EXPECT_EQ(order("price", true, first), "4123");
  EXPECT_EQ(order("title", false, none), "3124");
  EXPECT_EQ(order("weight", true, last), "3124");
  EXPECT_EQ(order("since", false, last), "3214");
  EXPECT_EQ(order("rating", true, first), "2314");
  EXPECT_EQ(order("lent", false, last), "2143");
}

TYPED_TEST_P(DialectConformance, GoesOnBehindAPosition) {
  this->fill();
  using enum Bound::Beyond;
  const auto definition = this->library->books();
  const auto& price = this->book("price");
  const auto& id = this->book("id");
  const Cell nine = std::string("9.90"), nothing{}, two = std::int64_t{2};
  const auto page = [&](std::vector<Bound> bounds, std::size_t fixed, bool descending = false) {
    Select select{.from = definition.relation(), .columns = {&id}, .places = {&price}, .bounds = std::move(bounds)};
    select.order = {{.column = &price, .descending = descending}, {.column = &id, .descending = descending}};
    select.fixed = fixed;
    select.limit = 10;
    std::string all;
    for (auto& row : this->ask(this->dialect().select(select))) all += shown(row.at(0));
    return all;
  };
  EXPECT_EQ(page({{&price, greater, &nine}}, 0), "1");
  EXPECT_EQ(page({{&price, less, &nine}}, 0), "3");
  EXPECT_EQ(page({{&price, less, &nine}}, 0, true), "3");
  EXPECT_EQ(page({{&price, not_null}}, 0), "321");
  EXPECT_EQ(page({{&price, not_null}}, 0, true), "123");
  EXPECT_EQ(page({{&price, null}}, 1), "4");
  EXPECT_EQ(page({{&price, equal, &nine}, {&id, greater, &two}}, 1), "");
  EXPECT_EQ(page({{&price, equal, &nine}, {&id, equal, &two}}, 2), "2");
  EXPECT_EQ(page({{&price, equal, &nothing}, {&id, greater, &two}}, 1), "4");
  for (const auto* name : {"title", "rating", "weight", "lent", "since", "author"}) {
    // The place of each row as it is read, given back, is that row's and no other's.
    const auto& column = this->book(name);
    Select places{.from = definition.relation(), .columns = {&id}, .places = {&column}, .order = {{.column = &id}}};
    for (auto& row : this->ask(this->dialect().select(places))) {
      Select again{.from = definition.relation(), .columns = {&id}, .bounds = {{&column, equal, &row[1]}}};
      again.bounds.push_back({&id, equal, &row[0]});
      EXPECT_EQ(this->ask(this->dialect().select(again)).size(), 1u) << name << " " << shown(row[1]);
      if (row[1].index() == 0) continue;
      for (const auto beyond : {less, greater}) {
        again.bounds[0].beyond = beyond;
        EXPECT_EQ(this->ask(this->dialect().select(again)).size(), 0u) << name << " " << shown(row[1]);
      }
    }
  }
}

TYPED_TEST_P(DialectConformance, CountsLimitsAndPassesOver) {
  this->fill();
  const auto definition = this->library->books();
  const auto& id = this->book("id");
  EXPECT_EQ(this->say(this->dialect().select({.from = definition.relation(), .count = true})),
            std::vector<std::string>{"4"});
  Select select{.from = definition.relation(), .columns = {&id}, .order = {{.column = &id}}};
  select.limit = 2;
  select.offset = 1;
  EXPECT_EQ(this->say(this->dialect().select(select)), (std::vector<std::string>{"2", "3"}));
  Select odd{.from = definition.relation(), .columns = {&id, &this->book("title")}, .odd = true};
  odd.limit = 1;
  EXPECT_EQ(this->ask(this->dialect().select(odd)).at(0).size(), 3u);
  EXPECT_EQ(this->say(this->dialect().select({.from = definition.relation()})),
            (std::vector<std::string>{"1", "1", "1", "1"}));
}

TYPED_TEST_P(DialectConformance, ShowsRowsInsideRowsAsJson) {
  this->fill();
  const auto authors = this->library->authors(), books = this->library->books();
  const Cell owner = std::string("nobody");
  Embedded one{.of = authors.relation(), .name = "writer", .more = {}};
  one.inside = {&this->library->author[0]};
  one.outside = {&this->book("author")};
  one.columns = pointers(this->library->author);
  Embedded many{.of = books.relation(), .name = "books", .more = "books_has_more", .limit = 1};
  many.inside = {&this->book("author")};
  many.outside = {&this->library->author[0]};
  many.columns = pointers(this->library->book);
  many.embeds = {one};
  auto hidden = many;
  hidden.name = "hidden";
  hidden.more = "hidden_has_more";
  hidden.where = {{.column = &this->book("owner"), .values = {&owner, 1}, .exact = true}};
  auto none = one;
  none.of = authors.relation();
  none.name = "none";
  none.inside = none.outside = {&this->library->author[0]};
  none.none = true;
  Select select{.from = authors.relation(), .columns = {&this->library->author[1]}};
  select.embeds = {many, hidden, none};
  select.order = {{.column = &this->library->author[0]}};
  const auto rows = this->ask(this->dialect().select(select));
  ASSERT_EQ(rows.size(), 2u);
  ASSERT_EQ(rows[0].size(), 6u);  // name, books, whether there are more, the same of the hidden, none
  const auto same = [](const Cell& cell, std::string_view wanted) {
    Arena arena;
    const auto* text = std::get_if<std::string>(&cell);
    auto there = json::parse(text ? *text : std::string_view("null"), arena), here = json::parse(wanted, arena);
    ASSERT_TRUE(there) << shown(cell);
    ASSERT_TRUE(here) << wanted;
    EXPECT_TRUE(json::equal(*there, *here)) << shown(cell) << "\n" << wanted;
  };
  const std::string ada = this->kAda;
  same(rows[0][1], R"([{"id":1,"author":")" + ada +
                       R"(","title":"Zeta","price":"10.50","rating":4.125,"weight":0.1,"lent":true,)"
                       R"("since":"2026-01-31T09:30:00.5Z","more":{"a":[1,null],"b":"é"},"note":"first note",)"
                       R"("owner":"u1","writer":{"id":")" +
                       ada + R"(","name":"Ada Löwe","born":1815}}])");
  EXPECT_EQ(shown(rows[0][2]), "1");
  same(rows[0][3], "[]");
  EXPECT_EQ(shown(rows[0][4]), "NULL");
  same(rows[0][5], "null");
  same(rows[1][1], R"([{"id":3,"author":")" + std::string(this->kBob) +
                       R"(","title":"100% _sure\\","price":"-3","rating":12345678901234567890.12345,"weight":1e300,)"
                       R"("lent":null,"since":"1999-12-31T23:59:59Z","more":[],"owner":null,"writer":{"id":")" +
                       std::string(this->kBob) + R"(","name":"bob \"the\" \\builder'","born":null}}])");
  EXPECT_EQ(shown(rows[1][2]), "NULL");
  // Many rows inside one inside many; a row of which every member may be absent; no member at all.
  Embedded deep = one;
  deep.embeds = {many};
  deep.columns = {&this->library->author[1]};
  Embedded bare{.of = books.relation(), .name = "bare", .more = "bare_has_more", .limit = 9};
  bare.inside = {&this->book("author")};
  bare.outside = {&this->library->author[0]};
  bare.columns = {&this->book("note")};
  auto empty = bare;
  empty.name = "empty";
  empty.more = "empty_has_more";
  empty.columns.clear();
  Select nested{.from = books.relation(), .columns = {&this->book("id")}, .embeds = {deep}};
  nested.order = {{.column = &this->book("id")}};
  const auto inside = this->ask(this->dialect().select(nested));
  ASSERT_EQ(inside.size(), 4u);
  Arena arena;
  auto shown_inside = json::parse(std::get<std::string>(inside[1][1]), arena);
  ASSERT_TRUE(shown_inside);
  EXPECT_EQ(shown_inside->find("books")->array().size(), 1u);
  EXPECT_TRUE(shown_inside->find("books_has_more")->boolean());
  EXPECT_TRUE(shown(inside[3][1]) == "NULL" || shown(inside[3][1]) == "null") << shown(inside[3][1]);
  Select short_rows{.from = authors.relation(), .embeds = {bare, empty}};
  short_rows.order = {{.column = &this->library->author[0]}};
  const auto few = this->ask(this->dialect().select(short_rows));
  same(few.at(0).at(0), R"([{"note":"first note"},{}])");
  same(few.at(1).at(0), "[{}]");
  same(few.at(0).at(2), "[{},{}]");
}

TYPED_TEST_P(DialectConformance, FindsWordsInItsTables) {
  this->fill();
  const auto books = this->library->books();
  const auto look = [&](std::string_view typed) {
    const auto words = this->dialect().search_words(typed);
    if (words.empty()) return std::string("no words");
    const Search search{.columns = {&this->book("title"), &this->book("note")}, .words = &words};
    Select select{.from = books.relation(), .columns = {&this->book("id")}, .search = &search};
    select.order = {{.column = &this->book("id")}};
    std::string all;
    for (auto& row : this->say(this->dialect().select(select))) all += row;
    return all;
  };
  EXPECT_EQ(look("zeta"), "14");
  EXPECT_EQ(look("ZETA  again"), "4");
  EXPECT_EQ(look("ze*"), "14");
  EXPECT_EQ(look("ze"), "");
  EXPECT_EQ(look("quoted"), "4");
  EXPECT_EQ(look("first note"), "1");
  EXPECT_EQ(look("nothing"), "");
  EXPECT_EQ(look(" \t"), "no words");
  for (auto* hostile :
       {"'", "\"", "a' & !b:*", "(", "a | b", "\\", "'; DROP TABLE books", "a:b", "*", "NEAR(a b)", "<->"})
    EXPECT_NE(look(hostile), "1234") << hostile;
  // What is changed and deleted is followed.
  const auto set = [&](std::int64_t id, std::string title) {
    const Cell cells[] = {std::move(title), id};
    Update update{.of = books.relation(), .values = {{&this->book("title"), &cells[0]}}};
    update.where = {{.column = &this->book("id"), .values = {&cells[1], 1}}};
    update.returning = {&this->book("title")};
    return this->say(this->dialect().update(update));
  };
  EXPECT_EQ(set(1, "Omega"), std::vector<std::string>{"Omega"});
  EXPECT_EQ(look("zeta"), "4");
  EXPECT_EQ(look("omega"), "1");
  // Marks part words, in what is stored and in what is typed.
  set(1, "qa/qb www.qexample.qcom qx_qy 7.9375 qme@qhost-qname (qin)");
  for (auto* word : {"qa",    "qb",  "qexample", "qx",          "qy",    "9375",          "qme",          "qhost",
                     "qname", "qin", "qa/qb",    "qhost-qname", "qx_qy", "7.9375",        "qexample.qc*", "qhost-qna*",
                     "qb*",   "qa/", "/qb",      "qa /_",       "/ qa",  "qexample/qco*", "qa/*"})
    EXPECT_EQ(look(word), "1") << word;
  for (auto* word : {"qb/qa", "qho-qname*", "qa/qc", "qa.qbb"}) EXPECT_EQ(look(word), "") << word;
  // Keys within tenants, and keys that are text.
  const auto reviews = this->library->reviews();
  for (auto* tenant : {"a", "b"}) {
    const Cell cells[] = {std::string(tenant), std::string("r1"), std::string("fine book of ") + tenant};
    Insert insert{.into = reviews.relation(), .returning = {&this->library->review[1]}};
    for (std::size_t i = 0; i < 3; ++i) insert.values.push_back({&this->library->review[i], &cells[i]});
    EXPECT_EQ(this->say(this->dialect().insert(insert)), std::vector<std::string>{"r1"});
  }
  const auto words = this->dialect().search_words("fine");
  const Search search{.columns = {&this->library->review[2]}, .words = &words};
  const Cell tenant = std::string("b");
  Select select{.from = reviews.relation(), .columns = {&this->library->review[2]}, .search = &search};
  select.where = {{.column = &this->library->review[0], .values = {&tenant, 1}, .exact = true}};
  EXPECT_EQ(this->say(this->dialect().select(select)), std::vector<std::string>{"fine book of b"});
}

TYPED_TEST_P(DialectConformance, ChangesAndDeletesRowsAndGivesThem) {
  this->fill();
  const auto books = this->library->books();
  const Cell values[] = {Cell{},
                         std::string("7.25"),
                         std::int64_t{0},
                         std::string("2020-02-29T00:00:00.123456Z"),
                         std::string(R"({"x":1})"),
                         Cell{2.5},
                         std::string("1e1")};
  const Cell id = std::int64_t{1}, author = std::string(this->kBob);
  Update update{.of = books.relation(), .returning = pointers(this->library->book)};
  update.values = {{&this->book("author"), &author},   {&this->book("note"), &values[0]},
                   {&this->book("price"), &values[1]}, {&this->book("lent"), &values[2]},
                   {&this->book("since"), &values[3]}, {&this->book("more"), &values[4]},
                   {&this->book("weight"), &values[5]}};
  update.where = {{.column = &this->book("id"), .values = {&id, 1}}};
  EXPECT_EQ(this->say(this->dialect().update(update)),
            std::vector<std::string>{"1|" + std::string(this->kBob) +
                                     R"(|Zeta|7.25|4.125|2.5|0|2020-02-29T00:00:00.123456Z|{"x":1}|NULL|u1)"});
  Delete remove{.from = books.relation()};
  const Cell cheap = std::string("8");
  remove.where = {{.column = &this->book("price"), .op = Operator::lt, .values = {&cheap, 1}}};
  EXPECT_EQ(this->say(this->dialect().remove(remove)), (std::vector<std::string>{"1", "1"}));
  EXPECT_EQ(this->books_where(0, Operator::gt, {std::int64_t{0}}), "2 4");
  // The number of a row that is gone is not given again.
  const Cell title = std::string("next");
  Insert insert{.into = books.relation(), .values = {{&this->book("title"), &title}}};
  insert.returning = {&this->book("id")};
  EXPECT_EQ(this->say(this->dialect().insert(insert)), std::vector<std::string>{"5"});
}

TYPED_TEST_P(DialectConformance, ValuesAreParametersWhateverTheyHold) {
  this->fill();
  for (auto* hostile : {"'; DROP TABLE books; --", "\" OR 1=1", "$1", "?", "\\'", "%", "{1,2}", "NULL"}) {
    for (const auto op : {Operator::eq, Operator::ge, Operator::like, Operator::in}) {
      const std::vector<Cell> values{std::string(hostile), std::string(hostile)};
      (void)this->books_where({.column = &this->book("title"), .op = op, .values = std::span(values).first(1)});
    }
    this->put_book({Cell{}, Cell{}, std::string(hostile)});
  }
  EXPECT_EQ(this->ask(this->dialect().select({.from = {.name = "books"}})).size(), 12u);
}

TYPED_TEST_P(DialectConformance, TablesOfTheServersOwnHoldWideIntegersAndBytes) {
  const auto sql = this->dialect().create_own_table("plimsoll_test",
                                                    "name TEXT PRIMARY KEY NOT NULL, at INTEGER NOT NULL, data BLOB");
  this->say({sql, {}});
  this->say({sql, {}});  // it is there already
  const Cell cells[] = {std::string("a"), INT64_MAX};
  const auto rows = this->speaker->ask("INSERT INTO plimsoll_test(name,at) VALUES(?,?) RETURNING at", cells);
  ASSERT_TRUE(rows);
  EXPECT_EQ(shown(*rows), std::vector{std::to_string(INT64_MAX)});
}

REGISTER_TYPED_TEST_SUITE_P(DialectConformance, FindsTheTablesThatItMakesAsTheyShouldBe, FindsForeignKeys,
                            NamesRowsByKeysOfSeveralColumns, KnowsItsIndexOfWordsAndThatOfAnotherContract,
                            StatementsThatMadeATableMakeItAgain, GivesBackWhatIsStored,
                            ComparesByValueWithEveryOperator, OrdersWithNullsWhereTheyAreWanted, GoesOnBehindAPosition,
                            CountsLimitsAndPassesOver, ShowsRowsInsideRowsAsJson, FindsWordsInItsTables,
                            ChangesAndDeletesRowsAndGivesThem, ValuesAreParametersWhateverTheyHold,
                            TablesOfTheServersOwnHoldWideIntegersAndBytes);

}  // namespace plimsoll::database
