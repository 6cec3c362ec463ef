#include "plimsoll/json/write.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace plimsoll::table {
namespace {

using testkit::Api;
using testkit::HeaderList;
using testkit::member;

/// Tables that embed each other in a chain, a hundred rows in each row, and one whose rows are large.
std::string contract(const std::string& budgets) {
  return R"(openapi: 3.1.0
info: {title: Budgets, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
)" + budgets +
         R"(
  tables:
    nodes:
      schema: '#/components/schemas/Node'
      key: id
      sort: [rank]
      embeds:
        children: {table: nodes, by: parent_id, limit: 300}
        parent: {table: nodes, on: parent_id}
      page: {default: 50, max: 100}
    texts:
      schema: '#/components/schemas/Text'
      page: {default: 50, max: 100}
components:
  schemas:
    Node:
      type: object
      required: [id, rank]
      properties:
        id: {type: integer, readOnly: true}
        parent_id: {type: integer}
        rank: {type: integer}
        note: {type: string}
        weight: {type: [number, 'null']}
        data: {type: object}
    Text:
      type: object
      required: [id, text]
      properties:
        id: {type: integer, readOnly: true}
        text: {type: string}
        data: {type: object}
paths:
  /nodes:
    get:
      operationId: listNodes
      x-plimsoll: {table: nodes}
      responses: {'200': {description: ok}}
  /nodes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get:
      operationId: getNode
      x-plimsoll: {table: nodes}
      responses: {'200': {description: ok}}
  /texts:
    get:
      operationId: listTexts
      x-plimsoll: {table: texts}
      responses: {'200': {description: ok}}
  /texts/batch:
    post:
      operationId: createTexts
      x-plimsoll: {table: texts, batch: {create: {max: 1000}}}
      requestBody: {required: true, content: {application/json: {schema: {type: array}}}}
      responses: {'201': {description: made}}
  /texts/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get:
      operationId: getText
      x-plimsoll: {table: texts}
      responses: {'200': {description: ok}}
    patch:
      operationId: patchText
      x-plimsoll: {table: texts}
      requestBody: {required: true, content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
)";
}

/// Every id of a list, page by page, and how many pages there were.
struct Walked {
  std::vector<std::string> ids;
  std::size_t pages = 0, largest = 0;
};
Walked walk(Api& api, const std::string& target) {
  Walked walked;
  for (auto cursor = std::string{}; walked.pages < 1000;) {
    const auto answer = api.client->get(target + cursor);
    EXPECT_EQ(answer.status, 200) << answer.body.substr(0, 300);
    if (answer.status != 200) break;
    ++walked.pages;
    walked.largest = std::max(walked.largest, answer.body.size());
    Arena arena;
    auto page = json::parse(arena.keep(answer.body), arena);
    EXPECT_TRUE(page);
    if (!page) break;
    for (auto& row : page->find("data")->array()) walked.ids.push_back(json::to_string(*row.find("id")));
    EXPECT_EQ(page->find("has_more")->boolean(), page->find("next_cursor")->is(json::Type::string));
    if (!page->find("has_more")->boolean()) break;
    cursor = "&cursor=" + std::string(page->find("next_cursor")->string());
  }
  return walked;
}

constexpr auto kThirtyEach =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<310) INSERT INTO nodes(id,parent_id,rank) "
    "SELECT i, iif(i<=10, NULL, (i-11)/30+1), iif(i<=10, i % 4, 1000) FROM n";

TEST(Budgets, AListEndsEarlyWhereItsRowsWouldBeTooManyAndTheWalkMissesNone) {
  Api api{contract("  budgets: {rows: 100}\n")};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_TRUE(api.sql(kThirtyEach));
  for (auto sort : {"rank", "-rank", "id", "-id"}) {
    auto walked = walk(api, std::string("/nodes?embed=children&limit=100&sort=") + sort);
    EXPECT_GE(walked.pages, 4u) << sort;  // ten rows of 31
    EXPECT_EQ(walked.ids.size(), 310u) << sort;
    std::ranges::sort(walked.ids);
    EXPECT_EQ(std::ranges::unique(walked.ids).size(), 0u) << sort;
  }
}

TEST(Budgets, AListEndsEarlyWhereItsTextWouldBeTooLongAndTheWalkMissesNone) {
  Api api{contract("  budgets: {response: 64KiB}\n")};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_TRUE(
      api.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<40) INSERT INTO texts(text) "
              "SELECT hex(zeroblob(i*300)) FROM n"));
  const auto walked = walk(api, "/texts?limit=100");
  EXPECT_EQ(walked.ids.size(), 40u);
  EXPECT_GE(walked.pages, 8u);
  EXPECT_LE(walked.largest, 64u * 1024);
  // And back again, from a page that ended early.
  const auto first = api.client->get("/texts?limit=100");
  const auto second = api.client->get("/texts?limit=100&cursor=" + member(first.body, "next_cursor"));
  const auto back = api.client->get("/texts?limit=100&cursor=" + member(second.body, "prev_cursor"));
  EXPECT_EQ(member(back.body, "data"), member(first.body, "data"));
}

TEST(Budgets, WhatCannotEndEarlyIsRefusedWithTheRemedy) {
  Api api{contract("  budgets: {rows: 20, response: 16KiB}\n")};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_TRUE(api.sql(kThirtyEach));
  ASSERT_TRUE(api.sql("INSERT INTO texts(text) SELECT hex(zeroblob(20000))"));
  for (auto target : {"/nodes?embed=children&sort=id", "/nodes/1?embed=children", "/texts/1", "/texts"}) {
    const auto answer = api.client->get(target);
    EXPECT_EQ(answer.status, 400) << target;
    EXPECT_EQ(answer.problem, "response-too-large") << target << answer.body;
  }
  EXPECT_EQ(api.client->get("/texts?fields=id").status, 200);
  EXPECT_EQ(api.client->get("/nodes/1").status, 200);
}

TEST(Budgets, AChangeWhoseRowIsLargerThanAllowedIsUndone) {
  Api api{contract("  budgets: {response: 16KiB}\n")};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_TRUE(api.sql("INSERT INTO texts(text,data) VALUES('a','{}')"));
  int grown = 0;
  for (; grown < 20; ++grown) {
    const auto answer = api.client->patch(
        "/texts/1", "{\"data\":{\"m" + std::to_string(grown) + "\":\"" + std::string(2000, 'x') + "\"}}");
    if (answer.status == 200) continue;
    EXPECT_EQ(answer.problem, "response-too-large");
    break;
  }
  EXPECT_EQ(grown, 8);
  EXPECT_EQ(api.client->get("/texts/1").status, 200);  // what is stored can be read
  std::string batch = "[";
  for (int i = 0; i < 20; ++i) batch += (i ? ",{\"text\":\"" : "{\"text\":\"") + std::string(2000, 'x') + "\"}";
  EXPECT_EQ(api.client->post("/texts/batch", batch + "]").problem, "response-too-large");
  EXPECT_EQ(std::get<std::int64_t>((*api.sql("SELECT count(*) FROM texts"))[0][0]), 1);
}

/// A response without a body has no rows, and the batch is done.
TEST(Budgets, ABatchAnswersNoMoreRowsThanAllowedAndWithoutABodyIsDone) {
  for (const std::string each : {"", ", on-error: continue"}) {
    auto text = contract("  budgets: {rows: 20}\n");
    text.replace(text.find("{max: 1000}"), 11, "{max: 1000" + each + "}");
    Api api{text};
    ASSERT_TRUE(api.client) << api.complaints;
    const auto items = [](int count) {
      std::string batch = "[";
      for (int i = 0; i < count; ++i) batch += (i ? ",{\"text\":\"" : "{\"text\":\"") + std::to_string(i) + "\"}";
      return batch + "]";
    };
    const auto stored = [&] { return std::get<std::int64_t>((*api.sql("SELECT count(*) FROM texts"))[0][0]); };
    EXPECT_EQ(api.client->post("/texts/batch", items(20)).status, each.empty() ? 201 : 207);
    const auto refused = api.client->post("/texts/batch", items(21));
    EXPECT_EQ(refused.problem, "response-too-large") << refused.body.substr(0, 300);
    EXPECT_NE(refused.body.find("at most 20 rows"), std::string::npos) << refused.body;
    EXPECT_EQ(stored(), 20);
    if (!each.empty()) continue;
    const HeaderList minimal{{"prefer", "return=minimal"}, {"content-type", "application/json"}};
    EXPECT_EQ(api.client->request("POST", "/texts/batch", minimal, items(21)).status, 204);
    EXPECT_EQ(stored(), 41);
  }
}

TEST(Budgets, AChangeWithoutABodyIsNotRefusedForItsLength) {
  Api api{contract("  budgets: {response: 16KiB}\n")};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_TRUE(api.sql("INSERT INTO texts(text,data) SELECT hex(zeroblob(20000)),'{}'"));
  const HeaderList minimal{{"prefer", "return=minimal"}, {"content-type", "application/json"}};
  const auto refused = api.client->patch("/texts/1", R"({"data":{"a":1}})");
  EXPECT_EQ(refused.problem, "response-too-large");
  EXPECT_TRUE(database::kResponseTooLarge.remedy.contains("return=minimal")) << "what the page of the problem says";
  const auto changed = api.client->request("PATCH", "/texts/1", minimal, R"({"data":{"a":1}})");
  EXPECT_EQ(changed.status, 204) << changed.body;
  EXPECT_EQ(api.client->get("/texts/1?fields=data").body, R"({"data":{"a":1}})");
  const auto large = "[{\"text\":\"" + std::string(20'000, 'x') + "\"}]";
  EXPECT_EQ(api.client->request("POST", "/texts/batch", minimal, large).status, 204);
}

/// A tag is a header of one request: a batch has none for each of its items.
TEST(Budgets, ABatchOfChangesOfATableThatRequiresTagsStopsTheStartAtItsPlace) {
  for (const std::string action : {"update", "delete", "create"}) {
    auto text = contract("");
    text.replace(text.find("{create: {max: 1000}}"), 21, "{" + action + ": {max: 1000}}");
    text.insert(text.find("      page: {default: 50, max: 100}\ncomponents"), "      require-match: true\n");
    Api api{text};
    if (action == "create") {
      EXPECT_TRUE(api.client) << api.complaints;
      continue;
    }
    EXPECT_FALSE(api.client) << action;
    const auto lines = 1 + std::ranges::count(text.substr(0, text.find("batch: {")), '\n');
    EXPECT_NE(api.complaints.find("api.yaml:" + std::to_string(lines) + ":"), std::string::npos) << api.complaints;
    EXPECT_NE(api.complaints.find("require-match"), std::string::npos) << api.complaints;
    EXPECT_NE(api.complaints.find("Leave out `require-match` or the batch"), std::string::npos) << api.complaints;
  }
}

/// One parent of 300: its children, their parent, its children again, …: ten million rows, if nobody counted.
TEST(Budgets, EmbedsThatMultiplyEndAtTheBudgetAndNotAtTheDeadline) {
  Api api{contract("  deadline: off\n")};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_TRUE(
      api.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300) INSERT INTO "
              "nodes(id,parent_id,rank) SELECT i, 1, i FROM n"));
  const auto one = api.client->get("/nodes/1?fields=id,children(id,parent(id,children(id,parent)))");
  EXPECT_EQ(one.problem, "response-too-large") << one.body.substr(0, 200);  // 300 * (1 + 300 * 2)
  const auto page = api.client->get("/nodes?fields=id,parent(id,children(id,parent(id)))&limit=100");
  EXPECT_EQ(page.status, 200);
  EXPECT_LE(page.body.size(), config::mebibytes(16).bytes);
  const auto rows = [](const std::string& body) {
    std::size_t n = 0;
    for (auto at = body.find("\"id\""); at != body.npos; at = body.find("\"id\"", at + 1)) ++n;
    return n;
  };
  EXPECT_LE(rows(page.body), 50'000u);
  EXPECT_GT(rows(page.body), 49'000u);
  EXPECT_EQ(member(page.body, "has_more"), "true");
}

TEST(Budgets, FieldsNestToTheDocumentedDepthWithEveryKindOfColumn) {
  Api api{contract("")};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_TRUE(
      api.sql("INSERT INTO nodes(id,parent_id,rank,note,weight,data) VALUES(1,NULL,1,'a',0.5,'{\"a\":[1]}'),"
              "(2,1,2,NULL,NULL,NULL),(3,2,3,'c',0.1,'{}'),(4,3,4,'d',1e300,NULL),(5,4,5,NULL,2,'{}')"));
  const std::string all = "id,parent_id,rank,note,weight,data,";
  const auto down =
      "/nodes/1?fields=" + all + "children(" + all + "children(" + all + "children(" + all + "children)))";
  const auto answer = api.client->get(down);
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.body,
            R"({"id":1,"rank":1,"note":"a","weight":0.5,"data":{"a":[1]},"children":[{"id":2,"parent_id":1,"rank":2,)"
            R"("weight":null,"children":[{"id":3,"parent_id":2,"rank":3,"note":"c","weight":0.1,"data":{},"children":[)"
            R"({"id":4,"parent_id":3,"rank":4,"note":"d","weight":1e+300,"children":[{"id":5,"parent_id":4,"rank":5,)"
            R"("weight":2,"data":{}}]}]}]}]})");
  const auto up = "/nodes/5?fields=id,parent(id,parent(id,parent(id,parent(id))))";
  EXPECT_EQ(api.client->get(up).status, 400);  // deeper than documented
  const auto mixed = api.client->get("/nodes/5?fields=id,parent(" + all + "children(" + all + "parent(" + all +
                                     "children)))&embed=children");
  EXPECT_EQ(mixed.status, 200) << mixed.body;
  const auto top = api.client->get("/nodes/1?fields=id,parent(id,parent(id))");
  EXPECT_EQ(top.body, R"({"id":1,"parent":null})");
}

TEST(Budgets, ABudgetThatCannotBeUsedStopsTheStartWithItsLine) {
  for (auto budgets : {"  budgets: {rows: 0}\n", "  budgets: {response: 12}\n", "  budgets: {row: 12}\n",
                       "  budgets: {response: 1B}\n"}) {
    Api api{contract(budgets)};
    EXPECT_FALSE(api.client) << budgets;
    EXPECT_NE(api.complaints.find("api.yaml:6:"), std::string::npos) << api.complaints;
  }
}

}  // namespace
}  // namespace plimsoll::table
