#include "plimsoll/async/loop.hpp"
#include "plimsoll/contract/contract.hpp"
#include "plimsoll/exchange/context.hpp"
#include "plimsoll/exchange/part.hpp"
#include "plimsoll/exchange/problem_document.hpp"
#include "plimsoll/json/parse.hpp"
#include "plimsoll/policy/request_cases.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>

namespace plimsoll::policy {
extern const Part validate;
namespace {

class Requests : public testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    static constexpr const config::Key* keys[] = {&validate.key};
    auto loaded = contract::load({.file = PLIMSOLL_SOURCE_DIR "/tests/fixtures/requests/contract.yaml", .keys = keys});
    if (!loaded) {
      for (auto& complaint : loaded.error()) ADD_FAILURE() << to_string(complaint);
      return;
    }
    contract_ = *loaded;
    for (auto& operation : contract_->operations) {
      auto made = validate.build(validate, operation.extension("validate"), {*contract_, operation, services_});
      ASSERT_TRUE(made) << made.error().detail;
      policies_.push_back(std::move(*made));
    }
  }
  static void TearDownTestSuite() {
    policies_.clear();
    contract_.reset();
  }

  /// What the case's right side should say.
  std::string answer(const Case& c, std::size_t piece) {
    Arena arena;
    Loop loop;
    Request request{.method = c.method, .target = c.target, .headers = Headers{arena}};
    const auto mark = c.target.find('?');
    request.path = std::string_view(c.target).substr(0, mark);
    if (mark != c.target.npos) request.query = std::string_view(c.target).substr(mark + 1), request.has_query = true;
    for (auto& [name, value] : c.headers) request.headers.add(name, value);
    Pieces pieces{c.body, piece};
    if (c.has_body) request.body = &pieces;
    if (c.has_body && piece > 1) request.content_length = c.body.size();

    const auto match = contract_->match(request.method, request.path);
    if (match.kind == contract::Match::Kind::not_found) return "404";
    if (match.kind == contract::Match::Kind::method_not_allowed) return "405 " + std::string(match.allow);
    Context context{arena, loop, services_};
    context.operation = match.operation;
    context.path = request.path;
    context.path_values = {match.captured, match.count};
    Echo echo;
    auto& policy = policies_[match.operation->index];
    Link links[] = {policy ? policy->link() : Link{.handler = &echo}, {.handler = &echo}};
    std::string text;
    Scope scope;
    loop.spawn(scope, run(links, request, context, text));
    loop.run();
    return text;
  }

  static Task<> run(const Link* links, Request& request, Context& context, std::string& text) {
    Next next{links};
    auto answer = co_await next(request, context);
    text = told(answer);
  }

  static inline std::shared_ptr<const contract::Contract> contract_;
  static inline std::vector<std::unique_ptr<Policy>> policies_;
  static inline Services services_{};
};

TEST_P(Requests, AreAcceptedWithTheirValuesOrRefusedWithTheReason) {
  std::ifstream in(PLIMSOLL_SOURCE_DIR "/tests/fixtures/requests/" + std::string(GetParam()));
  ASSERT_TRUE(in);
  ASSERT_TRUE(contract_);
  std::size_t cases = 0, accepted = 0, number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    const auto c = parse(line);
    ++cases;
    accepted += c.expected.starts_with("200 ");
    EXPECT_EQ(answer(c, 1 << 20), c.expected) << GetParam() << ":" << number << ": " << line;
    if (c.has_body) EXPECT_EQ(answer(c, 1), c.expected) << "byte by byte, " << GetParam() << ":" << number;
  }
  std::printf("%s: %zu requests, %zu accepted\n", GetParam(), cases, accepted);
  RecordProperty("cases", static_cast<int>(cases));
  EXPECT_GE(accepted * 100, cases * 35) << "too few are accepted for the values to be compared";
}

INSTANTIATE_TEST_SUITE_P(Files, Requests, testing::Values("parameters.txt", "bodies.txt"), [](const auto& test) {
  return std::string(test.param).substr(0, std::strlen(test.param) - 4);
});

}  // namespace
}  // namespace plimsoll::policy
