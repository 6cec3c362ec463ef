#include "plimsoll/net/dial.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/net/test_listener.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>

namespace plimsoll::net {
namespace {

Address address(const char* text) { return *Address::parse(text); }

/// Runs one line of work to its end; a loop that does not end fails by the test's timeout.
template <class F>
void run(F work) {
  Loop loop;
  Scope scope;
  loop.spawn(scope, work(loop));
  loop.run();
}

std::string peer_of(const Socket& socket) {
  sockaddr_in peer{};
  socklen_t size = sizeof peer;
  if (::getpeername(socket.get(), reinterpret_cast<sockaddr*>(&peer), &size) != 0) return "none";
  return Address::v4(peer.sin_addr).text();
}

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST(Dial, FamiliesTakeTurns) {
  const auto a4 = address("192.0.2.1"), b4 = address("192.0.2.2"), c4 = address("192.0.2.3");
  const auto a6 = address("2001:db8::1"), b6 = address("2001:db8::2");
  EXPECT_EQ(interleaved({a6, b6, a4, b4, c4}), (Addresses{a6, a4, b6, b4, c4}));
  EXPECT_EQ(interleaved({a4, a6}), (Addresses{a4, a6}));
  EXPECT_EQ(interleaved({a4, b4}), (Addresses{a4, b4}));
  EXPECT_EQ(interleaved({}), Addresses{});
}

TEST(Dial, ARefusalIsFollowedByTheNextAddressAtOnce) {
  const TestListener listener{"127.0.0.3"};
  run([&](Loop& loop) -> Task<> {
    const auto connected = co_await dial(loop, {address("127.0.0.2"), address("127.0.0.4"), address("127.0.0.3")},
                                         listener.port, {.attempt_delay = 3600 * kSecond});
    EXPECT_TRUE(connected) << connected.error().detail;
    if (connected) EXPECT_EQ(peer_of(*connected), "127.0.0.3");
  });
}

TEST(Dial, AnAddressThatDoesNotAnswerIsOvertaken) {
  const TestListener silent{"127.0.0.2", 0}, listener{"127.0.0.3", silent.port};
  const auto full = silent.fill();
  const auto before = open_descriptors();
  run([&](Loop& loop) -> Task<> {
    const auto connected = co_await dial(loop, {address("127.0.0.2"), address("127.0.0.3")}, silent.port,
                                         {.attempt_delay = 10 * kMillisecond});
    EXPECT_TRUE(connected) << connected.error().detail;
    if (connected) EXPECT_EQ(peer_of(*connected), "127.0.0.3");
  });
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Dial, SaysWhyWhenNobodyAnswers) {
  std::uint16_t port = 0;
  { port = TestListener{"127.0.0.2"}.port; }
  run([&](Loop& loop) -> Task<> {
    const auto refused = co_await dial(loop, {address("127.0.0.2")}, port);
    EXPECT_FALSE(refused);
    if (!refused) EXPECT_EQ(refused.error().detail, "127.0.0.2: Connection refused");
    const auto nowhere = co_await dial(loop, {}, port);
    EXPECT_FALSE(nowhere);
  });
}

TEST(Dial, ADeadlineEndsAllAttempts) {
  const TestListener silent{"127.0.0.2", 0}, also{"127.0.0.3", silent.port};
  const auto full = silent.fill(), full_too = also.fill();
  const auto before = open_descriptors();
  run([&](Loop& loop) -> Task<> {
    const auto late = co_await within(
        loop, 50 * kMillisecond,
        dial(loop, {address("127.0.0.2"), address("127.0.0.3")}, silent.port, {.attempt_delay = 10 * kMillisecond}));
    EXPECT_EQ(late ? "none" : late.error().problem->code, "deadline-exceeded");
  });
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Dial, ALineThatIsStoppedAlreadyBeginsNothing) {
  const TestListener listener{"127.0.0.2"};
  Loop loop;
  Scope scope;
  scope.stop(Stop::drain);
  std::string_view code;
  loop.spawn(scope, [](Loop& loop, std::uint16_t port, std::string_view& code) -> Task<> {
    const auto connected = co_await dial(loop, {address("127.0.0.2")}, port);
    code = connected ? "none" : connected.error().problem->code;
  }(loop, listener.port, code));
  loop.run();
  EXPECT_EQ(code, "draining");
}

}  // namespace
}  // namespace plimsoll::net
