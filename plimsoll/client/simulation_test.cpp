// The decisions of the policies together, on a clock that is moved: many calls, targets that misbehave, thousands of
// seeds. The order is that of client/chain.cpp: budget and back-off around breaker, targets and balance.

#include "plimsoll/client/backoff.hpp"
#include "plimsoll/client/balance.hpp"
#include "plimsoll/client/circuit_breaker.hpp"
#include "plimsoll/client/latency_window.hpp"
#include "plimsoll/client/outlier.hpp"
#include "plimsoll/client/retry_budget.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <queue>
#include <random>
#include <vector>

namespace plimsoll::client {
namespace {

constexpr Nanoseconds kStart = 1'000'000 * kSecond;
constexpr Nanoseconds kPatience = kSecond;  ///< for the first byte

/// What a target does with a request: answers well or not after some time, or never.
struct Reaction {
  Nanoseconds after = 0;
  bool good = true;
};
using Behaviour = std::function<Reaction(Nanoseconds now, std::mt19937_64& random)>;

Nanoseconds usual(std::mt19937_64& random) {
  return kMillisecond + static_cast<Nanoseconds>(random() % (9 * kMillisecond));
}
Reaction healthy(Nanoseconds, std::mt19937_64& random) { return {usual(random)}; }

class Simulation {
 public:
  Simulation(unsigned seed, std::vector<Behaviour> targets)
      : random(seed), targets_(std::move(targets)), outliers_(targets_.size()) {
    running_.resize(targets_.size());
    latencies_.resize(targets_.size());
  }

  /// Calls at random instants, so many each second, until `end`.
  void run(std::int64_t per_second, Nanoseconds end) {
    std::exponential_distribution<double> gap(static_cast<double>(per_second));
    for (auto at = now;;) {
      at += static_cast<Nanoseconds>(gap(random) * kSecond);
      if (at >= end) break;
      schedule(at, [this] { begin(); });
    }
    while (!events_.empty()) {
      auto event = events_.top();
      events_.pop();
      now = event.at;
      event.act();
    }
    now = end;
  }

  struct Call {
    Nanoseconds begun = 0, ended = 0;
    bool good = false;
  };
  std::mt19937_64 random;
  Nanoseconds now = kStart;
  std::vector<Call> calls;
  std::int64_t attempts = 0, refused = 0, hedged = 0;
  bool by_latency = false, hedging = false;
  RetryBudgetOptions hedge_options{.share = 0.05, .floor = 0};
  CircuitBreakerOptions circuit{};
  CircuitBreaker breaker;
  std::size_t most_out = 0;

 private:
  struct Event {
    Nanoseconds at;
    std::uint64_t number;
    std::function<void()> act;
    bool operator<(const Event& other) const { return at != other.at ? at > other.at : number > other.number; }
  };
  void schedule(Nanoseconds at, std::function<void()> act) { events_.push({at, number_++, std::move(act)}); }

  /// One attempt at a target.
  struct Sent {
    std::size_t target = 0;
    Nanoseconds begun = 0;
    CircuitBreaker::Admission admission{};
    bool over = false;
  };
  /// A call's first attempt or one of its retries, and its hedge.
  struct Race {
    std::size_t call = 0;
    std::uint32_t number = 0;
    std::optional<RetryBudget::Ticket> ticket{}, hedge{}, hedge_retry{};
    std::vector<bool> tried{};
    std::vector<std::shared_ptr<Sent>> sent{};
    bool over = false;
  };

  void begin() {
    budget_.arrive(budget_options_, now);
    hedges_.arrive(hedge_options, now);
    calls.push_back({.begun = now});
    attempt(calls.size() - 1, 0, std::nullopt, {});
  }
  void attempt(std::size_t call, std::uint32_t number, std::optional<RetryBudget::Ticket> ticket,
               std::vector<bool> tried) {
    tried.resize(targets_.size());
    const auto race = std::make_shared<Race>(Race{call, number, ticket, {}, {}, std::move(tried)});
    if (!send(race)) {
      ++refused;
      if (ticket) budget_.end(*ticket);
      calls[call].ended = now;
      return;
    }
    if (!hedging) return;
    if (const auto after = window_.quantile(0.95, now)) schedule(now + *after, [=, this] { hedge(race); });
  }
  void hedge(const std::shared_ptr<Race>& race) {
    if (race->over) return;
    race->hedge = hedges_.take(hedge_options, now);
    if (race->hedge) race->hedge_retry = budget_.take(budget_options_, now);
    if (!race->hedge_retry) return;
    race->tried[race->sent[0]->target] = true;
    hedged += send(race);
  }
  bool send(const std::shared_ptr<Race>& race) {
    const auto admission = breaker.admit(circuit, now);
    if (!admission.allowed) return false;
    ++attempts;
    const auto sent = std::make_shared<Sent>(Sent{choose(race->tried), now, admission});
    race->sent.push_back(sent);
    ++running_[sent->target];
    const auto reaction = targets_[sent->target](now, random);
    const bool good = reaction.good && reaction.after < kPatience;
    schedule(now + std::min(reaction.after, kPatience), [=, this] { answered(race, sent, good); });
    return true;
  }
  void answered(const std::shared_ptr<Race>& race, const std::shared_ptr<Sent>& sent, bool good) {
    using Outcome = CircuitBreaker::Outcome;
    if (sent->over) return;
    over(*sent, good ? Outcome::success : Outcome::failure);
    if (good)
      outliers_.succeeded(sent->target);
    else
      outliers_.failed(outlier_options_, sent->target, now);
    most_out = std::max(most_out, outliers_.out(now));
    if (!good && std::ranges::any_of(race->sent, [](auto& each) { return !each->over; })) return;
    for (const auto& each : race->sent)
      if (!each->over) over(*each, Outcome::unknown);
    race->over = true;
    if (race->hedge) hedges_.end(*race->hedge);
    if (race->hedge_retry) budget_.end(*race->hedge_retry);
    if (race->ticket) budget_.end(*race->ticket);
    if (good || race->number == 3) return end(race->call, good);
    const auto again = budget_.take(budget_options_, now);
    if (!again) return end(race->call, false);
    auto failed = race->tried;
    failed[sent->target] = true;
    schedule(now + backoff(50 * kMillisecond, kSecond, race->number, random()),
             [=, this] { attempt(race->call, race->number + 1, again, failed); });
  }
  void over(Sent& sent, CircuitBreaker::Outcome outcome) {
    sent.over = true;
    --running_[sent.target];
    const auto span = now - sent.begun;
    breaker.settle(circuit, sent.admission, outcome, span, now, random());
    if (outcome == CircuitBreaker::Outcome::failure) return;
    window_.note(span, now);
    const bool answered = outcome == CircuitBreaker::Outcome::success;
    const auto known = answered ? span : 2 * span;  // as balance.cpp takes what lost a race
    auto& latency = latencies_[sent.target];
    if (answered || static_cast<double>(known) > latency.at(now)) latency = latency.after(known, now);
  }
  void end(std::size_t call, bool good) {
    calls[call].ended = now;
    calls[call].good = good;
  }
  std::size_t choose(const std::vector<bool>& tried) {
    std::vector<Choice> choices;
    const auto gather = [&](auto&& wanted) {
      choices.clear();
      for (std::uint32_t i = 0; i < targets_.size(); ++i)
        if (wanted(i)) choices.push_back({.target = i, .running = running_[i], .latency = latencies_[i].at(now)});
    };
    gather([&](std::uint32_t i) { return !tried[i] && !outliers_.is_out(i, now); });
    if (choices.empty()) gather([&](std::uint32_t i) { return !outliers_.is_out(i, now); });
    return least(choices, random(), by_latency);
  }

  const std::vector<Behaviour> targets_;
  std::vector<std::int64_t> running_;
  const RetryBudgetOptions budget_options_{};
  const OutlierOptions outlier_options_{};
  RetryBudget budget_, hedges_;
  LatencyWindow window_;
  std::vector<PeakLatency> latencies_;
  OutlierDetector outliers_;
  std::priority_queue<Event> events_;
  std::uint64_t number_ = 0;
};

unsigned first_seed() {
  static const unsigned made = [] {
    const char* given = std::getenv("PLIMSOLL_SEED");
    const auto value = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
    std::printf("PLIMSOLL_SEED=%u\n", value);
    return value;
  }();
  return made;
}
int seeds(int usually) { return std::getenv("PLIMSOLL_TORTURE") ? 2000 : usually; }

Nanoseconds p99(std::vector<Nanoseconds> spans) {
  std::ranges::sort(spans);
  return spans[spans.size() * 99 / 100];
}

constexpr auto kFault = kStart + 5 * kSecond, kEnd = kStart + 20 * kSecond;

struct Fault {
  const char* name;
  Behaviour behaviour;  ///< once it has begun
  bool fast;            ///< calls are as fast as before, once the target is out
};

std::vector<Fault> faults() {
  return {
      {"ten times as slow", [](Nanoseconds, std::mt19937_64& random) { return Reaction{10 * usual(random)}; }, false},
      {"fails", [](Nanoseconds, std::mt19937_64& random) { return Reaction{usual(random), false}; }, true},
      {"flaps",
       [](Nanoseconds now, std::mt19937_64& random) { return Reaction{usual(random), now / (kSecond / 2) % 2 == 0}; },
       true},
      {"fails half of its calls",
       [](Nanoseconds, std::mt19937_64& random) { return Reaction{usual(random), random() % 2 == 0}; }, false},
      {"is a black hole", [](Nanoseconds, std::mt19937_64&) { return Reaction{3600 * kSecond}; }, true},
      {"resets at once", [](Nanoseconds, std::mt19937_64&) { return Reaction{100'000, false}; }, true},
  };
}

TEST(Simulation, OneOfFiveTargetsMisbehavesAndCallsSucceedAllTheSame) {
  for (const auto& fault : faults()) {
    std::int64_t calls = 0, failed = 0;
    for (int i = 0; i < seeds(8); ++i) {
      const auto seed = first_seed() + static_cast<unsigned>(i);
      std::vector<Behaviour> targets(4, healthy);
      targets.emplace_back([&](Nanoseconds now, std::mt19937_64& random) {
        return now < kFault ? healthy(now, random) : fault.behaviour(now, random);
      });
      Simulation world(seed, std::move(targets));
      world.run(300, kEnd);
      std::vector<Nanoseconds> before, after;
      for (const auto& call : world.calls) {
        ++calls;
        failed += !call.good;
        if (call.begun < kFault) before.push_back(call.ended - call.begun);
        if (call.begun >= kFault + 5 * kSecond) after.push_back(call.ended - call.begun);
      }
      EXPECT_LE(world.most_out, 2u) << fault.name << ", seed " << seed;
      EXPECT_NE(world.breaker.state(), CircuitBreaker::State::open) << fault.name << ", seed " << seed;
      if (fault.fast) EXPECT_LE(p99(after), 2 * p99(before)) << fault.name << ", seed " << seed;
      EXPECT_LE(static_cast<double>(world.attempts), 1.2 * static_cast<double>(world.calls.size()) + 10 * 30);
    }
    EXPECT_LE(static_cast<double>(failed), 0.001 * static_cast<double>(calls)) << fault.name;
  }
}

std::vector<Nanoseconds> spans(const Simulation& world, Nanoseconds from, Nanoseconds to) {
  std::vector<Nanoseconds> all;
  for (const auto& call : world.calls)
    if (call.begun >= from && call.begun < to) all.push_back(call.ended - call.begun);
  return all;
}

TEST(Simulation, OneOfFiveTargetsIsTenTimesAsSlowAndFewCallsAre) {
  for (int i = 0; i < seeds(10); ++i) {
    const auto seed = first_seed() + static_cast<unsigned>(i);
    std::vector<Behaviour> targets(4, healthy);
    targets.emplace_back([](Nanoseconds now, std::mt19937_64& random) {
      return now < kFault ? healthy(now, random) : Reaction{10 * usual(random)};
    });
    Simulation world(seed, std::move(targets));
    world.by_latency = world.hedging = true;
    world.run(300, kEnd);
    const auto late = p99(spans(world, kFault + 5 * kSecond, kEnd)), healthy_late = p99(spans(world, kStart, kFault));
    EXPECT_LE(static_cast<double>(late), 1.2 * static_cast<double>(healthy_late)) << "seed " << seed;
    EXPECT_LE(static_cast<double>(world.attempts), 1.05 * static_cast<double>(world.calls.size())) << "seed " << seed;
    EXPECT_TRUE(std::ranges::all_of(world.calls, &Simulation::Call::good)) << "seed " << seed;
  }
}

/// As when the machine does other things for a moment: all look slow then, and the one that is slow must be known
/// again.
TEST(Simulation, OneOfFiveTargetsIsSlowAndAllAreHeldUpForAMoment) {
  constexpr auto kPause = kFault + 2 * kSecond, kSeenThrough = kPause + 5 * kSecond;
  for (int i = 0; i < seeds(10); ++i) {
    const auto seed = first_seed() + static_cast<unsigned>(i);
    const auto held_up = [](int times, Nanoseconds now, std::mt19937_64& random) {
      const bool paused = now >= kPause && now < kPause + 300 * kMillisecond;
      return Reaction{times * usual(random) + (paused ? 400 * kMillisecond : 0)};
    };
    const auto well = [=](Nanoseconds now, std::mt19937_64& random) { return held_up(1, now, random); };
    std::vector<Behaviour> targets(4, well);
    targets.emplace_back(
        [=](Nanoseconds now, std::mt19937_64& random) { return held_up(now < kFault ? 1 : 10, now, random); });
    Simulation world(seed, std::move(targets));
    world.by_latency = world.hedging = true;
    world.run(300, kEnd);
    const auto late = p99(spans(world, kSeenThrough, kEnd)), healthy_late = p99(spans(world, kStart, kFault));
    EXPECT_LE(static_cast<double>(late), 1.2 * static_cast<double>(healthy_late)) << "seed " << seed;
  }
}

/// Slow now and then, whichever it is: what no choice of the target avoids.
TEST(Simulation, ACallThatTakesLongIsAnsweredByAnother) {
  const Behaviour seldom_slow = [](Nanoseconds, std::mt19937_64& random) {
    return Reaction{random() % 33 == 0 ? 10 * usual(random) + 50 * kMillisecond : usual(random)};
  };
  for (int i = 0; i < seeds(10); ++i) {
    const auto seed = first_seed() + static_cast<unsigned>(i);
    Nanoseconds late[2]{};
    for (const bool hedging : {false, true}) {
      Simulation world(seed, std::vector<Behaviour>(3, seldom_slow));
      world.hedging = hedging;
      world.run(300, kEnd);
      late[hedging] = p99(spans(world, kFault, kEnd));
      EXPECT_LE(static_cast<double>(world.attempts), 1.05 * static_cast<double>(world.calls.size())) << "seed " << seed;
      EXPECT_EQ(world.hedged > 0, hedging);
    }
    EXPECT_LT(2 * late[true], late[false]) << "seed " << seed;
  }
}

TEST(Simulation, AServiceThatIsSlowAsAWholeIsNotSentMore) {
  for (int i = 0; i < seeds(10); ++i) {
    const auto seed = first_seed() + static_cast<unsigned>(i);
    const Behaviour slow = [](Nanoseconds now, std::mt19937_64& random) {
      return Reaction{(now < kFault ? 1 : 30) * usual(random)};
    };
    Simulation world(seed, std::vector<Behaviour>(3, slow));
    world.hedging = true;
    world.run(500, kEnd);
    EXPECT_GT(world.hedged, 0);
    EXPECT_LE(static_cast<double>(world.attempts), 1.05 * static_cast<double>(world.calls.size())) << "seed " << seed;
  }
}

TEST(Simulation, WhenAllFailThereAreAFifthMoreAttemptsAndTheFloorAtMost) {
  for (int i = 0; i < seeds(20); ++i) {
    const auto seed = first_seed() + static_cast<unsigned>(i);
    const std::int64_t rate = 500 + static_cast<std::int64_t>(seed % 1000);
    const Behaviour failing = [](Nanoseconds, std::mt19937_64& random) { return Reaction{usual(random), false}; };
    Simulation world(seed, std::vector<Behaviour>(3, failing));
    world.circuit.calls = INT64_MAX;  // the budget alone
    world.run(rate, kEnd);
    // The floor is ten each second, and that of the first window may be spent at once.
    EXPECT_LE(static_cast<double>(world.attempts), 1.2 * static_cast<double>(world.calls.size()) + 10 * (20 + 10))
        << "seed " << seed;
    EXPECT_GE(static_cast<double>(world.attempts), 1.1 * static_cast<double>(world.calls.size())) << "seed " << seed;
  }
}

TEST(Simulation, TheBreakerSparesAServiceThatFailsAndIsClosedWhenItIsWell) {
  for (int i = 0; i < seeds(20); ++i) {
    const auto seed = first_seed() + static_cast<unsigned>(i);
    const auto over = kStart + 15 * kSecond;
    const Behaviour failing = [&](Nanoseconds now, std::mt19937_64& random) {
      return Reaction{usual(random), now < kFault || now >= over};
    };
    Simulation world(seed, std::vector<Behaviour>(3, failing));
    world.run(500, kStart + 30 * kSecond);
    EXPECT_EQ(world.breaker.state(), CircuitBreaker::State::closed) << "seed " << seed;
    EXPECT_GT(world.refused, 0);
    std::int64_t sent_late = 0, calls_late = 0, bad_after = 0;
    for (const auto& call : world.calls) {
      // Ten seconds of calls hold half of them that failed when it opens: until then at most as many are sent.
      if (call.begun >= kFault + 7 * kSecond && call.begun < over) ++calls_late, sent_late += call.ended > call.begun;
      if (call.begun >= over + 6 * kSecond) bad_after += !call.good;
    }
    EXPECT_LT(static_cast<double>(sent_late), 0.05 * static_cast<double>(calls_late)) << "seed " << seed;
    EXPECT_EQ(bad_after, 0) << "seed " << seed << ": its time open is 5.5 s at most";
  }
}

}  // namespace
}  // namespace plimsoll::client
