#include "plimsoll/handler/upstream/learned.hpp"

#include "plimsoll/base/arena.hpp"
#include "plimsoll/json/parse.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace plimsoll::handler {
namespace {

using forwarding::LearnedShape;
using forwarding::looks_like_value;
using testing::HasSubstr;
using testing::Not;

std::string schema_of(const std::vector<std::string>& values) {
  LearnedShape shape;
  std::size_t left = 1'000;
  for (const auto& text : values) {
    Arena arena;
    shape.take(*json::parse(text, arena), left);
  }
  std::string out;
  json::Writer writer{out};
  shape.write(writer, true);
  return out;
}

TEST(LearnedShape, SaysWhatAllValuesHaveInCommon) {
  EXPECT_EQ(schema_of({"1", "2"}), R"({"type":"integer"})");
  EXPECT_EQ(schema_of({"1", "2.5"}), R"({"type":"number"})");
  EXPECT_EQ(schema_of({"1", "\"a\"", "null"}), R"({"type":["string","integer","null"]})");
  EXPECT_EQ(schema_of({"null"}), "{}");
  EXPECT_EQ(schema_of({R"("2026-01-01")", R"("2026-01-02")"}), R"({"type":"string","format":"date"})");
  EXPECT_EQ(schema_of({R"("2026-01-01")", R"("soon")"}), R"({"type":"string"})");
  EXPECT_EQ(schema_of({"[]", "[1]", "[true]"}), R"({"type":"array","items":{"type":["integer","boolean"]}})");
  EXPECT_EQ(schema_of({R"({"a":1,"b":2})", R"({"a":1})"}),
            R"({"type":"object","required":["a"],"properties":{"a":{"type":"integer"},"b":{"type":"integer"}}})");
  EXPECT_EQ(schema_of({R"({"17":1,"18":2})", R"({"total":true})"}),
            R"({"type":"object","additionalProperties":{"type":["integer","boolean"]}})");
}

TEST(LearnedShape, TwoMergedAreAsOneThatHasSeenAll) {
  std::mt19937_64 chance{7};
  const auto value = [&](auto& self, int depth) -> std::string {
    switch (chance() % (depth > 3 ? 4 : 6)) {
      case 0: return std::to_string(chance() % 9);
      case 1: return "1.5";
      case 2: return "null";
      case 3: return chance() % 2 ? R"("text")" : R"("2026-01-01")";
      case 4: return "[" + self(self, depth + 1) + "," + self(self, depth + 1) + "]";
      default:
        return "{\"" + std::string(1, static_cast<char>('a' + chance() % 3)) + "\":" + self(self, depth + 1) +
               ",\"d\":" + self(self, depth + 1) + (chance() % 10 ? "" : ",\"1234\":1") + "}";
    }
  };
  for (int round = 0; round < 300; ++round) {
    LearnedShape whole, first, second;
    std::size_t left = 100'000;
    for (int i = 0; i < 8; ++i) {
      Arena arena;
      const auto text = value(value, 0);
      const auto parsed = *json::parse(text, arena);
      whole.take(parsed, left);
      (chance() % 2 ? first : second).take(parsed, left);
    }
    first.merge(std::move(second));
    std::string expected, merged;
    json::Writer one{expected}, two{merged};
    whole.write(one, true), first.write(two, true);
    ASSERT_EQ(merged, expected) << "round " << round;
  }
}

TEST(LearnedShape, HasNoMoreMembersThanThereIsRoomFor) {
  LearnedShape shape;
  std::size_t left = 10;
  std::string text = "{";
  for (char c = 'a'; c <= 'z'; ++c) text += "\"" + std::string(1, c) + "\":[1],";
  text.back() = '}';
  Arena arena;
  shape.take(*json::parse(text, arena), left);
  EXPECT_EQ(left, 0u);
}

TEST(Learned, TellsValuesFromWords) {
  for (const auto* word : {"books", "v1", "oauth2", "top10", "file.json", "a-long-name-of-a-page", "$count"})
    EXPECT_FALSE(looks_like_value(word)) << word;
  for (const auto* value : {"1", "4711", "0ca67b6b-7f3a-4a3d-8f0e-7d5b5a4d9f10", "deadbeef0123", "2026-01-01", "a%20b",
                            "ada@example.com", "ORD12345", "", "5f9d1b2c4e6a7b8c9d0e1f2a"})
    EXPECT_TRUE(looks_like_value(value)) << value;
}

TEST(Learned, ManyWordsAtOnePlaceAreValues) {
  Learned learned;
  learned.begin("legacy");
  for (int i = 0; i < 100; ++i) {
    const auto path = "/pages/" + std::string(1, static_cast<char>('a' + i % 26)) + "x" +
                      std::string(static_cast<std::size_t>(i / 26), 'y');
    learned.take(
        {.method = "GET", .path = path, .query = {}, .request_type = {}, .status = 200, .response_type = "text/html"});
  }
  const auto document = learned.document();
  EXPECT_THAT(document, HasSubstr(R"("/pages/{pageId}")"));
  EXPECT_THAT(document, HasSubstr("Seen 100 times"));
  EXPECT_THAT(document, Not(HasSubstr("/pages/a")));
}

TEST(Learned, WordsWithTheSameBelowThemAreValuesAtAnyPlace) {
  Learned learned;
  learned.begin("legacy", "any-caller");
  const auto take = [&](std::string_view path, std::string_view body) {
    learned.take({.method = "GET",
                  .path = path,
                  .query = {},
                  .request_type = {},
                  .status = 200,
                  .response_type = "application/json",
                  .response_body = body});
  };
  for (const std::string name : {"ada", "bob", "cyd", "dan", "eve"}) {
    take("/people/" + name + "/posts", R"({"title":"t"})");
    take("/people/" + name + "/posts/latest", R"({"text":"t"})");
  }
  take("/people/count/all", R"({"count":5})");
  const auto text = learned.document();
  EXPECT_THAT(text, HasSubstr(R"("/people/{peopleId}/posts")"));
  EXPECT_THAT(text, HasSubstr(R"("/people/count/all")"));
  for (const auto* name : {"ada", "bob", "cyd", "dan", "eve"}) EXPECT_THAT(text, Not(HasSubstr(name))) << text;
  EXPECT_THAT(text, HasSubstr(R"("x-plimsoll":{"upstream":"legacy","authorization":"any-caller"})"));
}

TEST(Learned, ItsMemoryIsBounded) {
  Learned learned;
  learned.begin("legacy");
  std::mt19937_64 chance{3};
  for (int i = 0; i < 20'000; ++i) {
    std::string path;
    for (int depth = 0; depth < 4; ++depth) {
      path += "/";
      for (int letter = 0; letter < 6; ++letter) path += static_cast<char>('a' + chance() % 26);
    }
    learned.take({.method = "GET", .path = path, .query = {}, .request_type = {}, .status = 200, .response_type = {}});
  }
  EXPECT_LT(learned.document().size(), 2u << 20);
  EXPECT_EQ(learned.exchanges() + learned.dropped(), 20'000u);
}

}  // namespace
}  // namespace plimsoll::handler
