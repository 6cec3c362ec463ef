#include "plimsoll/async/single_flight.hpp"

#include <gtest/gtest.h>
#include <atomic>
#include <thread>
#include <vector>

namespace plimsoll {
namespace {

struct Turn {  // one turn of the loop later
  Loop& loop;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> who) const {
    loop.expect();
    loop.resume(who);
  }
  void await_resume() const noexcept {}
};

Task<> ask(Loop& loop, SingleFlight<int>& flights, std::atomic<int>& led, std::atomic<int>& brought) {
  auto ticket = flights.board("key");
  if (ticket.leads) {
    ++led;
    for (int i = 0; i < 50; ++i) co_await Turn{loop};
    flights.land("key", *ticket.flight, 42);
    ++brought;
  } else {
    auto value = co_await ticket.flight->wait(loop, 10 * kSecond);
    if (value && *value == 42) ++brought;
  }
}

TEST(SingleFlight, OneGoesAndAllGetWhatItBringsOnWhateverLoopTheyAre) {
  SingleFlight<int> flights;
  std::atomic<int> led{0}, brought{0};
  std::atomic<int> ready{0};
  auto thread = [&] {
    Loop loop;
    std::vector<Scope> scopes(500);
    for (auto& scope : scopes) loop.spawn(scope, ask(loop, flights, led, brought));
    ++ready;
    while (ready < 2) std::this_thread::yield();
    loop.run();
  };
  std::thread other(thread);
  thread();
  other.join();
  EXPECT_EQ(brought, 1000);
  EXPECT_GE(led, 1);
  EXPECT_LE(led, 4);  // a thread that starts late leads anew
  EXPECT_EQ(flights.size(), 0u);
}

TEST(SingleFlight, WhoWaitsTooLongIsToldSo) {
  SingleFlight<int> flights;
  auto leader = flights.board("key");
  Loop loop;
  Scope scope;
  std::optional<Result<std::optional<int>>> seen;
  loop.spawn(scope, [](Loop& loop, auto& flights, auto& seen) -> Task<> {
    auto ticket = flights.board("key");
    seen.emplace(co_await ticket.flight->wait(loop, 20 * kMillisecond));
  }(loop, flights, seen));
  loop.run();
  ASSERT_TRUE(seen && *seen);
  EXPECT_FALSE((*seen)->has_value());
  flights.land("key", *leader.flight, 1);
}

TEST(SingleFlight, WhoIsToldToStopLeavesTheOthersWaiting) {
  SingleFlight<int> flights;
  auto leader = flights.board("key");
  Loop loop;
  Scope stopped, patient, third;
  std::optional<Result<std::optional<int>>> seen[2];
  auto wait = [](Loop& loop, auto& flights, auto& seen) -> Task<> {
    auto ticket = flights.board("key");
    seen.emplace(co_await ticket.flight->wait(loop, 10 * kSecond));
  };
  loop.spawn(stopped, wait(loop, flights, seen[0]));
  loop.spawn(patient, wait(loop, flights, seen[1]));
  loop.spawn(third, [](Loop& loop, auto& flights, auto& leader, Scope& stopped) -> Task<> {
    co_await Turn{loop};
    stopped.stop(Stop::client_gone);
    co_await Turn{loop};
    flights.land("key", *leader.flight, 7);
  }(loop, flights, leader, stopped));
  loop.run();
  ASSERT_TRUE(seen[0] && seen[1]);
  ASSERT_FALSE(seen[0]->has_value());
  EXPECT_EQ(seen[0]->error().problem, &kClientGone);
  ASSERT_TRUE(seen[1]->has_value());
  EXPECT_EQ(seen[1]->value(), 7);
}

TEST(SingleFlight, TheNoteOfTheLeaderIsKnownAtOnce) {
  SingleFlight<int, std::string> flights;
  auto first = flights.board("key", "a");
  auto second = flights.board("key", "b");
  EXPECT_TRUE(first.leads);
  EXPECT_FALSE(second.leads);
  EXPECT_EQ(second.flight->note(), "a");
  flights.land("key", *first.flight, 1);
  EXPECT_TRUE(flights.board("key", "c").leads);
}

}  // namespace
}  // namespace plimsoll
