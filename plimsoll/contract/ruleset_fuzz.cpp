// A ruleset, however broken, is read or refused, and what is read is applied: each finding has a place in the contract
// or in the ruleset, and none is there twice. A path of the input is followed in the input itself.
#include "plimsoll/contract/json_path.hpp"
#include "plimsoll/contract/ruleset.hpp"
#include "plimsoll/json/yaml.hpp"

#include <unistd.h>
#include <cstdlib>
#include <fstream>
#include <set>

namespace {

std::string ruleset_fuzz_file(const char* kind) {
  const char* folder = std::getenv("TMPDIR");
  return std::string(folder ? folder : "/tmp") + "/ruleset-fuzz-" + std::to_string(::getpid()) + kind;
}

const plimsoll::contract::Contract& ruleset_fuzz_contract() {
  static const auto contract = [] {
    const auto name = ruleset_fuzz_file("-contract.yaml");
    std::ofstream(name) << R"(openapi: 3.1.0
info: {title: orders, version: 1.0.0, contact: {name: Ada}}
servers: [{url: http://api.example.com}]
tags: [{name: b}, {name: a}]
paths:
  /Orders_List/{id}:
    get:
      operationId: ListOrders
      deprecated: true
      parameters: [{name: id, in: path, required: true, schema: {$ref: '#/components/schemas/Tree'}}]
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Tree'}}}}, '404': {description: ''}}
components:
  schemas:
    Tree: {type: object, enum: [1, a], properties: {left: {$ref: '#/components/schemas/Tree'}, right: {description: x, $ref: '#/components/schemas/Leaf'}}}
    Leaf: {type: array, items: {$ref: '#/components/schemas/Tree'}}
)";
    return *plimsoll::contract::load({.file = name, .tolerant = true});
  }();
  return *contract;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static const auto name = ruleset_fuzz_file(".yaml");
  std::ofstream(name, std::ios::binary) << text;
  if (auto ruleset = plimsoll::contract::Ruleset::read(name, "contract.yaml")) {
    std::set<std::tuple<std::string, std::string, std::uint32_t, std::uint32_t, std::string, std::string>> seen;
    bool unread = false;
    for (const auto& each : ruleset->lint(ruleset_fuzz_contract())) {
      if (each.rule == plimsoll::contract::kRulesetRule)
        unread = true;
      else if (!each.at.line ||
               !seen.emplace(each.rule, each.file, each.at.line, each.at.column, each.pointer, each.message).second)
        __builtin_trap();
    }
    if (unread == ruleset->is_whole()) __builtin_trap();
  }
  if (auto path =
          plimsoll::contract::JsonPath::parse(text.substr(0, 200), plimsoll::contract::JsonPath::Syntax::script)) {
    plimsoll::Arena arena;
    plimsoll::Steps steps{100'000};
    if (auto root = plimsoll::json::parse_yaml(text, arena)) (void)path->select(*root, steps);
  }
  return 0;
}
