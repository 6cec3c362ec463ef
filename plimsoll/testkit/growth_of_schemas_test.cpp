#include "plimsoll/testkit/growth.hpp"

#include "plimsoll/base/steps.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/schema/format.hpp"
#include "plimsoll/schema/regex.hpp"
#include "plimsoll/schema/validator.hpp"

#include <gtest/gtest.h>

#include <memory>

// Instances and schemas of a quarter, a half and all of what the limits admit.

namespace plimsoll::testkit {
namespace {

/// A schema and instances of it by size: judged, and explained where they are invalid.
struct Judging {
  const char *name, *schema;
  std::size_t largest;
  std::function<std::string(std::size_t)> instance;
  /// By the steps spent: what is remembered of each part exceeds the caches at the largest size, so that CPU time grows
  /// by 2.5 times where the work doubles.
  bool by_steps = false;
};

std::string nested(std::string_view before, std::string_view inner, std::string_view after) {
  return repeated(before, kDepth - 4) + std::string(inner) + repeated(after, kDepth - 4);
}

TEST(Growth, OfInstancesAsTheyAreValidatedAndExplained) {
  const auto pairs = [](std::size_t n) {
    return "[" + listed(n, ",", [](auto i) { return "{\"a\":" + number(i) + ",\"b\":[" + number(i) + "]}"; }) + "]";
  };
  const auto alike = [](std::size_t n) {
    return "[" + listed(n, ",", [](auto i) { return "[[0,0,0],{\"a\":" + number(i) + "}]"; }) + "]";
  };
  const Judging judgings[] = {
      {"items", R"({"items":{"type":"integer","minimum":0}})", kBody / 8, numbers},
      {"items, all invalid", R"({"items":{"type":"string"}})", kBody / 8, numbers},
      {"items, the last invalid", R"({"items":{"type":"integer"}})", kBody / 8,
       [](std::size_t n) { return "[" + listed(n, ",", number) + ",\"x\"]"; }},
      {"uniqueItems", R"({"uniqueItems":true})", kBody / 8, numbers},
      {"uniqueItems, the first twice", R"({"uniqueItems":true})", kBody / 8,
       [](std::size_t n) { return "[" + listed(n, ",", number) + ",0]"; }},
      {"uniqueItems of objects", R"({"uniqueItems":true})", kBody / 24, pairs},
      {"uniqueItems of items that begin alike", R"({"uniqueItems":true})", kBody / 24, alike},
      {"uniqueItems of few large ones", R"({"uniqueItems":true})", kBody / 16,
       [](std::size_t n) {
         return "[" + listed(15, ",", [&](auto i) { return '"' + repeated("a", n) + number(i) + '"'; }) + "]";
       }},
      {"uniqueItems at every level", R"({"uniqueItems":true,"items":{"$ref":"#"}})", kBody / 600,
       [](std::size_t n) { return nested("[1,", "[" + listed(n, ",", number) + "]", "]"); }},
      {"contains, found nowhere", R"({"contains":{"const":"x"}})", kBody / 8, numbers},
      {"contains, found everywhere", R"({"contains":{"type":"integer"},"maxContains":1})", kBody / 8, numbers},
      {"prefixItems and items", R"({"prefixItems":[{"type":"integer"}],"items":{"type":"integer","minimum":1}})",
       kBody / 8, numbers},
      {"unevaluatedItems",
       R"({"anyOf":[{"contains":{"type":"integer"}},{"prefixItems":[true]}],"unevaluatedItems":false})", kBody / 8,
       numbers},
      {"unevaluatedItems, all left", R"({"unevaluatedItems":{"type":"string"}})", kBody / 8, numbers},
      {"additionalProperties", R"({"properties":{"a":true},"additionalProperties":{"type":"integer"}})", kBody / 14,
       members},
      {"additionalProperties, all invalid", R"({"properties":{"a":true},"additionalProperties":false})", kBody / 14,
       members},
      {"patternProperties",
       R"({"patternProperties":{"^n":{"type":"integer"},"7$":{"minimum":0}},"additionalProperties":false})", kBody / 14,
       members},
      {"patternProperties, the last invalid", R"({"patternProperties":{"^n":{"type":"integer"},"7$":{"minimum":0}}})",
       kBody / 14,
       [](std::size_t n) {
         auto text = members(n);
         text.back() = ',';
         return text + "\"n\":\"x\"}";
       }},
      {"propertyNames", R"({"propertyNames":{"maxLength":20}})", kBody / 14, members},
      {"propertyNames, all invalid", R"({"propertyNames":{"maxLength":0}})", kBody / 14, members},
      {"required, which are missing", R"({"required":["a","b","c","d","e","f","g","h"]})", kBody / 14, members},
      {"properties, the last invalid", R"({"properties":{"z":{"type":"string"}},"required":["n0"]})", kBody / 14,
       [](std::size_t n) {
         auto text = members(n);
         text.back() = ',';
         return text + "\"z\":1}";
       }},
      {"unevaluatedProperties",
       R"({"anyOf":[{"patternProperties":{"^n[0-4]":true}},{"patternProperties":{"^n[5-9]":true}}],"unevaluatedProperties":false})",
       kBody / 14, members},
      {"unevaluatedProperties, all left",
       R"({"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":{"type":"string"}})", kBody / 14, members},
      {"dependentRequired", R"({"dependentRequired":{"n0":["n1","n2","x"],"n3":["n4"]}})", kBody / 14, members},
      {"oneOf of each item",
       R"({"items":{"oneOf":[{"type":"string"},{"type":"integer","multipleOf":2},{"type":"integer","minimum":1000000000}]}})",
       kBody / 8, numbers},
      {"anyOf of each object",
       R"({"items":{"anyOf":[{"required":["c"]},{"properties":{"b":{"items":{"type":"string"}}}}]}})", kBody / 24,
       pairs},
      {"a list within a oneOf within itself",
       R"({"$defs":{"f":{"oneOf":[{"required":["op","args"],"properties":{"args":{"items":{"$ref":"#/$defs/f"}},"op":{"const":"and"}}},
          {"required":["op","args"],"properties":{"args":{"items":{"$ref":"#/$defs/f"}},"op":{"const":"or"}}},
          {"required":["op","x"],"properties":{"op":{"const":"leaf"},"x":{"type":"integer"}}}]}},"$ref":"#/$defs/f"})",
       kBody / 24 / 64,
       [](std::size_t n) {
         std::string text;
         for (std::size_t level = 0; level < kDepth / 2 - 2; ++level)
           text += R"({"op":"and","args":[)" + repeated(R"({"op":"leaf","x":1},)", n);
         return text + R"({"op":"leaf","x":1})" + repeated("]}", kDepth / 2 - 2);
       },
       true},
      {"the same, wrong in the middle",
       R"({"$defs":{"f":{"oneOf":[{"required":["op","args"],"properties":{"args":{"items":{"$ref":"#/$defs/f"}},"op":{"const":"and"}}},
          {"required":["op","args"],"properties":{"args":{"items":{"$ref":"#/$defs/f"}},"op":{"const":"or"}}},
          {"required":["op","x"],"properties":{"op":{"const":"leaf"},"x":{"type":"integer"}}}]}},"$ref":"#/$defs/f"})",
       kBody / 24 / 64,
       [](std::size_t n) {
         std::string text;
         for (std::size_t level = 0; level < kDepth / 2 - 2; ++level)
           text += R"({"op":"and","args":[)" + repeated(R"({"op":"leaf","x":1},)", n);
         return text + R"({"op":"leaf","x":"1"})" + repeated("]}", kDepth / 2 - 2);
       },
       true},
      {"digits against bounds", R"({"minimum":0.1,"exclusiveMaximum":1e900,"multipleOf":0.01})", kBody,
       [](std::size_t n) { return repeated("7", n) + ".25"; }},
      {"digits of an integer", R"({"type":"integer","enum":[1,2.5,1e400]})", kBody,
       [](std::size_t n) { return repeated("7", n); }},
      {"a long string", R"({"type":"string","maxLength":10,"minLength":2000000})", kBody,
       [](std::size_t n) { return '"' + repeated("é", n / 2) + '"'; }},
      {"a long string of an enum", R"({"enum":["a","b",[1]]})", kBody,
       [](std::size_t n) { return '"' + repeated("a", n) + '"'; }},
      {"const of an object", R"({"items":{"const":{"a":1,"b":[1]}}})", kBody / 24, pairs},
  };
  for (const auto& each : judgings) {
    Arena compiling;
    const auto schema = json::parse(each.schema, compiling);
    ASSERT_TRUE(schema) << each.name << ": " << schema.error().detail;
    const auto validator = schema::compile(*schema, {.assert_formats = true});
    ASSERT_TRUE(validator) << each.name << ": " << validator.error().detail;
    if (each.by_steps) {
      expect_bounded(std::string("steps: ") + each.name, count_growth(each.largest, "steps", [&](std::size_t n) {
                       Arena arena;
                       const auto value = json::parse(arena.keep(each.instance(n)), arena);
                       EXPECT_TRUE(value) << each.name;
                       Steps steps(100 * Steps::kDefault);
                       (void)validator->valid(*value, steps);
                       return static_cast<double>(100 * Steps::kDefault - steps.left());
                     }));
      continue;
    }
    for (const bool explained : {false, true})
      expect_bounded(std::string(explained ? "explained: " : "validated: ") + each.name,
                     cpu_growth(each.largest, [&](std::size_t n) {
                       const auto arena = std::make_shared<Arena>();
                       auto value = json::parse(arena->keep(each.instance(n)), *arena);
                       if (!value) ADD_FAILURE() << each.name << ": " << value.error().detail;
                       const auto* kept = &arena->make<json::Value>(*value);
                       return [=, &validator, alive = arena] {
                         Steps steps(100 * Steps::kDefault);
                         if (explained)
                           (void)validator->failures(*kept, steps);
                         else
                           (void)validator->valid(*kept, steps);
                       };
                     }));
  }
}

/// A schema by size, compiled and applied to one instance.
TEST(Growth, OfSchemasAsTheyAreCompiledAndApplied) {
  struct Schema {
    const char *name, *instance;
    std::size_t largest;
    std::function<std::string(std::size_t)> text;
  };
  const auto branches = [](const char* keyword, std::size_t n) {
    return "{\"" + std::string(keyword) + "\":[" +
           listed(
               n, ",",
               [](auto i) { return R"({"properties":{"kind":{"const":")" + name(i) + R"("}},"required":["kind"]})"; }) +
           "]}";
  };
  const Schema schemas[] = {
      {"branches of oneOf", R"({"kind":"n1"})", 4'000, [&](std::size_t n) { return branches("oneOf", n); }},
      {"branches of oneOf, none of which fits", R"({"kind":"x"})", 4'000,
       [&](std::size_t n) { return branches("oneOf", n); }},
      {"branches of anyOf, none of which fits", R"({"kind":"x"})", 4'000,
       [&](std::size_t n) { return branches("anyOf", n); }},
      {"branches of allOf", R"({"kind":"x"})", 4'000, [&](std::size_t n) { return branches("allOf", n); }},
      {"properties", R"({"n1":"x"})", 8'000,
       [](std::size_t n) {
         return R"({"properties":{)" +
                listed(n, ",", [](auto i) { return '"' + name(i) + R"(":{"type":"integer"})"; }) + "}}";
       }},
      {"required", "{}", 8'000,
       [](std::size_t n) {
         return R"({"required":[)" + listed(n, ",", [](auto i) { return '"' + name(i) + '"'; }) + "]}";
       }},
      {"patterns of properties", R"({"n1":"x"})", 500,
       [](std::size_t n) {
         return R"({"patternProperties":{)" +
                listed(n, ",", [](auto i) { return "\"^" + name(i) + R"([a-z]*$":{"type":"integer"})"; }) + "}}";
       }},
      {"values of enum", R"("x")", 16'000,
       [](std::size_t n) {
         return R"({"enum":[)" + listed(n, ",", [](auto i) { return '"' + name(i) + '"'; }) + "]}";
       }},
      {"references", R"({"a":{"a":1}})", 4'000,
       [](std::size_t n) {
         return R"({"$ref":"#/$defs/n0","$defs":{)" +
                listed(n, ",",
                       [&](auto i) {
                         return '"' + name(i) + R"(":{"properties":{"a":{"$ref":"#/$defs/)" + name((i + 1) % n) +
                                R"("}}})";
                       }) +
                "}}";
       }},
  };
  for (const auto& each : schemas) {
    expect_bounded(std::string("compiled: ") + each.name, cpu_growth(each.largest, [&](std::size_t n) {
                     const auto arena = std::make_shared<Arena>();
                     const auto schema = json::parse(arena->keep(each.text(n)), *arena);
                     EXPECT_TRUE(schema) << each.name;
                     EXPECT_TRUE(schema::compile(*schema, {})) << each.name;
                     return [=, kept = arena] { (void)schema::compile(*schema, {}); };
                   }));
    for (const bool explained : {false, true})
      expect_bounded(std::string(explained ? "explained by " : "validated by ") + each.name,
                     cpu_growth(each.largest, [&](std::size_t n) -> Work {
                       const auto arena = std::make_shared<Arena>();
                       const auto parsed = json::parse(arena->keep(each.text(n)), *arena);
                       const auto instance = json::parse(each.instance, *arena);
                       // A validator refers to its schema, which has to stay where it is.
                       const auto& schema = arena->make<json::Value>(parsed.value_or(json::Value{}));
                       auto compiled = schema::compile(schema, {});
                       if (!instance || !compiled) {
                         ADD_FAILURE() << each.name;
                         return [] {};
                       }
                       const auto validator = std::make_shared<std::decay_t<decltype(*compiled)>>(std::move(*compiled));
                       return [instance, explained, validator, kept = arena] {
                         Steps steps(100 * Steps::kDefault);
                         if (explained)
                           (void)validator->failures(*instance, steps);
                         else
                           (void)validator->valid(*instance, steps);
                       };
                     }));
  }
}

/// What the default budget admits, whatever the schema: the steps tell how much it is, and no validation of a body of
/// the largest size costs more time than they allow for.
TEST(Growth, OfStepsIsThatOfTheWork) {
  Arena arena;
  const auto schema =
      json::parse(R"({"items":{"type":"object","properties":{"a":{"items":{"type":"integer"}}}}})", arena);
  const auto validator = schema::compile(*schema, {});
  const auto growth = count_growth(kBody / 32, "steps", [&](std::size_t n) {
    const auto text = "[" + listed(n, ",", [](auto i) { return "{\"a\":[" + number(i) + ",1,2,3]}"; }) + "]";
    const auto value = json::parse(text, arena);
    Steps steps;
    EXPECT_TRUE(validator->valid(*value, steps));
    return static_cast<double>(Steps::kDefault - steps.left());
  });
  expect_bounded("steps", growth);
  EXPECT_NEAR(growth.per_doubling(), 2, 0.01);
}

TEST(Growth, OfTextsAsTheirFormatsAreChecked) {
  const char* const pieces[] = {"a",    "1",  ".",    ":",    "-",   "/",   "@",  "%41", "{a}",  "[",
                                "(",    "a.", "1.",   "::",   "é",   "\\",  "~0", "\"",  "T",    "P1D",
                                "a@",   "?",  "#",    "xn--", "a-",  "{",   "(?", "[a-", "(a|b", "a*",
                                "\\u0", "//", "0001", ",",    "a,b", "a{1", ")"};
  for (const auto format : {"date-time", "date", "time", "duration", "email", "idn-email", "hostname", "idn-hostname",
                            "ipv4", "ipv6", "uri", "uri-reference", "iri", "iri-reference", "uri-template", "uuid",
                            "json-pointer", "relative-json-pointer", "regex"})
    for (const auto* const piece : pieces) {
      const auto check = schema::find_format(format);
      ASSERT_TRUE(check) << format;
      const auto growth = cpu_growth(
          kBody / 4,
          [&](std::size_t n) {
            const auto text = std::make_shared<std::string>(repeated(piece, n / std::string_view(piece).size()));
            return [=] { (void)check(*text); };
          },
          {.nothing = is_torture() ? 0.2 : 2});
      expect_bounded(std::string("format ") + format + " of " + piece, growth);
    }
}

/// A search that is quadratic in its text, or worse, ends with the budget; one that is not, does not touch it.
TEST(Growth, OfTextsAsPatternsAreSearched) {
  struct Search {
    const char *pattern, *piece, *end;
    bool ends;
  };
  for (const auto& each : {Search{"\\d+(,\\d+)*;", "1,", "x;", true}, Search{"(?:a|b)+c", "ab", "dc", true},
                           Search{"a.*b.*c", "ab", "\nc", true}, Search{"(\\w+\\.)+\\w+@", "a.", " @", true},
                           Search{"^.*a.*a.*b$", "a", "bc", true}, Search{"^(a+)+$", "a", "b", true},
                           Search{"[a-z]+ [0-9]+$", "word ", "1", false}, Search{"^[a-z ]*$", "word ", "", false}}) {
    const auto regex = schema::Regex::compile(each.pattern);
    ASSERT_TRUE(regex) << each.pattern;
    for (const auto size : {kBody / 4, kBody / 2, kBody}) {
      const auto text = repeated(each.piece, size / std::string_view(each.piece).size()) + each.end;
      Steps steps;
      schema::Regex::exhausted() = false;
      const bool found = regex->search(text, steps);
      if (each.ends) {
        EXPECT_FALSE(found) << each.pattern;
        EXPECT_TRUE(steps.exhausted() || schema::Regex::exhausted()) << each.pattern << " on " << size;
      } else {
        EXPECT_TRUE(found) << each.pattern << " on " << size << ", " << steps.left() << " steps left";
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll::testkit
