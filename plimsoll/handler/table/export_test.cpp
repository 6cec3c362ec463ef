#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/pointer.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace plimsoll::table {
namespace {

using testkit::Api;
using testkit::member;

constexpr auto kContract = R"(openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    things:
      schema: '#/components/schemas/Thing'
      filters: {size: [ge]}
      sort: [size]
      page: {default: 20, max: 700}
      embeds: {children: {table: things, by: parent, limit: 5}}
components:
  schemas:
    Thing:
      type: object
      required: [id]
      properties:
        id: {type: string}
        parent: {type: string}
        name: {type: string}
        size: {type: integer}
        price: {type: string, format: decimal}
        more: {type: object}
        secret: {type: string, writeOnly: true}
paths:
  /things:
    get:
      x-plimsoll: {table: things}
      responses: {'200': {description: ok, content: {application/json: {}, text/csv: {}, application/x-ndjson: {}}}}
    post: {x-plimsoll: {table: things, batch: {create: {max: 2000}}}, requestBody: {content: {application/json: {}}}, responses: {'201': {description: ok}}}
  /plain:
    get: {x-plimsoll: {table: things}, responses: {'200': {description: ok}}}
)";

class Exports : public testing::Test {
 protected:
  static constexpr int kRows = 1203;  ///< several pages of those that are read at once
  void SetUp() override {
    ASSERT_TRUE(api.client) << api.complaints;
    std::string rows = "[";
    for (int i = 0; i < kRows; ++i)
      rows += std::string(i ? "," : "") + R"({"id":")" + id(i) + R"(","size":)" + std::to_string(i / 7) + "}";
    const auto made = api.client->post("/things", rows + "]");
    ASSERT_EQ(made.status, 201) << made.body;
  }
  static std::string id(int i) { return "t" + std::to_string(10'000 + i); }
  testkit::Answer get(const std::string& target, const std::string& accept) {
    return api.client->get(target, {{"accept", accept}});
  }
  static std::vector<std::string> lines(const std::string& text, std::string_view end) {
    std::vector<std::string> made;
    for (std::size_t at = 0; at < text.size();) {
      const auto stop = text.find(end, at);
      made.push_back(text.substr(at, stop - at));
      at = stop == text.npos ? text.size() : stop + end.size();
    }
    return made;
  }
  Api api{kContract};
};

TEST_F(Exports, AllRowsAreSentInTheirOrder) {
  const auto csv = get("/things?fields=id,size&sort=-size", "text/csv");
  ASSERT_EQ(csv.status, 200) << csv.body;
  EXPECT_TRUE(csv.header("content-type").starts_with("text/csv"));
  EXPECT_TRUE((", " + std::string(csv.header("vary")) + ",").contains(", accept,")) << csv.header("vary");
  EXPECT_EQ(csv.header("cache-control"), "private, no-cache");
  const auto rows = lines(csv.body, "\r\n");
  ASSERT_EQ(rows.size(), kRows + 1u);
  EXPECT_EQ(rows[0], "id,size");
  EXPECT_EQ(rows[1].substr(rows[1].find(',')), ",171");
  EXPECT_TRUE(std::ranges::is_sorted(rows.begin() + 1, rows.end(), std::ranges::greater{},
                                     [](const std::string& row) { return std::stoi(row.substr(row.find(',') + 1)); }));
  auto ids = std::vector(rows.begin() + 1, rows.end());
  std::ranges::sort(ids);
  EXPECT_EQ(std::ranges::unique(ids).size(), 0u) << "each row once";

  const auto ndjson = get("/things", "application/x-ndjson");
  EXPECT_EQ(ndjson.header("content-type"), "application/x-ndjson");
  const auto values = lines(ndjson.body, "\n");
  ASSERT_EQ(values.size(), static_cast<std::size_t>(kRows));
  for (int i = 0; i < kRows; ++i) EXPECT_EQ(member(values[static_cast<std::size_t>(i)], "id"), id(i));
}

TEST_F(Exports, FiltersLimitAndCursorSayWhichRows) {
  const auto count = [&](const std::string& query) {
    const auto answer = get("/things?" + query, "application/x-ndjson");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return std::ranges::count(answer.body, '\n');
  };
  EXPECT_EQ(count("size%5Bge%5D=171"), kRows - 171 * 7);
  EXPECT_EQ(count("size%5Bge%5D=9999"), 0);
  EXPECT_EQ(count("limit=3"), 3);
  EXPECT_EQ(count("limit=20"), 20) << "also where it is what the contract has as its default";
  EXPECT_EQ(count("limit=650"), 650) << "more than is read at once";
  EXPECT_EQ(count("limit=600&page=3"), 3);
  EXPECT_EQ(count("page=1"), 20);
  const auto page = api.client->get("/things?limit=200");
  EXPECT_EQ(count("cursor=" + member(page.body, "next_cursor")), kRows - 200);
  const auto second = api.client->get("/things?limit=200&cursor=" + member(page.body, "next_cursor"));
  EXPECT_EQ(get("/things?cursor=" + member(second.body, "prev_cursor"), "text/csv").problem, "invalid-query");
  EXPECT_EQ(get("/things?count=exact", "text/csv").problem, "invalid-query");
}

TEST_F(Exports, CellsAreWhatTheRowsHoldAndNoFormulas) {
  const auto made = api.client->post("/things", R"([
      {"id":"a","name":"=1+1","price":"12.50","more":{"a":[1,2]},"secret":"hush"},
      {"id":"b","name":"say \"hi\"\n","parent":"a"}])");
  ASSERT_EQ(made.status, 201) << made.body;
  const auto csv = get("/things?limit=2&sort=id&embed=children", "text/csv");
  ASSERT_EQ(csv.status, 200) << csv.body;
  const auto rows = lines(csv.body, "\r\n");
  ASSERT_EQ(rows.size(), 3u) << csv.body;
  EXPECT_TRUE(rows[0].starts_with("id,parent,name,size,price,more,children,")) << rows[0];
  EXPECT_TRUE(rows[1].starts_with("a,,\"'=1+1\",,12.50,\"{\"\"a\"\":[1,2]}\",")) << rows[1];
  EXPECT_TRUE(rows[2].starts_with("b,a,\"say \"\"hi\"\"\n\",")) << rows[2];
  EXPECT_FALSE(csv.body.contains("hush") || csv.body.contains("secret"));
}

/// A row has the budget that it has in JSON, whatever the number of bytes that are read at once.
TEST_F(Exports, ARowBeyondTheBudgetIsSentInNoForm) {
  auto small = std::string(kContract);
  small.replace(small.find("  rate-limit: off"), 0, "  budgets: {response: 8KiB}\n");
  Api api{small};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_TRUE(api.sql("INSERT INTO things(id,name) VALUES('a','short'),('b',?)", {std::string(20'000, 'n')}));
  EXPECT_EQ(api.client->get("/things?cursor=" + member(api.client->get("/things?limit=1").body, "next_cursor")).problem,
            "response-too-large");
  for (const auto* accept : {"text/csv", "application/x-ndjson"})  // the stream breaks off: the client has no end of it
    EXPECT_THROW(api.client->get("/things", {{"accept", accept}}), std::runtime_error) << accept;
}

TEST_F(Exports, OnlyWhatTheContractDeclares) {
  EXPECT_EQ(get("/plain", "text/csv").status, 406);
  for (const auto* accept : {"*/*", "application/json", "application/json, text/csv;q=0.5", "text/html, */*;q=0.1"})
    EXPECT_EQ(get("/things", accept).header("content-type"), "application/json") << accept;
  EXPECT_EQ(get("/things", "text/csv;q=0.9, application/json;q=0.1").header("content-type").substr(0, 8), "text/csv");
  EXPECT_EQ(get("/things", "image/png").status, 406);
}

TEST_F(Exports, TheServedContractSaysWhatIsInThem) {
  const auto served = api.client->get("/openapi.json");
  ASSERT_EQ(served.status, 200);
  Arena arena;
  const auto document = json::parse(served.body, arena);
  ASSERT_TRUE(document);
  const auto schema = [&](std::string_view path) {
    const auto* found = json::resolve(*document, "/paths/~1things/get/responses/200/content/" + std::string(path));
    return found ? json::to_string(*found) : "nothing";
  };
  EXPECT_EQ(schema("text~1csv/schema/type"), "\"string\"");
  EXPECT_EQ(schema("application~1x-ndjson/schema/type"), "\"array\"");
  EXPECT_TRUE(schema("application~1json/schema").contains("next_cursor"));
}

}  // namespace
}  // namespace plimsoll::table
