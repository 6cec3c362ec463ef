// The Link header is part of a response that a cache gives to other callers: nothing of it comes from the text of a
// request.

#include "plimsoll/policy/authentication/api_key.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

namespace plimsoll::table {
namespace {

using testkit::Api;

constexpr auto kContract = R"(openapi: 3.1.0
info: {title: Things, version: '1'}
servers: [{url: /v1}, {url: /other}]
security: [{key: []}]
components:
  securitySchemes: {key: {type: apiKey, in: query, name: api_key}}
  schemas:
    Thing:
      type: object
      properties: {id: {type: integer, readOnly: true}, shop: {type: string}, name: {type: string}}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  validate: {unknown-query: ignore}
  tables: {things: {schema: '#/components/schemas/Thing', filters: {name: [ne]}, sort: [name], page: {default: 1}}}
paths:
  /shops/{shop}/things:
    parameters: [{name: shop, in: path, required: true, schema: {type: string}}]
    get:
      operationId: listThings
      x-plimsoll: {table: things, cache: 1h}
      responses: {'200': {description: ok}}
)";

class Links : public testing::Test {
 protected:
  Links() : api(kContract) {
    if (!api.instance) throw std::runtime_error(api.complaints);
    for (auto* name : {"a", "b", "c"})
      if (!api.sql("INSERT INTO things(shop, name) VALUES('a b', ?)", {std::string(name)}))
        throw std::runtime_error("no row");
  }
  std::string key(const std::string& subject) {
    return database::wait_for([&](Loop& loop) -> Task<Result<std::string>> {
             policy::ApiKeys keys(*api.instance->services().database);
             if (auto ready = co_await keys.prepare(loop); !ready) co_return std::unexpected(std::move(ready).error());
             auto made = co_await keys.create(loop, {.name = subject, .subject = subject}, "pk", 0);
             co_return made;
           })
        .value();
  }
  static std::string target_of(std::string_view link) { return std::string(link.substr(1, link.find('>') - 1)); }
  Api api;
};

TEST_F(Links, HoldNoCredentialAndNothingUndeclaredAlsoFromTheCache) {
  const auto ada = key("ada"), bob = key("bob");
  const auto first =
      api.client->get("/other/shops/a%20b/things?undeclared=ada-was-here&sort=name&api_key=" + ada + "&%6eame[ne]=%61");
  ASSERT_EQ(first.status, 200) << first.body;
  const auto second = api.client->get("/v1/shops/%61%20b/things?api_key=" + bob + "&name%5Bne%5D=a&sort=name");
  ASSERT_EQ(second.status, 200) << second.body;
  EXPECT_TRUE(second.header("cache-status").contains("hit")) << second.header("cache-status");
  for (auto* answer : {&first, &second}) {
    const auto link = answer->header("link");
    EXPECT_EQ(link.find("ada"), link.npos) << link;
    EXPECT_EQ(link.find("api_key"), link.npos) << link;
    EXPECT_TRUE(link.starts_with("</v1/shops/a%20b/things?name%5Bne%5D=a&sort=name&cursor=")) << link;
    for (auto& [name, value] : answer->headers) {
      EXPECT_EQ(value.find(ada), value.npos) << name;
      EXPECT_EQ(value.find(bob), value.npos) << name;
    }
  }
  EXPECT_EQ(first.header("link"), second.header("link"));
}

TEST_F(Links, LeadToTheNextPageOfTheSameQuery) {
  const auto ada = key("ada");
  const auto first = api.client->get("/v1/shops/a%20b/things?sort=-name&name[ne]=b&page=1&api_key=" + ada);
  ASSERT_EQ(first.status, 200) << first.body;
  const auto next = api.client->get(target_of(first.header("link")) + "&api_key=" + ada);
  ASSERT_EQ(next.status, 200) << next.body;
  EXPECT_TRUE(next.body.contains(R"("name":"a")")) << next.body;
}

}  // namespace
}  // namespace plimsoll::table
