#include "plimsoll/testkit/api.hpp"

#include <benchmark/benchmark.h>

namespace plimsoll::table {
namespace {

constexpr auto kContract = R"(openapi: 3.1.0
info: {title: Bench, version: 1.0.0}
x-plimsoll:
  rate-limit: off
  authorization: any-caller
  tables:
    rows:
      schema: '#/components/schemas/Row'
      filters: {kind: eq}
      sort: [size]
components:
  schemas:
    Row:
      type: object
      required: [id, kind, name]
      properties:
        id: {type: integer, readOnly: true}
        kind: {type: string}
        name: {type: string}
        size: {type: [integer, 'null']}
        price: {type: [string, 'null'], format: decimal}
paths:
  /rows:
    get:
      operationId: listRows
      x-plimsoll: {table: rows}
      responses: {'200': {description: ok}}
  /rows/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get:
      operationId: getRow
      x-plimsoll: {table: rows}
      responses: {'200': {description: ok}}
)";

/// Through the whole chain, without a socket.
void ask(benchmark::State& state, const std::string& target) {
  testkit::Api api{kContract};
  if (!api.client) return state.SkipWithError(api.complaints.c_str());
  (void)api.sql(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100000) INSERT INTO "
      "rows(kind,name,size,price) "
      "SELECT 'k' || (i % 5), 'name ' || i, nullif(i * 7919 % 5000, 0), '9.50' FROM n");
  for (auto _ : state) {
    auto answer = api.client->get(target);
    if (answer.status != 200) return state.SkipWithError(answer.body.c_str());
  }
}
BENCHMARK_CAPTURE(ask, row_by_key, "/rows/4711");
BENCHMARK_CAPTURE(ask, page_of_50, "/rows?kind=k3&sort=size&limit=50");
BENCHMARK_CAPTURE(ask, page_of_50_two_fields, "/rows?kind=k3&sort=size&limit=50&fields=id,name");

}  // namespace
}  // namespace plimsoll::table
