#include "plimsoll/net/resolver.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/pause.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <mutex>

namespace plimsoll::net {
namespace {

struct MovedClock final : Clock {
  std::atomic<Nanoseconds> now{kSecond};
  Nanoseconds steady() const override { return now; }
  Nanoseconds wall() const override { return now; }
};

/// What a lookup does, as the test says. Threads may still use it when the test has ended.
struct Script {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, int> begun;
  bool closed = false;  ///< lookups wait until it is false
  bool failing = false;
  MovedClock clock;

  Result<Addresses> look_up(const std::string& host) {
    std::unique_lock lock(mutex);
    ++begun[host];
    changed.notify_all();
    changed.wait(lock, [&] { return !closed; });
    if (failing) return fail(kNameNotResolved, host);
    return Addresses{*Address::parse("192.0.2.1"), *Address::parse("2001:db8::1")};
  }
  void close() { set(closed, true); }
  void open() { set(closed, false); }
  void fail_from_now() { set(failing, true); }
  int count(const std::string& host) {
    const std::scoped_lock lock(mutex);
    return begun[host];
  }
  void wait_until_begun(int lookups) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] {
      int all = 0;
      for (const auto& [host, count] : begun) all += count;
      return all >= lookups;
    });
  }

 private:
  void set(bool& what, bool value) {
    const std::scoped_lock lock(mutex);
    what = value;
    changed.notify_all();
  }
};

struct ResolverTest : testing::Test {
  std::shared_ptr<Script> script = std::make_shared<Script>();
  std::shared_ptr<Resolver> resolver;

  void make(ResolverOptions options = {}) {
    // The lookup keeps the script, and with it the clock, for as long as a thread runs.
    resolver = threaded_resolver(
        options, [script = script](const std::string& host) { return script->look_up(host); }, script->clock);
  }
  ~ResolverTest() override { script->open(); }

  /// Runs one line of work to its end; a loop that does not end fails by the test's timeout.
  template <class F>
  static void run(F work) {
    Loop loop;
    Scope scope;
    loop.spawn(scope, work(loop));
    loop.run();
  }
  std::string_view resolve(const std::string& host) {
    std::string_view code = "none";
    run([&](Loop& loop) -> Task<> {
      const auto found = co_await resolver->resolve(loop, host);
      if (!found) code = found.error().problem->code;
    });
    return code;
  }
};

TEST_F(ResolverTest, LiteralsAndLocalhostNeedNoLookup) {
  make();
  run([&](Loop& loop) -> Task<> {
    const auto four = co_await resolver->resolve(loop, "192.0.2.7");
    EXPECT_EQ(four->at(0).text(), "192.0.2.7");
    const auto six = co_await resolver->resolve(loop, "2001:db8::7");
    EXPECT_EQ(six->at(0).text(), "2001:db8::7");
    for (const auto* name : {"localhost", "LocalHost", "a.localhost"}) {
      const auto both = co_await resolver->resolve(loop, name);
      EXPECT_EQ(both->at(0).text() + " " + both->at(1).text(), "::1 127.0.0.1") << name;
    }
    const auto none = co_await resolver->resolve(loop, "");
    EXPECT_FALSE(none);
    const auto too_long = co_await resolver->resolve(loop, std::string(254, 'a'));
    EXPECT_FALSE(too_long);
  });
  EXPECT_TRUE(script->begun.empty());
}

TEST_F(ResolverTest, AnAddressIsWrittenAsConnectTakesIt) {
  sockaddr_storage out;
  EXPECT_EQ(Address::parse("192.0.2.7")->write(443, out), sizeof(sockaddr_in));
  EXPECT_EQ(out.ss_family, AF_INET);
  EXPECT_EQ(ntohs(reinterpret_cast<sockaddr_in&>(out).sin_port), 443);
  EXPECT_EQ(Address::parse("::1")->write(80, out), sizeof(sockaddr_in6));
  EXPECT_EQ(out.ss_family, AF_INET6);
  EXPECT_FALSE(Address::parse("a.example"));
  EXPECT_FALSE(Address::parse("192.0.2"));
}

TEST_F(ResolverTest, CallersOfOneNameShareOneLookup) {
  make();
  script->close();
  Loop loop;
  std::vector<Scope> scopes(50);
  int found = 0;
  for (auto& scope : scopes)
    loop.spawn(scope, [](Loop& loop, Resolver& resolver, int& found) -> Task<> {
      const auto addresses = co_await resolver.resolve(loop, "A.example");
      found += addresses && addresses->size() == 2;
    }(loop, *resolver, found));
  std::thread opener([&] {
    script->wait_until_begun(1);
    script->open();
  });
  loop.run();
  opener.join();
  EXPECT_EQ(found, 50);
  EXPECT_EQ(script->count("a.example"), 1);
}

TEST_F(ResolverTest, ResultsAreUsedForTheirTimeAndFailuresForAShorterOne) {
  make({.ttl = 30 * kSecond, .negative_ttl = kSecond});
  EXPECT_EQ(resolve("a.example"), "none");
  script->clock.now += 29 * kSecond;
  EXPECT_EQ(resolve("a.example"), "none");
  EXPECT_EQ(script->count("a.example"), 1);
  script->clock.now += kSecond;
  script->fail_from_now();
  EXPECT_EQ(resolve("a.example"), "name-not-resolved");
  EXPECT_EQ(script->count("a.example"), 2);
  script->clock.now += kSecond - 1;
  EXPECT_EQ(resolve("a.example"), "name-not-resolved");
  EXPECT_EQ(script->count("a.example"), 2);
  script->clock.now += 1;
  EXPECT_EQ(resolve("a.example"), "name-not-resolved");
  EXPECT_EQ(script->count("a.example"), 3);
}

TEST_F(ResolverTest, ACallerThatLeavesDoesNotWaitAndTheLookupGoesOn) {
  make();
  script->close();
  run([&](Loop& loop) -> Task<> {
    const auto late = co_await within(loop, 20 * kMillisecond, resolver->resolve(loop, "a.example"));
    EXPECT_EQ(late ? "none" : late.error().problem->code, "deadline-exceeded");
  });
  EXPECT_EQ(script->count("a.example"), 1);
  script->open();
  EXPECT_EQ(resolve("a.example"), "none");
  EXPECT_EQ(script->count("a.example"), 1) << "the lookup that was left behind is used";
}

TEST_F(ResolverTest, LeavingAndBeingServedAtOnceEndsEachCallerOnce) {
  make({.ttl = 0, .negative_ttl = 0});
  for (int round = 0; round < 200; ++round) {
    script->close();
    Loop loop;
    std::vector<Scope> scopes(4);
    int ended = 0;
    for (auto& scope : scopes)
      loop.spawn(scope, [](Loop& loop, Resolver& resolver, int& ended) -> Task<> {
        (void)co_await resolver.resolve(loop, "a.example");
        ++ended;
      }(loop, *resolver, ended));
    loop.post([&] {
      script->open();
      for (auto& scope : scopes) scope.stop(Stop::drain);
    });
    loop.run();
    ASSERT_EQ(ended, 4) << round;
  }
}

TEST_F(ResolverTest, LoopAndResolverEndThoughALookupHangs) {
  make();
  script->close();
  run([&](Loop& loop) -> Task<> {
    const auto late = co_await within(loop, 10 * kMillisecond, resolver->resolve(loop, "a.example"));
    EXPECT_FALSE(late);
  });
  resolver.reset();
  EXPECT_EQ(script->count("a.example"), 1);
}

TEST_F(ResolverTest, ThreadsAndWaitingNamesAreBounded) {
  make({.threads = 2, .waiting = 3});
  script->close();
  Loop loop;
  std::vector<Scope> scopes(6);
  std::vector<std::string> ended;
  for (int i = 0; i < 5; ++i)
    loop.spawn(scopes[static_cast<std::size_t>(i)],
               [](Loop& loop, Resolver& resolver, int i, std::vector<std::string>& ended) -> Task<> {
                 const auto found = co_await resolver.resolve(loop, std::to_string(i) + ".example");
                 ended.push_back(found ? "found" : std::string(found.error().problem->code));
               }(loop, *resolver, i, ended));
  loop.spawn(scopes[5],
             [](Loop& loop, Resolver& resolver, Script& script, std::vector<std::string>& ended,
                std::vector<Scope>& scopes) -> Task<> {
               script.wait_until_begun(2);  // two threads have taken a name each, three names wait
               const auto refused = co_await resolver.resolve(loop, "6.example");
               EXPECT_EQ(refused ? "none" : refused.error().problem->code, "name-not-resolved");
               EXPECT_TRUE(ended.empty());
               for (int i = 0; i < 5; ++i) scopes[static_cast<std::size_t>(i)].stop(Stop::drain);
             }(loop, *resolver, *script, ended, scopes));
  loop.run();
  EXPECT_EQ(ended, std::vector<std::string>(5, "draining"));
  script->open();
  EXPECT_EQ(resolve("7.example"), "none");
  EXPECT_EQ(script->count("2.example") + script->count("3.example") + script->count("4.example"), 0)
      << "a name that nobody waits for any more is not looked up";
}

TEST_F(ResolverTest, TheNumberOfNamesKeptIsBounded) {
  make({.names = 3});
  for (const auto* name : {"a.example", "b.example", "c.example"}) {
    script->clock.now += 1;
    EXPECT_EQ(resolve(name), "none");
  }
  script->clock.now += 1;
  EXPECT_EQ(resolve("a.example"), "none");
  EXPECT_EQ(resolve("d.example"), "none");
  EXPECT_EQ(resolve("a.example"), "none");
  EXPECT_EQ(script->count("a.example"), 1);
  EXPECT_EQ(resolve("b.example"), "none");
  EXPECT_EQ(script->count("b.example"), 2) << "the one that was not used for the longest time made room";
}

TEST_F(ResolverTest, ALookupThatThrowsIsAFailure) {
  resolver = threaded_resolver({}, [](const std::string&) -> Result<Addresses> { throw std::runtime_error("boom"); });
  EXPECT_EQ(resolve("a.example"), "internal");
}

TEST(ResolverDeathTest, TheProcessEndsThoughALookupHangs) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const auto resolver = threaded_resolver({}, [](const std::string&) -> Result<Addresses> {
          for (;;) ::pause();
        });
        std::string_view code = "none";
        ResolverTest::run([&](Loop& loop) -> Task<> {
          const auto found = co_await within(loop, 10 * kMillisecond, resolver->resolve(loop, "a.example"));
          if (!found) code = found.error().problem->code;
        });
        std::exit(code == "deadline-exceeded" ? 7 : 8);
      },
      testing::ExitedWithCode(7), "");
}

TEST(SystemLookup, FindsThisMachine) {
  const auto here = system_lookup("localhost");
  ASSERT_TRUE(here) << here.error().detail;
  EXPECT_FALSE(here->empty());
}

}  // namespace
}  // namespace plimsoll::net
