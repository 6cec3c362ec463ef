#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/write.hpp"
#include "plimsoll/schema/validator.hpp"

#include <benchmark/benchmark.h>

// A request body of about 1 KB on its way: read, judged, and what making the validator costs. Beside ajv:
// bench/schema_vs_ajv.py.

namespace plimsoll {
namespace {

constexpr std::string_view kSchema = R"({"type":"object","required":["id","customer","items","status"],"properties":{
  "id":{"type":"string","format":"uuid"},
  "customer":{"type":"object","required":["id","email"],"properties":{"id":{"type":"integer","minimum":1},
    "email":{"type":"string","format":"email","maxLength":254},"name":{"type":"string","maxLength":100}},"additionalProperties":false},
  "items":{"type":"array","minItems":1,"maxItems":100,"items":{"type":"object","required":["sku","quantity","price"],"properties":{
    "sku":{"type":"string","pattern":"^[A-Z]{3}-[0-9]{4}$"},"name":{"type":"string","maxLength":200},
    "quantity":{"type":"integer","minimum":1,"maximum":1000},"price":{"type":"number","minimum":0},
    "tags":{"type":"array","items":{"type":"string"},"uniqueItems":true}},"additionalProperties":false}},
  "status":{"enum":["new","paid","shipped","done","cancelled"]},"created_at":{"type":"string","format":"date-time"},
  "note":{"type":"string","maxLength":1000}},"additionalProperties":false})";

std::string body() {
  std::string text =
      R"({"id":"0190f4a2-7c1e-7b3a-9d52-6f2f7f1c2a11","customer":{"id":48213,"email":"ines.carvalho@example.com","name":"Inês Carvalho"},"items":[)";
  for (int i = 0; i < 8; ++i)
    text +=
        std::string(i > 0 ? "," : "") +
        R"({"sku":"TEA-0042","name":"Gorreana green tea, 100 g","quantity":2,"price":4.35,"tags":["tea","azores"]})";
  return text + R"(],"status":"paid","created_at":"2026-03-14T09:26:53.589Z","note":"Please ring twice."})";
}

void Parse(benchmark::State& state) {
  const auto text = body();
  Arena arena;
  for (auto _ : state) {
    benchmark::DoNotOptimize(json::parse(text, arena));
    arena.release();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
BENCHMARK(Parse);

void Write(benchmark::State& state) {
  const auto text = body();
  Arena arena;
  const auto value = json::parse(text, arena);
  std::string out;
  for (auto _ : state) {
    out.clear();
    json::Writer(out).value(*value);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
}
BENCHMARK(Write);

void Validate(benchmark::State& state) {
  const auto text = body();
  Arena arena;
  const auto schema = json::parse(kSchema, arena), value = json::parse(text, arena);
  const auto validator = schema::compile(*schema, {.assert_formats = true});
  if (!validator->valid(*value)) state.SkipWithError("the body is invalid");
  for (auto _ : state) benchmark::DoNotOptimize(validator->valid(*value));
}
BENCHMARK(Validate);

void Compile(benchmark::State& state) {
  Arena arena;
  const auto schema = json::parse(kSchema, arena);
  for (auto _ : state) benchmark::DoNotOptimize(schema::compile(*schema, {.assert_formats = true}).has_value());
}
BENCHMARK(Compile);

}  // namespace
}  // namespace plimsoll
