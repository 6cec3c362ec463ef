#pragma once

// For tests: how the cost of work grows with the size of its input.

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define PLIMSOLL_CALLGRIND 1
#endif

namespace plimsoll::testkit {

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// What is measured at one size: each call does the same work.
using Work = std::function<void()>;
/// Makes the input of a size; only the work that it returns is measured.
using Prepare = std::function<Work(std::size_t size)>;

/// The cost of work at a quarter, a half and the whole of its largest size, in any unit.
struct Growth {
  /// Most times by which the cost may grow when the size doubles: more is worse than n log n at every size measured
  /// here.
  static constexpr double kMost = 2.3;
  /// The same for CPU time in the short form: caches and neighbours move a doubling by some tenths, and a cost that is
  /// quadratic doubles to 4. The long form is exact.
  static constexpr double kMostTime = 3.0;

  std::size_t largest = 0;
  double quarter = 0, half = 0, whole = 0;
  const char* unit = "ms";
  double most = kMost;

  /// The larger of the two doublings.
  double per_doubling() const {
    constexpr double kTiny = 1e-12;
    return std::max(half / std::max(quarter, kTiny), whole / std::max(half, kTiny));
  }
  bool bounded() const { return per_doubling() <= most; }
  std::string text() const {
    char out[160];
    std::snprintf(out, sizeof out, "%.4g, %.4g, %.4g %s at %zu, %zu, %zu: %.2f times per doubling", quarter, half,
                  whole, unit, largest / 4, largest / 2, largest, per_doubling());
    return out;
  }
};

/// The growth of a count: steps, bytes, calls.
inline Growth count_growth(std::size_t largest, const char* unit, const std::function<double(std::size_t)>& count) {
  return {largest, count(largest / 4), count(largest / 2), count(largest), unit};
}

/// The long form of the test: `make torture`.
inline bool is_torture() {
  const char* const said = std::getenv("PLIMSOLL_TORTURE");
  return said && std::string_view(said) == "1";
}

/// How CPU time is measured.
struct Measuring {
  clockid_t clock = CLOCK_THREAD_CPUTIME_ID;
  /// Work that costs fewer milliseconds at its largest size is not measured further.
  double nothing = 0.05;
};
/// Work that is done on several threads. Time that they wait costs nothing.
inline constexpr Measuring kAllThreads{.clock = CLOCK_PROCESS_CPUTIME_ID};

inline double cpu_milliseconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

/// Where callgrind writes its counts; empty where this process does not run under it (scripts/growth).
inline std::string callgrind_file() {
#ifdef PLIMSOLL_CALLGRIND
  const char* const file = std::getenv("PLIMSOLL_CALLGRIND_FILE");
  if (RUNNING_ON_VALGRIND && file) return file;
#endif
  return {};
}

/// Millions of instructions of one call, after one that is not counted.
inline double million_instructions(const Work& work, [[maybe_unused]] const std::string& file) {
  work();
  double counted = 0;
#ifdef PLIMSOLL_CALLGRIND
  static int dumps = 0;
  CALLGRIND_START_INSTRUMENTATION;
  CALLGRIND_ZERO_STATS;
  work();
  CALLGRIND_DUMP_STATS;  // writes nothing once instrumentation has stopped
  CALLGRIND_STOP_INSTRUMENTATION;
  const auto dump = file + "." + std::to_string(++dumps);
  std::ifstream lines(dump);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("summary: ")) {
      counted = std::strtod(line.c_str() + 9, nullptr) / 1e6;
      break;
    }
  EXPECT_GT(counted, 0) << "callgrind wrote no count to " << dump;
  std::error_code ignored;
  std::filesystem::remove(dump, ignored);
#endif
  return counted;
}

/// Fills the processor's caches with something else.
inline void empty_caches() {
  static std::vector<unsigned char> other(std::size_t{8} << 20);
  for (std::size_t i = 0; i < other.size(); i += 64) ++other[i];
}

/// The growth of CPU time in milliseconds: the least of five runs, each repeated until it costs enough to be measured.
/// Under callgrind, the growth of instructions, which needs no repetition.
///
/// Growth beyond the bound is measured up to three times before it is believed: other processes disturb the first
/// measurement, and an input that just does not fit into a cache costs more than twice half of it, which just does.
/// Hence the later measurements begin each call with empty caches, and at last each doubling is judged by the least
/// that it was within one run: the sizes of a run are disturbed alike, and a cost that really grows exceeds the bound
/// in each.
inline Growth cpu_growth(std::size_t largest, const Prepare& prepare, Measuring measuring = {}) {
  // From some size on, malloc would return memory to the kernel and take it again, at a page fault a page: a step in
  // the cost that is no growth.
  ::mallopt(M_TRIM_THRESHOLD, 1 << 30);
  ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
  ::mallopt(M_TOP_PAD, 16 << 20);
  const Work works[] = {prepare(largest / 4), prepare(largest / 2), prepare(largest)};
  if (const auto file = callgrind_file(); !file.empty())
    return {largest, million_instructions(works[0], file), million_instructions(works[1], file),
            million_instructions(works[2], file), "million instructions"};
  if (kSanitized) {  // whose checks have costs of their own: each size runs once, for what else they find
    for (const auto& work : works) work();
    return {largest};
  }
  const auto time = [&](const Work& work, std::size_t times, bool emptied = false) {
    double spent = 0;
    for (std::size_t i = 0; i < times; i += emptied ? 1 : times) {
      if (emptied) empty_caches();
      const auto start = cpu_milliseconds(measuring.clock);
      for (std::size_t call = 0; call < (emptied ? 1 : times); ++call) work();
      spent += cpu_milliseconds(measuring.clock) - start;
    }
    return spent / static_cast<double>(times);
  };
  // In the short form a run is shorter, and two runs that agree with room to spare are enough.
  const double enough = is_torture() ? 20 : 2;
  constexpr int kRuns = 5, kAttempts = 3;
  constexpr double kClear = 2.15;
  const double most = is_torture() ? Growth::kMost : Growth::kMostTime;
  Growth growth{largest};
  double lower = 1e300, upper = 1e300;  // the least of each doubling within one run
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto first = std::min(time(works[2], 1), time(works[2], 1));
    if (first < measuring.nothing) return {largest};
    const auto times = static_cast<std::size_t>(std::clamp(enough / first + 1, 1.0, 1000.0));
    double least[] = {1e300, 1e300, 1e300};
    const auto measured = [&] { return Growth{largest, least[0], least[1], least[2], "ms", most}; };
    for (int run = 0; run < kRuns; ++run) {
      if (run >= 2 && !is_torture() && measured().per_doubling() <= kClear) break;
      double now[3] = {};
      for (std::size_t size = 0; size < 3; ++size) {
        now[size] = time(works[size], times * (std::size_t{4} >> size), attempt > 0);
        least[size] = std::min(least[size], now[size]);
      }
      lower = std::min(lower, now[1] / std::max(now[0], 1e-12));
      upper = std::min(upper, now[2] / std::max(now[1], 1e-12));
    }
    growth = measured();
    if (growth.bounded()) return growth;
  }
  if (const Growth paired{largest, 1, lower, lower * upper, "(relative)", most}; paired.bounded()) return paired;
  return growth;
}

/// Fails when the cost grows by more than Growth::kMost per doubling. With PLIMSOLL_GROWTH set, prints it too.
inline void expect_bounded(const std::string& what, const Growth& growth) {
  EXPECT_TRUE(growth.bounded()) << what << ": " << growth.text();
  if (std::getenv("PLIMSOLL_GROWTH")) std::printf("%-64s %s\n", what.c_str(), growth.text().c_str());
}

// --- inputs ---

// What the limits admit by default (edge::Limits, json::parse).
inline constexpr std::size_t kBody = std::size_t{1} << 20, kTarget = 8 << 10, kHead = 32 << 10, kFields = 100;
inline constexpr std::size_t kDepth = 128;

/// A text of a size.
struct Reading {
  const char* name;
  std::size_t largest;
  std::function<std::string(std::size_t)> text;
};

inline std::string repeated(std::string_view text, std::size_t count) {
  std::string out;
  out.reserve(text.size() * count);
  for (std::size_t i = 0; i < count; ++i) out += text;
  return out;
}
/// `make(i)` for each i, with `between` between them.
template <class Make>
std::string listed(std::size_t count, std::string_view between, Make&& make) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) out += between;
    out += make(i);
  }
  return out;
}
inline std::string number(std::size_t i) { return std::to_string(i); }
inline std::string name(std::size_t i) { return "n" + std::to_string(i); }
/// JSON arrays and objects.
inline std::string numbers(std::size_t n) { return "[" + listed(n, ",", number) + "]"; }
inline std::string members(std::size_t n) {
  return "{" + listed(n, ",", [](auto i) { return '"' + name(i) + "\":" + number(i); }) + "}";
}

}  // namespace plimsoll::testkit
