#include "plimsoll/exchange/after_policy.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/exchange/context.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace plimsoll {
namespace {

/// Writes down what it is given, and answers as it is told.
class Noted final : public AfterPolicy {
 public:
  Noted(char name, std::string& seen) : name_(name), seen_(seen) {}
  void after(Request&, Context&, Result<Response>& answer) override {
    (seen_ += name_) += answer ? std::to_string(answer->status) : std::string(answer.error().problem->code);
    if (throws) throw std::runtime_error("no memory");
    if (refuses) answer = fail(kClientGone);
    if (answer) ++answer->status;
  }
  bool refuses = false, throws = false;

 private:
  const char name_;
  std::string& seen_;
};

struct Answering final : Handler {
  Task<Result<Response>> handle(Request&, Context& context) override {
    co_return Response{.status = 200, .headers = Headers{context.arena}};
  }
};

struct AfterPolicyTest : testing::Test {
  AfterPolicyTest() {
    a.followed_by(b);
    b.followed_by(c);
  }
  std::string call() {
    seen.clear();
    std::string outcome;
    Loop loop;
    Scope scope;
    loop.spawn(scope, one(loop, outcome));
    loop.run();
    return outcome;
  }
  Task<> one(Loop& loop, std::string& outcome) {
    Arena arena;
    Services services{.clock = &system_clock()};
    Context context{arena, loop, services};
    Request request{.method = "GET", .target = "/", .headers = Headers{arena}};
    const Link links[] = {a.link(), {.handler = &answering}};
    const auto answer = co_await Next{links}(request, context);
    outcome = answer ? std::to_string(answer->status) : std::string(answer.error().problem->code);
  }
  std::string seen;
  Noted a{'a', seen}, b{'b', seen}, c{'c', seen};
  Answering answering;
};

TEST_F(AfterPolicyTest, TheInnermostLooksFirst) {
  EXPECT_EQ(call(), "203");
  EXPECT_EQ(seen, "c200b201a202");
}

TEST_F(AfterPolicyTest, ARefusalIsTheAnswerOfThoseAround) {
  b.refuses = true;
  EXPECT_EQ(call(), "client-gone");
  EXPECT_EQ(seen, "c200b201aclient-gone");
}

TEST_F(AfterPolicyTest, WhatIsThrownIsTheAnswerOfThoseAround) {
  c.throws = true;
  EXPECT_EQ(call(), "internal");
  EXPECT_EQ(seen, "c200binternalainternal");
}

}  // namespace
}  // namespace plimsoll
