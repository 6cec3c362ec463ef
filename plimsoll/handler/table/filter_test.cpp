#include "plimsoll/handler/table/access_plan.hpp"
#include "plimsoll/handler/table/attacks.hpp"
#include "plimsoll/handler/table/filter_reference.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>

namespace plimsoll::table {
namespace {

using reference::Type;
using testkit::Api;
using testkit::member;

struct Column {
  std::string name, schema;
  Type type;
  std::vector<std::string> values;  ///< as in a query; some are in rows
  bool null = true;
};

/// Every type that a column may have, with values that look alike, differ by little, or have broken something before.
std::vector<Column> columns(bool numbered) {
  const std::vector<std::string> texts{"a",
                                       "A",
                                       "b",
                                       "ab",
                                       "aB",
                                       "é",
                                       "É",
                                       "ein Weg",
                                       "Ein  weg",
                                       "weg ein",
                                       "éin weg",
                                       "日本",
                                       "日",
                                       "ß",
                                       "𝄞",
                                       "\xe2\x80\xae",
                                       "",
                                       " ",
                                       "%",
                                       "_",
                                       "100%",
                                       "x_y",
                                       "xay",
                                       "\\",
                                       "a,b",
                                       "*",
                                       "a*b",
                                       "' OR '1'='1",
                                       "null",
                                       "true",
                                       "5",
                                       "05",
                                       "a\nb",
                                       "\x7f",
                                       std::string(200, 'z')};
  return {
      {"id",
       numbered ? "{type: integer, readOnly: true}" : "{type: string, format: uuid, readOnly: true}",
       numbered ? Type::integer : Type::text,
       {},
       false},
      {"name", "{type: [string, 'null']}", Type::text, texts},
      {"note", "{type: string}", Type::text, texts, false},
      {"code",
       "{type: string, format: uuid}",
       Type::text,
       {"00000000-0000-4000-8000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff",
        "abcdef01-0000-4000-8000-000000000000", "abcdef00-0000-4000-8000-000000000000"},
       false},
      {"state", "{type: [string, 'null'], enum: [new, open, done, null]}", Type::text, {"new", "open", "done"}},
      {"size",
       "{type: [integer, 'null']}",
       Type::integer,
       {"0", "1", "-1", "5", "7", "10", "9007199254740993", "9007199254740992", "9223372036854775807",
        "-9223372036854775808"}},
      {"ratio",
       "{type: [number, 'null']}",
       Type::real,
       {"0", "-0.0", "0.1", "0.30000000000000004", "0.3", "1e308", "-1e308", "5e-324", "2", "2.0", "1e0"}},
      {"hot", "{type: [boolean, 'null']}", Type::boolean, {"true", "false"}},
      {"at",
       "{type: [string, 'null'], format: date-time}",
       Type::instant,
       {"2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.50Z", "2026-01-01T00:00:00.000Z",
        "2026-01-01T01:00:00+01:00", "2025-12-31T23:59:59.999999999Z", "2026-01-01T00:00:01Z", "2024-02-29T12:00:00Z",
        "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00.05-00:30"}},
      {"price",
       "{type: [string, 'null'], format: decimal}",
       Type::decimal,
       {"0", "-0", "0.10", "0.1", "9.5", "9.50", "10", "-10", "-9.5", "100000000000000000000.01",
        "100000000000000000000.010", "00012", "0.30000000000000000001"}},
      {"big",
       "{type: [number, 'null'], format: decimal}",
       Type::number,
       {"0", "1", "1.0", "1e2", "100", "100.00", "-1", "0.1", "123456789012345678901234567890", "1e-3", "0.001"}},
  };
}

std::string contract(const std::vector<Column>& columns) {
  std::string filters, sort, properties, required;
  for (auto& column : columns) {
    filters += "        " + column.name + ": [eq, ne, lt, le, gt, ge, is-null" +
               (column.name == "code" || column.name == "note" ? "" : ", in") +  // a bare name is one value, or a list
               (column.type == Type::text ? ", like" : "") + "]\n";
    sort += (sort.empty() ? "" : ", ") + column.name;
    properties += "        " + column.name + ": " + column.schema + "\n";
    if (!column.null) required += (required.empty() ? "" : ", ") + column.name;
  }
  return R"(openapi: 3.1.0
info: {title: Filters, version: 1.0.0}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    things:
      schema: '#/components/schemas/Thing'
      search: [name, note]
      page: {max: 100}
      sort: [)" +
         sort + "]\n      filters:\n" + filters +
         "components:\n  schemas:\n    Thing:\n      type: object\n      required: [" + required +
         "]\n      properties:\n" + properties + R"(paths:
  /things:
    get:
      operationId: listThings
      x-plimsoll: {table: things}
      responses: {'200': {description: ok}}
    post:
      operationId: createThing
      x-plimsoll: {table: things}
      requestBody: {required: true, content: {application/json: {schema: {}}}}
      responses: {'201': {description: made}}
)";
}

/// Rows are written by the API and kept here; each list must be what plain loops make of them.
class Filters : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(api.client) << api.complaints;
    const char* given = std::getenv("PLIMSOLL_SEED");
    const auto seed = given ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
    std::printf("PLIMSOLL_SEED=%u\n", seed);
    random.seed(seed);
    for (auto& column : all) types.push_back(column.type);
    for (int i = 0; i < 70; ++i) insert();
  }
  void TearDown() override { force_access({}); }
  std::size_t pick(std::size_t n) { return random() % n; }
  const std::string& any(const std::vector<std::string>& from) { return from[pick(from.size())]; }

  void insert() {
    std::string body = "{";
    reference::Row row(all.size());
    for (std::size_t i = 1; i < all.size(); ++i) {
      const auto& column = all[i];
      if (!column.null || pick(4)) row[i] = any(column.values);
      json::append_string(body += body.size() > 1 ? "," : "", column.name);
      body += ':';
      const bool quoted = column.type == Type::text || column.type == Type::instant || column.type == Type::decimal;
      if (row[i] && quoted)
        json::append_string(body, *row[i]);
      else
        body += row[i].value_or("null");
    }
    const auto made = api.client->post("/things", body + "}");
    ASSERT_EQ(made.status, 201) << body << made.body;
    row[0] = member(made.body, "id");
    rows.push_back(std::move(row));
  }

  std::vector<std::string> expected(const std::vector<reference::Test>& tests, const std::optional<std::string>& q,
                                    const std::vector<reference::Order>& orders = {}) {
    std::vector<reference::Row> left;
    for (auto& row : rows) {
      bool keep = !q || reference::finds({row[1], row[2]}, *q);
      for (auto& test : tests) keep = keep && reference::passes(row, types, test);
      if (keep) left.push_back(row);
    }
    std::ranges::sort(left, [&](auto& a, auto& b) { return reference::before(a, b, types, orders, 0); });
    std::vector<std::string> ids;
    for (auto& row : left) ids.push_back(*row[0]);
    return ids;
  }
  /// Page by page; nothing: it was refused.
  std::optional<std::vector<std::string>> listed(const std::string& query) {
    std::vector<std::string> ids;
    for (std::string cursor; cursor != "null";) {
      const auto limit = ids.empty() && pick(2) ? 100 : 1 + pick(40);
      // Each page by any way to its rows: all give the same.
      const auto way = pick(2 * kAccessWays);
      force_access(way < kAccessWays ? std::optional{static_cast<AccessPlan::Way>(way)} : std::nullopt);
      const auto answer = api.client->get("/things?fields=id&limit=" + std::to_string(limit) + "&" + query +
                                          (cursor.empty() ? "" : "&cursor=" + cursor));
      status = answer.status;
      if (status != 200) return std::nullopt;
      Arena arena;
      auto body = json::parse(answer.body, arena);
      for (auto& row : body->find("data")->array()) ids.push_back(member(json::to_string(row), "id"));
      cursor = member(answer.body, "next_cursor");
    }
    return ids;
  }
  std::string parameter(const reference::Test& test) const {
    const auto& name = all[test.column].name;
    std::string text = test.op == "eq" || test.op == "in" ? name + "=" : name + "[" + test.op + "]=";
    for (std::size_t i = 0; i < test.values.size(); ++i) text += (i ? "," : "") + encoded(test.values[i]);
    return text + "&";
  }
  /// A bare name takes a list: a comma in its only value parts it, written as it is or as %2C.
  void part(reference::Test& test) const {
    if ((test.op != "eq" && test.op != "in") || test.values.size() != 1) return;
    if (!listable(test.column) || !test.values[0].contains(',')) return;
    test.op = "in";
    std::string rest = test.values[0];
    test.values.clear();
    for (std::size_t comma; (comma = rest.find(',')) != rest.npos; rest.erase(0, comma + 1))
      test.values.push_back(rest.substr(0, comma));
    test.values.push_back(rest);
  }
  bool listable(std::size_t column) const { return all[column].name != "code" && all[column].name != "note"; }

  reference::Test random_test() {
    static const std::vector<std::string> kOperators{"eq", "ne", "lt", "le", "gt", "ge", "in", "like", "is-null"};
    static const std::vector<std::string> kPatterns{"%",     "a%",  "%b",    "_",  "__",  "a_b",   "\\%", "100\\%",
                                                    "x\\_y", "É",   "%weg%", "A*", "\\*", "a\\*b", "\\",  "\\\\",
                                                    "*,*",   "日_", "",      "%%", "\\a", "_%_",   "%é%"};
    for (;;) {
      reference::Test test{.column = pick(all.size()), .op = any(kOperators), .values = {}};
      const auto& column = all[test.column];
      if ((test.op == "like" && column.type != Type::text) || (test.op == "in" && !listable(test.column))) continue;
      const auto value = [&] { return test.column ? any(column.values) : *rows[pick(rows.size())][0]; };
      test.values.push_back(test.op == "is-null"           ? pick(2) ? "true" : "false"
                            : test.op == "like" && pick(4) ? any(kPatterns)
                                                           : value());
      if (test.op == "in")
        for (auto more = pick(6); more > 0; --more) test.values.push_back(value());
      // A bare name without a value is an empty list, which is refused.
      if ((test.op == "in" || (test.op == "eq" && listable(test.column))) &&
          test.values == std::vector<std::string>{""})
        continue;
      return test;
    }
  }

  std::vector<Column> all = columns(GetParam());
  Api api{contract(all)};
  std::vector<Type> types;
  std::vector<reference::Row> rows;
  std::mt19937 random;
  int status = 0;
};

TEST_P(Filters, GiveTheRowsOfAnIndependentFilterInItsOrder) {
  const auto queries = std::getenv("PLIMSOLL_TORTURE") ? 20'000 : 600;
  static const std::vector<std::string> kAsked{"weg",  "ein weg", "WEG ein", "e*",      "éin",           "in",
                                               "a*",   "\"weg\"", "a OR b",  "ein-weg", "ein*weg",       "* weg",
                                               "100%", "日本",    "日*",     "-weg",    "NEAR(ein weg)", "name:ein",
                                               "5",    "ß",       "(",       "a b"};
  std::size_t found = 0;
  std::map<std::string, int> used;
  for (int i = 0; i < queries; ++i) {
    std::string query;
    std::vector<reference::Test> tests;
    std::set<std::pair<std::size_t, std::string>> known;
    for (auto n = pick(4); n > 0; --n) {
      auto test = random_test();
      if (!known.emplace(test.column, test.op == "in" ? "eq" : test.op).second) continue;
      query += parameter(test);
      ++used[test.op];
      part(test);
      tests.push_back(std::move(test));
    }
    std::optional<std::string> q;
    if (!pick(4)) query += "q=" + encoded(*(q = any(kAsked))) + "&";
    std::vector<reference::Order> orders;
    for (auto n = pick(4); n > 0; --n) {
      const auto column = pick(all.size());
      const bool ended = !orders.empty() && orders.back().column == 0;
      if (ended || std::ranges::any_of(orders, [&](auto& o) { return o.column == column; })) continue;
      orders.push_back({column, pick(2) == 0});
      query +=
          (orders.size() == 1 ? "sort=" : ",") + std::string(orders.back().descending ? "-" : "") + all[column].name;
    }
    const auto ids = listed(query);
    ASSERT_TRUE(ids) << query << " gives " << status;
    ASSERT_EQ(*ids, expected(tests, q, orders)) << query;
    found += ids->size();
  }
  std::printf("%d queries, %zu rows\n", queries, found);
  EXPECT_EQ(used.size(), 9u);
  if (!api.instance->services().database->dialect().has_statistics())
    for (auto count : access_counts()) EXPECT_GT(count, 0u);
  EXPECT_GT(found, static_cast<std::size_t>(queries));
}

TEST_P(Filters, WhatIsAcceptedOfHostileValuesGivesTheRowsOfAnIndependentFilter) {
  int asked = 0, accepted = 0;
  for (auto& [kind, values] : attacks())
    for (auto& value : values) {
      for (std::size_t column = 0; column < all.size(); ++column)
        for (std::string op : {"eq", "ne", "lt", "le", "gt", "ge", "in", "like", "is-null"}) {
          if ((op == "like" && all[column].type != Type::text) || (op == "in" && !listable(column))) continue;
          reference::Test test{column, op, {value}};
          if (op == "in") test.values.push_back(value);
          const auto ids = listed(parameter(test));
          ++asked;
          ASSERT_TRUE(ids || status == 400 || status == 414)
              << kind << ": " << parameter(test).substr(0, 100) << status;
          if (!ids) continue;
          ++accepted;
          part(test);
          const auto type = op == "is-null" ? Type::boolean : op == "like" ? Type::text : types[column];
          for (auto& one : test.values) {
            const auto read = reference::read(type, one);
            ASSERT_TRUE(read) << parameter(test).substr(0, 100) << " was taken";
            one = *read;
          }
          ASSERT_EQ(*ids, expected({test}, {})) << kind << ": " << parameter(test).substr(0, 100);
        }
      if (const auto ids = listed("q=" + encoded(value))) {
        ++accepted;
        ASSERT_EQ(*ids, expected({}, value)) << kind << ": q=" << value.substr(0, 100);
      }
    }
  std::printf("%d asked, %d accepted\n", asked, accepted);
  EXPECT_GT(accepted, 1'000);
}

INSTANTIATE_TEST_SUITE_P(Keys, Filters, testing::Bool(),
                         [](const auto& param) { return param.param ? "Numbers" : "Uuids"; });

}  // namespace
}  // namespace plimsoll::table
