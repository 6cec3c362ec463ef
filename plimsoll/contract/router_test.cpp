#include "plimsoll/contract/router.hpp"

#include <gtest/gtest.h>

#include <deque>

namespace plimsoll::contract {
namespace {

class RouterTest : public testing::Test {
 protected:
  void add(std::string_view method, std::string_view path) {
    auto& op = operations.emplace_back();
    op.id = std::string(method) + " " + std::string(path);
    std::vector<std::string> names;
    ASSERT_TRUE(router.add(method, path, &op, names)) << op.id;
    finished = false;
  }
  /// `GET /a/{x}: one two`, or the kind.
  std::string get(std::string_view path, std::string_view method = "GET") {
    if (!std::exchange(finished, true)) router.finish();
    const auto match = router.match(method, path);
    if (match.kind == Match::Kind::not_found) return "404";
    if (match.kind == Match::Kind::method_not_allowed) return "405 " + std::string(match.allow);
    std::string text = match.operation->id;
    for (std::uint32_t i = 0; i < match.count; ++i) text += (i ? " " : ": ") + std::string(match.captured[i]);
    return text;
  }
  Router router;
  bool finished = false;
  std::deque<Operation> operations;
};

TEST_F(RouterTest, LiteralsGoBeforeTemplates) {
  add("GET", "/users/{id}");
  add("GET", "/users/me");
  add("GET", "/users/{id}/posts");
  EXPECT_EQ(get("/users/me"), "GET /users/me");
  EXPECT_EQ(get("/users/you"), "GET /users/{id}: you");
  EXPECT_EQ(get("/users/me/posts"), "GET /users/{id}/posts: me") << "a literal that leads nowhere is given up";
}

TEST_F(RouterTest, PartialSegmentsCaptureWhatIsBetweenTheLiterals) {
  add("GET", "/Accounts/{Sid}.json");
  add("GET", "/Accounts/{Sid}");
  add("GET", "/Accounts/{Sid}/Calls.json");
  add("GET", "/points/{lat},{lon}");
  add("GET", "/reports/report-{year}.{format}");
  EXPECT_EQ(get("/Accounts/AC1.json"), "GET /Accounts/{Sid}.json: AC1");
  EXPECT_EQ(get("/Accounts/AC1"), "GET /Accounts/{Sid}: AC1");
  EXPECT_EQ(get("/Accounts/.json"), "GET /Accounts/{Sid}: .json") << "a parameter is never empty";
  EXPECT_EQ(get("/Accounts/a.b.json"), "GET /Accounts/{Sid}.json: a.b");
  EXPECT_EQ(get("/Accounts/AC1/Calls.json"), "GET /Accounts/{Sid}/Calls.json: AC1");
  EXPECT_EQ(get("/points/1.5,2"), "GET /points/{lat},{lon}: 1.5 2");
  EXPECT_EQ(get("/points/,2"), "404");
  EXPECT_EQ(get("/reports/report-2026.pdf"), "GET /reports/report-{year}.{format}: 2026 pdf");
  EXPECT_EQ(get("/reports/report-2026"), "404");
}

TEST_F(RouterTest, OtherMethodsAreToldWhatIsAllowed) {
  add("GET", "/a");
  add("POST", "/a");
  EXPECT_EQ(get("/a", "DELETE"), "405 GET, HEAD, OPTIONS, POST");
  EXPECT_EQ(get("/a", "get"), "405 GET, HEAD, OPTIONS, POST") << "methods are case-sensitive";
  EXPECT_EQ(get("/a", "HEAD"), "GET /a");
  EXPECT_EQ(get("/a", "BREW"), "405 GET, HEAD, OPTIONS, POST");
  EXPECT_EQ(get("/b", "DELETE"), "404");
}

TEST_F(RouterTest, EncodedSlashesStayInTheirSegment) {
  add("GET", "/files/{name}");
  add("GET", "/files/{name}/meta");
  add("GET", "/caf\xC3\xA9/{x}");
  EXPECT_EQ(get("/files/a%2Fb"), "GET /files/{name}: a%2Fb");
  EXPECT_EQ(get("/files/a%2fmeta"), "GET /files/{name}: a%2fmeta");
  EXPECT_EQ(get("/%66iles/a"), "GET /files/{name}: a");
  EXPECT_EQ(get("/caf%C3%A9/1"), "GET /caf\xC3\xA9/{x}: 1");
  EXPECT_EQ(get("/files/a%"), "404");
  EXPECT_EQ(get("/files/a%zz"), "404");
}

TEST_F(RouterTest, ASegmentLongerThanAnyLiteralIsNoLiteral) {
  add("GET", "/items/");
  add("GET", "/things/{id}/%41");
  const std::string encoded = "%41" + std::string(2000, 'a');
  EXPECT_EQ(get("/items/"), "GET /items/");
  EXPECT_EQ(get("/items/" + encoded), "404") << "and not the one that ends with nothing";
  EXPECT_EQ(get("/things/" + encoded + "/A"), "GET /things/{id}/%41: " + encoded);
  EXPECT_EQ(get("/things/" + std::string(2000, 'a') + "/%41"), "GET /things/{id}/%41: " + std::string(2000, 'a'));
}

TEST_F(RouterTest, WhatAllPathsBeginWithIsComparedAsAnyOther) {
  add("GET", "/api/v1/things");
  add("GET", "/api/v1/things/{id}");
  add("POST", "/api/v1");
  EXPECT_EQ(get("/api/v1/things/7"), "GET /api/v1/things/{id}: 7");
  EXPECT_EQ(get("/%61pi/v%31/things/7"), "GET /api/v1/things/{id}: 7");
  EXPECT_EQ(get("/api/v1/things/%37"), "GET /api/v1/things/{id}: %37");
  EXPECT_EQ(get("/api/v1", "POST"), "POST /api/v1");
  for (const auto* path :
       {"/api", "/api/", "/api/v1/", "/api/v2/things", "/api/v1/things/", "/api/v1/thing", "/apiv1/things"})
    EXPECT_EQ(get(path), "404") << path;
}

TEST_F(RouterTest, SegmentsOfAnyLengthAreToldApart) {
  const auto filled = [](std::size_t size, char middle) {
    std::string text(size, 'x');
    text[size / 2] = middle;
    return text;
  };
  for (std::size_t size = 1; size < 40; ++size)
    for (const char c : {'a', 'b'}) {
      add("GET", "/" + filled(size, c));
      add("GET", "/in/" + filled(size, c) + "/{id}/" + filled(size, c));
    }
  for (std::size_t size = 1; size < 40; ++size) {
    for (const char c : {'a', 'b'}) {
      const auto text = filled(size, c);
      EXPECT_EQ(get("/" + text), "GET /" + text);
      EXPECT_EQ(get("/in/" + text + "/" + text + "/" + text), "GET /in/" + text + "/{id}/" + text + ": " + text);
      EXPECT_EQ(get("/in/" + text + "/%" + "41/" + text), "GET /in/" + text + "/{id}/" + text + ": %41");
    }
    EXPECT_EQ(get("/" + filled(size, 'c')), "404");
    EXPECT_EQ(get("/" + filled(size, '%')), "404");
  }
}

TEST_F(RouterTest, EmptyAndDotSegmentsMatchNoTemplate) {
  add("GET", "/a/{x}");
  add("GET", "/a/{x}/b");
  add("GET", "/");
  for (const auto* path :
       {"/a/", "/a/.", "/a/..", "/a/%2e", "/a/%2E%2e", "/a/./b", "/a/../b", "/a//b", "//a/1", "a/1", ""})
    EXPECT_EQ(get(path), "404") << path;
  EXPECT_EQ(get("/"), "GET /");
  EXPECT_EQ(get("/a/1/"), "404") << "a trailing slash is another path";
  EXPECT_EQ(get("/a/..."), "GET /a/{x}: ...");
}

TEST_F(RouterTest, RefusesWhatCannotBeToldApart) {
  std::vector<std::string> names;
  Operation op;
  using enum Router::Refusal;
  EXPECT_TRUE(router.add("GET", "/a/{x}", &op, names));
  EXPECT_EQ(router.add("GET", "/a/{y}", &op, names).error(), ambiguous);
  EXPECT_TRUE(router.add("PUT", "/a/{y}", &op, names));
  EXPECT_EQ(names, std::vector<std::string>{"y"});
  EXPECT_EQ(router.add("GET", "/b/{x}{y}", &op, names).error(), adjacent);
  EXPECT_EQ(router.add("GET", "/b/{x}/{x}", &op, names).error(), duplicate_name);
  for (const auto* path : {"b", "/b/{", "/b/}", "/b/{}", "/b/{a{b}}", "/b/%zz"})
    EXPECT_EQ(router.add("GET", path, &op, names).error(), malformed) << path;
}

TEST_F(RouterTest, ThousandsOfOperationsAreFoundEachAtItsPlace) {
  for (int i = 0; i < 1000; ++i) {
    const auto n = std::to_string(i);
    add("GET", "/shared/prefix/resource" + n);
    add("GET", "/shared/prefix/resource" + n + "/{id}/items/{item}.json");
  }
  for (int i = 0; i < 1000; ++i) {
    const auto path = "/shared/prefix/resource" + std::to_string(i);
    EXPECT_EQ(get(path), "GET " + path);
    EXPECT_EQ(get(path + "/7/items/9.json"), "GET " + path + "/{id}/items/{item}.json: 7 9");
    EXPECT_EQ(get(path + "/7/items/9.xml"), "404");
  }
}

}  // namespace
}  // namespace plimsoll::contract
