#include "plimsoll/telemetry/log.hpp"

#include "plimsoll/json/parse.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace plimsoll::telemetry {
namespace {

/// What was written to a pipe.
class Written {
 public:
  Written() {
    if (::pipe(ends_) != 0) throw std::runtime_error("no pipe");
  }
  ~Written() { ::close(ends_[0]); }
  int descriptor() const { return ends_[1]; }
  void close() { ::close(ends_[1]); }
  /// Until every writer has closed its end.
  std::string all() {
    std::string text;
    char piece[65536];
    for (ssize_t n; (n = ::read(ends_[0], piece, sizeof piece)) > 0;) text.append(piece, static_cast<std::size_t>(n));
    return text;
  }
  /// Something more, appended; false when nothing comes in time.
  bool more(std::string& text, std::chrono::milliseconds patience) {
    pollfd waiting{.fd = ends_[0], .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, static_cast<int>(patience.count())) != 1) return false;
    char piece[4096];
    const auto n = ::read(ends_[0], piece, sizeof piece);
    if (n > 0) text.append(piece, static_cast<std::size_t>(n));
    return n > 0;
  }

 private:
  int ends_[2];
};

TEST(Log, WritesOneJsonObjectALineWhateverTheValues) {
  Written written;
  const std::string nasty = "quote\" back\\slash\nline \x01 caf\xc3\xa9 and a longer plain part behind it";
  {
    Log log{written.descriptor(), Level::info, Log::Format::json};
    log.write(Level::info, "something", [&](Line& line) {
      line.add("text", nasty).add("count", std::int64_t{-7}).add("share", 0.5).add("well", true);
    });
    log.write(Level::debug, "not this");
  }
  written.close();
  const auto text = written.all();
  ASSERT_EQ(std::ranges::count(text, '\n'), 1) << text;
  Arena arena;
  const auto line = json::parse(std::string_view(text).substr(0, text.size() - 1), arena);
  ASSERT_TRUE(line) << text;
  EXPECT_EQ(line->find("text")->string(), nasty);
  EXPECT_EQ(line->find("count")->integer(), -7);
  EXPECT_EQ(line->find("level")->string(), "info");
}

TEST(Log, NeverFormatsWhatIsSecret) {
  Written written;
  {
    Log log{written.descriptor(), Level::info, Log::Format::text};
    log.write(Level::info, "call", [&](Line& line) {
      line.add("Authorization", "hush").add(Name::of("X-Api-Key"), "hush").add("path", "/a");
    });
  }
  written.close();
  const auto text = written.all();
  EXPECT_EQ(text.find("hush"), std::string::npos) << text;
  EXPECT_NE(text.find("path=/a"), std::string::npos) << text;
}

TEST(Log, LosesNothingOfManyThreadsWithinItsBuffers) {
  Written written;
  {
    Log log{written.descriptor(), Level::info, Log::Format::text};
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (std::int64_t i = 0; i < 100; ++i) log.write(Level::info, "tick", [&](Line& line) { line.add("i", i); });
      });
    threads.clear();
    log.flush();
  }
  written.close();
  EXPECT_EQ(std::ranges::count(written.all(), '\n'), 400);
}

// The writer sleeps while there is nothing to write. Lines come one by one with pauses around the time after which it
// falls asleep, from threads that take turns; nobody flushes, and each is there before the next is written.
TEST(Log, ALineAfterARestIsWrittenThoughNobodyAsksForIt) {
  Written written;
  Log log{written.descriptor(), Level::info, Log::Format::json};
  std::string text;
  for (int i = 0; i < 60; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(i % 3 * 50));
    std::thread([&] { log.write(Level::info, "line", [&](Line& line) { line.add("n", std::int64_t{i}); }); }).join();
    while (!text.ends_with("\"n\":" + std::to_string(i) + "}\n")) {
      ASSERT_TRUE(written.more(text, std::chrono::seconds(20))) << "line " << i << " behind " << text;
    }
  }
}

TEST(Log, SaysHowManyLinesItLost) {
  Written written;
  std::string all;
  const std::string big(100'000, 'x');
  auto log = std::make_unique<Log>(written.descriptor(), Level::info, Log::Format::json);
  // Nobody reads the pipe yet: the writer stands still, and what does not fit is lost, not waited for.
  for (int i = 0; i < 40; ++i) log->write(Level::info, "big", [&](Line& line) { line.add("x", big); });
  std::jthread reader([&] { all = written.all(); });
  log.reset();
  written.close();
  reader.join();
  EXPECT_NE(all.find("log lines lost"), std::string::npos);
}

}  // namespace
}  // namespace plimsoll::telemetry
