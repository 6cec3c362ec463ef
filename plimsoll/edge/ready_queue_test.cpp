#include "plimsoll/edge/ready_queue.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace plimsoll::edge {
namespace {

void work_for(Nanoseconds span) {
  const auto until = system_clock().steady() + span;
  while (system_clock().steady() < until) {}
}

/// Requests without sockets: lines of work on a loop, each of which notes when its turn came and what was said of it.
/// They come in one turn of the loop, unless the process is kept from the processor meanwhile (`together`).
struct Requests {
  Loop loop;
  WaitingEverywhere everywhere;
  ReadyQueue queue{loop, everywhere};
  Services services;
  Scope scope;
  std::vector<std::string> order;
  std::vector<std::int64_t> waiting;
  int refused = 0;
  Nanoseconds first_came = 0, last_came = 0;

  bool together() const { return last_came - first_came < kMillisecond; }
  /// Waits for its turn, and then does that, told whether it is refused.
  template <class F>
  Task<> one(Importance importance, F does) {
    Arena arena;
    Context context{arena, loop, services};
    const Peer peer{.address = "192.0.2.1", .certificate_subject = {}, .site = 1};
    last_came = loop.now();
    if (first_came == 0) first_came = last_came;
    co_await queue.turn(context, peer, importance);
    does(context.admission);
  }
  template <class F>
  void ready(Importance importance, F does) {
    loop.spawn(scope, one(importance, std::move(does)));
  }
  /// One that takes so long that those behind it are not begun at once.
  void keep_busy() {
    ready(Importance::normal, [](const Admission&) { work_for(ReadyQueue::kAtOnce); });
  }
  void ready(std::string name, Importance importance) {
    ready(importance, [this, name = std::move(name)](const Admission& admission) {
      order.push_back(name);
      waiting.push_back(admission.waiting);
      refused += admission.refused;
    });
  }
};

using Order = std::vector<std::string>;

/// Runs what `come` makes ready, again where the requests did not come together.
template <class F>
std::unique_ptr<Requests> run_together(F come) {
  for (int attempt = 0;; ++attempt) {
    auto requests = std::make_unique<Requests>();
    come(*requests);
    requests->loop.run();
    if (requests->together() || attempt == 1000) return requests;
  }
}

TEST(ReadyQueue, WhatIsImportantIsBegunFirstHoweverLateItCame) {
  const auto requests = run_together([](Requests& to) {
    to.keep_busy();
    for (const auto* name : {"sheddable", "sheddable"}) to.ready(name, Importance::sheddable);
    for (const auto* name : {"normal 1", "normal 2"}) to.ready(name, Importance::normal);
    to.ready("critical", Importance::critical);
    to.ready("health", Importance::first);
    to.ready("last", Importance::normal);
  });
  // The last one to be looked at sees that others wait.
  EXPECT_EQ(requests->order, (Order{"health", "critical", "normal 1", "normal 2", "last", "sheddable", "sheddable"}));
  EXPECT_EQ(requests->refused, 0);
}

TEST(ReadyQueue, TellsHowManyWaitThatAreAsImportant) {
  const auto requests = run_together([](Requests& to) {
    to.keep_busy();
    for (int i = 0; i < 3; ++i) to.ready("s", Importance::sheddable);
    for (int i = 0; i < 3; ++i) to.ready("n", Importance::normal);
    to.ready("c", Importance::critical);
  });
  EXPECT_EQ(requests->order, (Order{"c", "n", "n", "n", "s", "s", "s"}));
  EXPECT_EQ(requests->waiting, (std::vector<std::int64_t>{0, 2, 1, 0, 2, 1, 0}));
  for (const auto& count : requests->everywhere.count)
    EXPECT_EQ(count, 0) << "what was told to other loops is taken back";
}

TEST(ReadyQueue, CountsThoseOfOtherLoops) {
  const auto requests = run_together([](Requests& to) {
    to.keep_busy();
    to.everywhere.count[1] = 40;
    for (int i = 0; i < 3; ++i) to.ready("n", Importance::normal);
    to.ready("c", Importance::critical);
  });
  EXPECT_EQ(requests->waiting, (std::vector<std::int64_t>{0, 42, 41, 40}));
  EXPECT_EQ(requests->everywhere.count[1], 40);
}

TEST(ReadyQueue, WhileLittleComesEachIsBegunAsItComes) {
  const Order as_they_came{"sheddable", "normal", "critical"};
  Order order;
  // More than one attempt, for want of a machine that is never kept from its work.
  for (int attempt = 0; attempt < 100 && order != as_they_came; ++attempt)
    order = run_together([](Requests& to) {
              to.ready("sheddable", Importance::sheddable);
              to.ready("normal", Importance::normal);
              to.ready("critical", Importance::critical);
            })->order;
  EXPECT_EQ(order, as_they_came);
}

/// What others post comes on a clock that is read for each: all the same it is one turn.
TEST(ReadyQueue, OfManyThatTakeLongOneIsBegunAtOnce) {
  Requests requests;
  std::vector<std::int64_t> waiting;
  for (int i = 0; i < 5; ++i)
    requests.ready(Importance::normal, [&](const Admission& admission) {
      waiting.push_back(admission.waiting);
      work_for(ReadyQueue::kAtOnce);
    });
  requests.loop.run();
  ASSERT_EQ(waiting.size(), 5u);
  EXPECT_EQ(waiting[0], 0);
  EXPECT_GE(waiting[1], 1) << "the second sees those that have come behind it";
}

TEST(ReadyQueue, ALoopThatHasNothingElseToDoKeepsNobodyWaiting) {
  Requests requests;
  requests.ready("alone", Importance::normal);
  requests.loop.run();
  EXPECT_EQ(requests.order, Order{"alone"});
}

/// A loop that works for long looks at what has come meanwhile after each round.
TEST(ReadyQueue, TheLoopLooksAtOtherThingsWhileMuchIsLeftToDo) {
  Requests requests;
  requests.keep_busy();
  int others = 0;
  std::vector<int> seen;
  for (int i = 0; i < 8; ++i)
    requests.ready(Importance::normal, [&](const Admission&) {
      seen.push_back(others);
      requests.loop.post([&others] { ++others; });
      work_for(ReadyQueue::kRound);
    });
  requests.loop.run();
  ASSERT_EQ(seen.size(), 8u);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i) << "each took a round of its own";
}

/// More than can be done, for long enough that it is no burst: the excess is refused, the least important first.
TEST(ReadyQueue, TheExcessOfAStandingQueueIsRefusedBeforeItIsBegun) {
  Requests requests;
  struct Counts {
    int served[2]{}, refused[2]{};
  } counts;
  for (int i = 0; i < 1000; ++i) {
    const bool critical = i % 100 == 0;
    requests.ready(critical ? Importance::critical : Importance::normal, [&, critical](const Admission& admission) {
      ++(admission.refused ? counts.refused : counts.served)[critical];
      if (!admission.refused) work_for(kMillisecond);
    });
  }
  requests.loop.run();
  EXPECT_EQ(counts.served[true], 10);
  EXPECT_EQ(counts.served[false] + counts.refused[false], 990);
  EXPECT_GE(counts.served[false], 1) << "a burst is borne for an interval";
  EXPECT_GE(counts.refused[false], 500) << "what stands behind it is not";
}

/// In the middle of an overload the process stands still for longer than anybody may wait, while critical requests have
/// come: it is no fault of theirs, and all together they are little work.
TEST(ReadyQueue, WhatIsCriticalIsServedAfterAStandstillInTheMiddleOfAnOverload) {
  Requests requests;
  int critical = 0, critical_refused = 0, refused = 0;
  const auto count_critical = [&](const Admission& admission) { ++(admission.refused ? critical_refused : critical); };
  for (int i = 0; i < 1000; ++i)
    requests.ready(Importance::normal, [&](const Admission& admission) {
      if (!admission.refused) return work_for(kMillisecond);
      if (refused++ > 0) return;
      // The queue stands.
      for (int n = 0; n < 50; ++n) requests.ready(Importance::critical, count_critical);
      work_for(2 * StandingQueue::kInterval);
    });
  requests.loop.run();
  EXPECT_GE(refused, 500);
  EXPECT_EQ(critical, 50);
  EXPECT_EQ(critical_refused, 0);
}

/// More critical requests than can be served are refused as well.
TEST(ReadyQueue, TheExcessOfWhatIsCriticalIsRefusedWhereItAloneIsTooMuch) {
  Requests requests;
  int served = 0, refused = 0;
  for (int i = 0; i < 1000; ++i)
    requests.ready(Importance::critical, [&](const Admission& admission) {
      ++(admission.refused ? refused : served);
      if (!admission.refused) work_for(kMillisecond);
    });
  requests.loop.run();
  EXPECT_GE(served, 1);
  EXPECT_GE(refused, 500);
}

}  // namespace
}  // namespace plimsoll::edge
