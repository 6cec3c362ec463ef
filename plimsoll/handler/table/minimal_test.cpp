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
  responses: enforce
  authorization: any-caller
  tables: {things: {schema: '#/components/schemas/Thing'}}
components:
  schemas:
    Thing: {type: object, required: [id, name], properties: {id: {type: string}, name: {type: string}}}
paths:
  /things:
    get: {x-plimsoll: {table: things}, responses: {'200': {description: ok}}}
    post: {x-plimsoll: {table: things}, requestBody: {content: {application/json: {}}}, responses: {'201': {description: ok}}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get: {x-plimsoll: {table: things}, responses: {'200': {description: ok}}}
    put: {x-plimsoll: {table: things}, requestBody: {content: {application/json: {}}}, responses: {'200': {description: ok}}}
    patch: {x-plimsoll: {table: things}, requestBody: {content: {application/json: {}}}, responses: {'200': {description: ok}}}
    delete: {x-plimsoll: {table: things}, responses: {'204': {description: ok}}}
  /together:
    post: {x-plimsoll: {table: things, batch: {create: {max: 9, on-error: abort}}}, requestBody: {content: {application/json: {}}}, responses: {'201': {description: ok}}}
  /each:
    post: {x-plimsoll: {table: things, batch: {create: {max: 9, on-error: continue}}}, requestBody: {content: {application/json: {}}}, responses: {'207': {description: ok}}}
)";

class Minimal : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(api.client) << api.complaints; }
  auto send(const std::string& method, const std::string& path, const std::string& body,
            const std::string& prefer = "return=minimal") {
    return api.client->request(method, path, {{"prefer", prefer}, {"content-type", "application/json"}}, body);
  }
  Api api{kContract};
};

TEST_F(Minimal, WritesAreAnsweredWithoutABody) {
  const auto made = send("POST", "/things", R"({"id":"a","name":"x"})");
  EXPECT_EQ(made.status, 204) << made.body;
  EXPECT_EQ(made.body, "");
  EXPECT_EQ(made.header("preference-applied"), "return=minimal");
  EXPECT_EQ(made.header("location"), "/things/a");
  EXPECT_EQ(made.header("etag"), api.client->get("/things/a").header("etag")) << "of the row that a read would give";
  for (const auto* method : {"PATCH", "PUT"}) {
    const auto changed = send(method, "/things/a", R"({"id":"a","name":")" + std::string(method) + "\"}");
    EXPECT_EQ(changed.status, 204) << changed.body;
    EXPECT_EQ(changed.header("preference-applied"), "return=minimal");
    const auto there = api.client->get("/things/a");
    EXPECT_EQ(changed.header("etag"), there.header("etag"));
    EXPECT_EQ(member(there.body, "name"), method) << "it is done all the same";
  }
  const auto together = send("POST", "/together", R"([{"id":"b","name":"x"},{"id":"c","name":"x"}])");
  EXPECT_EQ(together.status, 204) << together.body;
  EXPECT_EQ(together.header("preference-applied"), "return=minimal");
  EXPECT_EQ(api.client->get("/things/c").status, 200);
}

TEST_F(Minimal, WhatCannotBeLeftOutIsSent) {
  EXPECT_EQ(send("POST", "/things", R"({"id":"a","name":"x"})", "return=representation").status, 201);
  EXPECT_EQ(send("POST", "/things", R"({"id":"b","name":"x"})", "respond-async").status, 201);
  const auto each = send("POST", "/each", R"([{"id":"a","name":"x"},{"id":"c","name":"x"}])");
  EXPECT_EQ(each.status, 207) << "the result of each item";
  EXPECT_EQ(each.header("preference-applied"), "");
  const auto refused = send("POST", "/things", R"({"id":"a","name":"x"})");
  EXPECT_EQ(refused.status, 409);
  EXPECT_NE(refused.body, "");
  EXPECT_EQ(send("DELETE", "/things/a", "").header("preference-applied"), "") << "there is nothing to leave out";
}

}  // namespace
}  // namespace plimsoll::table
