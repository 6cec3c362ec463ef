#include "plimsoll/net/stream_channel.hpp"

#include "plimsoll/async/test_run.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <string>

namespace plimsoll::net {
namespace {

/// A stream that the test stands for.
class Scripted final : public StreamChannel {
 public:
  explicit Scripted(Loop& loop, std::string incoming = {}, bool ended = false)
      : StreamChannel(loop, std::move(incoming), ended) {}
  std::string said;  ///< what the session was told, a word for each call
  std::size_t given_back = 0;
  std::string taken;

  std::string read_all(std::size_t at_once = 100) {
    std::string all, buffer(at_once, '\0');
    for (;;) {
      const auto moved = read(buffer);
      all.append(buffer, 0, moved.bytes);
      if (moved.failed()) return all + "|" + (moved.error == ECONNRESET ? "reset" : "?");
      if (moved.ended) return all + "|end";
      if (moved.want == Want::read) return all;
    }
  }
  Moved write_text(std::string_view text) {
    const iovec piece{const_cast<char*>(text.data()), text.size()};
    return write({&piece, 1});
  }

 private:
  void consumed(std::size_t bytes) override { given_back += bytes; }
  void supply(std::string_view bytes) override {
    taken += bytes;
    said += "supply ";
  }
  void end(End how) override { said += how == End::half ? "half " : how == End::whole ? "whole " : "reset "; }
};

TEST(StreamChannel, GivesWhatHasComeAndTheWindowBackAsItIsRead) {
  Loop loop;
  Scripted channel{loop, "early "};
  channel.came("and late");
  EXPECT_EQ(channel.given_back, 0u);
  EXPECT_EQ(channel.read_all(3), "early and late");
  EXPECT_EQ(channel.given_back, 14u);
  channel.came("x");
  channel.came_all();
  EXPECT_EQ(channel.read_all(), "x|end");
  Scripted ended{loop, "all", true};
  EXPECT_EQ(ended.read_all(), "all|end");
}

TEST(StreamChannel, TakesNoMoreThanFitsUntilThatHasGone) {
  Loop loop;
  Scripted channel{loop};
  EXPECT_FALSE(channel.pending());
  EXPECT_EQ(channel.write_text(std::string(40'000, 'x')).bytes, StreamChannel::kMost);
  EXPECT_TRUE(channel.pending());
  EXPECT_EQ(channel.write_text("y").want, Want::write);
  channel.drained();
  EXPECT_FALSE(channel.pending());
  EXPECT_EQ(channel.write_text("y").bytes, 1u);
  EXPECT_EQ(channel.taken, std::string(StreamChannel::kMost, 'x') + "y");
}

TEST(StreamChannel, ItsEndComesBehindWhatWasWritten) {
  Loop loop;
  Scripted channel{loop};
  channel.write_text("last");
  channel.finish();
  EXPECT_EQ(channel.said, "supply ");
  channel.drained();
  EXPECT_EQ(channel.said, "supply half ");
  EXPECT_TRUE(channel.pending()) << "the end is not in the output yet";
  channel.end_written();
  EXPECT_FALSE(channel.pending());
  channel.came("still");
  EXPECT_EQ(channel.read_all(), "still");
}

TEST(StreamChannel, ClosedItSendsWhatIsLeftAndThrowsAwayWhatComes) {
  Loop loop;
  for (const bool lost : {false, true}) {
    Scripted channel{loop};
    channel.write_text("goodbye");
    channel.close(lost);
    channel.came("nobody reads it");
    EXPECT_EQ(channel.given_back, 15u);
    EXPECT_EQ(channel.said, "supply ");
    channel.drained();
    EXPECT_EQ(channel.said, lost ? "supply reset " : "supply whole ");
  }
  Scripted finished{loop};
  finished.finish();
  finished.end_written();
  finished.close(false);
  EXPECT_EQ(finished.said, "half whole ");
}

TEST(StreamChannel, BrokenItGivesWhatCameAndTakesNothing) {
  Loop loop;
  Scripted channel{loop};
  channel.write_text("lost");
  channel.finish();
  channel.came("before");
  channel.broke();
  EXPECT_FALSE(channel.pending());
  EXPECT_EQ(channel.read_all(), "before|reset");
  EXPECT_EQ(channel.write_text("x").error, EPIPE);
  channel.close(false);
  EXPECT_EQ(channel.said, "supply ") << "a stream that is over is told something";
}

TEST(StreamChannel, WakesWhoWaits) {
  run([](Loop& loop) -> Task<> {
    Scripted channel{loop};
    std::array<char, 10> buffer;
    EXPECT_EQ(channel.read(buffer).want, Want::read);
    loop.post([&] { channel.came("x"); });
    const auto came = co_await channel.wait(Want::read, kSecond);
    EXPECT_EQ(came, Wake::ready);
    channel.write_text("x");
    loop.post([&] { channel.drained(); });
    const auto gone = co_await channel.wait(Want::write, kSecond);
    EXPECT_EQ(gone, Wake::ready);
    channel.finish();
    loop.post([&] { channel.end_written(); });
    const auto ended = co_await channel.wait(Want::write, kSecond);
    EXPECT_EQ(ended, Wake::ready);
    EXPECT_EQ(channel.read(buffer).bytes, 1u);
    EXPECT_EQ(channel.read(buffer).want, Want::read);
    loop.post([&] { channel.broke(); });
    const auto broke = co_await channel.wait(Want::read, kSecond);
    EXPECT_EQ(broke, Wake::ready);
    channel.came_all();
    EXPECT_EQ(channel.read(buffer).error, ECONNRESET);
  });
}

}  // namespace
}  // namespace plimsoll::net
