#include "plimsoll/client/gate.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/client/problems.hpp"
#include "plimsoll/exchange/context.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace plimsoll::client {
namespace {

/// Writes down what it is asked.
class Noted final : public Gate {
 public:
  Noted(char name, std::string& seen) : name_(name), seen_(seen) {}
  Result<> begin(Request&, Context&, CallState&) override {
    if (throws) throw std::runtime_error("no memory");
    if (refuses) return fail(kTooManyCalls);
    seen_ += name_;
    return {};
  }
  void end(const CallOutcome& outcome, CallState&) override {
    (seen_ += '-') += name_;
    if (outcome.failure) seen_ += outcome.failure->counts() ? '!' : '?';
    if (throws_at_end) throw std::runtime_error("no memory");
  }
  bool refuses = false, throws = false, throws_at_end = false;

 private:
  const char name_;
  std::string& seen_;
};

struct Answering final : Handler {
  explicit Answering(std::string& seen) : seen(seen) {}
  Task<Result<Response>> handle(Request&, Context& context) override {
    seen += '.';
    co_return Response{.status = status, .headers = Headers{context.arena}};
  }
  std::string& seen;
  std::uint16_t status = 200;
};

/// Three gates in one chain, which share a coroutine.
struct GateTest : testing::Test {
  GateTest() {
    a.followed_by(b);
    b.followed_by(c);
  }
  /// The status or the problem of one call.
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
  Answering answering{seen};
};

TEST_F(GateTest, EachBeginsInItsOrderAndEndsInTheOther) {
  EXPECT_EQ(call(), "200");
  EXPECT_EQ(seen, "abc.-c-b-a");
  answering.status = 503;
  EXPECT_EQ(call(), "503");
  EXPECT_EQ(seen, "abc.-c!-b!-a!");
}

TEST_F(GateTest, OnlyThoseEndThatHaveBegun) {
  b.refuses = true;
  EXPECT_EQ(call(), kTooManyCalls.code);
  EXPECT_EQ(seen, "a-a?");
  a.refuses = true;
  EXPECT_EQ(call(), kTooManyCalls.code);
  EXPECT_EQ(seen, "");
}

TEST_F(GateTest, AllThatHaveBegunEndWhateverIsThrown) {
  c.throws = true;
  EXPECT_EQ(call(), kInternal.code);
  EXPECT_EQ(seen, "ab-b?-a?");
  c.throws = false;
  c.throws_at_end = b.throws_at_end = true;
  EXPECT_EQ(call(), "200");
  EXPECT_EQ(seen, "abc.-c-b-a");
}

}  // namespace
}  // namespace plimsoll::client
