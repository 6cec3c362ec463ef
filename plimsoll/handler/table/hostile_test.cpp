#include "plimsoll/handler/table/attacks.hpp"
#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>
#include <algorithm>
#include <map>
#include <random>

namespace plimsoll::table {
namespace {

using testkit::Api;
using testkit::member;

constexpr auto kContract = R"(openapi: 3.1.0
info: {title: Hostile, version: 1.0.0}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
  tables:
    things:
      schema: '#/components/schemas/Thing'
      filters:
        name: [eq, ne, lt, le, gt, ge, in, like, is-null]
        size: [eq, ne, lt, le, gt, ge, in, is-null]
        ratio: [eq, lt, ge]
        price: [eq, lt, ge, in]
        hot: [eq, ne, is-null]
        at: [eq, lt, ge]
      sort: [name, size, price]
      search: [name]
    others:
      schema: '#/components/schemas/Thing'
      sort: [name, size]
components:
  schemas:
    Thing:
      type: object
      required: [id]
      properties:
        id: {type: integer, readOnly: true}
        name: {type: [string, 'null']}
        size: {type: [integer, 'null']}
        ratio: {type: [number, 'null']}
        price: {type: [string, 'null'], format: decimal}
        hot: {type: [boolean, 'null']}
        at: {type: [string, 'null'], format: date-time}
        data: {type: [object, 'null']}
paths:
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
  /others:
    get:
      operationId: listOthers
      x-plimsoll: {table: others}
      responses: {'200': {description: ok}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getThing
      x-plimsoll: {table: things}
      responses: {'200': {description: ok}}
    patch:
      operationId: patchThing
      x-plimsoll: {table: things}
      requestBody: {required: true, content: {application/json: {schema: {}}}}
      responses: {'200': {description: ok}}
)";

struct Thing {
  std::int64_t id;
  std::optional<std::string> name;
  std::optional<std::int64_t> size;
};

class Hostile : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(api.client) << api.complaints;
    const char* names[] = {"a", "b", "ab", "A", "a b", "' OR '1'='1", "100%", "x_y", "\\", "", "true", "null", "5"};
    for (auto* name : names) put(name, std::nullopt);
    for (std::int64_t size : {std::int64_t{0}, std::int64_t{5}, std::int64_t{-5}, INT64_MAX, INT64_MIN})
      put(std::nullopt, size);
  }
  void put(std::optional<std::string> name, std::optional<std::int64_t> size) {
    const auto id = static_cast<std::int64_t>(things.size()) + 1;
    ASSERT_TRUE(api.sql(
        "INSERT INTO things(id,name,size) VALUES(?,?,?)",
        {id, name ? database::Cell{*name} : database::Cell{}, size ? database::Cell{*size} : database::Cell{}}));
    things.push_back({id, name, size});
  }
  std::vector<std::int64_t> ids(const std::string& body) {
    std::vector<std::int64_t> found;
    Arena arena;
    auto value = json::parse(body, arena);
    for (auto& row : value->find("data")->array()) found.push_back(*row.find("id")->integer());
    return found;
  }
  Api api{kContract};
  std::vector<Thing> things;
};

TEST_F(Hostile, NoQueryIsEverAFaultOfTheServer) {
  const std::vector<std::string> positions = {
      "name=",   "name[ne]=",  "name[like]=", "name[is-null]=", "size=", "size[ge]=", "ratio[lt]=",
      "price=",  "price[ge]=", "hot=",        "at[ge]=",        "sort=", "limit=",    "page=",
      "cursor=", "fields=",    "embed=",      "count=",         "q="};
  int asked = 0;
  for (auto& [kind, values] : attacks())
    for (auto& value : values) {
      for (auto& position : positions) {
        const auto answer = api.client->get("/things?" + position + encoded(value));
        ++asked;
        EXPECT_TRUE(answer.status == 200 || answer.status == 400 || answer.status == 414)
            << kind << ": " << position << value.substr(0, 60) << " gives " << answer.status << answer.body;
      }
      for (auto target : {"/things?" + encoded(value) + "=1", "/things/" + encoded(value)}) {
        const auto status = api.client->get(target).status;
        EXPECT_TRUE(status < 500) << kind << ": " << target.substr(0, 80) << " gives " << status;
      }
    }
  EXPECT_GE(attacks().size(), 10u);
  EXPECT_GT(asked, 1'000);
  EXPECT_EQ(std::get<std::int64_t>((*api.sql("SELECT count(*) FROM things"))[0][0]),
            static_cast<std::int64_t>(things.size()));
}

TEST_F(Hostile, NoBodyIsEverAFaultOfTheServer) {
  for (auto& [kind, values] : attacks())
    for (auto& value : values) {
      std::string text;
      json::append_string(text, value);
      for (auto body : {"{\"name\":" + text + "}", "{\"size\":" + text + "}", "{\"price\":" + text + "}",
                        "{" + text + ":1}", "{\"data\":{" + text + ":" + text + "}}", "{\"size\":" + value + "}",
                        "{\"data\":" + value + "}", "{\"at\":" + text + "}", text, value}) {
        const auto made = api.client->post("/things", body);
        EXPECT_TRUE(made.status == 201 || (made.status >= 400 && made.status < 500))
            << kind << ": " << body.substr(0, 80) << " gives " << made.status << made.body;
        const auto patched = api.client->patch("/things/1", body);
        EXPECT_LT(patched.status, 500) << kind << ": " << body.substr(0, 80) << patched.body;
      }
    }
}

// What is told of a request is sent, and logged: names as long as the body would make a short refusal the longest
// answer of all, and its line of log one that no buffer holds.
TEST_F(Hostile, ARefusalIsShortHoweverLongTheNamesItIsAbout) {
  for (auto* filling : {"x", "/", "~", "é", "\\n", "\\u0001"})
    for (const int names : {1, 3, 100}) {
      std::string body = "{";
      for (int i = 0; i < names; ++i) {
        std::string name = std::to_string(i);
        while (name.size() < 900'000U / static_cast<unsigned>(names)) name += filling;
        body += (i ? ",\"" : "\"") + name + "\":1";
      }
      const auto made = api.client->post("/things", body + "}");
      EXPECT_EQ(made.status, 422) << filling;
      EXPECT_LT(made.body.size(), 20'000U) << filling << ' ' << names;
    }
}

TEST_F(Hostile, CursorsAreRefusedUnderAnotherSortFilterOrTable) {
  ASSERT_TRUE(api.sql("INSERT INTO others SELECT * FROM things"));
  const auto cursor = member(api.client->get("/things?sort=name&limit=2").body, "next_cursor");
  ASSERT_NE(cursor, "null");
  EXPECT_EQ(api.client->get("/things?sort=name&cursor=" + cursor).status, 200);
  for (auto target : {"/others?sort=name&cursor=", "/things?sort=-name&cursor=", "/things?sort=size&cursor=",
                      "/things?cursor=", "/things?sort=name&name=a&cursor=", "/things?sort=name&q=a&cursor="})
    EXPECT_EQ(api.client->get(target + cursor).problem, "invalid-cursor") << target;
}

}  // namespace
}  // namespace plimsoll::table
