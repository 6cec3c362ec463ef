#include "plimsoll/async/abandonable.hpp"

#include "plimsoll/async/pause.hpp"
#include "plimsoll/async/test_run.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <stdexcept>
#include <string>

namespace plimsoll {
namespace {

TEST(Abandonable, WorkComesBackToItsThreadWithWhatItGivesOrThrows) {
  run([](Loop& loop) -> Task<> {
    AbandonableThreads threads{2};
    const auto here = std::this_thread::get_id();
    auto there =
        co_await abandonable(loop, threads, []() -> Result<std::thread::id> { return std::this_thread::get_id(); });
    EXPECT_NE(*there, here);
    EXPECT_EQ(std::this_thread::get_id(), here);
    for (int i = 0; i < 64; ++i) {  // often: its thread ends the work at times before, at times after it is read here
      std::string said;
      try {
        (void)co_await abandonable(loop, threads, []() -> Result<int> { throw std::runtime_error("no disk"); });
      } catch (const std::exception& error) { said = error.what(); }
      EXPECT_EQ(said, "no disk");
    }
  });
}

/// Of work that hangs until it is let go.
struct Hanging {
  std::promise<void> go;
  std::shared_future<void> let_go = go.get_future().share();
};

Task<Result<int>> hang(Loop& loop, AbandonableThreads& threads, std::shared_ptr<Hanging> hanging,
                       std::atomic<int>* began) {
  auto done = co_await abandonable(loop, threads, [hanging, began]() -> Result<int> {
    ++*began;
    hanging->let_go.wait();
    return 1;
  });
  co_return done;
}

Task<> stop_soon(Loop& loop, Scope& scope, Stop why) {
  (void)co_await pause(loop, 5 * kMillisecond);
  scope.stop(why);
}

TEST(Abandonable, WhoIsToldToStopGoesOnAndWorkThatHasNotBegunDoesNot) {
  auto hanging = std::make_shared<Hanging>();
  std::atomic<int> began{0}, never{0};
  {
    Loop loop;
    AbandonableThreads threads{1};
    Scope first, second, stopping;
    std::vector<std::string> codes;
    const auto asks = [&](std::atomic<int>& count) -> Task<> {
      auto got = co_await hang(loop, threads, hanging, &count);
      codes.emplace_back(got ? "none" : got.error().problem->code);
    };
    loop.spawn(first, asks(began));
    loop.spawn(second, asks(never));
    loop.spawn(stopping, stop_soon(loop, first, Stop::deadline));
    loop.spawn(stopping, stop_soon(loop, second, Stop::client_gone));
    loop.run();  // ends though the work does not
    EXPECT_EQ(codes, (std::vector<std::string>{"deadline-exceeded", "client-gone"}));
    EXPECT_EQ(began, 1);
    EXPECT_TRUE(threads.hang(kMillisecond));
    EXPECT_FALSE(threads.hang(3600 * kSecond));
    hanging->go.set_value();
    std::promise<void> free;
    threads.post([&] { free.set_value(); });
    free.get_future().wait();
  }
  EXPECT_EQ(never, 0);
}

TEST(Abandonable, WhatIsToldToStopBeforeDoesNotBegin) {
  run([](Loop& loop) -> Task<> {
    AbandonableThreads threads{1};
    Scope scope;
    scope.stop(Stop::deadline);
    std::atomic<int> began{0};
    auto hanging = std::make_shared<Hanging>();
    auto got = co_await in(scope, hang(loop, threads, hanging, &began));
    EXPECT_FALSE(got);
    EXPECT_EQ(began, 0);
  });
}

}  // namespace
}  // namespace plimsoll
