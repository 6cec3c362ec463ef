#include "plimsoll/client/relay.hpp"

#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/pause.hpp"
#include "plimsoll/net/transport.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>

namespace plimsoll::client {
namespace {

using net::clear_transport;
using net::Moved;
using net::Transport;
using net::Want;

/// A transport without a network: gives what the test has put into it, takes as much as the test allows.
class Scripted final : public Transport {
 public:
  explicit Scripted(Loop& loop) : Transport(loop, ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  Moved read(std::span<char> into) noexcept override {
    if (unread.empty()) {
      if (breaks) return {.error = ECONNRESET};
      return ends ? Moved{.ended = true} : Moved{.want = Want::read};
    }
    const auto size = std::min(into.size(), unread.size());
    std::copy_n(unread.begin(), size, into.begin());
    unread.erase(0, size);
    return {.bytes = size};
  }
  Moved write(std::span<const iovec> pieces) noexcept override {
    if (refuses) return {.error = EPIPE};
    if (room == 0) return {.want = wants};
    const auto size = std::min(room, pieces[0].iov_len);
    taken.append(static_cast<const char*>(pieces[0].iov_base), size);
    room -= size;
    return {.bytes = size};
  }
  Moved send_file(int, std::uint64_t, std::size_t) noexcept override { return {.error = EIO}; }
  void finish() noexcept override { ++finished; }
  bool pending() const noexcept override { return keeps; }
  Task<Result<>> open(Nanoseconds) override { co_return Result<>{}; }

  std::string unread, taken;
  std::size_t room = SIZE_MAX;
  Want wants = Want::write;
  bool ends = false, breaks = false, refuses = false, keeps = false;
  int finished = 0;
};

struct Half {
  Loop loop;
  Scripted from{loop}, to{loop};
  RelayHalf half{from, to};
  std::array<char, 64> scratch;
  RelayHalf::Next step() { return half.step(scratch); }
};
using enum RelayHalf::Next;

TEST(RelayHalf, PassesWhatIsThereAndWaitsToRead) {
  Half relay;
  EXPECT_EQ(relay.step(), read);
  relay.from.unread = "hello";
  EXPECT_EQ(relay.step(), read);
  EXPECT_EQ(relay.to.taken, "hello");
  EXPECT_EQ(relay.half.moved(), 5u);
  EXPECT_EQ(relay.half.held(), 0u);
}

TEST(RelayHalf, SendsFirstWhatWasReadBefore) {
  Half relay;
  relay.half.before("first ");
  relay.from.unread = "second";
  EXPECT_EQ(relay.step(), read);
  EXPECT_EQ(relay.to.taken, "first second");
}

TEST(RelayHalf, ReadsNoMoreThanTheReceiverTakes) {
  Half relay;
  relay.from.unread = std::string(1000, 'x');
  relay.to.room = 10;
  EXPECT_EQ(relay.step(), write);
  EXPECT_EQ(relay.from.unread.size(), 1000 - relay.scratch.size());
  EXPECT_EQ(relay.half.held(), relay.scratch.size() - 10);
  EXPECT_EQ(relay.step(), write);
  EXPECT_EQ(relay.from.unread.size(), 1000 - relay.scratch.size()) << "it read on while the receiver took nothing";
  relay.to.room = SIZE_MAX;
  while (relay.step() == turn) {}
  EXPECT_EQ(relay.to.taken.size(), 1000u);
  EXPECT_EQ(relay.half.held(), 0u);
}

TEST(RelayHalf, GivesOthersTheirTurn) {
  Half relay;
  relay.from.unread = std::string(100'000, 'x');
  EXPECT_EQ(relay.step(), turn);
  EXPECT_GT(relay.from.unread.size(), 0u);
}

TEST(RelayHalf, PassesTheEndOnBehindAllBytes) {
  Half relay;
  relay.from.unread = "last words";
  relay.from.ends = true;
  relay.to.room = 4;
  EXPECT_EQ(relay.step(), write);
  EXPECT_EQ(relay.to.finished, 0);
  relay.to.room = SIZE_MAX;
  EXPECT_EQ(relay.step(), ended);
  EXPECT_EQ(relay.to.taken, "last words");
  EXPECT_EQ(relay.to.finished, 1);
}

TEST(RelayHalf, TellsWhichSideIsLost) {
  Half sender, receiver;
  sender.from.unread = "partial";
  sender.from.breaks = true;
  EXPECT_EQ(sender.step(), sender_lost);
  EXPECT_EQ(sender.to.taken, "partial");
  EXPECT_EQ(sender.to.finished, 0) << "the receiver was told that all has come";
  receiver.from.unread = "x";
  receiver.to.refuses = true;
  EXPECT_EQ(receiver.step(), receiver_lost);
}

TEST(RelayHalf, EndsWithAFrameOfItsOwnBetweenTwoOfTheSender) {
  const auto bye = http::close_frame(1001, "");
  Half relay;
  relay.from.unread = "\x81\x05hel";
  EXPECT_EQ(relay.step(), read);
  relay.half.end_with(bye);
  EXPECT_EQ(relay.to.taken, "\x81\x05hel") << "a frame is not cut";
  relay.from.unread = "lo\x81\x03you";
  EXPECT_EQ(relay.step(), read);
  EXPECT_EQ(relay.to.taken, "\x81\x05hello" + bye);
  relay.from.unread = "\x81\x03you";
  EXPECT_EQ(relay.step(), read);
  EXPECT_EQ(relay.to.taken, "\x81\x05hello" + bye) << "nothing follows a close frame";
  relay.from.ends = true;
  EXPECT_EQ(relay.step(), ended);
  EXPECT_EQ(relay.to.finished, 1);
}

TEST(RelayHalf, TheLastFrameGoesAtOnceWhereNothingIsUnderWay) {
  Half relay;
  relay.half.end_with("bye");
  EXPECT_EQ(relay.to.taken, "bye");
  Half held_up;
  held_up.from.unread = "\x81\x05hello";
  held_up.to.room = 3;
  EXPECT_EQ(held_up.step(), write);
  held_up.half.end_with("bye");
  held_up.to.room = SIZE_MAX;
  EXPECT_EQ(held_up.step(), read);
  EXPECT_EQ(held_up.to.taken, "\x81\x05hellobye");
}

TEST(RelayHalf, SendsNoCloseFrameBehindOneOfTheSender) {
  Half relay;
  const auto close = http::close_frame(1000, "done");
  relay.from.unread = close;
  EXPECT_EQ(relay.step(), read);
  relay.half.end_with(http::close_frame(1001, ""));
  EXPECT_EQ(relay.step(), read);
  EXPECT_EQ(relay.to.taken, close);
}

TEST(RelayHalf, ComesBackSoonWhereTlsWantsTheOtherWay) {
  Half relay;
  relay.from.unread = "x";
  relay.to.room = 0;
  relay.to.wants = Want::read;
  EXPECT_EQ(relay.step(), again);
}

/// Two socket pairs with a relay between their inner ends; the test's threads speak at the outer ones.
struct Pairs {
  Loop loop;
  int outer[2];
  std::unique_ptr<Transport> inner[2];
  Pairs() {
    for (int i = 0; i < 2; ++i) {
      int both[2];
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both), 0);
      outer[i] = both[0];
      const int on = 1;
      EXPECT_EQ(::ioctl(both[1], FIONBIO, &on), 0);
      inner[i] = clear_transport(loop, both[1]);
    }
  }
  ~Pairs() { ::close(outer[0]), ::close(outer[1]); }
};

struct Counted final : Relay::Meter {
  void moved(bool to_second, std::uint64_t bytes) noexcept override { (to_second ? second : first) += bytes; }
  std::uint64_t first = 0, second = 0;
};

Relay::End run(Pairs& pairs, Nanoseconds idle, Counted& counted, Nanoseconds stop_after = 0) {
  auto end = Relay::End::both;
  Scope scope;
  struct Stopper : Alarm {
    Scope* scope = nullptr;
  } stopper;
  stopper.scope = &scope;
  stopper.ring = [](Alarm& alarm) { static_cast<Stopper&>(alarm).scope->stop(Stop::drain); };
  if (stop_after) pairs.loop.wheel().arm(stopper, pairs.loop.tick_in(stop_after));
  const auto work = [&]() -> Task<> {
    Relay relay{pairs.loop, *pairs.inner[0], *pairs.inner[1], idle, &counted};
    const auto ended = co_await relay.run();
    end = ended;
  };
  pairs.loop.spawn(scope, work());
  pairs.loop.run();
  return end;
}

std::string all_of(int socket) {
  std::string all;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::recv(socket, buffer, sizeof buffer, 0)) > 0;)
    all.append(buffer, static_cast<std::size_t>(n));
  return all;
}
void send_all(int socket, std::string_view text, std::mt19937& random) {
  while (!text.empty()) {
    const auto size = std::min<std::size_t>(text.size(), 1 + random() % 50'000);
    const auto n = ::send(socket, text.data(), size, MSG_NOSIGNAL);
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  ::shutdown(socket, SHUT_WR);
}

TEST(Relay, PassesBothWaysAtOnceWhateverThePieces) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::string texts[2];
  for (auto& text : texts) {
    text = std::string("\x82\x7f\0\0\0\0\0\x0f\x42\x40", 10);  // one frame of a million bytes
    for (int i = 0; i < 1'000'000; ++i) text += static_cast<char>(random());
  }
  Pairs pairs;
  std::string received[2];
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&, i, mine = std::mt19937(random())]() mutable { send_all(pairs.outer[i], texts[i], mine); });
    threads.emplace_back([&, i] { received[i] = all_of(pairs.outer[i]); });
  }
  Counted counted;
  EXPECT_EQ(run(pairs, 30 * kSecond, counted), Relay::End::both);
  pairs.inner[0].reset(), pairs.inner[1].reset();
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(received[0] == texts[1]);
  EXPECT_TRUE(received[1] == texts[0]);
  EXPECT_EQ(counted.first, texts[1].size());
  EXPECT_EQ(counted.second, texts[0].size());
}

TEST(Relay, EndsWhenNothingMovesForSoLong) {
  Pairs pairs;
  Counted counted;
  EXPECT_EQ(run(pairs, 50 * kMillisecond, counted), Relay::End::idle);
}

TEST(Relay, OneSideThatHasEndedDoesNotKeepAnIdleOtherOpen) {
  Pairs pairs;
  ::shutdown(pairs.outer[0], SHUT_WR);
  Counted counted;
  EXPECT_EQ(run(pairs, 50 * kMillisecond, counted), Relay::End::idle);
  EXPECT_EQ(all_of(pairs.outer[1]), "") << "the end was passed on";
}

TEST(Relay, EndsWithTheFirstEndBehindTwoCloseFrames) {
  Pairs pairs;
  const auto close = http::close_frame(1000, "");
  for (const int socket : pairs.outer)
    EXPECT_EQ(::send(socket, close.data(), close.size(), MSG_NOSIGNAL), static_cast<ssize_t>(close.size()));
  ::shutdown(pairs.outer[1], SHUT_WR);
  Counted counted;
  EXPECT_EQ(run(pairs, 3600 * kSecond, counted), Relay::End::both);
  EXPECT_EQ(all_of(pairs.outer[0]), close);
}

TEST(Relay, EndsWithItsScope) {
  Pairs pairs;
  Counted counted;
  EXPECT_EQ(run(pairs, 3600 * kSecond, counted, 20 * kMillisecond), Relay::End::stopped);
}

TEST(Relay, AReceiverThatTakesNothingIsIdleToo) {
  Pairs pairs;
  std::thread sender([&] {
    std::mt19937 random(1);
    send_all(pairs.outer[0], std::string(8 << 20, 'x'), random);
  });
  Counted counted;
  EXPECT_EQ(run(pairs, 100 * kMillisecond, counted), Relay::End::idle);
  pairs.inner[0].reset(), pairs.inner[1].reset();
  sender.join();
}

TEST(RelayHalf, HasEndedWhenTheReceiverHasTheEnd) {
  Half relay;
  relay.from.ends = true;
  relay.to.keeps = true;
  EXPECT_EQ(relay.step(), write);
  EXPECT_EQ(relay.to.finished, 1);
  EXPECT_EQ(relay.step(), write);
  relay.to.keeps = false;
  EXPECT_EQ(relay.step(), ended);
  EXPECT_EQ(relay.to.finished, 1);
}

}  // namespace
}  // namespace plimsoll::client
