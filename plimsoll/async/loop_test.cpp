#include "plimsoll/async/loop.hpp"

#include "plimsoll/async/blocking.hpp"
#include "plimsoll/async/descriptor.hpp"
#include "plimsoll/async/pause.hpp"
#include "plimsoll/async/start.hpp"
#include "plimsoll/async/test_run.hpp"
#include "plimsoll/async/watched.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <coroutine>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace plimsoll {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr Nanoseconds kLong = 3600 * kSecond;

Task<Result<int>> ready(int value) { co_return value; }
/// `value` after `span`, or the reason why it was stopped; counts in `ended` either way.
Task<Result<int>> later(Loop& loop, Nanoseconds span, int value, int* ended = nullptr) {
  const bool rested = co_await pause(loop, span);
  if (ended) ++*ended;
  if (!rested) {
    const Scope* scope = co_await this_scope();
    co_return std::unexpected(error_of(scope->stopped()));
  }
  co_return value;
}
Task<Result<int>> throws() {
  throw std::runtime_error("boom");
  co_return 1;
}
Task<Result<int>> throws_late(Loop& loop) {
  (void)co_await later(loop, kMillisecond, 1);
  throw 42;
}
std::string_view code_of(const Result<int>& result) { return result ? "none" : result.error().problem->code; }

Task<> tell_in_turn(Loop& loop, Scope& outer, std::vector<Stop> reasons) {
  for (const auto why : reasons) {
    (void)co_await pause(loop, kMillisecond);
    outer.stop(why);
  }
}
Task<Result<int>> go_on_past_client(Loop& loop, Scope& inner) {
  auto result = co_await past_client(inner, later(loop, 200 * kMillisecond, 1));
  co_return result;
}
Task<> bring(Loop& loop, Scope& outer, Scope& inner, Nanoseconds span, std::string_view& brought) {
  auto work = go_on_past_client(loop, inner);
  auto result = co_await in(outer, span ? within(loop, span, std::move(work)) : std::move(work));
  brought = code_of(result);
}
/// What `later`, past its client, brings when its line is told these reasons, one after the other.
std::string_view past_client_told(std::vector<Stop> reasons, Nanoseconds span = 0) {
  std::string_view brought;
  Loop loop;
  Scope line, telling, outer, inner;
  loop.spawn(telling, tell_in_turn(loop, outer, std::move(reasons)));
  loop.spawn(line, bring(loop, outer, inner, span, brought));
  loop.run();
  return brought;
}

TEST(Loop, WhatGoesOnWithoutItsClientStillEndsWithItsTimeAndTheProcess) {
  EXPECT_EQ(past_client_told({}), "none");
  EXPECT_EQ(past_client_told({Stop::client_gone}), "none");
  EXPECT_EQ(past_client_told({Stop::client_gone, Stop::client_gone}), "none");
  EXPECT_EQ(past_client_told({Stop::drain}), "draining");
  EXPECT_EQ(past_client_told({Stop::client_gone, Stop::drain}), "draining");
  EXPECT_EQ(past_client_told({}, 5 * kMillisecond), "deadline-exceeded");
  EXPECT_EQ(past_client_told({Stop::client_gone}, 20 * kMillisecond), "deadline-exceeded");
  EXPECT_EQ(past_client_told({Stop::client_gone, Stop::drain}, kLong), "draining");
}

TEST(Loop, AMillionReadyAwaitsDoNotGrowTheStack) {
  run([](Loop&) -> Task<> {
    long sum = 0;
    for (int i = 0; i < 1'000'000; ++i) {
      const auto one = co_await ready(1);
      sum += *one;
    }
    EXPECT_EQ(sum, 1'000'000);
  });
}

TEST(Loop, ExceptionsBecomeErrors) {
  run([](Loop& loop) -> Task<> {
    const auto early = co_await throws();
    EXPECT_EQ(code_of(early), "internal");
    EXPECT_EQ(early.error().detail, "boom");
    const auto late = co_await throws_late(loop);
    EXPECT_EQ(code_of(late), "internal");
  });
}

TEST(Loop, ADeadlineCutsWorkAndWaitsForItsEnd) {
  run([](Loop& loop) -> Task<> {
    const auto began = Clock::now();
    int ended = 0;
    const auto cut = co_await within(loop, 20 * kMillisecond, later(loop, kLong, 1, &ended));
    EXPECT_EQ(code_of(cut), "deadline-exceeded");
    EXPECT_EQ(ended, 1);
    EXPECT_GE(Clock::now() - began, 20ms);
    const auto in_time = co_await within(loop, kLong, later(loop, kMillisecond, 7));
    EXPECT_EQ(in_time.value_or(0), 7);
    const auto nested = co_await within(loop, 20 * kMillisecond, within(loop, kLong, later(loop, kLong, 1)));
    EXPECT_EQ(code_of(nested), "deadline-exceeded");
    const auto inner = co_await within(loop, kLong, within(loop, 20 * kMillisecond, later(loop, kLong, 1)));
    EXPECT_EQ(code_of(inner), "deadline-exceeded");
    const auto after = co_await later(loop, kMillisecond, 3);  // the outer scope goes on
    EXPECT_EQ(after.value_or(0), 3);
  });
}

TEST(Loop, ALineOfWorkKnowsTheEarliestEndOfItsScopes) {
  run([](Loop& loop) -> Task<> {
    struct Ask {
      static Task<Result<Nanoseconds>> left(Loop& loop) {
        const Scope* scope = co_await this_scope();
        co_return scope->ends_by() == 0 ? 0 : scope->ends_by() - loop.now();
      }
    };
    const auto none = co_await Ask::left(loop);
    EXPECT_EQ(none.value_or(-1), 0);
    const auto outer = co_await within(loop, kSecond, within(loop, kLong, Ask::left(loop)));
    EXPECT_LE(outer.value_or(-1), kSecond);
    EXPECT_GT(outer.value_or(-1), 0);
    const auto inner = co_await within(loop, kLong, within(loop, kSecond, Ask::left(loop)));
    EXPECT_LE(inner.value_or(-1), kSecond);
    EXPECT_GT(inner.value_or(-1), 0);
  });
}

TEST(Loop, TheFirstAnswerWinsAndTheOtherHasEnded) {
  run([](Loop& loop) -> Task<> {
    int ended = 0;
    const auto first = co_await first_of(later(loop, kLong, 1, &ended), later(loop, 5 * kMillisecond, 2, &ended));
    EXPECT_EQ(first.value_or(0), 2);
    EXPECT_EQ(ended, 2);
    const auto at_once = co_await first_of(ready(4), later(loop, kLong, 1));
    EXPECT_EQ(at_once.value_or(0), 4);
    const auto not_the_failed = co_await first_of(throws(), later(loop, 5 * kMillisecond, 9));
    EXPECT_EQ(not_the_failed.value_or(0), 9);
  });
}

TEST(Loop, BlockingWorkComesBackToItsThread) {
  run([](Loop& loop) -> Task<> {
    Threads threads{2};
    const auto here = std::this_thread::get_id();
    std::thread::id there;
    const auto value = co_await blocking(loop, threads, [&] {
      there = std::this_thread::get_id();
      return 5;
    });
    EXPECT_EQ(value, 5);
    EXPECT_EQ(here, std::this_thread::get_id());
    EXPECT_NE(here, there);
  });
}

TEST(Loop, WhatIsThrownByBlockingWorkIsThrownWhereItIsWaitedFor) {
  run([](Loop& loop) -> Task<> {
    Threads threads{1};
    std::string said;
    try {
      (void)co_await blocking(loop, threads, []() -> int { throw std::runtime_error("no disk"); });
    } catch (const std::exception& error) { said = error.what(); }
    EXPECT_EQ(said, "no disk");
  });
}

TEST(Loop, PostedWorkOfOtherThreadsIsRun) {
  Loop loop;
  Scope scope;
  int runs = 0;
  loop.spawn(scope, [](Loop& loop, Scope& scope) -> Task<> {
    (void)co_await later(loop, kLong, 1);
    EXPECT_EQ(scope.stopped(), Stop::drain);
  }(loop, scope));
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) loop.post([&] { ++runs; });
    loop.post([&] { scope.stop(Stop::drain); });
  });
  loop.run();
  other.join();
  EXPECT_EQ(runs, 1000);
}

TEST(Loop, StoppingEndsEveryLine) {
  Loop loop;
  std::vector<Scope> scopes(1000);
  int ended = 0;
  for (auto& scope : scopes)
    loop.spawn(scope,
               [](Loop& loop, int& ended) -> Task<> { (void)co_await later(loop, kLong, 1, &ended); }(loop, ended));
  Scope stopper;
  loop.spawn(stopper, [](Loop& loop, std::vector<Scope>& scopes) -> Task<> {
    (void)co_await later(loop, 20 * kMillisecond, 1);
    for (auto& scope : scopes) scope.stop(Stop::drain);
  }(loop, scopes));
  loop.run();
  EXPECT_EQ(ended, 1000);
}

/// In a scope of its own, which outlives the line that has started it.
TEST(Loop, WorkThatIsStartedRunsAtOnceUntilItWaits) {
  Loop loop;
  Scope starter, started;
  std::string order;
  loop.spawn(starter, [](Loop& loop, Scope& started, std::string& order) -> Task<> {
    start(loop, started, [](Loop& loop, std::string& order) -> Task<> {
      order += "begun,";
      const auto value = co_await later(loop, 5 * kMillisecond, 1);
      order += value ? "ended," : "stopped,";
    }(loop, order));
    order += "started,";
    EXPECT_EQ(loop.running(), 2u);
    co_return;
  }(loop, started, order));
  loop.run();
  EXPECT_EQ(order, "begun,started,ended,");
  EXPECT_EQ(loop.running(), 0u);
}

TEST(Loop, RunsAgainAfterItHasEnded) {
  Loop loop;
  for (int i = 0; i < 3; ++i) {
    Scope scope;
    int ended = 0;
    loop.spawn(scope, [](Loop& loop, int& ended) -> Task<> {
      (void)co_await later(loop, 5 * kMillisecond, 1, &ended);
    }(loop, ended));
    loop.run();
    EXPECT_EQ(ended, 1);
  }
}

struct Pair {
  int ends[2];
  Pair() { EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0); }
};

TEST(Descriptors, WakeAtTheEdgeAtTheDeadlineAndWhenStopped) {
  run([](Loop& loop) -> Task<> {
    const Pair pair;
    Descriptor mine{loop, pair.ends[0]};
    EXPECT_FALSE(mine.can_read());
    const auto late = co_await mine.readable(10 * kMillisecond);
    EXPECT_EQ(late, Wake::late);
    EXPECT_EQ(::send(pair.ends[1], "x", 1, 0), 1);
    const auto ready = co_await mine.readable(kLong);
    EXPECT_EQ(ready, Wake::ready);
    char byte;
    EXPECT_EQ(::recv(mine.get(), &byte, 1, 0), 1);
    mine.read_all();
    struct Wait {
      static Task<Result<int>> of(Descriptor& descriptor) {
        const auto woken = co_await descriptor.readable(0);
        co_return woken == Wake::stopped ? 1 : 2;
      }
    };
    const auto stopped = co_await within(loop, 10 * kMillisecond, Wait::of(mine));
    EXPECT_EQ(stopped.value_or(0), 1);
    EXPECT_FALSE(mine.hung_up());
    ::close(pair.ends[1]);
    const auto gone = co_await mine.readable(kLong);
    EXPECT_EQ(gone, Wake::ready);
    EXPECT_TRUE(mine.hung_up());
  });
}

// What is let go of is no longer watched, and is watched anew by whoever takes it.
TEST(Descriptors, OneThatIsReleasedStaysOpenAndCanBeWatchedAgain) {
  run([](Loop& loop) -> Task<> {
    const Pair pair;
    int released = -1;
    {
      Descriptor first{loop, pair.ends[0]};
      released = first.release();
    }
    EXPECT_EQ(released, pair.ends[0]);
    EXPECT_EQ(::send(pair.ends[1], "x", 1, 0), 1);
    Descriptor second{loop, released};
    const auto ready = co_await second.readable(kLong);
    EXPECT_EQ(ready, Wake::ready);
    ::close(pair.ends[1]);
  });
}

TEST(Descriptors, AWriterWaitsUntilThereIsRoom) {
  run([](Loop& loop) -> Task<> {
    const Pair pair;
    Descriptor mine{loop, pair.ends[0]};
    const std::string much(1 << 20, 'x');
    std::size_t sent = 0;
    for (ssize_t n; (n = ::send(mine.get(), much.data(), much.size(), 0)) > 0;) sent += static_cast<std::size_t>(n);
    mine.write_full();
    const auto full = co_await mine.writable(10 * kMillisecond);
    EXPECT_EQ(full, Wake::late);
    std::string sink(1 << 20, 0);
    while (sent > 0) sent -= static_cast<std::size_t>(::recv(pair.ends[1], sink.data(), sink.size(), 0));
    const auto room = co_await mine.writable(kLong);
    EXPECT_EQ(room, Wake::ready);
    ::close(pair.ends[1]);
  });
}

TEST(Descriptors, AWaitForEitherSideEndsWithTheFirst) {
  run([](Loop& loop) -> Task<> {
    const Pair pair;
    Descriptor mine{loop, pair.ends[0]};
    const std::string much(1 << 20, 'x');
    std::size_t sent = 0;
    for (ssize_t n; (n = ::send(mine.get(), much.data(), much.size(), 0)) > 0;) sent += static_cast<std::size_t>(n);
    mine.write_full();
    const auto neither = co_await mine.changed(10 * kMillisecond);
    EXPECT_EQ(neither, Wake::late);
    EXPECT_EQ(::send(pair.ends[1], "x", 1, 0), 1);
    const auto readable = co_await mine.changed(kLong);
    EXPECT_EQ(readable, Wake::ready);
    EXPECT_TRUE(mine.can_read());
    EXPECT_FALSE(mine.can_write());
    char byte;
    EXPECT_EQ(::recv(mine.get(), &byte, 1, 0), 1);
    mine.read_all();
    std::string sink(1 << 20, 0);
    while (sent > 0) sent -= static_cast<std::size_t>(::recv(pair.ends[1], sink.data(), sink.size(), 0));
    const auto writable = co_await mine.changed(kLong);
    EXPECT_EQ(writable, Wake::ready);
    EXPECT_TRUE(mine.can_write());
    // Both at once: whoever waits for either goes on once.
    mine.write_full();
    ::close(pair.ends[1]);
    const auto gone = co_await mine.changed(kLong);
    EXPECT_EQ(gone, Wake::ready);
    const auto after = co_await later(loop, kMillisecond, 3);
    EXPECT_EQ(after.value_or(0), 3);
  });
}

/// Ends when the other end hangs up; counts how often it is begun.
Task<> leaves(Descriptor& descriptor, int& begun) {
  ++begun;
  while (!descriptor.hung_up()) {
    descriptor.read_all();
    const auto woken = co_await descriptor.readable(0);
    if (woken == Wake::stopped) co_return;
  }
}

TEST(Watched, AClientThatLeavesEndsTheWorkAndOneThatStaysDoesNot) {
  run([](Loop& loop) -> Task<> {
    const Pair pair;
    Descriptor mine{loop, pair.ends[0]};
    int begun = 0;
    const auto at_once = co_await watched(ready(204), leaves(mine, begun), Stop::client_gone);
    EXPECT_EQ(at_once.value_or(0), 204);
    EXPECT_EQ(begun, 0);  // work that never waits pays for no watch
    const auto stays = co_await watched(later(loop, 20 * kMillisecond, 200), leaves(mine, begun), Stop::client_gone);
    EXPECT_EQ(stays.value_or(0), 200);
    EXPECT_EQ(begun, 1);
    EXPECT_EQ(::send(pair.ends[1], "next", 4, 0), 4);  // the next request, early: it is still there
    const auto early = co_await watched(later(loop, 20 * kMillisecond, 200), leaves(mine, begun), Stop::client_gone);
    EXPECT_EQ(early.value_or(0), 200);
    ::close(pair.ends[1]);
    int ended = 0;
    const auto gone = co_await watched(later(loop, kLong, 1, &ended), leaves(mine, begun), Stop::client_gone);
    EXPECT_EQ(code_of(gone), "client-gone");
    EXPECT_EQ(ended, 1);
  });
}

TEST(Wheel, RingsAtTheTickAndNeverBefore) {
  Wheel wheel;
  struct Bell : Alarm {
    int rung = 0;
  };
  std::array<Bell, 4> bells;
  for (auto& bell : bells) bell.ring = [](Alarm& alarm) { ++static_cast<Bell&>(alarm).rung; };
  wheel.arm(bells[0], 1);
  wheel.arm(bells[1], 1025);  // the same slot, one turn later
  wheel.arm(bells[2], 5);
  wheel.arm(bells[3], 5);
  bells[3].disarm();
  wheel.advance(4);
  EXPECT_EQ(bells[0].rung, 1);
  EXPECT_EQ(bells[1].rung + bells[2].rung, 0);
  wheel.advance(1024);
  EXPECT_EQ(bells[2].rung, 1);
  EXPECT_EQ(bells[1].rung + bells[3].rung, 0);
  wheel.advance(1025);
  EXPECT_EQ(bells[1].rung, 1);
}

TEST(Wheel, TellsUntilWhenNothingIsDue) {
  Wheel wheel;
  struct Bell : Alarm {};
  std::array<Bell, 3> bells;
  for (auto& bell : bells) bell.ring = [](Alarm&) {};
  EXPECT_EQ(wheel.next_due(), Wheel::kSlots);
  wheel.arm(bells[0], 700);
  wheel.arm(bells[1], 300 + Wheel::kSlots);  // in slot 300, one turn later
  EXPECT_EQ(wheel.next_due(), 700u);
  wheel.arm(bells[2], 20);
  EXPECT_EQ(wheel.next_due(), 20u);
  wheel.advance(20);
  EXPECT_EQ(wheel.next_due(), 700u);
  std::vector<Bell> many(1000);
  for (auto& bell : many) {
    bell.ring = [](Alarm&) {};
    wheel.arm(bell, 50 + 2 * Wheel::kSlots);
  }
  EXPECT_EQ(wheel.next_due(), 50u) << "it does not look at all of them";
  many.clear();
  wheel.advance(700);
  EXPECT_EQ(wheel.next_due(), 300u + Wheel::kSlots);
}

/// Waits four times as long as it may take to fall asleep, and once for another thread in between.
TEST(Loop, SleepsWhileNothingIsDueAndIsInTimeAllTheSame) {
  run([](Loop& loop) -> Task<> {
    rusage before{}, after{};
    ::getrusage(RUSAGE_THREAD, &before);
    const auto begin = Clock::now();
    const auto first = co_await later(loop, kSecond, 1);
    EXPECT_TRUE(first);
    EXPECT_GE(Clock::now() - begin, 1s);
    ::getrusage(RUSAGE_THREAD, &after);
    EXPECT_LT(after.ru_nvcsw - before.ru_nvcsw, 50) << "a tick each 5 ms were 200";
    // An alarm is armed by the time that it is, not by the time at which the loop fell asleep.
    Threads threads{1};
    (void)co_await blocking(loop, threads, [] {
      std::this_thread::sleep_for(300ms);
      return 0;
    });
    const auto again = Clock::now();
    const auto second = co_await later(loop, 200 * kMillisecond, 1);
    EXPECT_TRUE(second);
    EXPECT_GE(Clock::now() - again, 200ms);
  });
}

/// ThreadSanitizer sees it where the loop goes before the thread has rung.
TEST(Loop, MayEndWithWhatAnotherThreadIsPosting) {
  for (int i = 0; i < 300; ++i) {
    auto loop = std::make_unique<Loop>();
    loop->expect();
    std::thread other([&loop = *loop] { loop.resume(std::noop_coroutine()); });
    loop->run();
    loop.reset();
    other.join();
  }
}

}  // namespace
}  // namespace plimsoll
