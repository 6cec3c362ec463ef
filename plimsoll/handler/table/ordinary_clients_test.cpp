#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

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
      filters: {name: [in, like], size: [in, ge]}
      sort: [name, size]
      embeds: {parent: {table: things, on: parent_id}, children: {table: things, by: parent_id}}
components:
  schemas:
    Thing:
      type: object
      required: [id]
      properties:
        id: {type: string, format: uuid}
        parent_id: {type: string, format: uuid}
        name: {type: string}
        size: {type: integer}
paths:
  /things:
    get: {x-plimsoll: {table: things}, responses: {'200': {description: ok}}}
    post: {x-plimsoll: {table: things}, requestBody: {content: {application/json: {}}}, responses: {'201': {description: ok}}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string, format: uuid}}]
    get: {x-plimsoll: {table: things}, responses: {'200': {description: ok}}}
    patch: {x-plimsoll: {table: things}, requestBody: {content: {application/json: {}}}, responses: {'200': {description: ok}}}
    delete: {x-plimsoll: {table: things}, responses: {'204': {description: ok}}}
)";

const std::string kLower = "0190a3e0-abcd-7000-8000-00000000000", kUpper = "0190A3E0-ABCD-7000-8000-00000000000";

class OrdinaryClients : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(api.client) << api.complaints;
    make("1", R"("name":"a","size":1)");
    make("2", R"("name":"b,c","size":2,"parent_id":")" + kUpper + "1\"");
    make("3", R"("name":"d","size":3)");
  }
  void make(const std::string& digit, const std::string& members) {
    const auto made = api.client->post("/things", R"({"id":")" + kUpper + digit + "\"," + members + "}");
    ASSERT_EQ(made.status, 201) << made.body;
  }
  std::string names(const std::string& query) {
    const auto answer = api.client->get("/things?fields=name&" + query);
    EXPECT_EQ(answer.status, 200) << query << answer.body;
    return member(answer.body, "data");
  }
  Api api{kContract};
};

TEST_F(OrdinaryClients, UuidsAreReadInEitherCase) {
  for (auto& written : {kLower, kUpper}) {
    EXPECT_EQ(member(api.client->get("/things/" + written + "1").body, "id"), kLower + "1");
    EXPECT_EQ(api.client->patch("/things/" + written + "1", R"({"id":")" + kUpper + R"(1","size":9})").status, 200);
  }
  EXPECT_EQ(api.client->post("/things", R"({"id":")" + kLower + "1\"}").status, 409);
  EXPECT_EQ(member(api.client->get("/things/" + kLower + "2").body, "parent_id"), kLower + "1");
  EXPECT_EQ(api.client->request("DELETE", "/things/" + kUpper + "3").status, 204);
}

TEST_F(OrdinaryClients, ListsMayBeSentAsUrlSearchParamsWritesThem) {
  EXPECT_EQ(names("sort=-size%2Cname"), R"([{"name":"d"},{"name":"b,c"},{"name":"a"}])");
  EXPECT_EQ(names("size=1%2C3"), R"([{"name":"a"},{"name":"d"}])");
  EXPECT_EQ(names("size=1%2c3"), R"([{"name":"a"},{"name":"d"}])");
  EXPECT_EQ(names("name=a%2Cd"), R"([{"name":"a"},{"name":"d"}])");
  EXPECT_EQ(names("name=b%2Cc,d"), R"([{"name":"b,c"},{"name":"d"}])");
  EXPECT_EQ(names("name%5Blike%5D=b%2Cc"), R"([{"name":"b,c"}])");
  EXPECT_EQ(names("size%5Bge%5D=3"), R"([{"name":"d"}])");
  const auto embedded = api.client->get("/things/" + kLower + "2?embed=parent%2Cchildren");
  EXPECT_EQ(embedded.status, 200) << embedded.body;
  EXPECT_EQ(member(member(embedded.body, "parent"), "name"), "a");
}

/// What a list adds to the contract it adds to each operation that lists, whatever its method.
TEST(OrdinaryClientsOfAnyMethod, AnyMethodThatListsHasTheParametersOfAList) {
  Api api{R"(openapi: 3.2.0
info: {title: T, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    things: {schema: '#/components/schemas/Thing', filters: {name: eq}, sort: [name]}
components:
  schemas:
    Thing: {type: object, required: [id], properties: {id: {type: integer, readOnly: true}, name: {type: string}}}
paths:
  /things:
    query: {operationId: queryThings, x-plimsoll: {table: {name: things, action: list}}, responses: {'200': {description: ok}}}
    additionalOperations:
      SEARCH: {operationId: searchThings, x-plimsoll: {table: {name: things, action: list}}, responses: {'200': {description: ok}}}
)"};
  ASSERT_TRUE(api.client) << api.complaints;
  ASSERT_TRUE(api.sql("INSERT INTO things(name) VALUES('a'),('b'),('c')"));
  for (const auto* method : {"QUERY", "SEARCH"}) {
    const auto filtered = api.client->request(method, "/things?name=b");
    EXPECT_EQ(filtered.status, 200) << method << filtered.body;
    EXPECT_EQ(member(filtered.body, "data"), R"([{"id":2,"name":"b"}])") << method;
    const auto sorted = api.client->request(method, "/things?sort=-name&limit=1");
    EXPECT_EQ(member(sorted.body, "data"), R"([{"id":3,"name":"c"}])") << method << sorted.body;
    EXPECT_EQ(api.client->request(method, "/things?nothing=1").status, 400) << method;
  }
}

}  // namespace
}  // namespace plimsoll::table
