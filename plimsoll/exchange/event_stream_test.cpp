#include "plimsoll/exchange/event_stream.hpp"

#include "plimsoll/async/pause.hpp"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

/// One event at once, silence, another, the end.
struct Scripted final : Events {
  Loop& loop;
  int asked = 0, silences = 2;
  bool fails = false;
  explicit Scripted(Loop& on) : loop(on) {}
  Task<Result<std::optional<http::ServerEvent>>> next() override {
    ++asked;
    if (asked == 1) co_return http::ServerEvent{.data = "one", .id = "1"};
    if (silences > 0) {
      --silences;
      const bool rested = co_await pause(loop, 3600 * kSecond);
      const Scope* scope = co_await this_scope();
      if (!rested) co_return std::unexpected(error_of(scope->stopped()));
    }
    if (fails) co_return fail(kInternal, "lost");
    if (asked == 4) co_return http::ServerEvent{.data = "two"};
    co_return std::nullopt;
  }
};

Task<> gather(Stream& stream, std::string& out, Result<>& result) {
  for (;;) {
    const auto piece = co_await stream.read();
    if (!piece) {
      result = std::unexpected(piece.error());
      co_return;
    }
    if (piece->empty()) co_return;
    out.append(as_text(*piece)).append("|");
  }
}

TEST(EventStream, SendsEventsAndHeartbeatsBetweenThem) {
  Loop loop;
  Scripted events{loop};
  EventStream stream{loop, events, 10 * kMillisecond};
  std::string out;
  Result<> result;
  Scope scope;
  loop.spawn(scope, gather(stream, out, result));
  loop.run();
  EXPECT_TRUE(result);
  EXPECT_EQ(out, ":\n\n|id: 1\ndata: one\n\n|:\n\n|:\n\n|data: two\n\n|");
}

TEST(EventStream, AFaultOfTheSourceIsOne) {
  Loop loop;
  Scripted events{loop};
  events.silences = 0;
  events.fails = true;
  EventStream stream{loop, events, 10 * kMillisecond};
  std::string out;
  Result<> result;
  Scope scope;
  loop.spawn(scope, gather(stream, out, result));
  loop.run();
  EXPECT_FALSE(result);
}

TEST(EventStream, AClientThatLeavesEndsTheSilence) {
  Loop loop;
  Scripted events{loop};
  EventStream stream{loop, events, 3600 * kSecond};
  std::string out;
  Result<> result;
  Scope scope, other;
  loop.spawn(scope, gather(stream, out, result));
  loop.post([&] { scope.stop(Stop::client_gone); });
  loop.run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().problem, &kClientGone);
}

}  // namespace
}  // namespace plimsoll
