#include "plimsoll/testkit/growth.hpp"
#include "plimsoll/handler/table/change.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

#include <array>

namespace plimsoll::table {
namespace {

using testkit::Api;

/// What `work` costs at n, 2n and 4n, the least of five runs each: at most `kMostTime` times as much per doubling.
/// A machine that does much else may need another try; what grows faster fails each.
template <class Work>
void expect_linear(const char* what, std::size_t n, Work work) {
  // Memory that is given back to the kernel and taken again costs a page fault per page, from some size on.
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  if (testkit::kSanitized)
    return work(n << 2);  // whose checks have costs of their own: it is run for what else they find
  constexpr auto kMost = testkit::Growth::kMostTime;
  std::array<double, 3> cost{};
  for (int tried = 0; tried < 3; ++tried) {
    for (std::size_t i = 0; i < cost.size(); ++i) {
      cost[i] = 1e9;
      for (int run = 0; run < 5; ++run) {
        const auto begun = testkit::cpu_milliseconds(testkit::kAllThreads.clock);
        work(n << i);
        cost[i] = std::min(cost[i], testkit::cpu_milliseconds(testkit::kAllThreads.clock) - begun);
      }
    }
    if (cost[1] < kMost * cost[0] && cost[2] < kMost * cost[1]) break;
  }
  std::printf("%s: %.1f, %.1f, %.1f ms\n", what, cost[0], cost[1], cost[2]);
  EXPECT_LT(cost[1], kMost * cost[0]) << what;
  EXPECT_LT(cost[2], kMost * cost[1]) << what;
}

std::string object_of(std::size_t members, std::size_t step, const char* value) {
  std::string text = "{";
  for (std::size_t i = 0; i < members; ++i) text += (i ? ",\"m" : "\"m") + std::to_string(i * step) + "\":" + value;
  return text + "}";
}

TEST(Growth, AMergePatchCostsWhatReadingBothCosts) {
  expect_linear("members of a merge patch", 500, [](std::size_t members) {
    const auto target = object_of(members, 1, "1"), patch = object_of(members / 4, 8, "2");
    for (int i = 0; i < 50; ++i) ASSERT_GT(merged_json(target, patch).size(), members * 6);
  });
}

TEST(Growth, AMergePatchDoesAsRfc7396Says) {
  // The table of its appendix A, as far as both sides are objects.
  constexpr std::array<std::array<const char*, 3>, 10> cases{{
      {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
      {R"({"a":"b"})", R"({"a":null})", R"({})"},
      {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
      {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
      {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
      {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
      {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
      {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
      {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
  }};
  for (auto& [target, patch, result] : cases) EXPECT_EQ(merged_json(target, patch), result) << target << patch;
  EXPECT_EQ(merged_json(object_of(20, 1, "1"), object_of(20, 1, "null")), "{}");
  EXPECT_EQ(merged_json("{\"m0\":{\"x\":1}}", object_of(12, 1, "{\"y\":2}")).substr(0, 24),
            R"({"m0":{"x":1,"y":2},"m1")");
}

constexpr auto kContract = R"(openapi: 3.1.0
info: {title: Growth, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    items:
      schema: '#/components/schemas/Item'
      filters: {kind: [eq, in], rank: [ge, in]}
      sort: [rank]
      embeds: {parts: {table: parts, by: item_id, limit: 1000}}
      page: {default: 50, max: 1000}
    parts:
      schema: '#/components/schemas/Part'
components:
  schemas:
    Item:
      type: object
      required: [id, kind, rank]
      properties:
        id: {type: integer, readOnly: true}
        kind: {type: string}
        rank: {type: integer, minimum: 0}
        data: {type: object}
    Part:
      type: object
      required: [id, item_id]
      properties:
        id: {type: integer, readOnly: true}
        item_id: {type: integer}
        name: {type: string}
paths:
  /items:
    get:
      operationId: listItems
      x-plimsoll: {table: items}
      responses: {'200': {description: ok}}
  /items/batch:
    post:
      operationId: changeItems
      x-plimsoll: {table: items, batch: {update: {max: 4000, on-error: continue}}}
      requestBody: {required: true, content: {application/json: {schema: {type: array}}}}
      responses: {'207': {description: results}}
  /items/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get:
      operationId: getItem
      x-plimsoll: {table: items}
      responses: {'200': {description: ok}}
)";

class GrowthOfRequests : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(api.client) << api.complaints;
    ASSERT_TRUE(api.sql(
        "INSERT INTO items(id,kind,rank,data) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
        "i<20000) SELECT i, 'k' || i, (i * 7919) % 20000, '{}' FROM n"));
    ASSERT_TRUE(
        api.sql("INSERT INTO parts(item_id,name) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE "
                "i<1000) SELECT 1, 'part' FROM n"));
  }
  void get(const std::string& target, int times) {
    for (int i = 0; i < times; ++i) {
      const auto answer = api.client->get(target);
      ASSERT_EQ(answer.status, 200) << answer.body.substr(0, 300);
    }
  }
  Api api{kContract};
};

/// Each item in a savepoint of its own, every other one undone, on pages that lie apart.
TEST_F(GrowthOfRequests, ItemsOfABatch) {
  std::size_t next = 0;
  // The writer is an exchange's for a second, whatever else costs time.
  constexpr std::size_t kItems = testkit::kSanitized ? 50 : 250;
  expect_linear("items of a batch", kItems, [&](std::size_t items) {
    std::string batch = "[";
    for (std::size_t i = 0; i < items; ++i) {
      const auto id = std::to_string(1 + (next++ * 7919) % 20'000);
      batch += (i ? ",{\"id\":" : "{\"id\":") + id + ",\"rank\":" + (i % 2 ? "-1" : std::to_string(next)) + "}";
    }
    ASSERT_EQ(api.client->post("/items/batch", batch + "]").status, 207);
  });
}

TEST_F(GrowthOfRequests, ValuesOfAFilter) {
  expect_linear("values of a filter", 25, [&](std::size_t values) {
    std::string list;
    for (std::size_t i = 0; i < values; ++i) list += (i ? ",k" : "k") + std::to_string(i * 13 + 1);
    get("/items?fields=id&kind=" + list, 100);
  });
}

TEST_F(GrowthOfRequests, RowsOfAPage) {
  expect_linear("rows of a page", 250,
                [&](std::size_t rows) { get("/items?sort=rank&limit=" + std::to_string(rows), 10); });
}

/// All of them read where the request stands: from a number of steps on it is another thread that begins anew.
TEST_F(GrowthOfRequests, EmbeddedRows) {
  expect_linear("embedded rows", 100, [&](std::size_t rows) {
    ASSERT_TRUE(api.sql("DELETE FROM parts WHERE item_id=2"));
    ASSERT_TRUE(api.sql("INSERT INTO parts(item_id,name) SELECT 2, name FROM parts WHERE item_id=1 LIMIT ?",
                        {static_cast<std::int64_t>(rows)}));
    get("/items/2?embed=parts", 100);
  });
}

}  // namespace
}  // namespace plimsoll::table
