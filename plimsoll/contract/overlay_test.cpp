#include "plimsoll/contract/overlay.hpp"

#include "plimsoll/json/write.hpp"
#include "plimsoll/json/yaml.hpp"

#include <gtest/gtest.h>

namespace plimsoll::contract {
namespace {

/// The document after the actions, or the codes of what is wrong.
std::string apply(std::string_view document, std::string_view actions) {
  Arena arena;
  Sources sources;
  Complaints complaints;
  Report report{sources, complaints};
  sources.push_back({.file = "document", .text = "---\n" + std::string(document)});
  sources.push_back({.file = "overlay",
                     .text = "overlay: 1.0.0\ninfo: {title: T, version: '1'}\nactions:\n" + std::string(actions),
                     .overlay = true});
  for (auto& source : sources) {
    auto parsed = json::parse_yaml(source.text, arena);
    if (!parsed) return parsed.error().detail;
    source.root = *parsed;
  }
  apply_overlay(sources, 1, arena, report);
  std::string text;
  for (auto& complaint : complaints) text += complaint.code + " ";
  return text + json::to_string(sources[0].root);
}

TEST(OverlayTest, UpdatesMerge) {
  EXPECT_EQ(apply("{a: {b: 1, c: [1]}}", "- {target: $.a, update: {b: 2, c: [2], d: {e: 3}}}"),
            R"({"a":{"b":2,"c":[1,2],"d":{"e":3}}})");
  EXPECT_EQ(apply("{a: [1]}", "- {target: $.a, update: {x: 1}}"), R"({"a":[1,{"x":1}]})");
  EXPECT_EQ(apply("{a: {}, b: {}}", "- {target: $.*, update: {n: 1}}"), R"({"a":{"n":1},"b":{"n":1}})");
  EXPECT_EQ(apply("{a: 1}", "- {target: $, update: {b: {c: 1}}}\n- {target: $.b, update: {d: 2}}"),
            R"({"a":1,"b":{"c":1,"d":2}})");
}

TEST(OverlayTest, RemovesMembersAndItems) {
  EXPECT_EQ(apply("{a: 1, b: 2}", "- {target: $.a, remove: true}"), R"({"b":2})");
  EXPECT_EQ(apply("{a: [0, 1, 2, 3]}", "- {target: '$.a[0,2]', remove: true}"), R"({"a":[1,3]})");
  EXPECT_EQ(apply("{a: [0, 1, 2, 3]}", "- {target: '$.a[*]', remove: true}"), R"({"a":[]})");
  EXPECT_EQ(apply("{a: [{x: 1}, {x: 2}, {y: {x: 3}}]}", "- {target: $..x, remove: true}"), R"({"a":[{},{},{"y":{}}]})");
  EXPECT_EQ(apply("{a: [{x: 1}, {x: 2}]}", "- {target: '$.a[?@.x == 1]', remove: true}"), R"({"a":[{"x":2}]})");
  EXPECT_EQ(apply("{a: {b: 1}}", "- {target: '$..*', remove: true}"), "{}");
}

TEST(OverlayTest, ToldAreTargetsThatMatchNothingOrAreNotUnderstood) {
  EXPECT_EQ(apply("{a: 1}", "- {target: $.b, remove: true}"), R"(target-matches-nothing {"a":1})");
  EXPECT_EQ(apply("{a: 1}", "- {target: a, remove: true}"), R"(invalid-target {"a":1})");
  EXPECT_EQ(apply("{a: 1}", "- {target: $.a}"), R"(invalid-overlay {"a":1})");
  EXPECT_EQ(apply("{a: 1}", "- {remove: true}"), R"(invalid-overlay {"a":1})");
}

}  // namespace
}  // namespace plimsoll::contract
