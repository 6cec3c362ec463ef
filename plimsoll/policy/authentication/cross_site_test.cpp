#include "plimsoll/exchange/cross_site.hpp"

#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/policy/authentication/api_key.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

namespace plimsoll::policy {
namespace {

TEST(CrossSite, AnOriginIsOfTheHostAskedWhereHostAndPortAreTheSame) {
  for (auto [origin, authority] : {std::pair{"https://shop.example", "shop.example"},
                                   {"https://SHOP.example", "shop.EXAMPLE"},
                                   {"https://shop.example:443", "shop.example"},
                                   {"https://shop.example", "shop.example:443"},
                                   {"http://shop.example", "shop.example:80"},
                                   {"http://127.0.0.1:8080", "127.0.0.1:8080"},
                                   {"http://[::1]:8080", "[::1]:8080"}})
    EXPECT_TRUE(same_authority(origin, authority)) << origin << " " << authority;
  for (auto [origin, authority] : {std::pair{"null", "shop.example"},
                                   {"https://", ""},
                                   {"https://evil.example", "shop.example"},
                                   {"https://shop.example.evil.example", "shop.example"},
                                   {"https://evil-shop.example", "shop.example"},
                                   {"https://shop.example:8443", "shop.example"},
                                   {"https://shop.example", "shop.example:80"},
                                   {"http://shop.example", "shop.example:443"},
                                   {"https://shop.example, https://evil.example", "shop.example"},
                                   {"file://shop.example", "shop.example"},
                                   {"shop.example", "shop.example"}})
    EXPECT_FALSE(same_authority(origin, authority)) << origin << " " << authority;
}

constexpr auto kContract = R"(openapi: 3.1.0
info: {title: Notes, version: '1'}
security: [{session: []}]
components:
  securitySchemes:
    session: {type: apiKey, in: cookie, name: session}
    key: {type: apiKey, in: header, name: X-API-Key}
  schemas: {Note: {type: object, properties: {id: {type: integer, readOnly: true}, text: {type: string}}}}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  cors: {origins: [https://app.example.com], credentials: true}
  tables: {notes: {schema: '#/components/schemas/Note'}}
paths:
  /notes:
    get: {operationId: list, x-plimsoll: {table: notes}, responses: {'200': {description: ok}}}
    post: &post
      operationId: add
      x-plimsoll: {table: notes}
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: ok}}
  /either:
    post: {<<: *post, operationId: either, security: [{session: []}, {key: []}]}
  /perhaps:
    post: {<<: *post, operationId: perhaps, security: [{}, {session: []}]}
  /any:
    post: {<<: *post, operationId: any, x-plimsoll: {table: notes, cors: '*'}}
)";

class CrossSiteRequests : public testing::Test {
 protected:
  CrossSiteRequests() : api(kContract) {
    if (!api.instance) throw std::runtime_error(api.complaints);
    key = database::wait_for([&](Loop& loop) -> Task<Result<std::string>> {
            ApiKeys keys(*api.instance->services().database);
            if (auto ready = co_await keys.prepare(loop); !ready) co_return std::unexpected(std::move(ready).error());
            auto made = co_await keys.create(loop, {.name = "ada", .subject = "ada"}, "pk", 0);
            co_return made;
          }).value();
  }
  testkit::Answer send(std::string_view method, std::string_view path, testkit::HeaderList more, bool cookie = true) {
    if (cookie) more.emplace_back("cookie", "session=" + key);
    if (method == "POST") more.emplace_back("content-type", "application/json");
    return api.client->request(method, path, more, method == "POST" ? "{}" : "");
  }
  testkit::Api api;
  std::string key;
};

TEST_F(CrossSiteRequests, AnotherSiteCannotUseTheCookieOfItsVisitor) {
  const testkit::HeaderList refused[] = {
      {{"sec-fetch-site", "cross-site"}},
      {{"sec-fetch-site", "same-site"}},
      {{"sec-fetch-site", "same-origin"}, {"sec-fetch-site", "cross-site"}},
      {{"sec-fetch-site", "cross-site"}, {"origin", "http://localhost"}},  // the browser's word counts
      {{"origin", "https://evil.example"}},
      {{"origin", "null"}},
      {{"origin", "http://localhost:8080"}},
      {{"origin", "https://app.example.com.evil.example"}, {"sec-fetch-site", "cross-site"}},
  };
  for (auto& headers : refused) {
    const auto answer = send("POST", "/notes", headers);
    EXPECT_EQ(answer.status, 403) << headers[0].second;
    EXPECT_EQ(answer.problem, "cross-site-request") << headers[0].second;
  }
  EXPECT_EQ(api.sql("SELECT count(*) FROM notes").value()[0][0], database::Cell{std::int64_t{0}});
  const testkit::HeaderList allowed[] = {
      {},
      {{"sec-fetch-site", "same-origin"}},
      {{"sec-fetch-site", "none"}},
      {{"sec-fetch-site", "same-origin"}, {"origin", "https://evil.example"}},
      {{"origin", "http://localhost"}},
      {{"origin", "https://app.example.com"}},
      {{"origin", "https://app.example.com"}, {"sec-fetch-site", "cross-site"}},
  };
  for (auto& headers : allowed) EXPECT_EQ(send("POST", "/notes", headers).status, 201);
  EXPECT_EQ(send("GET", "/notes", {{"sec-fetch-site", "cross-site"}}).status, 200);  // changes nothing
}

TEST_F(CrossSiteRequests, OnlyTheCookieIsDistrusted) {
  const testkit::HeaderList foreign{{"sec-fetch-site", "cross-site"}};
  auto with_key = foreign;
  with_key.emplace_back("x-api-key", key);
  EXPECT_EQ(send("POST", "/either", with_key, false).status, 201);
  EXPECT_EQ(send("POST", "/either", with_key).status, 201);  // what no page can send along vouches
  EXPECT_EQ(send("POST", "/either", foreign).status, 403);
  EXPECT_EQ(send("POST", "/perhaps", foreign).status, 403);
  EXPECT_EQ(send("POST", "/perhaps", foreign, false).status, 201);
  EXPECT_EQ(send("POST", "/any", {{"origin", "https://evil.example"}}).status, 403);  // `*` is without credentials
}

}  // namespace
}  // namespace plimsoll::policy
