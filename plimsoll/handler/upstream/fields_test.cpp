#include "plimsoll/handler/upstream/fields.hpp"

#include <gtest/gtest.h>

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
  for (const auto& [name, value] : request_fields(request)) out += name + ": " + value + "\n";
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
  const auto fields = request_fields(request);
  EXPECT_EQ(fields.back().first, "forwarded");
  EXPECT_EQ(fields.back().second, R"(for="[2001:db8::7]";host="shop.example:8443";proto=https)");
}

TEST(ForwardedFields, RulesSetAndRemoveWhatIsPassedOn) {
  std::vector<std::pair<std::string, std::string>> fields{{"x-a", "1"}, {"x-b", "2"}, {"x-a", "3"}, {"x-c", "4"}};
  const FieldRules rules{.set = {{"x-b", "new"}, {"x-d", "5"}}, .remove = {"x-a"}};
  rules.apply(fields);
  EXPECT_EQ(fields, (std::vector<std::pair<std::string, std::string>>{{"x-b", "new"}, {"x-c", "4"}, {"x-d", "5"}}));
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

}  // namespace
}  // namespace plimsoll::handler::forwarding
