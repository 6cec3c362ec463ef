#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

namespace plimsoll::table {
namespace {

using testkit::Api;
using testkit::member;

/// Formats with a value that has them and one that has not.
constexpr struct {
  const char *name, *good, *bad, *form;
} kFormats[] = {
    {"date", "2026-01-31", "2026-02-30", "a date such as 2026-01-31"},
    {"time", "09:30:00Z", "9:30", "a time with its offset"},
    {"uuid", "0190a3e0-0000-7000-8000-000000000001", "0190a3e0", "a UUID such as"},
    {"email", "a@example.com", "a at example", "an email address"},
    {"ipv4", "192.0.2.1", "192.0.2.256", "an IPv4 address"},
    {"uri", "https://example.com/", "no uri", "a URI such as"},
    {"duration", "P3D", "3 days", "a duration such as"},
};

/// A table with a column of the format, and one whose JSON has a member of it. No request body has a schema: what is
/// checked is the row.
std::string contract(const std::string& format) {
  const std::string body = "requestBody: {content: {application/json: {}}}";
  return R"(openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    things:
      schema: '#/components/schemas/Thing'
      filters: {at: [eq, in, ne, lt, le, gt, ge]}
components:
  schemas:
    At: {type: string, format: )" +
         format + R"(}
    Thing:
      type: object
      required: [id, place, name]
      properties:
        id: {type: integer}
        place: {type: integer}
        name: {type: string}
        at: {allOf: [{$ref: '#/components/schemas/At'}]}
        more: {type: object, required: [kind], properties: {kind: {type: string}, at: {$ref: '#/components/schemas/At'}}}
paths:
  /things:
    get: {x-plimsoll: {table: things}, responses: {'200': {description: ok}}}
    post: {x-plimsoll: {table: things}, )" +
         body + R"(, responses: {'201': {description: ok}}}
  /places/{place}/things:
    parameters: [{name: place, in: path, required: true, schema: {type: integer}}]
    post: {x-plimsoll: {table: things}, )" +
         body + R"(, responses: {'201': {description: ok}}}
  /things/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {x-plimsoll: {table: things}, responses: {'200': {description: ok}}}
    put: {x-plimsoll: {table: things}, )" +
         body + R"(, responses: {'200': {description: ok}}}
    patch: {x-plimsoll: {table: things}, )" +
         body + R"(, responses: {'200': {description: ok}}}
  /made:
    post: {x-plimsoll: {table: things, batch: {create: {}}}, )" +
         body + R"(, responses: {'201': {description: ok}}}
  /changed:
    post: {x-plimsoll: {table: things, batch: {update: {on-error: continue}}}, )" +
         body + R"(, responses: {'207': {description: ok}}}
)";
}

TEST(Formats, AreCheckedInEveryWayToWriteARow) {
  for (auto& [name, good, bad, form] : kFormats) {
    Api api{contract(name)};
    ASSERT_TRUE(api.client) << api.complaints;
    const auto row = [](int id, const std::string& members) {
      return R"({"id":)" + std::to_string(id) + R"(,"place":1,"name":"a")" + members + "}";
    };
    const auto at = [](const char* value) { return R"("at":")" + std::string(value) + '"'; };
    const auto inside = [&](const char* value) { return R"("more":{"kind":"k",)" + at(value) + "}"; };
    ASSERT_EQ(api.client->post("/things", row(1, "," + at(good) + "," + inside(good))).status, 201) << name;
    for (const bool nested : {false, true}) {
      const auto wrong = nested ? inside(bad) : at(bad);
      const std::string pointer = nested ? "/more/at" : "/at";
      const auto refused = [&](const testkit::Answer& answer, const std::string& prefix, int status = 422) {
        EXPECT_EQ(answer.status, status) << name << answer.body;
        EXPECT_NE(answer.body.find(R"("pointer":")" + prefix + pointer + '"'), std::string::npos) << answer.body;
        EXPECT_NE(answer.body.find("must be " + std::string(form)), std::string::npos) << answer.body;
        EXPECT_NE(answer.body.find(R"("keyword":"format")"), std::string::npos) << answer.body;
      };
      refused(api.client->post("/things", row(2, "," + wrong)), "");
      refused(api.client->post("/places/1/things", row(2, "," + wrong)), "");
      refused(api.client->patch("/things/1", "{" + wrong + "}"), "");
      refused(api.client->request("PUT", "/things/1", {{"content-type", "application/json"}}, row(1, "," + wrong)), "");
      refused(api.client->post("/made", "[" + row(2, "") + "," + row(3, "," + wrong) + "]"), "/1");
      refused(api.client->post("/changed", R"([{"id":1,)" + wrong + "}]"), "/0", 207);
    }
    EXPECT_EQ(member(api.client->get("/things/1").body, "at"), good);
    // What is wrong already can be sent back, and other members changed.
    ASSERT_TRUE(api.sql("UPDATE things SET at='never' WHERE id=1"));
    EXPECT_EQ(api.client->patch("/things/1", R"({"name":"b","at":"never"})").status, 200);
  }
}

TEST(Formats, AreCheckedInFilters) {
  for (auto& [name, good, bad, form] : kFormats) {
    Api api{contract(name)};
    ASSERT_TRUE(api.client) << api.complaints;
    const auto encoded = [](std::string text) {
      for (std::size_t at = 0; (at = text.find(' ', at)) != text.npos;) text.replace(at, 1, "%20");
      return text;
    };
    for (const char* filter : {"at=", "at[ne]=", "at[lt]=", "at[le]=", "at[gt]=", "at[ge]="}) {
      EXPECT_EQ(api.client->get("/things?" + std::string(filter) + encoded(good)).status, 200) << name << filter;
      const auto refused = api.client->get("/things?" + std::string(filter) + encoded(bad));
      EXPECT_EQ(refused.status, 400) << name << filter << refused.body;
      EXPECT_NE(refused.body.find("must be " + std::string(form)), std::string::npos) << refused.body;
    }
    EXPECT_EQ(api.client->get("/things?at=" + encoded(good) + "," + encoded(bad)).status, 400) << name;
  }
}

TEST(Formats, FiltersByInstantNameWhatTheyTake) {
  Api api{contract("date-time")};
  ASSERT_TRUE(api.client) << api.complaints;
  for (const char* good : {"2026-01-31", "2026-01-31T09:30:00Z", "2026-01-31T09:30:00.5-02:00"})
    EXPECT_EQ(api.client->get("/things?at[ge]=" + std::string(good)).status, 200) << good;
  for (const char* bad : {"yesterday", "2026-01-31T09:30", "2026-02-30", "20260131"}) {
    const auto refused = api.client->get("/things?at[ge]=" + std::string(bad));
    EXPECT_EQ(refused.status, 400) << bad;
    EXPECT_NE(refused.body.find("a date-time such as 2026-01-31T09:30:00Z"), std::string::npos) << refused.body;
    EXPECT_NE(refused.body.find("a date such as 2026-01-31"), std::string::npos) << refused.body;
  }
}

TEST(Formats, AMissingMemberIsToldAtItsOwnPlace) {
  Api api{contract("date")};
  ASSERT_TRUE(api.client) << api.complaints;
  const auto told = [](const testkit::Answer& answer, const char* pointer) {
    EXPECT_EQ(answer.status, 422) << answer.body;
    EXPECT_NE(
        answer.body.find(R"("pointer":")" + std::string(pointer) + R"(","keyword":"required","message":"is required")"),
        std::string::npos)
        << answer.body;
  };
  told(api.client->post("/things", R"({"id":1,"place":1})"), "/name");
  told(api.client->post("/things", R"({"id":1,"place":1,"name":"a","more":{}})"), "/more/kind");
  told(api.client->post("/made", R"([{"id":1,"place":1,"name":"a"},{"id":2,"name":"b"}])"), "/1/place");
  told(api.client->post("/made", R"([{"id":1,"place":1,"name":"a","more":{"at":"2026-01-31"}}])"), "/0/more/kind");
}

}  // namespace
}  // namespace plimsoll::table
