#include "plimsoll/handler/upstream/fields.hpp"

#include "plimsoll/http/field_name.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>

namespace plimsoll::handler::forwarding {
namespace {

using List = std::vector<std::pair<std::string_view, std::string_view>>;

std::string passed_on(const List& fields, int version = 11) {
  Arena arena;
  Request request{.method = "GET", .target = "/", .headers = Headers{arena}};
  for (const auto& [name, value] : fields) request.headers.add(name, value);
  request.version = version;
  request.peer.address = "10.0.0.7";
  std::string out;
  for (const auto& [name, value] : request_fields(request, arena))
    out.append(name).append(": ").append(value).append("\n");
  return out;
}

constexpr std::string_view kOurs =
    "accept-encoding: identity\nx-forwarded-for: 10.0.0.7\nx-forwarded-proto: http\nforwarded: "
    "for=10.0.0.7;proto=http\n";

TEST(ForwardedFields, WhatBelongsToTheConnectionStaysThere) {
  EXPECT_EQ(passed_on({{"connection", "close, X-One ,x-two"},
                       {"x-one", "1"},
                       {"x-two", "2"},
                       {"x-three", "3"},
                       {"keep-alive", "timeout=5"},
                       {"te", "trailers"},
                       {"upgrade", "h2c"},
                       {"host", "a"},
                       {"content-length", "3"},
                       {"proxy-authorization", "Basic x"},
                       {"authorization", "Bearer y"}}),
            "x-three: 3\nauthorization: Bearer y\nvia: 1.1 plimsoll\n" + std::string(kOurs));
}

TEST(ForwardedFields, CookiesThatHttp2PartsAreOneAgain) {
  EXPECT_EQ(passed_on({{"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"}}, 20),
            "x: y\ncookie: a=1; b=2\nvia: 2 plimsoll\n" + std::string(kOurs));
}

TEST(ForwardedFields, WhatAClientSaysOfItselfIsNotPassedOn) {
  EXPECT_EQ(passed_on({{"x-forwarded-for", "6.6.6.6"},
                       {"forwarded", "for=6.6.6.6"},
                       {"x-forwarded-proto", "https"},
                       {"via", "1.0 them"},
                       {"traceparent", "00-x"}}),
            "via: 1.0 them, 1.1 plimsoll\n" + std::string(kOurs));
}

TEST(ForwardedFields, ForwardedNamesTheClientAsRfc7239WritesIt) {
  Arena arena;
  Request request{.method = "GET", .target = "/", .headers = Headers{arena}};
  request.peer.address = "2001:db8::7";
  request.authority = "shop.example:8443";
  request.scheme = "https";
  const auto fields = request_fields(request, arena);
  EXPECT_EQ(fields.find("forwarded"), R"(for="[2001:db8::7]";host="shop.example:8443";proto=https)");
}

TEST(ForwardedFields, RulesSetAndRemoveWhatIsPassedOn) {
  Arena arena;
  Headers fields{arena};
  for (const auto& [name, value] : List{{"x-a", "1"}, {"x-b", "2"}, {"x-a", "3"}, {"x_a", "3"}, {"x-c", "4"}})
    fields.add(name, value);
  const FieldRules rules{.set = {{"x-b", "new"}, {"x-d", "5"}}, .remove = {"x-a"}};
  rules.apply_to_request(fields);
  List left;
  for (const auto& [name, value] : fields) left.emplace_back(name, value);
  EXPECT_EQ(left, (List{{"x-c", "4"}, {"x-b", "new"}, {"x-d", "5"}}));
}

/// Names that are taken away or said anew on the way of a request, wherever that is done in this folder.
constexpr std::string_view kNever[] = {"connection",
                                       "keep-alive",
                                       "proxy-connection",
                                       "proxy-authenticate",
                                       "proxy-authorization",
                                       "te",
                                       "trailer",
                                       "transfer-encoding",
                                       "upgrade",
                                       "x-listed-by-connection",
                                       "host",
                                       "content-length",
                                       "expect",
                                       "accept-encoding",
                                       "forwarded",
                                       "x-forwarded-for",
                                       "x-forwarded-proto",
                                       "x-forwarded-host",
                                       "traceparent",
                                       "x-request-id",
                                       "x-forwarded-uri",
                                       "x-forwarded-prefix",
                                       "x-forwarded-port",
                                       "x-forwarded-client-cert",
                                       "x-original-url",
                                       "x-original-uri",
                                       "x-rewrite-url",
                                       "x-rewrite-uri",
                                       "x-override-url",
                                       "x-http-method-override",
                                       "x-http-method",
                                       "x-method-override",
                                       "x-envoy-original-path",
                                       "x-real-ip",
                                       "client-ip",
                                       "cf-connecting-ip",
                                       "fastly-client-ip",
                                       "wl-proxy-client-ip",
                                       "x-forwarded",
                                       "forwarded-for",
                                       "x-url-scheme",
                                       "front-end-https",
                                       "x-amz-copy-source",
                                       "x-amz-target",
                                       "x-signed-here",
                                       "x-plimsoll-mirrored",
                                       "proxy",
                                       "x-set-by-a-rule",
                                       "x-removed-by-a-rule"};

/// Servers that make variables of names take these for one (RFC 3875, section 4.1.18).
std::string spelled(std::string_view name, std::mt19937_64& random) {
  std::string out(name);
  for (auto& c : out) c = c == '-' ? "-_-_.+"[random() % 6] : random() % 2 ? static_cast<char>(std::toupper(c)) : c;
  return out;
}

TEST(ForwardedFields, WhatIsTakenAwayPassesInNoSpelling) {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? std::strtoul(given, nullptr, 10) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%lu\n", seed);
  std::mt19937_64 random(seed);
  const FieldRules rules{.set = {{"x-set-by-a-rule", "ours"}}, .remove = {"x-removed-by-a-rule"}};
  const Passing passing{.declared = {"x-declared-here", "x-role", "x-amz-tagging"},
                        .reserved = {"x-amz*", "x-signed-here"}};
  for (int i = 0; i < 2000; ++i) {
    Arena arena;
    Request request{.method = "GET", .target = "/", .headers = Headers{arena}};
    request.headers.add("connection", arena.keep(spelled("x-listed-by-connection", random)));
    for (int j = 0; j < 6; ++j)
      request.headers.add(arena.keep(spelled(kNever[random() % std::size(kNever)], random)), "theirs");
    request.headers.add(arena.keep(spelled("x-declared-here", random)), "perhaps");
    request.headers.add("x-role", "checked");
    request.headers.add("x-amz-tagging", "checked");
    auto fields = request_fields(request, arena, passing);
    rules.apply_to_request(fields);
    std::map<std::string, std::string> once;
    for (const auto& [name, value] : fields) {
      EXPECT_NE(value, "theirs") << name;
      EXPECT_TRUE(once.emplace(variable_name(name), std::string(value)).second) << name << " arrives twice";
      if (value == "perhaps") { EXPECT_EQ(name, "x-declared-here"); }
    }
    EXPECT_EQ(once["x-set-by-a-rule"], "ours");
    EXPECT_EQ(once["x-role"], "checked");
    EXPECT_EQ(once["x-amz-tagging"], "checked");
    EXPECT_FALSE(once.contains("x-removed-by-a-rule"));
  }
}

TEST(ForwardedFields, WhatRedirectsPassesWhereTheOperationDeclaresIt) {
  Arena arena;
  Request request{.method = "GET", .target = "/", .headers = Headers{arena}};
  request.headers.add("x-http-method-override", "PATCH");
  request.headers.add("x-original-url", "/admin");
  const auto fields = request_fields(request, arena, {.declared = {"x-http-method-override"}});
  EXPECT_EQ(fields.find("x-http-method-override"), "PATCH");
  EXPECT_EQ(std::ranges::count(fields, "/admin", &Header::value), 0);
}

TEST(ForwardedFields, AnswersLoseTheirFramingAndKeepEachCookie) {
  Arena of_the_answer;
  Response answer{.status = 200, .headers = Headers{of_the_answer}};
  constexpr std::pair<std::string_view, std::string_view> kFields[] = {
      {"set-cookie", "a=1"}, {"connection", "X-Own"}, {"x-own", "1"}, {"transfer-encoding", "chunked"},
      {"set-cookie", "b=2"}, {"content-length", "9"}};
  for (const auto& [name, value] : kFields) answer.headers.add(name, value);
  const auto passed_back = [&](bool head) {
    Arena arena;
    Headers out{arena};
    response_fields(answer, head, out);
    std::string text;
    for (const auto& [name, value] : out) text.append(name).append(": ").append(value).append("\n");
    return text;
  };
  EXPECT_EQ(passed_back(false), "set-cookie: a=1\nset-cookie: b=2\n");
  EXPECT_EQ(passed_back(true), "set-cookie: a=1\nset-cookie: b=2\ncontent-length: 9\n");
}

TEST(ForwardedFields, BehindABodyPassesWhatIsReadAsNothingElse) {
  const Passing passing{.declared = {"x-tenant"}, .reserved = {"x-inner-key", "x-amz*"}};
  const FieldRules rules{.set = {{"x-shop", "ours"}}, .remove = {"x-debug"}};
  const auto passes = [&](std::string_view name) { return passes_behind_body(name, passing, rules); };
  for (const auto* name : {"x-sum", "grpc-status", "content-digest", "server-timing", "x-tenants", "etag"})
    EXPECT_TRUE(passes(name)) << name;
  for (const auto* name : {"host",
                           "content-length",
                           "transfer-encoding",
                           "authorization",
                           "cookie",
                           "te",
                           "trailer",
                           "range",
                           "if-match",
                           "accept-encoding",
                           "traceparent",
                           "tracestate",
                           "x-request-id",
                           "x-forwarded-for",
                           "x-original-url",
                           "x-http-method-override",
                           "x-plimsoll-attempt",
                           "idempotency-key",
                           "x-tenant",
                           "x-inner-key",
                           "x-amz-copy",
                           "x-shop",
                           "x-debug"}) {
    EXPECT_FALSE(passes(name)) << name;
    std::string other(name);
    std::ranges::replace(other, '-', '_');
    EXPECT_FALSE(passes(other)) << other;
  }
}

}  // namespace
}  // namespace plimsoll::handler::forwarding
