#include "plimsoll/schema/validator.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/schema/regex.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>

namespace plimsoll::schema {
namespace {

using Direction = CompileOptions::Direction;
using Dialect = CompileOptions::Dialect;

/// The failures of an instance, a line each: "pointer keyword: message"; or why the schema is refused.
std::string failures(std::string_view schema, std::string_view instance, const CompileOptions& options = {}) {
  Arena arena;
  const auto read = json::parse(schema, arena);
  const auto validator = compile(*read, options);
  if (!validator) return "refused: " + validator.error().detail;
  std::string out;
  for (const auto& failure : validator->validate(*json::parse(instance, arena)))
    out += failure.instance + ' ' + failure.schema + ": " + failure.message + '\n';
  return out;
}

TEST(Validator, AnAnchorIsFoundInComponentsThatAreResourcesOfTheirOwn) {
  Arena arena;
  const auto document =
      json::parse(R"({"schema":{"$ref":"#named"},"components":{"schemas":{"A":{"$id":"urn:a"},"B":{"$id":"urn:b"},
    "C":{"$id":"urn:c"},"D":{"$id":"urn:d"},"E":{"$anchor":"named","type":"string"}}}})",
                  arena);
  const auto* schema = document->find("schema");
  const auto validator = compile(*schema, {.base_uri = "urn:document", .document = &*document});
  ASSERT_TRUE(validator) << validator.error().detail;
  EXPECT_FALSE(validator->valid(*json::parse("1", arena)));
  EXPECT_TRUE(validator->valid(*json::parse("\"a\"", arena)));
}

/// OpenAPI's formats of integers; JSON Schema knows none of numbers.
TEST(Validator, IntegerFormatsOfOpenapiAreRanges) {
  constexpr auto k32 = R"({"type":"integer","format":"int32"})", k64 = R"({"format":"int64","maximum":100})";
  for (const auto dialect : {Dialect::openapi30, Dialect::openapi31}) {
    const CompileOptions options{.dialect = dialect, .assert_formats = true};
    EXPECT_EQ(failures(k32, "2147483647", options) + failures(k32, "-2147483648", options), "");
    EXPECT_EQ(failures(k32, "2147483648", options), " /format: must be at most 2147483647\n");
    EXPECT_EQ(failures(k32, "-2147483649", options), " /format: must be at least -2147483648\n");
    EXPECT_EQ(failures(k64, "-9223372036854775809", options), " /format: must be at least -9223372036854775808\n");
    EXPECT_EQ(failures(k64, "101", options), " /maximum: must be at most 100\n");
    EXPECT_EQ(failures(R"({"format":"int64"})", "9223372036854775807", options), "");
    EXPECT_EQ(failures(R"({"format":"int64"})", "9223372036854775808", options),
              " /format: must be at most 9223372036854775807\n");
    EXPECT_EQ(failures(k32, "99999999999", {.dialect = dialect}), "");
  }
  EXPECT_EQ(failures(k32, "99999999999", {.assert_formats = true}), "");
}

TEST(Validator, ADiscriminatorSaysWhichSchemaWasMeant) {
  Arena arena;
  const auto document =
      json::parse(R"({"pet":{"oneOf":[{"$ref":"#/components/schemas/Cat"},{"$ref":"#/components/schemas/Dog"}],
    "discriminator":{"propertyName":"kind","mapping":{"hound":"#/components/schemas/Dog"}}},
    "components":{"schemas":{"Cat":{"required":["claws"]},"Dog":{"required":["name","size","age"]}}}})",
                  arena);
  const auto validator = compile(*document->find("pet"), {.dialect = Dialect::openapi31, .document = &*document});
  ASSERT_TRUE(validator) << validator.error().detail;
  const auto said = [&](std::string_view instance) {
    std::string out;
    for (const auto& failure : validator->validate(*json::parse(instance, arena))) out += failure.message + "; ";
    return out;
  };
  // The nearest would be Cat, of which only one property is missing.
  EXPECT_EQ(said(R"({"kind":"hound","name":"a"})"),
            "must match one of the schemas under oneOf: \"kind\" chooses \"hound\"; must have the property \"size\"; "
            "must have the property \"age\"; ");
  EXPECT_EQ(said(R"({"kind":"Dog","name":"a","size":1})"),
            "must match one of the schemas under oneOf: \"kind\" chooses \"Dog\"; must have the property \"age\"; ");
  EXPECT_EQ(said(R"({"kind":"bird"})"),
            "must match one of the schemas under oneOf, and \"kind\" chooses none of them: \"bird\"; ");
  EXPECT_EQ(said(R"({"kind":"hound","claws":1})"), "");  // a hint only: a cat is a cat
}

TEST(Validator, NamesEveryFailureWithItsPlace) {
  EXPECT_EQ(
      failures(R"({"type":"object","required":["id","at"],"properties":{"id":{},"n":{"type":"integer","minimum":5},
                         "s":{"maxLength":2},"l":{"items":{"enum":["a","b"]}}},"additionalProperties":false})",
               R"({"n":3,"s":"abc","l":["a","c"],"x/y":1,"id":1})"),
      " /required: must have the property \"at\"\n"
      "/n /properties/n/minimum: must be at least 5\n"
      "/s /properties/s/maxLength: must be at most 2 characters long\n"
      "/l/1 /properties/l/items/enum: must be one of \"a\", \"b\"\n"
      "/x~1y /additionalProperties: must not be there\n");
}

TEST(Validator, FollowsReferencesInWhatItNames) {
  EXPECT_EQ(failures(R"({"$defs":{"p":{"type":"string"}},"items":{"$ref":"#/$defs/p"}})", "[1]"),
            "/0 /$defs/p/type: must be a string\n");
}

TEST(Validator, SaysWhatEachAlternativeOfAScalarWanted) {
  EXPECT_EQ(failures(R"({"anyOf":[{"type":"null"},{"type":"integer","minimum":3}]})", "1"),
            " /anyOf: must match at least one of the schemas under anyOf: must be null; or must be at least 3\n");
}

TEST(Validator, StopsAtTheCap) {
  Arena arena;
  const auto schema = *json::parse(R"({"items":{"type":"string"}})", arena);
  const auto validator = compile(schema, {});
  EXPECT_EQ(validator->validate(*json::parse("[1,2,3,4,5,6]", arena), 4).size(), 4u);
}

TEST(Validator, WritesTheOutputFormats) {
  Arena arena;
  const auto schema = *json::parse(R"({"properties":{"a":{"type":"string"}}})", arena);
  const auto instance = *json::parse(R"({"a":1})", arena);
  const auto validator = compile(schema, {});
  std::string flag, basic, detailed;
  validator->write(flag, instance, Output::flag);
  validator->write(basic, instance, Output::basic);
  validator->write(detailed, instance, Output::detailed);
  const std::string leaf =
      R"({"valid":false,"keywordLocation":"/properties/a/type","absoluteKeywordLocation":"/properties/a/type","instanceLocation":"/a","error":"must be a string"})";
  EXPECT_EQ(flag, R"({"valid":false})");
  EXPECT_EQ(basic, R"({"valid":false,"errors":[)" + leaf + "]}");
  EXPECT_EQ(
      detailed,
      R"({"valid":false,"errors":[{"valid":false,"keywordLocation":"/properties","absoluteKeywordLocation":"/properties","instanceLocation":"","errors":[)" +
          leaf + "]}]}");
}

TEST(Validator, RefusesSchemasThatCannotBeEnforced) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"type":5})", "/type: must name a type: null, boolean, integer, number, string, array or object"},
      {R"({"properties":{"a":{"minimum":"1"}}})", "/properties/a/minimum: must be a number"},
      {R"({"items":{"$ref":"#/$defs/x"}})", "/items/$ref: there is nothing at /$defs/x"},
      {R"({"$ref":"http://example.com/x"})", "/$ref: nothing is known under http://example.com/x"},
      {R"({"pattern":"(a"})", "/pattern: \"(a\": byte 3: ')' is missing"},
      {R"({"multipleOf":0})", "/multipleOf: must be greater than 0"},
      {R"({"$ref":"#"})", "the schema: the schema refers to itself without going deeper into the instance"},
      {R"({"allOf":[{"anyOf":[{"$ref":"#/allOf/0"}]}]})",
       "/allOf/0: the schema refers to itself without going deeper into the instance"},
      {R"({"$schema":"http://example.com/s"})", "$schema: the dialect http://example.com/s is not known"},
      {R"({"items":3})", "/items: a schema is an object or a boolean"},
      {R"({"$schema":"https://json-schema.org/draft/2019-09/schema","items":{"$recursiveRef":"#"}})",
       "/items/$recursiveRef: is not known; 2020-12 has $dynamicRef"},
      {R"({"items":{"$schema":"http://json-schema.org/draft-07/schema#"}})",
       "$schema: the dialect http://json-schema.org/draft-07/schema# is another than the document's, which needs an "
       "`$id` beside it"},
      {R"j({"pattern":"(?<1a>b)"})j", "/pattern: \"(?<1a>b)\": byte 4: a group's name is an identifier"},
      {R"j({"pattern":"(?<a-b>b)"})j", "/pattern: \"(?<a-b>b)\": byte 4: a group's name is an identifier"},
  };
  for (const auto& [schema, message] : cases)
    EXPECT_EQ(failures(schema, "1"), "refused: " + std::string(message)) << schema;
}

TEST(Validator, SpeaksOpenApi30) {
  const CompileOptions options{.dialect = Dialect::openapi30};
  EXPECT_EQ(failures(R"({"type":"string","nullable":true})", "null", options), "");
  EXPECT_EQ(failures(R"({"minimum":1,"exclusiveMinimum":true})", "1", options),
            " /exclusiveMinimum: must be greater than 1\n");
  EXPECT_EQ(failures(R"({"minimum":1,"exclusiveMinimum":false})", "1", options), "");
  EXPECT_EQ(failures(R"({"$id":"x","properties":{"$id":{"type":"string"}}})", R"({"$id":1})", options),
            "/$id /properties/$id/type: must be a string\n");
  EXPECT_EQ(failures(R"({"const":1})", "1", options), "refused: /const: OpenAPI 3.0 has no such keyword; 3.1 has");
}

TEST(Validator, ReadOnlyIsNotRequiredInARequest) {
  constexpr std::string_view kSchema =
      R"({"allOf":[{"$ref":"#/$defs/base"}],"required":["id","name"],"$defs":{"base":{"properties":{"id":{"type":"integer","readOnly":true}}}}})";
  EXPECT_EQ(failures(kSchema, R"({"name":1})", {.direction = Direction::request}), "");
  EXPECT_EQ(failures(kSchema, R"({"name":1})", {.direction = Direction::response}),
            " /required: must have the property \"id\"\n");
  EXPECT_EQ(failures(kSchema, R"({"name":1,"id":2})", {.direction = Direction::request}), "");
  EXPECT_EQ(failures(kSchema, R"({"name":1,"id":2})", {.direction = Direction::request, .refuse_misplaced = true}),
            "/id /$defs/base/properties/id/readOnly: is read-only: it may not be sent in a request\n");
}

TEST(Validator, ReadOnlyOfOnePartOfAllOfIsNotRequiredByAnother) {
  constexpr std::string_view kSchema =
      R"({"allOf":[{"$ref":"#/$defs/base"},{"required":["id","name"]}],"$defs":{"base":{"properties":{"id":{"readOnly":true}}}}})";
  EXPECT_EQ(failures(kSchema, R"({"name":1})", {.direction = Direction::request}), "");
  EXPECT_EQ(failures(kSchema, R"({"id":1})", {.direction = Direction::request}),
            " /allOf/1/required: must have the property \"name\"\n");
  EXPECT_EQ(failures(kSchema, R"({"name":1})", {.direction = Direction::response}),
            " /allOf/1/required: must have the property \"id\"\n");
  EXPECT_EQ(failures(R"({"properties":{"id":{"readOnly":true}},"anyOf":[{"required":["id"]}]})", "{}",
                     {.direction = Direction::request}),
            " /anyOf: must match at least one of the schemas under anyOf\n"
            " /anyOf/0/required: must have the property \"id\"\n")
      << "an alternative is a schema of its own";
}

TEST(Validator, ReadsTheDialectThatAnOpenapiDocumentNames) {
  Arena arena;
  const auto document = *json::parse(
      R"({"jsonSchemaDialect":"http://json-schema.org/draft-07/schema#","components":{"schemas":{"A":{"items":[{"type":"integer"}],"additionalItems":false},
          "B":{"$id":"b","$schema":"https://json-schema.org/draft/2020-12/schema","prefixItems":[{"type":"integer"}]}}}})",
      arena);
  const auto valid = [&](std::string_view name, std::string_view instance) {
    const auto made = compile(*document.at("components", "schemas")->find(name),
                              {.dialect = Dialect::openapi31, .document = &document});
    return made ? made->valid(*json::parse(instance, arena)) ? "valid" : "invalid" : "refused";
  };
  EXPECT_STREQ(valid("A", "[1]"), "valid");
  EXPECT_STREQ(valid("A", "[1,2]"), "invalid");
  EXPECT_STREQ(valid("B", "[1,2]"), "valid");
  EXPECT_STREQ(valid("B", "[\"a\"]"), "invalid");
}

TEST(Validator, Draft7NamesSchemasByFragmentIds) {
  constexpr std::string_view kSchema =
      R"({"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"$id":"#text","type":"string"}},"items":{"$ref":"#text"}})";
  EXPECT_EQ(failures(kSchema, R"(["a"])"), "");
  EXPECT_EQ(failures(kSchema, "[1]"), "/0 #text/type: must be a string\n");
}

TEST(Validator, ACatastrophicPatternRefusesInsteadOfStandingStill) {
  const std::string text = '"' + std::string(5000, 'a') + "!\"";
  EXPECT_NE(failures(R"({"pattern":"^(a+)+$"})", text), "");
  EXPECT_NE(failures(R"({"not":{"pattern":"^(a|a)*$"}})", text), "") << "given up is never valid";
}

TEST(Regex, TakesEscapesThatNeedNone) {
  const auto made = Regex::compile(R"(^[a-z\_\-\ ]+\_\@$)");
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_TRUE(made->search("a_- b_@"));
  EXPECT_FALSE(made->search("a\\_@"));
}

TEST(Validator, MembersAreFoundInWhateverOrderTheyCome) {
  constexpr std::string_view kSchema = R"({"required":["a","of a name longer than sixteen"],"properties":{
    "a":{"const":1},"b":{"const":2},"c":{"const":3},"of a name longer than sixteen":{"const":4},
    "of a name langer than sixteen":{"const":5}},"additionalProperties":{"const":9}})";
  std::vector<std::string> members{R"("a":1)",
                                   R"("b":2)",
                                   R"("c":3)",
                                   R"("of a name longer than sixteen":4)",
                                   R"("of a name langer than sixteen":5)",
                                   R"("d":9)"};
  const auto object = [](std::span<const std::string> members) {
    std::string text = "{";
    for (const auto& member : members) text += (text.size() > 1 ? "," : "") + member;
    return text + '}';
  };
  std::ranges::sort(members);
  do {
    EXPECT_EQ(failures(kSchema, object(members)), "") << object(members);
    const auto at = static_cast<std::size_t>(std::ranges::find(members, R"("b":2)") - members.begin());
    auto others = members;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_EQ(failures(kSchema, object(others)), "");
    others = members;
    others[at] = R"("b":9)";
    EXPECT_NE(failures(kSchema, object(others)), "");
    others[at] = R"("e":2)";
    EXPECT_NE(failures(kSchema, object(others)), "");
  } while (std::ranges::next_permutation(members).found);
  EXPECT_NE(failures(kSchema, R"({"a":1,"of a name langer than sixteen":5})"), "") << "one that is required is missing";
}

TEST(Validator, MultiplesAreExact) {
  const auto divides = [](std::string_view divisor, std::string_view number) {
    return failures(R"({"multipleOf":)" + std::string(divisor) + '}', number).empty();
  };
  const std::pair<std::string_view, std::string_view> multiples[] = {
      {"0.01", "4"},     {"0.01", "4.17"},
      {"0.01", "-4.10"}, {"0.01", "1e30"},
      {"0.25", "3"},     {"0.3", "3"},
      {"0.3", "0.9"},    {"0.3", "-6"},
      {"7", "49"},       {"7", "4.9e1"},
      {"1e3", "5000"},   {"1e20", "3e20"},
      {"2.5", "10"},     {"0.75", "3"},
      {"1e20", "0"},     {"9223372036854775807", "9223372036854775807"},
      {"1e-30", "1"},    {"1", "-9223372036854775808"}};
  for (const auto& [divisor, number] : multiples) EXPECT_TRUE(divides(divisor, number)) << number << " by " << divisor;
  const std::pair<std::string_view, std::string_view> others[] = {{"0.01", "4.175"},
                                                                  {"0.3", "1"},
                                                                  {"0.3", "4"},
                                                                  {"7", "50"},
                                                                  {"7", "1e30"},
                                                                  {"1e3", "5001"},
                                                                  {"1e20", "300000"},
                                                                  {"2.5", "4"},
                                                                  {"0.75", "1"},
                                                                  {"2", "1.0000000000000000000000000001"},
                                                                  {"9223372036854775807", "1"}};
  for (const auto& [divisor, number] : others) EXPECT_FALSE(divides(divisor, number)) << number << " by " << divisor;
}

TEST(Regex, ShortcutsAgreeWithTheLibrary) {
  const std::string_view texts[] = {"",
                                    "a",
                                    "ab",
                                    "abc",
                                    "aab",
                                    "é",
                                    "aé",
                                    "b1",
                                    "1b",
                                    "A-1",
                                    "xx",
                                    "aaa",
                                    "\n",
                                    "a\n",
                                    "éé",
                                    "abcdefghijklmnopq",
                                    "abcdefghijklmnopqr",
                                    "abcdefghijklmnop"};
  // The second of each pair says the same, but in a form that has no shortcut.
  const std::pair<std::string_view, std::string_view> pairs[] = {{"^a", "^(?:a)"},
                                                                 {"^a*b+$", "^(?:a*b+)$"},
                                                                 {"^[a-z]{2}$", "^(?:[a-z]{2})$"},
                                                                 {"[0-9]", "(?:[0-9])"},
                                                                 {"^[^a]$", "^(?:[^a])$"},
                                                                 {"^a?b?$", "^(?:a?b?)$"},
                                                                 {"^[A-Z]-\\d$", "^(?:[A-Z]-\\d)$"},
                                                                 {"^\\w+$", "^(?:\\w+)$"},
                                                                 {"^[^b]*b$", "^(?:[^b]*b)$"},
                                                                 {"^a{2,}", "^(?:a{2,})"},
                                                                 {"^a{1,2}b", "^(?:a{1,2}b)"},
                                                                 {"^.{2}$", "^(?:.{2})$"},
                                                                 {"^abcdefghijklmnopq", "^(?:abcdefghijklmnopq)"}};
  for (const auto& [quick, slow] : pairs) {
    const auto one = Regex::compile(quick), other = Regex::compile(slow);
    for (const auto text : texts) EXPECT_EQ(one->search(text), other->search(text)) << quick << " on " << text;
  }
}

}  // namespace
}  // namespace plimsoll::schema
