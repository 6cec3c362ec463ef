#include "plimsoll/contract/sanitize.hpp"

#include "plimsoll/json/parse.hpp"
#include "plimsoll/json/utf8.hpp"
#include "plimsoll/json/write.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace plimsoll::contract {
namespace {

constexpr Sanitizing kAll{.trim = true, .nfc = true, .control = config::Control::strip};

TEST(Sanitize, DoesWhatEachOptionSays) {
  Arena arena;
  struct Case {
    std::string_view text;
    Sanitizing how;
    std::string_view expected;
  };
  const Case cases[] = {
      {" a b\t", {.trim = true}, "a b"},
      {"\u00A0\u3000a\u2003\u0085", {.trim = true}, "a"},
      {" \r\n ", {.trim = true}, ""},
      {"", kAll, ""},
      {"a\u200Bb", kAll, "a\u200Bb"},  // a format character is none of them
      {"e\u0301", {.nfc = true}, "\u00E9"},
      {"\u212B", {.nfc = true}, "\u00C5"},
      {" e\u0301 ", {.nfc = true}, " \u00E9 "},
      {"\uFB01", {.nfc = true}, "\uFB01"},  // compatibility characters stay
      {"a\x01"
       "b\x7F\u009F",
       {.control = config::Control::strip},
       "ab"},
      {"a\t\r\nb", {.control = config::Control::strip}, "a\t\r\nb"},
      {std::string_view("a\0b", 3), {.control = config::Control::strip}, "ab"},
      {" \x01 a", kAll, "a"},           // what is stripped does not save the blank behind it
      {"e\x02\u0301", kAll, "\u00E9"},  // nor keep a letter from its accent
      {" a", {}, " a"},
  };
  for (const auto& each : cases) EXPECT_EQ(sanitized(each.text, each.how, arena), each.expected) << each.text;
}

TEST(Sanitize, TwiceIsOnceAndTextsStayUtf8) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  constexpr std::string_view kPieces[] = {" ",      "\t",         "a",      "e",      "\u0301", "\u0327",
                                          "\u00A0", "\x01",       "\u0085", "\u1100", "\u1161", "\u11A8",
                                          "\u0958", "\U0001D15E", "\u2028", "\u212B", "\u0344", "\U0001F600"};
  for (int i = 0; i < 20'000; ++i) {
    Arena arena;
    std::string text;
    for (auto left = random() % 8; left > 0; --left) text += kPieces[random() % std::size(kPieces)];
    const Sanitizing how{.trim = random() % 2 == 0,
                         .nfc = random() % 2 == 0,
                         .control = random() % 2 == 0 ? config::Control::strip : config::Control::keep};
    const auto once = sanitized(text, how, arena);
    ASSERT_TRUE(json::valid_utf8(once));
    ASSERT_EQ(sanitized(once, how, arena), once) << text;
  }
}

auto load_with(std::string_view schema) {
  const auto file = testing::TempDir() + "sanitize-" + std::to_string(::getpid()) + ".yaml";
  std::ofstream(file)
      << "openapi: 3.1.0\ninfo: {title: T, version: '1'}\n"
         "components: {schemas: {Name: {type: string, x-plimsoll: {sanitize: {trim: true}}}, Tree: {type: object, "
         "properties: {name: {type: string}, below: {type: array, items: {$ref: '#/components/schemas/Tree'}}}}}}\n"
         "paths: {/a: {post: {operationId: a, requestBody: {content: {application/json: {schema: "
      << schema << "}}}, responses: {'204': {description: ok}}}}}\n";
  auto loaded = load({.file = file});
  std::filesystem::remove(file);
  return loaded;
}

std::string all(const Complaints& complaints) {
  std::string text;
  for (auto& each : complaints) text += to_string(each) + "\n";
  return text;
}

std::string changed(std::string_view schema, std::string_view body, Sanitizing outer = {}) {
  Arena arena;
  const auto contract = load_with(schema);
  if (!contract) return all(contract.error());
  auto made = Sanitizer::of(**contract, *(*contract)->operations[0].body->content[0].schema, outer);
  if (!made) return made.error().detail;
  const auto value = *json::parse(body, arena);
  const auto before = json::to_string(value);
  const auto out = json::to_string(made->apply(value, arena));
  EXPECT_EQ(json::to_string(value), before) << "what was given has changed";
  return out;
}

TEST(Sanitizer, FollowsSchemasToTheirValues) {
  constexpr auto kTrim = Sanitizing{.trim = true};
  const std::string name = "{$ref: '#/components/schemas/Name'}";
  const auto of = [](std::string_view properties) { return "{properties: {" + std::string(properties) + "}}"; };
  EXPECT_EQ(changed(of("a: " + name), R"({"a":" x ","b":" y "})"), R"({"a":"x","b":" y "})");
  EXPECT_EQ(changed(of("a: {}"), R"({"a":" x ","b":[" y ",{"c":" z "}],"n":1,"t":true,"z":null})", kTrim),
            R"({"a":"x","b":["y",{"c":"z"}],"n":1,"t":true,"z":null})");
  EXPECT_EQ(changed(of("a: {x-plimsoll: {sanitize: false}}"), R"({"a":" x ","b":" y "})", kTrim),
            R"({"a":" x ","b":"y"})");
  EXPECT_EQ(changed(of("a: {x-plimsoll: {sanitize: {trim: false, nfc: true}}}"), "{\"a\":\" e\u0301\"}", kTrim),
            "{\"a\":\" \u00E9\"}");
  EXPECT_EQ(changed(of("a: {type: string, format: password}"), R"({"a":" x "})", kTrim), R"({"a":" x "})");
  EXPECT_EQ(changed(of("a: {format: password, x-plimsoll: {sanitize: {trim: true}}}"), R"({"a":" x "})"),
            R"({"a":"x"})");
  for (const std::string keyword : {"allOf", "anyOf", "oneOf"})
    EXPECT_EQ(changed(of("a: {" + keyword + ": [{type: 'null'}, " + name + "]}"), R"({"a":" x "})"), R"({"a":"x"})")
        << keyword;
  EXPECT_EQ(changed("{items: " + name + "}", R"([" x ",1," y"])"), R"(["x",1,"y"])");
  EXPECT_EQ(changed("{prefixItems: [{}, " + name + "], items: {}}", R"([" x "," y "," z "])"), R"([" x ","y"," z "])");
  EXPECT_EQ(changed("{additionalProperties: " + name + ", properties: {a: {}}}", R"({"a":" x ","b":" y "})"),
            R"({"a":" x ","b":"y"})");
  EXPECT_EQ(
      changed("{x-plimsoll: {sanitize: {trim: true}}, properties: {a: {properties: {b: {}}}}}", R"({"a":{"b":" x "}})"),
      R"({"a":{"b":"x"}})");
  EXPECT_EQ(changed("{$ref: '#/components/schemas/Tree'}",
                    R"({"name":" a ","below":[{"name":" b ","below":[{"name":" c "}]}]})", kTrim),
            R"({"name":"a","below":[{"name":"b","below":[{"name":"c"}]}]})");
  EXPECT_EQ(changed(of("a: {}"), R"({"a":" x "})"), R"({"a":" x "})");
}

TEST(Sanitizer, TellsWhatItCannotDo) {
  const auto told = [](std::string_view schema) { return changed(schema, "{}"); };
  EXPECT_NE(
      told(
          "{properties: {a: {anyOf: [{x-plimsoll: {sanitize: {trim: true}}}, {x-plimsoll: {sanitize: {nfc: true}}}]}}}")
          .find("says otherwise"),
      std::string::npos);
  EXPECT_NE(told("{patternProperties: {a: {x-plimsoll: {sanitize: {trim: true}}}}}")
                .find("below `patternProperties` cannot be followed"),
            std::string::npos);
}

TEST(Sanitizer, IsReadAndCheckedInAnySchema) {
  const auto wrong = [](std::string_view schema) {
    const auto loaded = load_with(schema);
    return loaded ? std::string{} : all(loaded.error());
  };
  EXPECT_EQ(wrong("{x-plimsoll: {sanitize: {trim: true}}}"), "");
  EXPECT_NE(wrong("{x-plimsoll: {sanitize: {trimm: true}}}").find("did you mean \"trim\"?"), std::string::npos);
  EXPECT_NE(wrong("{x-plimsoll: {sanitize: true}}").find("an object or false"), std::string::npos);
  EXPECT_NE(
      wrong("{x-plimsoll: {sanitize: {trim: true}, cache: 5m}}").find("only `sanitize` has an effect in a schema"),
      std::string::npos);
  EXPECT_NE(wrong("{x-plimsoll: {cache: 5m}}").find("no effect here"), std::string::npos);
}

}  // namespace
}  // namespace plimsoll::contract
