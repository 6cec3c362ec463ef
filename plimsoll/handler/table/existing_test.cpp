#include "plimsoll/database/sqlite_dialect.hpp"
#include "plimsoll/handler/table/prepare.hpp"
#include "plimsoll/telemetry/metrics.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

namespace plimsoll::table {
namespace {

using testkit::Api;
using testkit::member;

/// A table of others with one column `c`, of the schema given, beside its key, a note and a reference to a box.
std::string contract(const std::string& schema, const std::string& lists = "filters: {c: [eq, ge, lt]}, sort: [c]") {
  return R"(openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    things: {schema: '#/components/schemas/Thing')" +
         (lists.empty() ? "" : ", " + lists) + R"(}
    boxes: {schema: '#/components/schemas/Box', embeds: {things: {table: things, by: box}}}
components:
  schemas:
    Box: {type: object, required: [id], properties: {id: {type: integer}}}
    Thing:
      type: object
      required: [id]
      properties:
        id: {type: integer}
        box: {type: integer}
        note: {type: string}
        c: )" +
         schema + R"(
paths:
  /boxes: {get: {x-plimsoll: {table: boxes}, responses: {'200': {description: ok}}}}
  /things:
    get: {x-plimsoll: {table: things}, responses: {'200': {description: ok}}}
    post: {x-plimsoll: {table: things}, requestBody: {content: {application/json: {}}}, responses: {'201': {description: ok}}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {x-plimsoll: {table: things}, responses: {'200': {description: ok}}}
    patch: {x-plimsoll: {table: things}, requestBody: {content: {application/json: {}}}, responses: {'200': {description: ok}}}
)";
}

const std::vector<std::string> kBoxes = {"CREATE TABLE boxes(id INTEGER PRIMARY KEY)", "INSERT INTO boxes VALUES(1)"};

std::vector<std::string> things(const std::string& type, const std::vector<std::string>& values,
                                const std::string& options = "") {
  auto made = kBoxes;
  made.push_back("CREATE TABLE things(id INTEGER PRIMARY KEY, box INTEGER, note TEXT, c " + type + ")" + options);
  for (std::size_t i = 0; i < values.size(); ++i)
    made.push_back("INSERT INTO things VALUES(" + std::to_string(i + 1) + ",1,'n'," + values[i] + ")");
  return made;
}

std::string remarks(const Api& api) {
  std::string all;
  for (auto& remark : api.instance->remarks()) all += remark + "\n";
  return all;
}

/// What is stored, byte for byte.
std::string stored(Api& api) {
  std::string all;
  const auto rows = api.sql("SELECT id || typeof(c) || hex(c) || quote(c) FROM things ORDER BY id");
  if (!rows) return "unreadable";
  for (auto& row : *rows) all += std::get<std::string>(row.at(0)) + "\n";
  return all;
}

/// A value as another program stored it.
struct Value {
  std::string sql;
  std::string shown;       ///< as JSON; empty: the member is absent
  bool odd = false;        ///< its row breaks the schema
  std::string asked{};     ///< in a query, for values that are not odd; empty: not asked for
  std::string embedded{};  ///< as JSON inside another row, where it differs
};
/// What a start and the requests answer for a column that others declared. `values` stand in ascending order.
struct Declared {
  std::string type, schema;
  std::vector<Value> values{};
  std::string refused{};  ///< the sentence of a start that is refused
  std::string advice{};   ///< a sentence of a start that is not
};

const std::string kInteger = "{type: integer}", kNumber = "{type: number}", kBoolean = "{type: boolean}",
                  kText = "{type: string}", kDate = "{type: string, format: date}",
                  kInstant = "{type: string, format: date-time}", kDecimal = "{type: string, format: decimal}",
                  kExact = "{type: number, format: decimal}", kObject = "{type: object}",
                  kWord = "{type: string, enum: [open, paid]}";

const std::vector<Value> kDecimalNumbers = {
    {"'-3'", R"("-3")", false, "-3.0"},
    {"0.1", R"("0.1")", false, "0.10"},
    {"9", R"("9")", false, "9"},
    {"'12.50'", R"("12.5")", false, "12.50"},
    {"100", R"("100")", false, "100.000"},
    {"9007199254740993", R"("9007199254740993")", false, "9007199254740993"},
    {"1e20", R"("100000000000000000000")", false, "100000000000000000000"},
    {"9e999", "null", true},
    {"'dear'", R"("dear")", true},
    {"x'00ff'", "\"\\u0000\xEF\xBF\xBD\"", true},
    {"NULL", ""},
};

const std::vector<Declared> kDeclared = {
    {"INT",
     kInteger,
     {{"-1", "-1", false, "-1"},
      {"1.5", "1.5", true},
      {"7", "7", false, "7"},
      {"9e999", "null", true},
      {"'x'", R"("x")", true},
      {"x'7b'", R"("{")", true},
      {"NULL", ""}}},
    {"BIGINT", kInteger, {{"9223372036854775807", "9223372036854775807", false, "9223372036854775807"}}},
    {"", kInteger, {{"7", "7", false, "7"}, {"'7'", R"("7")", true}, {"NULL", ""}}},
    {"TEXT", kInteger, {}, "which cannot hold"},
    {"REAL", kInteger, {}, "which cannot hold"},
    {"DOUBLE PRECISION",
     kNumber,
     {{"-9e999", "null", true},
      {"0.5", "0.5", false, "0.5"},
      {"7", "7", false, "7"},
      {"'x'", R"("x")", true},
      {"x'ff'", "\"\xEF\xBF\xBD\"", true},
      {"NULL", ""}}},
    {"NUMERIC", kNumber, {{"0.5", "0.5", false, "0.5"}, {"'x'", R"("x")", true}}},
    {"TEXT", kNumber, {}, "which cannot hold"},
    {"BOOLEAN",
     kBoolean,
     {{"0", "false", false, "false"},
      {"1", "true", false, "true"},
      {"2", "2", true},
      {"'yes'", R"("yes")", true},
      {"x'01'", R"("\u0001")", true},
      {"NULL", ""}}},
    {"TEXT", kBoolean, {}, "which cannot hold"},
    {"VARCHAR(20)",
     kText,
     {{"''", R"("")"},
      {"7", R"("7")", false, "7"},
      {"'a'", R"("a")", false, "a"},
      {"'a' || char(0) || 'b'", R"("a\u0000b")"},
      {"CAST(x'ff' AS TEXT)", "\"\xEF\xBF\xBD\"", true},
      {"x'61'", R"("a")", true},
      {"x'7a'", R"("z")", true},
      {"NULL", ""}}},
    {"", kText, {{"7", R"("7")", true}, {"'a'", R"("a")", false, "a"}}},
    {"STRING", kText, {}, "it would make a number of 007"},
    {"NUMERIC", kText, {}, "it would make a number of 007"},
    {"INTEGER", kText, {}, "it would make a number of 007"},
    {"NUMERIC", kWord, {{"'open'", R"("open")", false, "open"}, {"'what'", R"("what")", true}}},
    {"DATE",
     kDate,
     {{"20260131", R"("20260131")", true},
      {"'2026-01-30'", R"("2026-01-30")", false, "2026-01-30"},
      {"'2026-01-31'", R"("2026-01-31")", false, "2026-01-31"},
      {"'2026-01-31 00:00:00'", R"("2026-01-31 00:00:00")", true},
      {"'soon'", R"("soon")", true},
      {"x'00'", R"("\u0000")", true},
      {"NULL", ""}}},
    {"INTEGER", kDate, {}, "which cannot hold dates"},
    {"DATETIME",
     kInstant,
     {{"1769850600", R"("1769850600")", true},
      {"'2026-01-31 09:30:00'", R"("2026-01-31T09:30:00Z")", false, "2026-01-31T10:30:00+01:00"},
      {"'2026-01-31 09:30:00.5'", R"("2026-01-31T09:30:00.5Z")", false, "2026-01-31T09:30:00.5Z"},
      {"'2026-02-01 00:00:00'", R"("2026-02-01T00:00:00Z")", false, "2026-02-01"},
      {"'soon'", R"("soon")", true},
      {"x'ff'", "\"\xEF\xBF\xBD\"", true},
      {"NULL", ""}},
     "",
     "as UTC"},
    {"TIMESTAMP",
     kInstant,
     {{"'2026-01-31T09:30:00Z'", R"("2026-01-31T09:30:00Z")", false, "2026-01-31T09:30:00Z"},
      {"'2026-02-01T00:00:00Z'", R"("2026-02-01T00:00:00Z")", false, "2026-02-01"}}},
    {"TEXT",
     kInstant,
     {{"'2026-01-31 09:30:00'", R"("2026-01-31T09:30:00Z")"}, {"'2026-01-31T09:30:00Z'", R"("2026-01-31T09:30:00Z")"}},
     "",
     "in several forms"},
    {"INTEGER", kInstant, {}, "which cannot hold instants"},
    {"REAL", kInstant, {}, "which cannot hold instants"},
    {"DECIMAL(10,2)", kDecimal, kDecimalNumbers, "", "15 digits"},
    {"REAL", kDecimal, {{"0.1", R"("0.1")", false, "0.1"}, {"2", R"("2")", false, "2.0"}}, "", "15 digits"},
    {"INTEGER", kDecimal, {{"2", R"("2")", false, "2.0"}, {"2.5", R"("2.5")", false, "2.5"}}, "", "15 digits"},
    {"TEXT",
     kDecimal,
     {{"'-9'", R"("-9")", false, "-9"},
      {"'2.50'", R"("2.50")", false, "2.5"},
      {"'10'", R"("10")", false, "10.0"},
      {"'12345678901234567890.5'", R"("12345678901234567890.5")", false, "12345678901234567890.50"},
      {"'1e5'", R"("1e5")", true},
      {"'dear'", R"("dear")", true},
      {"NULL", ""}},
     "",
     "COLLATE decimal"},
    {"",
     kDecimal,
     {{"'-9'", R"("-9")", false, "-9"},
      {"2.5", R"("2.5")", false, "2.50"},
      {"3", R"("3")", false, "3"},
      {"'10'", R"("10")", false, "10.0"},
      {"'dear'", R"("dear")", true},
      {"NULL", ""}},
     "",
     "by value"},
    {"DECIMAL",
     kExact,
     {{"0.1", "0.1", false, "0.10"}, {"12", "12", false, "12.0"}, {"'x'", R"("x")", true}},
     "",
     "15 digits"},
    {"TEXT", kExact, {{"'2.50'", "2.50", false, "2.5"}, {"'10'", "10", false, "10"}, {"'x'", R"("x")", true}}},
    {"JSON",
     kObject,
     {{"7", "7", true},
      {"'[1,'", R"("[1,")", true},
      {"'{\"n\":1}'", R"({"n":1})"},
      {"x'00ff'", "\"\\u0000\xEF\xBF\xBD\"", true},
      {"CAST(x'7b22ff223a317d' AS TEXT)", "\"{\\\"\xEF\xBF\xBD\\\":1}\"", true, "", "{\"\xEF\xBF\xBD\":1}"},
      {"NULL", ""}}},
    {"TEXT", kObject, {{"''", R"("")", true}, {"'{}'", "{}"}, {"'{} x'", R"("{} x")", true}}},
    {"", kObject, {{"1.5", "1.5", true}, {"'{}'", "{}"}}},
    {"REAL", kObject, {}, "which cannot hold"},
};

std::string name_of(const Declared& one) { return one.type + " as " + one.schema + ": "; }
bool is_json(const Declared& one) { return one.schema == kObject; }

std::vector<std::string> values_of(const Declared& one) {
  std::vector<std::string> all;
  for (auto& value : one.values) all.push_back(value.sql);
  return all;
}

/// The values of `c` in a list of rows, by key; absent: empty.
std::map<int, std::string> shown_in(const std::string& rows, std::vector<int>* order = nullptr) {
  Arena arena;
  std::map<int, std::string> all;
  const auto value = json::parse(rows, arena);
  if (!value) {
    ADD_FAILURE() << "is not JSON: " << rows;
    return all;
  }
  for (auto& row : value->array()) {
    const auto id = static_cast<int>(row.find("id")->integer().value_or(0));
    const auto* c = row.find("c");
    all[id] = c ? json::to_string(*c) : "";
    if (order) order->push_back(id);
  }
  return all;
}

/// `shown` as the same writer writes it.
std::string normal(const std::string& shown) {
  Arena arena;
  const auto value = json::parse(shown, arena);
  return shown.empty() || !value ? shown : json::to_string(*value);
}

std::string encoded(std::string text) {
  for (std::size_t at = 0; (at = text.find('+', at)) != text.npos; at += 3) text.replace(at, 1, "%2B");
  return text;
}

TEST(ExistingTables, AreServedOrRefusedByWhatTheirColumnsCanHold) {
  for (auto& one : kDeclared) {
    Api api{contract(one.schema, is_json(one) ? "" : "filters: {c: [eq, ge, lt]}, sort: [c]"),
            things(one.type, values_of(one))};
    EXPECT_EQ(api.client == nullptr, !one.refused.empty()) << name_of(one) << api.complaints;
    if (!one.refused.empty()) {
      EXPECT_NE(api.complaints.find(one.refused), std::string::npos) << name_of(one) << api.complaints;
      EXPECT_NE(api.complaints.find("column \"c\" of table \"things\""), std::string::npos) << api.complaints;
    }
    if (api.client && !one.advice.empty())
      EXPECT_NE(remarks(api).find(one.advice), std::string::npos) << name_of(one) << remarks(api);
  }
}

TEST(ExistingTables, ShowWhatIsStoredWhereverRowsAreShown) {
  for (auto& one : kDeclared) {
    if (!one.refused.empty()) continue;
    Api api{contract(one.schema, is_json(one) ? "" : "filters: {c: [eq, ge, lt]}, sort: [c]"),
            things(one.type, values_of(one))};
    ASSERT_TRUE(api.client) << name_of(one) << api.complaints;
    const auto list = api.client->get("/things?limit=100");
    ASSERT_EQ(list.status, 200) << name_of(one) << list.body;
    const auto rows = shown_in(member(list.body, "data"));
    const auto boxes = api.client->get("/boxes?embed=things");
    ASSERT_EQ(boxes.status, 200) << name_of(one) << boxes.body;
    Arena arena;
    const auto box = json::parse(arena.keep(member(boxes.body, "data")), arena);
    ASSERT_TRUE(box) << name_of(one) << boxes.body;
    const auto embedded = shown_in(json::to_string(*box->array()[0].find("things")));
    for (std::size_t i = 0; i < one.values.size(); ++i) {
      const auto id = static_cast<int>(i + 1);
      const auto& value = one.values[i];
      const auto expected = normal(value.shown);
      const auto read = api.client->get("/things/" + std::to_string(id));
      EXPECT_EQ(read.status, 200) << name_of(one) << value.sql << read.body;
      EXPECT_EQ(shown_in("[" + read.body + "]").at(id), expected) << name_of(one) << value.sql;
      EXPECT_EQ(rows.at(id), expected) << name_of(one) << value.sql;
      EXPECT_EQ(embedded.at(id), value.embedded.empty() ? expected : normal(value.embedded))
          << name_of(one) << value.sql << " (embedded)";
    }
  }
}

TEST(ExistingTables, CompareAndSortByValueAndPageThroughEveryRow) {
  for (auto& one : kDeclared) {
    if (!one.refused.empty() || is_json(one)) continue;
    Api api{contract(one.schema), things(one.type, values_of(one))};
    ASSERT_TRUE(api.client) << name_of(one) << api.complaints;
    const auto last =
        one.values.empty() || !one.values.back().shown.empty() ? one.values.size() : one.values.size() - 1;
    for (const bool down : {false, true}) {
      std::vector<int> expected, order;
      for (std::size_t i = 0; i < last; ++i) expected.push_back(static_cast<int>(i + 1));
      if (down) std::ranges::reverse(expected);
      if (last < one.values.size()) expected.push_back(static_cast<int>(last + 1));  // nulls are last either way
      const std::string query = std::string("/things?limit=1&sort=") + (down ? "-c" : "c");
      std::string cursor;
      for (std::size_t page = 0; page <= one.values.size() + 1; ++page) {
        const auto answer = api.client->get(query + (cursor.empty() ? "" : "&cursor=" + cursor));
        ASSERT_EQ(answer.status, 200) << name_of(one) << answer.body;
        shown_in(member(answer.body, "data"), &order);
        cursor = member(answer.body, "next_cursor");
        if (member(answer.body, "has_more") == "false") break;
      }
      if (one.advice != "in several forms") EXPECT_EQ(order, expected) << name_of(one) << (down ? "down" : "up");
    }
    for (std::size_t i = 0; i < last; ++i) {
      const auto& value = one.values[i];
      if (value.asked.empty()) continue;
      const auto ask = [&](const char* op) {
        const auto answer = api.client->get("/things?limit=100&c" + std::string(op) + "=" + encoded(value.asked));
        EXPECT_EQ(answer.status, 200) << name_of(one) << value.sql << answer.body;
        std::set<int> found;
        for (auto& [id, shown] : shown_in(member(answer.body, "data")))
          if (!one.values[static_cast<std::size_t>(id - 1)].odd) found.insert(id);
        return found;
      };
      std::set<int> equal{static_cast<int>(i + 1)}, from, below;
      for (std::size_t j = 0; j < last; ++j)
        if (!one.values[j].odd && !(one.values[j].asked.empty() && one.schema == kText))
          (j < i ? below : from).insert(static_cast<int>(j + 1));
      EXPECT_EQ(ask(""), equal) << name_of(one) << value.sql;
      if (one.schema == kBoolean || one.schema == kText) continue;
      EXPECT_EQ(ask("[ge]"), from) << name_of(one) << value.sql;
      EXPECT_EQ(ask("[lt]"), below) << name_of(one) << value.sql;
    }
  }
}

TEST(ExistingTables, KeepWhatAPatchDoesNotTouchByteForByte) {
  for (auto& one : kDeclared) {
    if (!one.refused.empty()) continue;
    Api api{contract(one.schema, is_json(one) ? "" : "sort: [c]"), things(one.type, values_of(one))};
    ASSERT_TRUE(api.client) << name_of(one) << api.complaints;
    const auto before = stored(api);
    for (std::size_t i = 0; i < one.values.size(); ++i) {
      const auto target = "/things/" + std::to_string(i + 1);
      const auto changed = api.client->patch(target, R"({"note":"new"})");
      EXPECT_EQ(changed.status, 200) << name_of(one) << one.values[i].sql << changed.body;
      EXPECT_EQ(shown_in("[" + changed.body + "]")[static_cast<int>(i + 1)], normal(one.values[i].shown))
          << name_of(one) << one.values[i].sql;
      EXPECT_EQ(member(api.client->get(target).body, "note"), "new") << name_of(one);
    }
    EXPECT_EQ(stored(api), before) << name_of(one);
  }
}

TEST(ExistingTables, CountTheRowsThatBreakTheSchemaAtTheStart) {
  for (auto& one : kDeclared) {
    if (!one.refused.empty()) continue;
    Api api{contract(one.schema, is_json(one) ? "" : "sort: [c]"), things(one.type, values_of(one))};
    ASSERT_TRUE(api.client) << name_of(one) << api.complaints;
    const auto odd = std::ranges::count(one.values, true, &Value::odd);
    if (odd == 0)
      EXPECT_EQ(remarks(api).find("break its schema"), std::string::npos) << name_of(one) << remarks(api);
    else
      EXPECT_NE(remarks(api).find(std::to_string(odd) + " of the " + std::to_string(one.values.size()) + " rows"),
                std::string::npos)
          << name_of(one) << remarks(api);
  }
}

TEST(ExistingTables, AStartLooksAtABoundedNumberOfRowsAndSaysSo) {
  auto before = things("", {});
  before.push_back(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<12000) INSERT INTO things SELECT "
      "i,1,'n','x' "
      "FROM n");
  Api api{contract(kInteger), before};
  ASSERT_TRUE(api.client) << api.complaints;
  const auto said = remarks(api);
  const auto at = said.find(" of the first ");
  ASSERT_NE(at, std::string::npos) << said;
  const auto looked = std::atoll(said.c_str() + at + std::string_view(" of the first ").size());
  EXPECT_GT(looked, 0) << said;
  EXPECT_LE(looked, 10'000) << said;
}

TEST(ExistingTables, RowsWithOddValuesAreCountedInAMetricWhereTheyAreShown) {
  Api api{contract(kInteger), things("INT", {"7", "'x'", "'y'"})};
  ASSERT_TRUE(api.client) << api.complaints;
  const auto counted = [&] {
    const auto all = api.instance->services().metrics->expose();
    const std::string name = "plimsoll_table_odd_rows_total{table=\"things\"} ";
    const auto at = all.find(name);
    return at == all.npos ? -1 : std::atoi(all.c_str() + at + name.size());
  };
  EXPECT_EQ(counted(), 0);
  api.client->get("/things/1");
  EXPECT_EQ(counted(), 0);
  api.client->get("/things");
  EXPECT_EQ(counted(), 2);
}

/// What a client sends comes back, is found and stays the same, whatever type the column declares.
TEST(ExistingTables, TakeWhatTheContractAllows) {
  struct Sent {
    std::string type, schema, sent, asked;
  };
  const std::vector<Sent> all = {
      {"DATETIME", kInstant, R"("2026-01-31T09:30:00Z")", "2026-01-31T09:30:00Z"},
      {"DATETIME DEFAULT CURRENT_TIMESTAMP", kInstant, R"("2026-01-31T09:30:00Z")", "2026-01-31T09:30:00.00Z"},
      {"DATE", kDate, R"("2026-01-31")", "2026-01-31"},
      {"DECIMAL(10,2)", kDecimal, R"("12.5")", "12.50"},
      {"DECIMAL", kExact, "12.5", "12.50"},
      {"", kDecimal, R"("12.50")", "12.5"},
      {"TEXT", kDecimal, R"("12345678901234567890.50")", "12345678901234567890.5"},
      {"NUMERIC", kNumber, "0.1", "0.1"},
      {"NUMERIC", kWord, R"("paid")", "paid"},
      {"BOOLEAN", kBoolean, "true", "true"},
      {"JSON", kObject, R"({"n":[1,null]})", ""},
      {"", kObject, R"({})", ""},
      {"VARCHAR(3)", kText, R"("0070")", "0070"},
      {"", kText, R"("007")", "007"},
  };
  for (auto& one : all) {
    Api api{contract(one.schema, one.asked.empty() ? "" : "filters: {c: [eq]}, sort: [c]"), things(one.type, {})};
    ASSERT_TRUE(api.client) << one.type << api.complaints;
    const auto made = api.client->post("/things", R"({"id":1,"c":)" + one.sent + "}");
    EXPECT_EQ(made.status, 201) << one.type << made.body;
    EXPECT_EQ(shown_in("[" + made.body + "]")[1], normal(one.sent)) << one.type;
    EXPECT_EQ(shown_in("[" + api.client->get("/things/1").body + "]")[1], normal(one.sent)) << one.type;
    if (!one.asked.empty())
      EXPECT_EQ(shown_in(member(api.client->get("/things?c=" + one.asked).body, "data")).size(), 1u) << one.type;
    EXPECT_EQ(remarks(api).find("break its schema"), std::string::npos) << remarks(api);
  }
}

TEST(ExistingTables, ANumberColumnRefusesDecimalsThatItWouldRound) {
  Api api{contract(kDecimal), things("DECIMAL(30,2)", {})};
  ASSERT_TRUE(api.client) << api.complaints;
  const auto post = [&](const std::string& value) {
    return api.client->post("/things", R"({"c":")" + value + R"("})");
  };
  for (const char* kept : {"0", "-0.00", "123456789012.345", "9223372036854775807", "0.000000000000123456789012345",
                           "123456789012345000000000", "100.00"})
    EXPECT_EQ(post(kept).status, 201) << kept;
  for (const char* rounded : {"12345678901234.567", "9223372036854775808", "0.1234567890123456"}) {
    const auto refused = post(rounded);
    EXPECT_EQ(refused.status, 422) << rounded << refused.body;
    EXPECT_NE(refused.body.find("at most 15 digits"), std::string::npos) << refused.body;
    EXPECT_EQ(api.client->get("/things?c=" + std::string(rounded)).status, 400) << rounded;
  }
}

TEST(ExistingTables, InstantsAreWrittenInTheFormThatTheColumnHolds) {
  Api api{contract(kInstant), things("DATETIME", {"'2026-01-31 09:30:00'"})};
  ASSERT_TRUE(api.client) << api.complaints;
  EXPECT_EQ(api.client->patch("/things/1", R"({"c":"2026-02-01T01:00:00+01:00"})").status, 200);
  EXPECT_NE(stored(api).find("'2026-02-01 00:00:00'"), std::string::npos) << stored(api);
}

TEST(ExistingTables, CollationsAreReadFromTheStatementThatMadeATable) {
  const auto found = database::collations_of(
      "CREATE TABLE \"a(b\" (id INTEGER PRIMARY KEY, -- COLLATE no, here\n [p x] TEXT CHECK(1 IN (1, 2) /* , */) "
      "COLLATE Decimal, \"q\"\"r\" TEXT COLLATE \"nocase\" DEFAULT 'x, y COLLATE z', s, t TEXT collate instant)");
  EXPECT_EQ(found, (std::map<std::string, std::string>{{"p x", "decimal"}, {"q\"r", "nocase"}, {"t", "instant"}}));
}

/// Their database keeps each column to its kind: no look at the values is spent on them.
TEST(ExistingTables, ThoseOfThisServerAreNotForeignAfterARestart) {
  for (auto& schema : {kInteger, kNumber, kBoolean, kText, kDate, kInstant, kDecimal, kExact, kObject}) {
    Api api{contract(schema, "")};
    ASSERT_TRUE(api.client) << api.complaints;
    ASSERT_EQ(api.client->post("/things", R"({"id":1})").status, 201);
    ASSERT_TRUE(api.start()) << api.complaints;
    EXPECT_EQ(api.client->get("/things/1").body, R"({"id":1})");
    EXPECT_FALSE(api.instance->services().metrics->expose().contains("plimsoll_table_odd_rows_total")) << schema;
  }
}

/// Whatever other programs store in columns without a type: it is served in documents that are JSON, and stays.
TEST(ExistingTables, NoStoredValueIsAFaultOfTheServer) {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  std::mt19937 random{seed};
  const std::vector<std::string> values = {"NULL",
                                           "0",
                                           "-1",
                                           "9223372036854775807",
                                           "1.5",
                                           "9e999",
                                           "-9e999",
                                           "1e300",
                                           "4.9e-324",
                                           "'x'",
                                           "''",
                                           "'12.50'",
                                           "'{'",
                                           "'[1'",
                                           "'{\"n\":1}'",
                                           "'2026-01-31'",
                                           "'\"'",
                                           "'true'",
                                           "x'00ff'",
                                           "x'7b'",
                                           "x''",
                                           "CAST(x'ff' AS TEXT)",
                                           "CAST(x'7b22ff223a317d00' AS TEXT)",
                                           "'a' || char(0) || 'b'",
                                           "char(0) || 'b'",
                                           "char(0)",
                                           "'2026-01-31 09:30'",
                                           "'Inf'",
                                           "randomblob(3)",
                                           "CAST(randomblob(4) AS TEXT)"};
  const std::vector<std::string> schemas = {kInteger, kNumber,  kBoolean, kText,  kDate,
                                            kInstant, kDecimal, kExact,   kObject};
  const std::vector<std::string> types = {"", "NUMERIC", "TEXT", "REAL", "INT", "BLOB"};
  const int rounds = std::getenv("PLIMSOLL_TORTURE") ? 400 : 12;
  for (int round = 0; round < rounds; ++round) {
    const auto& schema = schemas[random() % schemas.size()];
    const auto& type = types[random() % types.size()];
    const bool json = schema == kObject;
    std::vector<std::string> stored_values;
    for (int i = 0; i < 12; ++i) stored_values.push_back(values[random() % values.size()]);
    Api api{contract(schema, json ? "" : "filters: {c: [eq, ge]}, sort: [c]"), things(type, stored_values)};
    if (!api.client) {
      EXPECT_NE(api.complaints.find("cannot hold"), std::string::npos) << api.complaints;
      continue;
    }
    const auto what = type + " as " + schema + ": ";
    const auto before = stored(api);
    const auto sound = [&](const std::string& target) {
      const auto answer = api.client->get(target);
      EXPECT_EQ(answer.status, 200) << what << target << answer.body;
      Arena arena;
      EXPECT_TRUE(json::parse(answer.body, arena)) << what << target << answer.body;
      return answer.body;
    };
    sound("/boxes?embed=things");
    for (const char* sort : {"", "&sort=c", "&sort=-c"}) {
      if (json && *sort) continue;
      std::vector<int> seen;
      std::string cursor;
      for (int page = 0; page < 10; ++page) {
        const auto body =
            sound("/things?limit=5&count=exact" + std::string(sort) + (cursor.empty() ? "" : "&cursor=" + cursor));
        shown_in(member(body, "data"), &seen);
        cursor = member(body, "next_cursor");
        if (member(body, "has_more") == "false") break;
      }
      EXPECT_EQ(seen.size(), 12u) << what << sort << before;
      EXPECT_EQ(std::set<int>(seen.begin(), seen.end()).size(), 12u) << what << sort << before;
    }
    for (int id = 1; id <= 12; ++id) {
      const auto target = "/things/" + std::to_string(id);
      sound(target);
      EXPECT_EQ(api.client->patch(target, R"({"note":"new"})").status, 200) << what << target;
    }
    EXPECT_EQ(stored(api), before) << what;
  }
}

}  // namespace
}  // namespace plimsoll::table
