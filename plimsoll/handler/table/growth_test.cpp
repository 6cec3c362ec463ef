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

constexpr auto kRefused = R"(openapi: 3.1.0
info: {title: Refused, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    shelves: {schema: '#/components/schemas/Shelf', search: [name]}
    notes:
      schema: '#/components/schemas/Note'
      search: [text]
      unique: [slug]
      embeds: {place: {table: shelves, on: shelf}}
components:
  schemas:
    Shelf:
      type: object
      required: [id, name]
      properties: {id: {type: string}, name: {type: string}}
    Note:
      type: object
      required: [id, slug, text, shelf, rank]
      properties:
        id: {type: string, format: uuid, readOnly: true}
        slug: {type: string}
        text: {type: string}
        shelf: {type: string}
        rank: {type: integer, minimum: 0}
paths:
  /shelves:
    get: {operationId: listShelves, x-plimsoll: {table: shelves}, responses: {'200': {description: ok}}}
  /notes:
    get: {operationId: listNotes, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
  /notes/batch:
    post:
      operationId: createNotes
      x-plimsoll: {table: notes, batch: {create: {max: 4000, on-error: continue}}}
      requestBody: {required: true, content: {application/json: {schema: {type: array}}}}
      responses: {'207': {description: results}}
)";

/// New rows of which some are refused, each for a reason of its own.
class RefusedRows : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(api.client) << api.complaints;
    ASSERT_TRUE(api.sql("INSERT INTO shelves(id,name) VALUES('here','a shelf')"));
    ASSERT_TRUE(api.sql("INSERT INTO notes(id,slug,text,shelf,rank) VALUES('taken','taken','a note','here',1)"));
  }
  /// `refused` of so many rows, evenly among them.
  std::string rows(std::size_t count, std::size_t refused) {
    std::string text = "[";
    for (std::size_t i = 0, done = 0; i < count; ++i) {
      const bool wrong = done * count < refused * (i + 1) && done < refused;
      const auto kind = wrong ? done++ % 3 : 3;
      if (i > 0) text += ',';
      text += R"({"slug":")" + (kind == 0 ? "taken" : "s" + std::to_string(++next_)) + R"(","text":"lamp oil and )" +
              std::to_string(i) + R"( wicks","shelf":")" + (kind == 1 ? "nowhere" : "here") + R"(","rank":)" +
              (kind == 2 ? "-1}" : "1}");
    }
    return text + "]";
  }
  /// Milliseconds that the batch takes, the least of some runs.
  double batch(std::size_t count, std::size_t refused) {
    double least = 1e9;
    for (int run = 0; run < 5; ++run) {
      const auto body = rows(count, refused);
      const auto begun = testkit::cpu_milliseconds(testkit::kAllThreads.clock);
      const auto answer = api.client->post("/notes/batch", body);
      least = std::min(least, testkit::cpu_milliseconds(testkit::kAllThreads.clock) - begun);
      EXPECT_EQ(answer.status, 207) << answer.body.substr(0, 300);
      std::size_t made = 0;
      for (std::size_t at = 0; (at = answer.body.find(R"("status":201)", at)) != std::string::npos; ++at) ++made;
      EXPECT_EQ(made, count - refused);
    }
    return least;
  }
  Api api{kRefused};
  std::size_t next_ = 0;
};

/// Few that are refused do not make the others dear, which are stored by a few statements all the same.
TEST_F(RefusedRows, CostAFewTimesWhatOthersDo) {
  constexpr double kMostForFew = 4, kMost = 8;
  for (const std::size_t count : {64, 256}) {
    const auto good = batch(count, 0);
    for (const auto refused : {std::size_t{1}, count / 16, count / 2, count}) {
      const auto cost = batch(count, refused);
      const auto most = refused <= count / 16 ? kMostForFew : kMost;
      std::printf("%zu of %zu rows are refused: %.2f ms, none: %.2f ms\n", refused, count, cost, good);
      if (!testkit::kSanitized) EXPECT_LT(cost, most * good) << refused << " of " << count;
    }
  }
}

}  // namespace
}  // namespace plimsoll::table
