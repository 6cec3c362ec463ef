#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <charconv>
#include <cmath>
#include <random>

namespace plimsoll::table {
namespace {

using testkit::Api;

constexpr auto kContract = R"(openapi: 3.1.0
info: {title: T, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    values: {schema: '#/components/schemas/Value'}
    wide: {schema: '#/components/schemas/Wide'}
    holders:
      schema: '#/components/schemas/Holder'
      page: {default: 50, max: 1000}
      embeds: {value: {table: values, on: value_id}, wide: {table: wide, on: value_id}}
components:
  schemas:
    Value: {type: object, required: [id], properties: {id: {type: integer}, x: {type: number}}}
    Wide: {type: object, required: [id, x], properties: {id: {type: integer}, x: {type: [number, 'null']}, y: {type: number}}}
    Holder: {type: object, required: [id], properties: {id: {type: integer}, value_id: {type: integer}}}
paths:
  /values:
    get: {x-plimsoll: {table: values}, responses: {'200': {description: ok}}}
  /values/{id}:
    get: {x-plimsoll: {table: values}, parameters: [{name: id, in: path, required: true, schema: {type: integer}}], responses: {'200': {description: ok}}}
  /values/batch:
    post: {x-plimsoll: {table: values, batch: {create: {max: 1000}}}, requestBody: {content: {application/json: {}}}, responses: {'201': {description: ok}}}
  /wide:
    get: {x-plimsoll: {table: wide}, responses: {'200': {description: ok}}}
  /wide/batch:
    post: {x-plimsoll: {table: wide, batch: {create: {max: 1000}}}, requestBody: {content: {application/json: {}}}, responses: {'201': {description: ok}}}
  /holders:
    get: {x-plimsoll: {table: holders}, responses: {'200': {description: ok}}}
  /holders/batch:
    post: {x-plimsoll: {table: holders, batch: {create: {max: 1000}}}, requestBody: {content: {application/json: {}}}, responses: {'201': {description: ok}}}
)";

std::string text_of(double value) {
  char text[40];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::vector<double> some_doubles() {
  const auto* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  std::mt19937_64 random{seed};
  std::vector<double> made{
      0.0,  -0.0, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,   0.1,  0.30000000000000004,
      1e16, 1e22, 100,    9007199254740992.0,      -1.0961230991716595e+201, 1e-7, 123456789.12345679};
  while (made.size() < 600) {
    const auto bits = std::bit_cast<double>(random());
    const auto near =
        std::ldexp(static_cast<double>(static_cast<std::int64_t>(random())), static_cast<int>(random() % 80) - 90);
    const auto value = made.size() % 2 ? bits : near;
    if (std::isfinite(value)) made.push_back(value);
  }
  return made;
}

TEST(EmbeddedNumbers, AreTheSameTextAsInTheRowItself) {
  Api api{kContract};
  ASSERT_TRUE(api.client) << api.complaints;
  const auto doubles = some_doubles();
  std::string values, wide, holders;
  for (std::size_t i = 0; i < doubles.size(); ++i) {
    const auto id = std::string(i ? "," : "[") + "{\"id\":" + std::to_string(i + 1);
    values += id + ",\"x\":" + text_of(doubles[i]) + "}";
    // Rows with a member that may be absent are made into JSON in another way.
    wide +=
        id + ",\"x\":" + (i % 7 ? text_of(doubles[i]) : "null") + (i % 3 ? ",\"y\":" + text_of(doubles[i]) : "") + "}";
    holders += id + ",\"value_id\":" + std::to_string(i + 1) + "}";
  }
  ASSERT_EQ(api.client->post("/values/batch", values + "]").status, 201);
  ASSERT_EQ(api.client->post("/wide/batch", wide + "]").status, 201);
  ASSERT_EQ(api.client->post("/holders/batch", holders + "]").status, 201);
  const auto embedded = api.client->get("/holders?limit=1000&embed=value,wide");
  ASSERT_EQ(embedded.status, 200) << embedded.body;
  for (std::size_t i = 0; i < doubles.size(); ++i) {
    // SQLite stores a minus zero as zero.
    const auto text = text_of(doubles[i] == 0 ? 0.0 : doubles[i]);
    const auto id = std::to_string(i + 1);
    const auto row = "{\"id\":" + id + ",\"x\":" + text + "}";
    EXPECT_EQ(api.client->get("/values/" + id).body, row);
    EXPECT_TRUE(embedded.body.contains("\"value\":" + row)) << row;
    const auto other = "{\"id\":" + id + ",\"x\":" + (i % 7 ? text : "null") + (i % 3 ? ",\"y\":" + text : "") + "}";
    EXPECT_TRUE(embedded.body.contains("\"wide\":" + other)) << other;
  }
}

}  // namespace
}  // namespace plimsoll::table
