#include "plimsoll/contract/overlay.hpp"

#include "plimsoll/json/write.hpp"
#include "plimsoll/json/yaml.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace plimsoll::contract {
namespace {

/// The document after the actions, or the codes of what is wrong.
std::string apply(std::string_view document, std::string_view actions, std::string_view version = "1.0.0") {
  Arena arena;
  Sources sources;
  Complaints complaints;
  Report report{sources, complaints};
  sources.push_back({.file = "document", .text = "---\n" + std::string(document)});
  sources.push_back({.file = "overlay",
                     .text = "overlay: " + std::string(version) + "\ninfo: {title: T, version: '1'}\nactions:\n" +
                             std::string(actions),
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
  EXPECT_EQ(apply("{a: 1}", "- {target: $.a}"), R"(action-without-effect {"a":1})");
  EXPECT_EQ(apply("{a: 1}", "- {remove: true}"), R"(invalid-overlay {"a":1})");
}

/// What 1.1 adds: `copy`, values that are no objects or lists, and errors where values do not fit.
TEST(OverlayTest, CopiesAndReplacesPlainValues) {
  const auto apply = [](std::string_view document, std::string_view actions) {
    return contract::apply(document, actions, "1.1.0");
  };
  EXPECT_EQ(apply("{a: {x: 1, l: [1]}, b: {l: [2], y: 2}}", "- {target: $.b, copy: $.a}"),
            R"({"a":{"x":1,"l":[1]},"b":{"l":[2,1],"y":2,"x":1}})");
  EXPECT_EQ(apply("{p: {/items: {get: {}}}}",
                  "- {target: $.p, update: {/new: {}}}\n- {target: \"$.p['/new']\", copy: \"$.p['/items']\"}\n"
                  "- {target: \"$.p['/items']\", remove: true}"),
            R"({"p":{"/new":{"get":{}}}})");
  EXPECT_EQ(apply("{a: {}}", "- {target: $.a, copy: $}"), R"({"a":{"a":{}}})") << "of itself as it was";
  EXPECT_EQ(apply("{a: [1, 2], b: 3}", "- {target: $.a, copy: $.b}"), R"({"a":[1,2,3],"b":3})");
  EXPECT_EQ(apply("{t: [a, b, c]}", "- {target: \"$.t[?@ == 'b']\", remove: true}"), R"({"t":["a","c"]})");
  EXPECT_EQ(apply("{a: {d: x}, b: {d: y}}", "- {target: $.*.d, update: z}"), R"({"a":{"d":"z"},"b":{"d":"z"}})");
  EXPECT_EQ(apply("{a: [1]}", "- {target: \"$['a','a']\", update: 2}"), R"({"a":[1,2]})") << "each node once";
  EXPECT_EQ(apply("{a: [1, 2, 3]}", "- {target: '$.a[0, 0, -1]', remove: true}"), R"({"a":[2]})");
  EXPECT_EQ(apply("{a: 1, b: {}}", "- {target: $.a, update: {}}"), R"(incompatible-update {"a":1,"b":{}})");
  EXPECT_EQ(apply("{a: {x: 1}}", "- {target: $.a, update: {x: [1]}}"), R"(incompatible-update {"a":{"x":1}})");
  EXPECT_EQ(apply("{a: 1, b: {}}", "- {target: $.*, update: 2}"), R"(incompatible-update {"a":1,"b":{}})");
  EXPECT_EQ(apply("{a: {}, b: 1, c: 2}", "- {target: $.a, copy: '$[\"b\",\"c\"]'}"),
            R"(invalid-target {"a":{},"b":1,"c":2})");
  EXPECT_EQ(apply("{a: {}}", "- {target: $.a, copy: $.b}"), R"(invalid-target {"a":{}})");
  EXPECT_EQ(apply("{a: {}}", "- {target: $.a, copy: $.b, update: {}}"), R"(invalid-overlay {"a":{}})");
  EXPECT_EQ(contract::apply("{a: {}, b: 1}", "- {target: $.a, copy: $.b}", "1.0.0"),
            R"(invalid-overlay {"a":{},"b":1})");
  EXPECT_EQ(contract::apply("{a: {x: 1}}", "- {target: $.a, update: {x: [1]}}", "1.0.3"), R"({"a":{"x":[1]}})");
}

TEST(OverlayTest, CopiesAreBounded) {
  std::string document = "{a: [" + std::string("{}");
  for (int i = 0; i < 2000; ++i) document += ", {}";
  std::string update = "{x: [0";
  for (int i = 0; i < 2000; ++i) update += ", 0";
  const auto said = apply(document + "]}", "- {target: '$.a[*]', update: " + update + "]}}", "1.1.0");
  EXPECT_TRUE(said.starts_with("document-too-large ")) << said.substr(0, 100);
}

std::string folder() {
  const char* set = std::getenv("PLIMSOLL_REAL_DATA");
  return (set ? std::string(set) : std::string(PLIMSOLL_SOURCE_DIR "/../shared/real")) + "/overlay/";
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// What is said of an overlay, laid over a document.
struct Laid {
  Arena arena;
  Sources sources;
  Complaints complaints;
  bool over(std::string document, std::string overlay) {
    sources.push_back({.file = "document", .text = std::move(document)});
    sources.push_back({.file = "overlay", .text = std::move(overlay), .overlay = true});
    for (auto& source : sources) {
      auto parsed = json::parse_yaml(source.text, arena);
      if (!parsed) return false;
      source.root = *parsed;
    }
    mark(sources[1].root, 1);
    Report report{sources, complaints};
    apply_overlay(sources, 1, arena, report);
    return true;
  }
  bool refused() const {
    return std::ranges::any_of(complaints, [](auto& c) { return c.severity == Complaint::Severity::error; });
  }
  std::string said() const {
    std::string text;
    for (auto& complaint : complaints) text += to_string(complaint) + "\n";
    return text;
  }
};

TEST(OverlaySets, EachIsAppliedAsItsOutputShows) {
  if (!std::filesystem::exists(folder())) GTEST_SKIP() << folder() << " is not there";
  std::size_t sets = 0;
  for (auto& entry : std::filesystem::directory_iterator(folder() + "compliant-sets")) {
    if (!entry.is_directory()) continue;
    ++sets;
    Laid laid;
    ASSERT_TRUE(laid.over(text_of(entry.path() / "openapi.yaml"), text_of(entry.path() / "overlay.yaml")));
    EXPECT_EQ(laid.said(), "") << entry.path();
    const auto text = text_of(entry.path() / "output.yaml");
    const auto output = json::parse_yaml(text, laid.arena);
    ASSERT_TRUE(output) << entry.path();
    EXPECT_TRUE(json::equal(laid.sources[0].root, *output)) << entry.path() << "\n"
                                                            << json::to_pretty_string(laid.sources[0].root);
  }
  EXPECT_EQ(sets, 8u);
}

TEST(OverlaySets, WhatIsValidIsAppliedAndTheRestRefusedWithItsPlace) {
  if (!std::filesystem::exists(folder())) GTEST_SKIP() << folder() << " is not there";
  std::size_t files = 0;
  for (const auto* version : {"v1.0", "v1.1"})
    for (const auto* verdict : {"pass", "fail"})
      for (auto& entry : std::filesystem::directory_iterator(folder() + "tests/" + version + "/" + verdict)) {
        ++files;
        Laid laid;
        ASSERT_TRUE(
            laid.over("{info: {}, paths: {/foo: {get: {parameters: []}}, /bar: {post: {}}}}", text_of(entry.path())))
            << entry.path();
        EXPECT_EQ(laid.refused(), std::string_view(verdict) == "fail") << entry.path() << "\n" << laid.said();
        for (auto& complaint : laid.complaints) {
          EXPECT_EQ(complaint.file, "overlay");
          EXPECT_GT(complaint.at.line, 0u) << entry.path();
          EXPECT_GT(complaint.at.column, 0u) << entry.path();
        }
      }
  EXPECT_EQ(files, 67u);
}

}  // namespace
}  // namespace plimsoll::contract
