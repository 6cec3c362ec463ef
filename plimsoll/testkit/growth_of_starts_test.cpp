#include "plimsoll/testkit/growth.hpp"

#include "plimsoll/testkit/api.hpp"

#include <gtest/gtest.h>

#include <memory>

// A contract of a quarter, a half and all of its tables or operations.

namespace plimsoll::testkit {
namespace {

constexpr auto kHeadOfContract = R"(openapi: 3.1.0
info: {title: Start, version: '1'}
x-plimsoll:
  authorization: any-caller
  rate-limit: off
)";

/// `n` tables, each with a list and a row to read, create and change.
std::string contract_of_tables(std::size_t n) {
  std::string tables = "  tables:\n", schemas = "components:\n  schemas:\n", paths = "paths:\n";
  for (std::size_t i = 0; i < n; ++i) {
    const auto number = std::to_string(i), table = "t" + number;
    tables += "    " + table + ": {schema: '#/components/schemas/T" + number +
              "', key: id, filters: {a: [eq, in], b: [ge, le]}, sort: [a, b]}\n";
    schemas += "    T" + number +
               ": {type: object, required: [id, a], properties: {id: {type: string, format: uuid, readOnly: true}, a: "
               "{type: string, maxLength: 10}, "
               "b: {type: integer}, c: {type: [string, 'null']}, d: {type: boolean}}}\n";
    paths += "  /" + table + ":\n    get:\n      operationId: list" + number + "\n      x-plimsoll: {table: " + table +
             "}\n      responses: {'200': {description: ok}}\n    post:\n      operationId: create" + number +
             "\n      x-plimsoll: {table: " + table +
             "}\n      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/T" + number +
             "'}}}}\n      responses: {'201': {description: ok}}\n";
  }
  return kHeadOfContract + tables + schemas + paths;
}
/// `n` operations on as many schemas, each of which refers to the one before.
std::string contract_of_operations(std::size_t n) {
  std::string schemas = "components:\n  schemas:\n", paths = "paths:\n";
  for (std::size_t i = 0; i < n; ++i) {
    const auto number = std::to_string(i);
    schemas +=
        "    S" + number +
        ": {type: object, properties: {a: {type: string, pattern: '^[a-z]+$'}, b: {$ref: '#/components/schemas/S" +
        std::to_string(i % 10 == 0 ? i : i - 1) + "'}}}\n";
    paths += "  /a" + number +
             "/{id}:\n    parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n    post:\n      "
             "operationId: o" +
             number +
             "\n      x-plimsoll: {mock: {}}\n      requestBody: {content: {application/json: {schema: {$ref: "
             "'#/components/schemas/S" +
             number +
             "'}}}}\n      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: "
             "'#/components/schemas/S" +
             number + "'}, example: {}}}}}\n";
  }
  return kHeadOfContract + schemas + paths;
}

TEST(Growth, OfTheStart) {
  const std::size_t most = is_torture() ? 1000 : 120;
  struct Case {
    const char* name;
    std::string (*contract)(std::size_t);
  };
  for (const auto& each : {Case{"tables", contract_of_tables}, Case{"operations", contract_of_operations}}) {
    const auto start = [&](std::size_t n) {
      auto api = std::make_shared<Api>(each.contract(n));  // makes the tables
      EXPECT_EQ(api->complaints.substr(0, 500), "");
      return [=] { EXPECT_TRUE(api->start()) << api->complaints.substr(0, 500); };
    };
    expect_bounded(std::string("start: ") + each.name, cpu_growth(most, start, kAllThreads));
  }
}

}  // namespace
}  // namespace plimsoll::testkit
