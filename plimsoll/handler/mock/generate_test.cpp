#include "plimsoll/handler/mock/generate.hpp"

#include "plimsoll/contract/example_validator.hpp"
#include "plimsoll/handler/mock/pattern.hpp"
#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace plimsoll::handler::mocking {
namespace {

constexpr std::uint64_t kSeeds = 60;

constexpr std::string_view kSchemas = R"(
    Plain: {type: string}
    Bounded: {type: string, minLength: 20, maxLength: 22}
    Tiny: {type: string, maxLength: 1}
    Formats:
      type: object
      required: [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
      properties:
        a: {type: string, format: date-time}
        b: {type: string, format: date}
        c: {type: string, format: time}
        d: {type: string, format: duration}
        e: {type: string, format: email}
        f: {type: string, format: hostname}
        g: {type: string, format: ipv4}
        h: {type: string, format: ipv6}
        i: {type: string, format: uri}
        j: {type: string, format: uri-reference}
        k: {type: string, format: uri-template}
        l: {type: string, format: uuid}
        m: {type: string, format: json-pointer}
        n: {type: string, format: regex}
    Pattern: {type: string, pattern: '^AC[0-9a-fA-F]{32}$'}
    Patterns: {type: string, pattern: '^(red|green|blue)-\d{2,4}(\.[a-z]+)?$', minLength: 8}
    Reference: {type: string, pattern: '^([a-c])x\1$'}
    Negated: {type: string, pattern: '^[^a-z]{3}$'}
    Long: {type: string, pattern: '^[a-c]+\d$', minLength: 30, maxLength: 31}
    Password: {type: string, pattern: '^(?=.*\d)(?=.*[a-z])(?=.*[A-Z])(?=.*[!?]).{8,12}$'}
    Opened: {type: string, pattern: '^2024-0[1-3]-', format: date}
    LongEmail: {type: string, format: email, minLength: 40, maxLength: 45}
    ShortUri: {type: string, format: uri, maxLength: 8}
    LongHost: {type: string, format: hostname, minLength: 100}
    LongTime: {type: string, format: date-time, minLength: 24, maxLength: 24}
    NotText: {not: {type: [string, object, array, 'null', boolean]}}
    NotNamed: {type: object, properties: {a: {type: integer}, b: {type: integer}}, not: {required: [a]}}
    OneBig: {type: integer, minimum: 9007199254740993, maximum: 9007199254740993}
    PrefixedNames: {type: object, patternProperties: {'^x-': {type: integer}}, additionalProperties: false, minProperties: 2}
    Integer: {type: integer, minimum: 5, exclusiveMaximum: 8}
    Negative: {type: integer, maximum: -5}
    Multiple: {type: number, minimum: 0.1, maximum: 0.5, multipleOf: 0.05}
    Multiples: {type: integer, multipleOf: 6, allOf: [{multipleOf: 4}], minimum: 1, maximum: 100}
    Narrow: {type: number, exclusiveMinimum: 0.25, exclusiveMaximum: 0.2500001}
    Big: {type: integer, minimum: 9007199254740993, maximum: 9007199254740999}
    Enum: {enum: [1, two, null, [3]]}
    Const: {const: {a: 1}}
    List: {type: array, items: {type: integer, minimum: 0, maximum: 9}, minItems: 4, maxItems: 6, uniqueItems: true}
    Tuple: {type: array, prefixItems: [{type: string}, {type: integer}], items: false, minItems: 2}
    Contains: {type: array, contains: {const: 7}, minContains: 2, items: {type: integer}}
    Object:
      type: object
      required: [id]
      properties: {id: {type: integer}, name: {type: string}, tags: {type: array, items: {type: string}}}
      additionalProperties: false
    Open: {type: object, additionalProperties: {type: integer}, minProperties: 2, maxProperties: 4}
    PatternProperties: {type: object, patternProperties: {'^x-[a-z]+$': {type: boolean}}, additionalProperties: false, minProperties: 1}
    Names: {type: object, propertyNames: {pattern: '^[a-z]{3}$'}, minProperties: 2}
    Dependent: {type: object, properties: {card: {type: string}, address: {type: string}}, dependentRequired: {card: [address]}}
    DependentSchema: {type: object, properties: {a: {type: string}}, dependentSchemas: {a: {required: [b], properties: {b: {type: integer}}}}}
    AllOf: {allOf: [{type: object, required: [a], properties: {a: {type: string}}}, {type: object, required: [b], properties: {b: {type: integer}}}]}
    OneOf: {oneOf: [{type: string, maxLength: 5}, {type: integer}, {type: array, items: {type: boolean}}]}
    AnyOf: {anyOf: [{type: object, required: [a], properties: {a: {const: 1}}}, {type: object, required: [b], properties: {b: {const: 2}}}]}
    Conditional: {type: object, required: [kind], properties: {kind: {enum: [a, b]}, n: {type: integer}}, if: {properties: {kind: {const: a}}}, then: {required: [n]}, else: {not: {required: [n]}}}
    Not: {type: integer, minimum: 1, maximum: 3, not: {const: 2}}
    Unevaluated: {allOf: [{type: object, properties: {a: {type: string}}}], properties: {b: {type: integer}}, unevaluatedProperties: false, required: [a, b]}
    Nullable: {type: [string, 'null']}
    Recursive: {type: object, required: [value], properties: {value: {type: integer}, next: {$ref: '#/components/schemas/Recursive'}, children: {type: array, items: {$ref: '#/components/schemas/Recursive'}}}}
    Pet: {oneOf: [{$ref: '#/components/schemas/Cat'}, {$ref: '#/components/schemas/Dog'}], discriminator: {propertyName: kind, mapping: {cat: '#/components/schemas/Cat', dog: '#/components/schemas/Dog'}}}
    Cat: {type: object, required: [kind, lives], properties: {kind: {const: cat}, lives: {type: integer}}}
    Dog: {type: object, required: [kind], properties: {kind: {const: dog}, loud: {type: boolean}}}
    WriteOnly: {type: object, required: [id, password], properties: {id: {type: integer}, password: {type: string, writeOnly: true}}}
    BadExample: {type: object, required: [n], properties: {n: {type: integer, maximum: 5, example: 9}}}
    Anything: {}
    True: true
)";

class Generate : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    file_ = testing::TempDir() + "generate-" + std::to_string(::getpid()) + ".yaml";
    std::ofstream(file_) << "openapi: 3.1.0\ninfo: {title: T, version: '1'}\ncomponents:\n  schemas:" << kSchemas;
    auto loaded = contract::load({.file = file_});
    if (!loaded)
      for (auto& complaint : loaded.error()) ADD_FAILURE() << to_string(complaint);
    else
      contract_ = *loaded;
  }
  static void TearDownTestSuite() {
    contract_.reset();
    std::filesystem::remove(file_);
  }
  static const json::Value& schema(std::string_view name) {
    return *contract_->root->at("components", "schemas")->find(name);
  }
  static std::string make(std::string_view name, std::uint64_t seed, bool examples = false) {
    Arena arena;
    const auto validator = contract::example_validator(*contract_, schema(name));  // formats count
    if (!validator) return "no validator: " + validator.error().detail;
    const auto made = generate(*contract_, schema(name), **validator, {.seed = seed, .examples = examples}, arena);
    return made ? json::to_string(*made) : "nothing";
  }
  static inline std::string file_;
  static inline std::shared_ptr<const contract::Contract> contract_;
};

TEST_F(Generate, SatisfiesEverySchemaForEverySeed) {
  ASSERT_TRUE(contract_);
  for (auto& member : contract_->root->at("components", "schemas")->object())
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed)
      for (const bool examples : {false, true})
        EXPECT_NE(make(member.key, seed, examples), "nothing") << member.key << ", seed " << seed;
}

TEST_F(Generate, FindsNothingWhereNothingSatisfies) {
  ASSERT_TRUE(contract_);
  Arena arena;
  auto never = json::Value::of(false);
  const auto validator = contract_->compile(never, schema::CompileOptions::Direction::response);
  ASSERT_TRUE(validator);
  EXPECT_FALSE(generate(*contract_, never, *validator, {}, arena));
}

TEST_F(Generate, TheSameSeedGivesTheSame) {
  ASSERT_TRUE(contract_);
  for (const auto* name : {"Formats", "Object", "Recursive", "Patterns"}) {
    EXPECT_EQ(make(name, 7), make(name, 7));
    EXPECT_NE(make(name, 7), make(name, 8));
  }
}

TEST_F(Generate, OverTheSeedsEveryBranchAndEveryOptionalPropertyComes) {
  ASSERT_TRUE(contract_);
  std::set<char> first;
  std::set<std::string> pets, properties;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    first.insert(make("OneOf", seed)[0] == '"' ? 's' : make("OneOf", seed)[0] == '[' ? 'a' : 'i');
    pets.insert(make("Pet", seed).contains("\"cat\"") ? "cat" : "dog");
    const auto object = make("Object", seed);
    for (const auto* name : {"name", "tags"}) {
      properties.insert(std::string(name) + (object.contains("\"" + std::string(name) + "\"") ? "+" : "-"));
    }
  }
  EXPECT_EQ(first.size(), 3u);
  EXPECT_EQ(pets.size(), 2u);
  EXPECT_EQ(properties, (std::set<std::string>{"name+", "name-", "tags+", "tags-"}));
}

TEST_F(Generate, WriteOnlyPropertiesAreNotAskedFor) {
  ASSERT_TRUE(contract_);
  EXPECT_NE(make("WriteOnly", 1), "nothing");
}

TEST(Pattern, IsFollowed) {
  Random random{1};
  EXPECT_EQ(text_for("^abc$", random, 3), "abc");
  EXPECT_EQ(text_for("^a{3}\\.b$", random, 3), "aaa.b");
  EXPECT_EQ(text_for("^(x)\\1$", random, 3), "xx");
  EXPECT_EQ(text_for("\\u0041\\x42\\u{43}", random, 3), "ABC");
  for (const auto* broken : {"(", "[", "a{2", "[z-a]", "\\", "(?<n"})
    EXPECT_FALSE(text_for(broken, random, 3)) << broken;
  EXPECT_FALSE(text_for(std::string(100'000, '('), random, 3));
  EXPECT_FALSE(text_for("(((a{99}){99}){99}){99}", random, 3)) << "bounded";
}

}  // namespace
}  // namespace plimsoll::handler::mocking
