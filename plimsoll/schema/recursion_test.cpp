#include "plimsoll/json/parse.hpp"
#include "plimsoll/schema/validator.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

// Schemas that refer to themselves along several ways, and instances as deep as the parser lets in: what it takes to
// judge them, and to say what is wrong with them, is counted in steps.

namespace plimsoll::schema {
namespace {

constexpr std::size_t kDeepest = 128;  // json::ParseLimits

std::string repeated(std::string_view text, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}

/// A filter as APIs declare them: `and`, `or`, or a comparison, told apart by `op`, without `discriminator`.
std::string filter_schema(bool op_first) {
  const auto group = [&](std::string_view name) {
    const std::string op = R"("op":{"const":")" + std::string(name) + R"("})",
                      args = R"("args":{"type":"array","minItems":1,"items":{"$ref":"#/$defs/filter"}})";
    return R"({"type":"object","required":["op","args"],"additionalProperties":false,"properties":{)" +
           (op_first ? op + "," + args : args + "," + op) + "}}";
  };
  return R"({"$ref":"#/$defs/filter","$defs":{"filter":{"oneOf":[)" + group("and") + "," + group("or") +
         R"(,{"type":"object","required":["op","field","value"],"properties":{
              "op":{"const":"leaf"},"field":{"type":"string"},"value":{"type":"number"}}}]}}})";
}
/// `depth` counts arrays and objects.
std::string filter(std::size_t depth, std::string_view leaf, bool op_first) {
  const auto levels = (depth - 1) / 2;
  std::string out, end;
  for (std::size_t i = 0; i < levels; ++i) {
    const std::string op = std::string(R"("op":")") + (i % 2 ? "or" : "and") + '"';
    out += op_first ? "{" + op + R"(,"args":[)" : R"({"args":[)";
    end = (op_first ? "]}" : "]," + op + "}") + end;
  }
  return out + std::string(leaf) + end;
}

struct Judged {
  bool compiled = false, valid = false, exhausted = false;
  std::uint64_t steps = 0;  ///< of the verdict and of the reasons together
  std::vector<Failure> failures{};
};
Judged judge(std::string_view schema, std::string_view instance, std::uint64_t budget = Steps::kDefault) {
  Arena arena;
  const auto read = json::parse(schema, arena, {.depth = 1000}), value = json::parse(instance, arena);
  EXPECT_TRUE(read) << read.error().detail;
  EXPECT_TRUE(value) << value.error().detail;
  if (!read || !value) return {};
  const auto validator = compile(*read, {.assert_formats = true});
  EXPECT_TRUE(validator) << validator.error().detail;
  if (!validator) return {};
  Steps steps(budget);
  Judged made{.compiled = true, .valid = validator->valid(*value, steps)};
  if (!made.valid && !steps.exhausted()) made.failures = validator->failures(*value, steps);
  made.exhausted = steps.exhausted();
  made.steps = budget - steps.left();
  return made;
}

constexpr std::string_view kLeaf = R"({"op":"leaf","field":"price","value":1})",
                           kWrongLeaf = R"({"op":"leaf","field":"price","value":"1"})";

TEST(Recursion, ANestedFilterIsAcceptedInWhicheverOrderItsNamesAreDeclaredAndSent) {
  for (const bool declared : {true, false})
    for (const bool sent : {true, false}) {
      const auto judged = judge(filter_schema(declared), filter(kDeepest, kLeaf, sent));
      EXPECT_TRUE(judged.valid) << judged.steps << " steps";
      EXPECT_LT(judged.steps, 20'000u);
    }
}

TEST(Recursion, AWrongNestedFilterIsRefusedForWhatIsWrongDeepDown) {
  for (const bool declared : {true, false})
    for (const bool sent : {true, false}) {
      const auto judged = judge(filter_schema(declared), filter(kDeepest, kWrongLeaf, sent));
      EXPECT_FALSE(judged.valid);
      EXPECT_FALSE(judged.exhausted);
      EXPECT_LT(judged.steps, 50'000u);
      ASSERT_EQ(judged.failures.size(), 1u);
      EXPECT_EQ(judged.failures[0].instance, repeated("/args/0", (kDeepest - 1) / 2) + "/value");
      EXPECT_EQ(judged.failures[0].message, "must be a number");
    }
}

/// More is wrong with the one that is meant than with the others, which are of another kind.
TEST(Recursion, ThePropertyThatTellsTheKindOutweighsHowMuchIsWrong) {
  std::string arguments;
  for (int i = 0; i < 20; ++i) arguments += std::string(i > 0 ? "," : "") + std::string(kWrongLeaf);
  for (const bool declared : {true, false}) {
    const auto judged = judge(filter_schema(declared), R"({"args":[)" + arguments + R"(],"op":"or"})");
    ASSERT_GE(judged.failures.size(), 20u);
    for (const auto& failure : judged.failures) EXPECT_TRUE(failure.instance.starts_with("/args/")) << failure.instance;
  }
}

/// Every schema that goes round along two ways, whichever keywords make them.
TEST(Recursion, EachPartOfAnInstanceIsJudgedOnceByEachSchema) {
  const auto object = [](std::string_view end) {
    return repeated(R"({"a":)", kDeepest - 1) + std::string(end) + repeated("}", kDeepest - 1);
  };
  const auto array = [](std::string_view end) {
    return repeated("[", kDeepest - 1) + std::string(end) + repeated("]", kDeepest - 1);
  };
  struct Case {
    const char *name, *schema;
    std::function<std::string(std::string_view)> nested;
    const char *good, *bad;
  };
  const Case cases[] = {
      {"anyOf",
       R"({"type":["object","integer"],"anyOf":[{"type":"object","properties":{"a":{"$ref":"#"}},"required":["b"]},
                    {"type":"object","properties":{"a":{"$ref":"#"}},"required":["c"]},{"properties":{"a":{"$ref":"#"}}}]})",
       object, "1", "\"x\""},
      {"oneOf",
       R"({"type":["object","integer"],"oneOf":[{"type":"object","properties":{"a":{"$ref":"#"}},"required":["b"]},
                    {"properties":{"a":{"$ref":"#"}}}]})",
       object, "1", "\"x\""},
      {"allOf", R"({"type":["object","integer"],"allOf":[{"properties":{"a":{"$ref":"#"}}},
                    {"properties":{"a":{"$ref":"#"}}}]})",
       object, "1", "\"x\""},
      {"properties and patternProperties",
       R"({"type":["object","integer"],"properties":{"a":{"$ref":"#"}},"patternProperties":{"^a":{"$ref":"#"}}})",
       object, "1", "\"x\""},
      {"items and contains", R"({"type":["array","integer"],"items":{"$ref":"#"},"contains":{"$ref":"#"}})", array, "1",
       "\"x\""},
      {"if, then and else",
       R"({"type":["object","integer"],"if":{"properties":{"a":{"$ref":"#"}},"required":["b"]},
           "then":{"properties":{"a":{"$ref":"#"}}},"else":{"properties":{"a":{"$ref":"#"}}}})",
       object, "1", "\"x\""},
      {"not", R"({"type":["object","integer"],"properties":{"a":{"$ref":"#"}},
                  "not":{"type":"object","properties":{"a":{"$ref":"#"}},"required":["b"]}})",
       object, "1", "\"x\""},
      {"dependentSchemas", R"({"type":["object","integer"],"properties":{"a":{"$ref":"#"}},
                               "dependentSchemas":{"a":{"properties":{"a":{"$ref":"#"}}}}})",
       object, "1", "\"x\""},
      {"unevaluatedProperties",
       R"({"type":["object","integer"],"anyOf":[{"properties":{"a":{"$ref":"#"}},"required":["b"]},
                                    {"properties":{"a":{"$ref":"#"}}}],"unevaluatedProperties":false})",
       object, "1", "\"x\""},
      {"unevaluatedItems", R"({"type":["array","integer"],"anyOf":[{"prefixItems":[{"$ref":"#"}],"minItems":2},
                               {"prefixItems":[{"$ref":"#"}]}],"unevaluatedItems":false})",
       array, "1", "\"x\""},
      {"$dynamicRef",
       R"({"$dynamicAnchor":"n","type":["object","integer"],"anyOf":[{"properties":{"a":{"$dynamicRef":"#n"}},
                          "required":["b"]},{"properties":{"a":{"$dynamicRef":"#n"}}}]})",
       object, "1", "\"x\""},
      {"two schemas in turn", R"({"$defs":{"x":{"type":["object","integer"],"properties":{"a":{"$ref":"#"}}},
                                  "y":{"type":"object","required":["b"],"properties":{"a":{"$ref":"#"}}}},
                                  "anyOf":[{"$ref":"#/$defs/y"},{"$ref":"#/$defs/x"}]})",
       object, "1", "\"x\""},
  };
  for (const auto& each : cases) {
    const auto good = judge(each.schema, each.nested(each.good));
    EXPECT_TRUE(good.valid) << each.name << ", " << good.steps << " steps";
    EXPECT_LT(good.steps, 30'000u) << each.name;
    const auto bad = judge(each.schema, each.nested(each.bad));
    EXPECT_FALSE(bad.valid) << each.name;
    EXPECT_FALSE(bad.exhausted) << each.name;
    EXPECT_FALSE(bad.failures.empty()) << each.name;
    EXPECT_LT(bad.steps, 100'000u) << each.name;
  }
}

/// Within one level nothing goes round, and 2^n ways remain: there the budget ends it.
TEST(Recursion, WithoutRecursionTheBudgetEndsWhatAContractMakesExponential) {
  std::string schema = R"({"$defs":{"l0":{"type":"object","minProperties":2})";
  constexpr int kLevels = 24;
  for (int i = 1; i <= kLevels; ++i) {
    const auto below = R"({"$ref":"#/$defs/l)" + std::to_string(i - 1) + "\"}";
    schema += R"(,"l)" + std::to_string(i) + R"(":{"anyOf":[)" + below + "," + below + "]}";
  }
  schema += R"(},"$ref":"#/$defs/l)" + std::to_string(kLevels) + "\"}";
  const auto judged = judge(schema, "{}");
  EXPECT_FALSE(judged.valid);
  EXPECT_TRUE(judged.exhausted);
}

TEST(Recursion, ASpentBudgetRefusesAndNeverAccepts) {
  for (std::uint64_t budget = 0; budget < 2'000; budget += 7) {
    const auto judged = judge(R"({"type":"array","not":{"contains":{"const":"x"}},"items":{"not":{"type":"object",
                                 "properties":{"a":{"items":{"type":"string"}}},"required":["a"]}}})",
                              R"([{"a":[1,2,3]},{"a":[1,2,3]},{"b":["x"]},{"a":["y",1]},[1,2,3]])", budget);
    EXPECT_NE(judged.valid, judged.exhausted);
  }
}

}  // namespace
}  // namespace plimsoll::schema
