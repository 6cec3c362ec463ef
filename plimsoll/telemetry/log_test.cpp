#include "plimsoll/telemetry/log.hpp"

#include "plimsoll/json/parse.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
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

// U+009B begins a command of a terminal, as ESC does; U+202E has what follows read backwards; U+2028 ends a line. Each
// stands before, within and behind other text, in both formats, and is shown as its number.
TEST(Log, WritesNothingThatChangesHowALineIsShown) {
  const std::string unseen[] = {"\x7f",         "\xc2\x80",     "\xc2\x9b",    "\xe2\x80\x8f",
                                "\xe2\x80\xa8", "\xe2\x80\xae", "\xe2\x81\xa6"};
  for (const auto format : {Log::Format::json, Log::Format::text}) {
    Written written;
    {
      Log log{written.descriptor(), Level::info, format};
      for (auto& one : unseen)
        for (auto& value : {one, "a" + one, one + "\xc3\xa9", "\xe2\x82\xac" + one + "\xf0\x9f\x98\x80" + one + "\n"})
          log.write(Level::info, "request", [&](Line& line) { line.add("path", value); });
    }
    written.close();
    const auto text = written.all();
    EXPECT_EQ(std::ranges::count(text, '\n'), 28) << text;
    for (auto& one : unseen) EXPECT_EQ(text.find(one), std::string::npos) << text;
    for (auto* escaped :
         {"a\\u007f", "\\u0080\xc3\xa9", "\xe2\x82\xac\\u009b\xf0\x9f\x98\x80\\u009b\\n", "\\u202e", "\\u2066"})
      EXPECT_NE(text.find(escaped), std::string::npos) << escaped << " in " << text;
  }
}

// Who can make a value longer than a buffer could keep the line out of the log, and others with it.
TEST(Log, LosesNoLineForTheLengthOfAValue) {
  Written written;
  std::string all;
  std::jthread reader([&] { all = written.all(); });
  {
    Log log{written.descriptor(), Level::info, Log::Format::json};
    for (const std::size_t size : {1 << 10, (1 << 17) - 3, 1 << 20, 3 << 20})
      for (auto* filling : {"x", "\xe2\x82\xac", "\n"}) {
        std::string value;
        while (value.size() < size) value += filling;
        log.write(Level::info, "long", [&](Line& line) { line.add("value", value).add("behind", "it"); });
        log.flush();
      }
    EXPECT_EQ(log.lost(), 0);
  }
  written.close();
  reader.join();
  ASSERT_EQ(std::ranges::count(all, '\n'), 12);
  std::string_view rest = all;
  for (int i = 0; i < 12; ++i) {
    Arena arena;
    const auto line = json::parse(rest.substr(0, rest.find('\n')), arena);
    rest.remove_prefix(rest.find('\n') + 1);
    ASSERT_TRUE(line) << i << ' ' << line.error().detail;
    ASSERT_TRUE(line->find("behind")) << i << ": the line was lost";
    EXPECT_EQ(line->find("value")->string().ends_with("…"), i >= 6) << i;
  }
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

TEST(Log, CountsLinesThatCannotBeWrittenAndSaysSoOnceTheyCan) {
  const auto path = testing::TempDir() + "plimsoll-log-" + std::to_string(::getpid());
  const int descriptor = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ASSERT_TRUE(descriptor >= 0 && file >= 0);
  Log log(descriptor, Level::info, Log::Format::json);
  for (int i = 0; i < 20; ++i) log.write(Level::info, "unheard");
  log.flush();
  EXPECT_EQ(log.lost(), 20);
  ASSERT_GE(::dup2(file, descriptor), 0);  // the disk has room again
  log.write(Level::info, "heard");
  log.flush();
  EXPECT_EQ(log.lost(), 20);
  std::ifstream written{path};
  std::string first, second, third;
  std::getline(written, first), std::getline(written, second), std::getline(written, third);
  EXPECT_NE(first.find("\"heard\""), std::string::npos) << first;
  EXPECT_EQ(second, R"({"level":"warning","event":"log lines lost","count":20})");
  EXPECT_EQ(third, "");
  std::remove(path.c_str());
}

/// A file that may grow to `kRoom` bytes: lines break off within.
TEST(Log, ALineThatBreaksOffIsEndedBeforeTheNext) {
  constexpr rlim_t kRoom = 1000;
  const auto path = testing::TempDir() + "plimsoll-log-" + std::to_string(::getpid());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  Log log(file, Level::info, Log::Format::json);
  const rlimit small{kRoom, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  for (int i = 0; i < 20; ++i) log.write(Level::info, "line", [&](Line& line) { line.add("n", std::int64_t{i}); });
  log.flush();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  log.write(Level::info, "behind");
  log.flush();
  std::ifstream written{path};
  std::vector<std::string> lines;
  for (std::string line; std::getline(written, line);) lines.push_back(line);
  ASSERT_GE(lines.size(), 4u);
  const auto whole = std::ranges::count_if(
      lines, [](auto& line) { return line.contains("\"event\":\"line\"") && line.ends_with('}'); });
  EXPECT_EQ(whole + static_cast<std::int64_t>(log.lost()), 20);
  EXPECT_TRUE(lines[lines.size() - 2].starts_with("{") && lines[lines.size() - 2].contains("behind"))
      << lines[lines.size() - 2];
  EXPECT_TRUE(lines.back().contains("log lines lost")) << lines.back();
  std::remove(path.c_str());
}

}  // namespace
}  // namespace plimsoll::telemetry
