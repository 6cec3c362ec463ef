#pragma once

// What the fuzz targets of schemas check, and the replay of their corpora.

#include "plimsoll/json/parse.hpp"
#include "plimsoll/schema/program.hpp"
#include "plimsoll/schema/regex.hpp"
#include "plimsoll/schema/validator.hpp"

#include <array>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll::schema {

/// A verdict, and whether a search was given up on the way to it: such a verdict is a refusal, and says nothing else.
struct Verdict {
  bool valid = false, given_up = false;
};

inline Verdict judge(const Validator& validator, const json::Value& instance) {
  Regex::exhausted() = false;
  Verdict verdict{.valid = validator.valid(instance)};
  verdict.given_up = Regex::exhausted();
  return verdict;
}

/// A compiled schema, and the program behind it.
struct Judge {
  const Program* program;
  Validator validator;
};

inline Result<Judge> compile_to_judge(const json::Value& schema, const CompileOptions& options) {
  auto graph = read_graph(schema, options);
  if (!graph) return std::unexpected(std::move(graph.error()));
  auto made = generate(std::move(*graph));
  if (!made) return std::unexpected(std::move(made.error()));
  const auto* program = made->get();
  return Judge{program, Validator(std::move(*made))};
}

/// Where the fast way, the one that explains and the three outputs do not say the same; empty: nowhere.
inline std::string verdict_fault(const Judge& by, const json::Value& instance) {
  const auto& validator = by.validator;
  const auto verdict = judge(validator, instance);
  const bool valid = verdict.valid;
  Steps steps;
  const auto reasons = explain(*by.program, instance, steps, 8);
  // Where it finds none it says that a search was given up, the only way then to come to be asked.
  const bool none = reasons.size() == 1 && reasons[0].message.starts_with("cannot be checked");
  if (!verdict.given_up && valid != none) return valid ? "valid, with reasons" : "invalid, without a reason";
  const auto failures = validator.validate(instance, 8);
  if (valid != failures.empty()) return valid ? "valid, with failures" : "invalid, without a failure";
  if (failures.size() > 8) return "more failures than asked for";
  for (const auto format : {Output::flag, Output::basic, Output::detailed}) {
    std::string out;
    validator.write(out, instance, format, 8);
    Arena arena;
    const auto read = json::parse(out, arena, {.depth = 1000});
    if (!read) return "an output is not JSON: " + out;
    const auto* said = read->find("valid");
    if (!said || said->boolean() != valid) return "an output says otherwise: " + out;
    const auto* errors = read->find("errors");
    if (format != Output::flag && !valid && (!errors || errors->array().empty())) return "no errors: " + out;
  }
  return {};
}

/// A bound at the root of a schema of the 2020-12 dialect, read here without the compiler, beyond which an instance is
/// that was found valid; empty: none.
inline std::string bound_fault(const json::Value& schema, const json::Value& instance) {
  const auto beyond = [&](std::string_view keyword, std::int64_t is, auto wrong) {
    const auto* bound = schema.find(keyword);
    return bound && bound->is(json::Type::number) && bound->integer() && wrong(is, *bound->integer());
  };
  const auto faults = [&](std::int64_t is, std::string_view least, std::string_view most) -> std::string {
    if (beyond(least, is, std::less{})) return "valid below " + std::string(least);
    if (beyond(most, is, std::greater{})) return "valid above " + std::string(most);
    return {};
  };
  const auto counted = [](const auto& members) { return static_cast<std::int64_t>(members.size()); };
  if (instance.is(json::Type::array)) return faults(counted(instance.array()), "minItems", "maxItems");
  if (instance.is(json::Type::object)) return faults(counted(instance.object()), "minProperties", "maxProperties");
  if (!instance.is(json::Type::number) || !instance.integer()) return {};
  const auto is = *instance.integer();
  if (beyond("exclusiveMinimum", is, std::less_equal{})) return "valid at or below exclusiveMinimum";
  if (beyond("exclusiveMaximum", is, std::greater_equal{})) return "valid at or above exclusiveMaximum";
  return faults(is, "minimum", "maximum");
}

/// A schema that says the same as the one under `urn:s`, or its contrary, of the instance or of what holds it.
struct Wrapping {
  std::string_view schema;
  enum class Of : std::uint8_t { itself, item, member } of = Of::itself;
  bool contrary = false;
};
inline constexpr std::array kWrappings{
    Wrapping{R"({"$ref":"urn:s"})"},
    Wrapping{R"({"not":{"$ref":"urn:s"}})", Wrapping::Of::itself, true},
    Wrapping{R"({"not":{"not":{"$ref":"urn:s"}}})"},
    Wrapping{R"({"allOf":[true,{"$ref":"urn:s"}]})"},
    Wrapping{R"({"anyOf":[false,{"$ref":"urn:s"}]})"},
    Wrapping{R"({"oneOf":[{"$ref":"urn:s"},false]})"},
    Wrapping{R"({"oneOf":[{"$ref":"urn:s"},true]})", Wrapping::Of::itself, true},
    Wrapping{R"({"if":{"$ref":"urn:s"},"else":false})"},
    Wrapping{R"({"if":{"$ref":"urn:s"},"then":false})", Wrapping::Of::itself, true},
    Wrapping{R"({"items":{"$ref":"urn:s"}})", Wrapping::Of::item},
    Wrapping{R"({"prefixItems":[{"$ref":"urn:s"}]})", Wrapping::Of::item},
    Wrapping{R"({"contains":{"$ref":"urn:s"}})", Wrapping::Of::item},
    Wrapping{R"({"contains":{"$ref":"urn:s"},"maxContains":0,"minContains":0})", Wrapping::Of::item, true},
    Wrapping{R"({"unevaluatedItems":{"$ref":"urn:s"}})", Wrapping::Of::item},
    Wrapping{R"({"properties":{"k":{"$ref":"urn:s"}}})", Wrapping::Of::member},
    Wrapping{R"({"patternProperties":{"^k$":{"$ref":"urn:s"}}})", Wrapping::Of::member},
    Wrapping{R"({"additionalProperties":{"$ref":"urn:s"}})", Wrapping::Of::member},
    Wrapping{R"({"unevaluatedProperties":{"$ref":"urn:s"}})", Wrapping::Of::member},
    Wrapping{R"({"dependentSchemas":{"k":{"properties":{"k":{"$ref":"urn:s"}}}}})", Wrapping::Of::member},
};

/// Where a schema of the 2020-12 dialect and one that wraps it disagree on an instance; empty: nowhere.
inline std::string wrapping_fault(const json::Value& schema, const Validator& validator, const Wrapping& wrapping,
                                  std::span<const json::Value> instances) {
  Arena arena;
  const auto find = [&](std::string_view uri) { return uri == "urn:s" ? &schema : nullptr; };
  FunctionRef<const json::Value*(std::string_view)> resolve(find);
  CompileOptions options{.assert_formats = true};
  options.resolve = &resolve;
  const auto outer = json::parse(wrapping.schema, arena);
  const auto wrapped = compile(*outer, options);
  if (!wrapped) return {};  // a reference that was relative to another place
  for (const auto& instance : instances) {
    std::array items{instance};
    std::array members{json::Member{"k", instance}};
    const auto plain = judge(validator, instance);
    const auto verdict = judge(*wrapped, wrapping.of == Wrapping::Of::item     ? json::Value::array(items)
                                         : wrapping.of == Wrapping::Of::member ? json::Value::object(members)
                                                                               : instance);
    if (!plain.given_up && !verdict.given_up && verdict.valid != (plain.valid != wrapping.contrary))
      return "another verdict within " + std::string(wrapping.schema);
  }
  return {};
}

}  // namespace plimsoll::schema
