#include "plimsoll/handler/table/cursor.hpp"

#include "plimsoll/base/encoding.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace plimsoll::table {
namespace {

using testkit::Api;
using testkit::member;

TEST(Cursor, OpensWhatItSealed) {
  const CursorKey key{"secret"};
  const Position position{
      .values = {std::int64_t{-5}, 0.1, std::string("a\0b", 3), {}}, .backward = true, .inclusive = true};
  EXPECT_EQ(key.open(key.seal(position, "q"), "q", 4), Cursor{.position = position});
  EXPECT_EQ(key.open(key.seal(position, "q"), "q", 3), std::nullopt);
}

TEST(Cursor, IsGoodForItsQueryAndKeyOnly) {
  const CursorKey key{"secret"}, other{"other"};
  const auto sealed = key.seal({.values = {std::int64_t{1}}}, "query");
  EXPECT_FALSE(key.open(sealed, "quer", 1));
  EXPECT_FALSE(other.open(sealed, "query", 1));
  EXPECT_FALSE(key.open("", "query", 1));
  EXPECT_FALSE(key.open(std::string(100'000, 'A'), "query", 1));
}

TEST(Cursor, NoChangedBitIsTaken) {
  const CursorKey key{"secret"};
  const auto sealed = *from_base64url(key.seal({.values = {std::string("abc"), std::int64_t{7}}}, "q"));
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    auto forged = sealed;
    forged[bit / 8] = static_cast<char>(forged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(key.open(to_base64url(forged), "q", 2)) << bit;
  }
  for (std::size_t size = 0; size < sealed.size(); ++size)
    EXPECT_FALSE(key.open(to_base64url(sealed.substr(0, size)), "q", 2));
}

/// What a version that signed with HMAC-SHA256 gave: whoever pages while the server is replaced goes on.
TEST(Cursor, OneOfAnEarlierVersionIsTaken) {
  const CursorKey key{"secret"};
  const auto old = [](std::string bytes, std::string_view query) {
    std::string length(8, '\0');
    length[0] = static_cast<char>(query.size());
    const auto digest = HmacKey{"secret"}.sign({length, query, bytes});
    return to_base64url(bytes.append(as_text(digest).substr(0, 16)));
  };
  using namespace std::string_literals;
  const auto all_values = "\x01\x01\x01\x07\0\0\0\0\0\0\0"s;
  EXPECT_EQ(key.open(old(all_values, "query"), "query", 1),
            (Cursor{.position = {.values = {std::int64_t{7}}, .backward = true}}));
  EXPECT_FALSE(key.open(old(all_values, "query"), "quer", 1));
  const auto by_key = "\x02\0\0"s + key.mark_of({std::int64_t{7}}, "query") + "\x01\x07\0\0\0\0\0\0\0"s;
  const auto opened = key.open(old(by_key, "query"), "query", 3);
  ASSERT_TRUE(opened && opened->rows.size() == 1);
  EXPECT_EQ(opened->rows[0].key, std::vector<database::Cell>{std::int64_t{7}});
  // The first byte says how it was signed: a tag of one kind is none of the other.
  auto renamed = *from_base64url(old(all_values, "query"));
  renamed[0] = 3;
  EXPECT_FALSE(key.open(to_base64url(renamed), "query", 1));
}

constexpr auto kWalk = R"(openapi: 3.1.0
info: {title: Walk, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  tables:
    rows:
      schema: '#/components/schemas/Row'
      filters: {kind: eq}
      sort: [a, b, c, d]
      page: {max: 50}
components:
  schemas:
    Row:
      type: object
      required: [id, kind, c]
      properties:
        id: {type: integer, readOnly: true}
        kind: {type: string}
        a: {type: [integer, 'null']}
        b: {type: [string, 'null']}
        c: {type: number}
        d: {type: [string, 'null'], format: date-time}
paths:
  /rows:
    get:
      operationId: listRows
      x-plimsoll: {table: rows}
      responses: {'200': {description: ok}}
)";

struct Row {
  std::int64_t id;
  std::string kind;
  std::optional<std::int64_t> a;
  std::optional<std::string> b;
  double c;
  std::optional<std::size_t> d;  ///< which of `kInstants`
};

/// Instants, some of them the same in another form, and where each stands in time.
constexpr std::pair<const char*, int> kInstants[] = {{"2026-01-01T00:00:00Z", 0},
                                                     {"2026-01-01T00:00:00.000Z", 0},
                                                     {"2026-01-01T00:00:00.5Z", 1},
                                                     {"2026-01-01T00:00:00.50Z", 1},
                                                     {"2026-01-01T00:00:01Z", 2}};

/// Order of a column in either direction, nulls last: written without regard to how the server does it.
template <class T>
int compare(const std::optional<T>& x, const std::optional<T>& y, bool descending) {
  if (!x || !y) return !x && !y ? 0 : !x ? 1 : -1;
  if (*x == *y) return 0;
  return (*x < *y) != descending ? -1 : 1;
}

/// Rows are walked page by page while others come and go around the cursor.
class Walks : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(api.client) << api.complaints;
    for (int i = 0; i < 90; ++i) insert(true);
  }
  Row random_row() {
    const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    Row row{.id = ++last_id, .kind = pick(4) ? "x" : "y", .a = {}, .b = {}, .c = pick(4) * 0.5, .d = {}};
    if (pick(3)) row.a = pick(4);
    if (pick(3)) row.b = std::string(1, static_cast<char>('a' + pick(3)));
    if (pick(3)) row.d = static_cast<std::size_t>(pick(5));
    return row;
  }
  void insert(bool stays) {
    auto row = random_row();
    const std::vector<database::Cell> cells{
        row.id,
        row.kind,
        row.a ? database::Cell{*row.a} : database::Cell{},
        row.b ? database::Cell{*row.b} : database::Cell{},
        row.c,
        row.d ? database::Cell{std::string(kInstants[*row.d].first)} : database::Cell{}};
    ASSERT_TRUE(api.sql("INSERT INTO rows(id,kind,a,b,c,d) VALUES(?,?,?,?,?,?)", cells));
    (stays ? staying : passing).emplace(row.id, row);
  }
  void erase(std::int64_t id) {
    ASSERT_TRUE(api.sql("DELETE FROM rows WHERE id=?", {id}));
    passing.erase(id);
  }
  void disturb(const std::vector<std::int64_t>& page) {
    for (unsigned i = random() % 3; i > 0; --i) insert(false);
    // The rows at both ends of the page, where cursors stand, go first.
    for (auto id : {page.empty() ? 0 : page.front(), page.empty() ? 0 : page.back()})
      if (passing.contains(id) && random() % 2) erase(id);
    if (!passing.empty() && random() % 2)
      erase(std::next(passing.begin(), static_cast<long>(random() % passing.size()))->first);
  }
  std::vector<std::int64_t> page(const std::string& query, std::string& next, std::string& previous) {
    const auto answer = api.client->get("/rows?fields=id&" + query);
    EXPECT_EQ(answer.status, 200) << query << answer.body;
    next = member(answer.body, "next_cursor");
    previous = member(answer.body, "prev_cursor");
    EXPECT_EQ(member(answer.body, "has_more"), next == "null" ? "false" : "true");
    std::vector<std::int64_t> ids;
    Arena arena;
    auto body = json::parse(answer.body, arena);
    for (auto& row : body->find("data")->array()) ids.push_back(*row.find("id")->integer());
    return ids;
  }
  static std::optional<int> instant(const Row& row) {
    return row.d ? std::optional{kInstants[*row.d].second} : std::nullopt;
  }
  std::vector<std::int64_t> reference(const std::string& kind, const std::vector<std::string>& sort) {
    std::vector<Row> rows;
    for (auto& [id, row] : staying)
      if (kind.empty() || row.kind == kind) rows.push_back(row);
    std::ranges::sort(rows, [&](const Row& x, const Row& y) {
      bool descending = false;
      for (auto& word : sort) {
        descending = word[0] == '-';
        const char column = word.back();
        const int order = column == 'a'   ? compare(x.a, y.a, descending)
                          : column == 'b' ? compare(x.b, y.b, descending)
                          : column == 'd' ? compare(instant(x), instant(y), descending)
                                          : compare<double>(x.c, y.c, descending);
        if (order) return order < 0;
      }
      return x.id != y.id && (x.id < y.id) != descending;  // ties by the key, in the direction of the last column
    });
    std::vector<std::int64_t> ids;
    for (auto& row : rows) ids.push_back(row.id);
    return ids;
  }

  std::mt19937 random;
  Api api{kWalk};
  std::int64_t last_id = 0;
  std::map<std::int64_t, Row> staying, passing;
};

TEST_F(Walks, RowsThatStayAreSeenExactlyOnceInOrderForwardAndBack) {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  random.seed(seed);
  const int walks = std::getenv("PLIMSOLL_TORTURE") ? 1'000 : 25;
  for (int walk = 0; walk < walks; ++walk) {
    std::vector<std::string> sort;
    std::vector<std::string> columns{"a", "b", "c", "d"};
    std::ranges::shuffle(columns, random);
    columns.resize(random() % 5);
    std::string word_list;
    for (auto& column : columns) {
      sort.push_back((random() % 2 ? "-" : "") + column);
      word_list += (word_list.empty() ? "sort=" : ",") + sort.back();
    }
    const std::string kind = random() % 2 ? "x" : "";
    const auto expected = reference(kind, sort);
    auto query = word_list + (word_list.empty() ? "" : "&") + (kind.empty() ? "" : "kind=" + kind + "&");
    std::string next, previous;
    const auto step = [&](const std::string& cursor, unsigned most) {
      const auto limit = "limit=" + std::to_string(1 + random() % most);
      return page(query + limit + (cursor.empty() ? "" : "&cursor=" + cursor), next, previous);
    };
    std::vector<std::int64_t> forward;
    std::set<std::int64_t> all;
    for (std::string cursor; cursor != "null"; cursor = next) {
      const auto ids = step(cursor, 9);
      for (auto id : ids) {
        EXPECT_TRUE(all.insert(id).second) << "row " << id << " twice, " << query;
        if (staying.contains(id)) forward.push_back(id);
      }
      disturb(ids);
    }
    EXPECT_EQ(forward, expected) << query << " forward";
    if (previous == "null") continue;  // one page held everything
    // Back: what `prev_cursor` leads to, and the rows of the page it came from, which are the end of the order.
    std::vector<std::int64_t> backward;
    const auto way_back = previous;
    (void)step(way_back, 9);  // the page before; from there once forward, to hold the very end
    if (next == "null") continue;
    std::vector<std::int64_t> tail;
    auto turn = next;
    const auto end = page(query + "limit=50&cursor=" + turn, next, previous);
    for (auto id : end)
      if (staying.contains(id)) tail.push_back(id);
    for (auto cursor = previous; cursor != "null"; cursor = previous) {
      const auto ids = step(cursor, 9);
      for (auto id = ids.rbegin(); id != ids.rend(); ++id)
        if (staying.contains(*id)) backward.push_back(*id);
      disturb(ids);
    }
    std::ranges::reverse(backward);
    backward.insert(backward.end(), tail.begin(), tail.end());
    EXPECT_EQ(backward, expected) << query << " backward";
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace plimsoll::table
