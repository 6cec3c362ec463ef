#include "plimsoll/testkit/growth.hpp"

#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

#include <memory>

// Changes of rows by requests of a quarter, a half and all of what the limits admit; lists, filters and embeds are in
// handler/table/growth_test.cpp.

namespace plimsoll::testkit {
namespace {

constexpr auto kTablesContract = R"(openapi: 3.1.0
info: {title: Growth of tables, version: '1'}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    docs:
      schema: '#/components/schemas/Doc'
      key: id
      filters: {name: [eq, in]}
      sort: [name]
      page: {default: 50, max: 1000}
components:
  schemas:
    Doc:
      type: object
      required: [id, name]
      properties: {id: {type: integer, readOnly: true}, name: {type: string}, data: {type: object}}
paths:
  /docs:
    get: {operationId: listDocs, x-plimsoll: {table: docs}, responses: {'200': {description: ok}}}
    post:
      operationId: createDoc
      x-plimsoll: {table: docs}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Doc'}}}}
      responses: {'201': {description: ok}}
  /docs/batch:
    post:
      operationId: createDocs
      x-plimsoll: {table: docs, batch: {create: {max: 1000}}}
      requestBody: {content: {application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Doc'}}}}}
      responses: {'201': {description: ok}}
  /docs/patches:
    post:
      operationId: changeDocs
      x-plimsoll: {table: docs, batch: {update: {max: 1000}}}
      requestBody: {content: {application/json: {schema: {type: array, items: {type: object}}}}}
      responses: {'200': {description: ok}}
  /docs/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {operationId: getDoc, x-plimsoll: {table: docs}, responses: {'200': {description: ok}}}
    patch:
      operationId: changeDoc
      x-plimsoll: {table: docs}
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'200': {description: ok}}
)";

class GrowthOfTables : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    api_ = std::make_unique<Api>(kTablesContract);
    ASSERT_EQ(api_->complaints, "");
  }
  static void TearDownTestSuite() { api_.reset(); }
  static std::string id_of(const Answer& created) { return member(created.body, "id"); }

  void expect(const char* name, std::size_t largest, const std::function<std::function<Answer()>(std::size_t)>& make) {
    expect_bounded(std::string("table: ") + name, cpu_growth(
                                                      largest,
                                                      [&](std::size_t n) {
                                                        const auto send = make(n);
                                                        const auto answer = send();
                                                        EXPECT_LT(answer.status, 300) << name << " of " << n << ": "
                                                                                      << answer.body.substr(0, 300);
                                                        return [=] { (void)send(); };
                                                      },
                                                      kAllThreads));
  }
  static inline std::unique_ptr<Api> api_;
};

TEST_F(GrowthOfTables, CreateAndChangeRowsInBatches) {
  expect("rows created in a batch", 1000, [](std::size_t n) {
    const auto body = "[" + listed(n, ",", [](auto i) { return "{\"name\":\"" + name(i) + "\"}"; }) + "]";
    return [=] { return api_->client->post("/docs/batch", body); };
  });
  const auto key = id_of(api_->client->post("/docs", R"({"name":"patched","data":{}})"));
  expect("patches of one row", 1000, [&](std::size_t n) {
    const auto body =
        "[" + listed(n, ",", [&](auto i) { return "{\"id\":" + key + ",\"name\":\"" + name(i) + "\"}"; }) + "]";
    return [=] { return api_->client->post("/docs/patches", body); };
  });
}

TEST_F(GrowthOfTables, MergePatchesIntoColumns) {
  const std::size_t most = is_torture() ? kBody / 32 : 4'000;
  // A patch of as many members as there are, in another order.
  expect("members of a merge patch", most, [&](std::size_t n) {
    const auto created = id_of(api_->client->post("/docs", R"({"name":"merged","data":)" + members(n) + "}"));
    const auto patch = "{\"data\":{" + listed(n, ",", [&](auto i) { return "\"" + name(n - 1 - i) + "\":0"; }) + "}}";
    return [=] { return api_->client->patch("/docs/" + created, patch); };
  });
  expect("members that a merge patch adds and removes", most / 2, [&](std::size_t n) {
    const auto created = id_of(api_->client->post("/docs", R"({"name":"merged","data":)" + members(n) + "}"));
    const auto added = "{\"data\":{" + listed(n, ",", [&](auto i) { return "\"a" + number(i) + "\":0"; }) + "}}";
    const auto removed = "{\"data\":{" + listed(n, ",", [&](auto i) { return "\"a" + number(i) + "\":null"; }) + "}}";
    return [=] {
      (void)api_->client->patch("/docs/" + created, added);
      return api_->client->patch("/docs/" + created, removed);
    };
  });
}

}  // namespace
}  // namespace plimsoll::testkit
