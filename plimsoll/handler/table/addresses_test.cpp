// No address that a response gives is one that the server, or a client on the way, refuses or changes: cursors, `Link`
// and `Location`, whatever texts the rows hold.

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace plimsoll::table {
namespace {

using testkit::Answer;
using testkit::Api;
using testkit::member;

constexpr std::size_t kLongestTarget = 8'192;  ///< `limits.target`

std::string contract(const std::string& key, const std::string& budget = "16MiB") {
  return R"(openapi: 3.1.0
info: {title: Texts, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  budgets: {response: )" +
         budget + R"(}
  tables:
    rows:
      schema: '#/components/schemas/Row'
      filters: {kind: [eq, in]}
      sort: [a, b]
      page: {default: 5, max: 50}
components:
  schemas:
    Row:
      type: object
      required: [id, kind, b]
      properties:
        id: )" +
         key + R"(
        kind: {type: string}
        a: {type: [string, 'null']}
        b: {type: string}
paths:
  /rows:
    get: {operationId: listRows, x-plimsoll: {table: rows}, responses: {'200': {description: ok}}}
    post: {operationId: makeRow, x-plimsoll: {table: rows}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {'201': {description: ok}}}
  /rows/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: )" +
         (key.contains("integer") ? "integer" : "string") + R"(}}]
    get: {operationId: getRow, x-plimsoll: {table: rows}, responses: {'200': {description: ok}}}
)";
}

struct Row {
  database::Cell id;
  std::optional<std::string> a;
  std::string b;
};

std::string quoted_text(std::string_view text) {
  std::string made;
  json::append_string(made, text);
  return made;
}

std::string shown(const database::Cell& id) {
  if (const auto* number = std::get_if<std::int64_t>(&id)) return std::to_string(*number);
  return quoted_text(std::get<std::string>(id));
}

/// Rows with long texts, many of them alike for thousands of bytes.
class LongTexts : public testing::Test {
 protected:
  void SetUp() override {
    const char* given = std::getenv("PLIMSOLL_SEED");
    const auto seed = given ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
    std::printf("PLIMSOLL_SEED=%u\n", seed);
    random.seed(seed);
  }
  std::size_t pick(std::size_t n) { return random() % n; }
  std::string text() {
    constexpr std::size_t kLengths[] = {0, 3, 300, 700, 1'500, 9'000};
    return std::string(kLengths[pick(std::size(kLengths))], "xy"[pick(2)]) +
           (pick(2) ? std::string(1, "ab"[pick(2)]) : "");
  }
  void fill(Api& api, bool numbered, std::size_t count) {
    rows.clear();
    for (std::size_t i = 0; i < count; ++i) {
      Row row{.id = static_cast<std::int64_t>(i + 1), .a = {}, .b = text()};
      if (!numbered) row.id = std::to_string(i) + std::string(pick(3) ? pick(40) : pick(1'000), 'k');
      if (pick(4)) row.a = text();
      ASSERT_TRUE(api.sql("INSERT INTO rows(id,kind,a,b) VALUES(?,'x',?,?)",
                          {row.id, row.a ? database::Cell{*row.a} : database::Cell{}, row.b}));
      rows.push_back(std::move(row));
    }
  }
  /// The ids in an order, written without regard to how the server does it.
  std::vector<std::string> ordered(const std::vector<std::string>& sort) {
    auto all = rows;
    std::ranges::sort(all, [&](const Row& x, const Row& y) {
      bool descending = false;
      for (auto& word : sort) {
        descending = word[0] == '-';
        const auto one = word.back() == 'a' ? x.a : std::optional(x.b),
                   other = word.back() == 'a' ? y.a : std::optional(y.b);
        if (one == other) continue;
        if (!one || !other) return one.has_value();
        return descending ? *one > *other : *one < *other;
      }
      return descending ? x.id > y.id : x.id < y.id;
    });
    std::vector<std::string> ids;
    for (auto& row : all) ids.push_back(shown(row.id));
    return ids;
  }
  std::string random_sort(std::vector<std::string>& sort) {
    sort.clear();
    std::vector<std::string> columns{"a", "b"};
    std::ranges::shuffle(columns, random);
    columns.resize(pick(3));
    std::string list;
    for (auto& column : columns)
      list += (list.empty() ? "&sort=" : ",") + sort.emplace_back((pick(2) ? "-" : "") + column);
    return list;
  }
  static std::string target(const Answer& answer, std::string_view relation) {
    const auto links = answer.header("link");
    const auto end = links.find(">; rel=\"" + std::string(relation));
    if (end == links.npos) return {};
    const auto begin = links.rfind('<', end) + 1;
    return std::string(links.substr(begin, end - begin));
  }
  std::vector<std::string> ids(const Answer& answer) {
    std::vector<std::string> all;
    Arena arena;
    auto body = json::parse(answer.body, arena);
    EXPECT_TRUE(body && body->find("data")) << answer.body.substr(0, 300);
    if (!body || !body->find("data")) return all;
    for (auto& row : body->find("data")->array()) all.push_back(json::to_string(*row.find("id")));
    return all;
  }
  /// Follows a relation to its end.
  std::vector<std::string> walk(Api& api, std::string at, std::string_view relation,
                                const std::function<void(const std::vector<std::string>&)>& after = {}) {
    std::vector<std::string> all;
    for (int page = 0; !at.empty() && page < 500; ++page) {
      EXPECT_LE(at.size(), kLongestTarget);
      last = api.client->get(at);
      EXPECT_EQ(last.status, 200) << at.substr(0, 200) << "\n" << last.body.substr(0, 500);
      if (last.status != 200) break;
      const auto more = ids(last);
      all.insert(relation == "next" ? all.end() : all.begin(), more.begin(), more.end());
      at = target(last, relation);
      if (after) after(more);
    }
    return all;
  }
  std::mt19937 random;
  std::vector<Row> rows;
  Answer last;
};

TEST_F(LongTexts, EveryLinkIsTakenAndEachRowIsSeenOnceThereAndBack) {
  for (const bool numbered : {true, false}) {
    Api api{contract(numbered ? "{type: integer, readOnly: true}" : "{type: string}")};
    ASSERT_TRUE(api.client) << api.complaints;
    fill(api, numbered, 40);
    const int walks = std::getenv("PLIMSOLL_TORTURE") ? 200 : 12;
    for (int i = 0; i < walks && !HasFailure(); ++i) {
      std::vector<std::string> sort;
      const auto query = random_sort(sort) + "&fields=id";
      const auto limit = 1 + pick(7);
      const auto first = "/rows?limit=" + std::to_string(limit) + query;
      const auto expected = ordered(sort);
      EXPECT_EQ(walk(api, first, "next"), expected) << query;
      auto back = walk(api, target(last, "prev"), "prev");
      const auto end = ids(last.status == 200 ? api.client->get(first) : last);
      const auto tail = expected.size() % limit == 0 ? limit : expected.size() % limit;
      back.insert(back.end(), expected.end() - static_cast<std::ptrdiff_t>(tail), expected.end());
      EXPECT_EQ(back, expected) << query << " back";
    }
  }
}

TEST_F(LongTexts, TheRowAtWhichAPageEndedMayGoOrChange) {
  Api api{contract("{type: integer, readOnly: true}")};
  ASSERT_TRUE(api.client) << api.complaints;
  for (const bool gone : {true, false}) {
    ASSERT_TRUE(api.sql("DELETE FROM rows"));
    fill(api, true, 30);
    const auto expected = ordered({"a", "b"});
    EXPECT_EQ(
        walk(api, "/rows?limit=4&fields=id&sort=a,b", "next",
             [&](const auto& page) {
               for (auto& id : page)
                 ASSERT_TRUE(api.sql(gone ? "DELETE FROM rows WHERE id=?" : "UPDATE rows SET a='',b='' WHERE id=?",
                                     {static_cast<std::int64_t>(std::stoll(id))}));
             }),
        expected);
  }
}

TEST_F(LongTexts, WhereBothRowsHaveGoneTheCursorIsRefused) {
  Api api{contract("{type: integer, readOnly: true}")};
  ASSERT_TRUE(api.client) << api.complaints;
  for (int i = 1; i < 9; ++i)
    ASSERT_TRUE(api.sql("INSERT INTO rows(id,kind,b) VALUES(?,'x',?)", {std::int64_t{i}, std::string(5'000, 'b')}));
  const auto page = api.client->get("/rows?limit=3&sort=b");
  ASSERT_EQ(page.status, 200) << page.body.substr(0, 300);
  ASSERT_TRUE(api.sql("DELETE FROM rows WHERE id IN (3,4)"));
  const auto next = api.client->get(target(page, "next"));
  EXPECT_EQ(next.problem, "invalid-cursor") << next.body;
  EXPECT_TRUE(next.body.contains("gone or changed")) << next.body;
}

/// The cursors belong to the response: where its budget is small, they end the page earlier.
TEST_F(LongTexts, ASmallBudgetEndsPagesEarlyWhateverTheySortBy) {
  for (const auto* budget : {"3KiB", "4KiB", "8KiB", "40KiB"}) {
    Api api{contract("{type: integer, readOnly: true}", budget)};
    ASSERT_TRUE(api.client) << api.complaints;
    rows.clear();
    for (std::int64_t i = 1; i <= 25; ++i) {
      rows.push_back({i, std::string(pick(2) ? 650 : 400, "ab"[pick(2)]), std::string(pick(90), 'b')});
      ASSERT_TRUE(api.sql("INSERT INTO rows(id,kind,a,b) VALUES(?,'x',?,?)", {i, *rows.back().a, rows.back().b}));
    }
    for (const auto* fields : {"", "&fields=id"})
      EXPECT_EQ(walk(api, std::string("/rows?limit=25&sort=a,-b") + fields, "next"), ordered({"a", "-b"})) << budget;
  }
}

/// The request was short enough; with a cursor it would not be.
TEST_F(LongTexts, ALinkThatWouldBeRefusedIsNotGiven) {
  Api api{contract("{type: integer, readOnly: true}")};
  ASSERT_TRUE(api.client) << api.complaints;
  fill(api, true, 12);
  for (const std::size_t values : {1u, 7u, 8u, 9u}) {
    std::string query = "/rows?limit=2&sort=a&kind=x";
    for (std::size_t i = 0; i < values; ++i) query += "," + std::string(905, 'y');
    ASSERT_LE(query.size(), kLongestTarget);
    const auto answer = api.client->get(query);
    EXPECT_EQ(answer.status, 200) << answer.body.substr(0, 300);
    EXPECT_NE(member(answer.body, "next_cursor"), "null");
    for (const auto* relation : {"next", "prev"}) EXPECT_LE(target(answer, relation).size(), kLongestTarget);
    if (values != 8) EXPECT_EQ(target(answer, "next").empty(), values == 9) << values;
  }
}

/// RFC 3986, section 5.2.4, as clients do it: `%2e` is a dot to them (WHATWG URL).
std::string as_sent_by_clients(std::string path) {
  std::vector<std::string> segments;
  for (std::size_t at = 1; at <= path.size();) {
    const auto end = std::min(path.find('/', at), path.size());
    auto segment = path.substr(at, end - at);
    auto plain = segment;
    for (std::size_t dot = 0; (dot = plain.find("%2")) != plain.npos;) {
      if (dot + 2 >= plain.size() || (plain[dot + 2] != 'e' && plain[dot + 2] != 'E')) break;
      plain.replace(dot, 3, ".");
    }
    if (plain == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (plain != ".") {
      segments.push_back(segment);
    }
    at = end + 1;
  }
  std::string made;
  for (auto& segment : segments) made += "/" + segment;
  return made.empty() ? "/" : made;
}

TEST_F(LongTexts, ARowThatIsMadeCanBeReadAtItsLocationOrItsKeyIsRefused) {
  Api api{contract("{type: string}")};
  ASSERT_TRUE(api.client) << api.complaints;
  std::vector<std::string> keys{"a",
                                ".",
                                "..",
                                "...",
                                "",
                                "%2e",
                                "%2E%2e",
                                ".%2e",
                                "a/b",
                                "/",
                                "//",
                                "a?b",
                                "a#b",
                                "\\",
                                "\\..",
                                "..\\",
                                " ",
                                "\u00e9",
                                "\t",
                                "a;b",
                                "{id}",
                                "~",
                                "%",
                                "%zz",
                                "\u202e",
                                "+",
                                "&=",
                                std::string(1'024, 'k'),
                                std::string(1'025, 'k'),
                                std::string(9'000, 'k')};
  std::string wide;
  for (int i = 0; i < 341; ++i) wide += "\u20ac";
  keys.push_back(wide);
  for (int i = 0; i < 60; ++i) {
    std::string key;
    for (auto length = pick(6); length > 0; --length) key += "./%2e\\a \x7f~"[pick(10)];
    if (std::ranges::find(keys, key) == keys.end()) keys.push_back(key);
  }
  int made = 0, refused = 0;
  for (auto& key : keys) {
    const auto answer = api.client->post("/rows", R"({"kind":"x","b":"b","id":)" + quoted_text(key) + "}");
    if (answer.status == 422) {
      EXPECT_TRUE(answer.body.contains(R"("pointer":"/id")")) << key << answer.body;
      ++refused;
      continue;
    }
    ASSERT_EQ(answer.status, 201) << key << answer.body;
    ++made;
    const std::string location(answer.header("location"));
    ASSERT_FALSE(location.empty()) << key;
    EXPECT_LE(location.size(), kLongestTarget);
    const auto row = api.client->get(as_sent_by_clients(location));
    EXPECT_EQ(row.status, 200) << key << " at " << location.substr(0, 200);
    EXPECT_EQ(member(row.body, "id"), key);
  }
  EXPECT_GE(refused, 5) << "., .., the empty and the long ones";
  EXPECT_GE(made, 20);
}

}  // namespace
}  // namespace plimsoll::table
