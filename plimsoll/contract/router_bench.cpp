// What a match costs as the number of operations grows: the same requests against 20 and 2,000 operations, half of them
// with two parameters, with shared prefixes and partial segments, and with 404 and 405 among the requests.
#include "plimsoll/contract/router.hpp"

#include <benchmark/benchmark.h>

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <deque>

namespace plimsoll::contract {
namespace {

/// Instructions of this thread in user space; -1 where the kernel does not let us count.
class Instructions {
 public:
  Instructions() {
    perf_event_attr what{};
    what.type = PERF_TYPE_HARDWARE;
    what.size = sizeof what;
    what.config = PERF_COUNT_HW_INSTRUCTIONS;
    what.exclude_kernel = 1;
    what.exclude_hv = 1;
    descriptor_ = static_cast<int>(::syscall(SYS_perf_event_open, &what, 0, -1, -1, 0));
  }
  ~Instructions() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  long long read() const {
    long long count = -1;
    if (descriptor_ < 0 || ::read(descriptor_, &count, sizeof count) != sizeof count) return -1;
    return count;
  }

 private:
  int descriptor_;
};

struct Routes {
  Router router;
  std::deque<Operation> operations;
  std::vector<std::pair<const char*, std::string>> requests;

  explicit Routes(int count) {
    const auto add = [&](const char* method, const std::string& path) {
      std::vector<std::string> names;
      (void)router.add(method, path, &operations.emplace_back(), names);
    };
    for (int i = 0; i < count / 4; ++i) {
      char number[8];
      std::snprintf(number, sizeof number, "%04d", i);
      const std::string base = std::string("/api/v1/resources") + number;
      add("GET", base);
      add("POST", base);
      add("GET", base + "/{id}/parts/{part}.json");
      add("DELETE", base + "/{id}/items/{item}");
    }
    router.finish();
    for (int i = 0; i < 20; ++i) {  // spread over all there is
      char number[8];
      std::snprintf(number, sizeof number, "%04d", i * (count / 4) / 20);
      const std::string base = std::string("/api/v1/resources") + number;
      requests.emplace_back("GET", base);
      requests.emplace_back("GET", base + "/12345678/parts/87654321.json");
      requests.emplace_back("DELETE", base + "/12345678/items/87654321");
      requests.emplace_back("PUT", base);                                      // 405
      requests.emplace_back("GET", base + "/12345678/nothing");                // 404
      requests.emplace_back("GET", "/api/v1/unknowns" + std::string(number));  // 404
    }
  }
};

void match(benchmark::State& state) {
  const Routes routes{static_cast<int>(state.range(0))};
  const Instructions counter;
  long long matches = 0;
  const auto before = counter.read();
  for (auto _ : state) {
    for (auto& [method, path] : routes.requests) benchmark::DoNotOptimize(routes.router.match(method, path));
    matches += static_cast<long long>(routes.requests.size());
  }
  const auto after = counter.read();
  state.SetItemsProcessed(matches);
  state.counters["per_match"] =
      benchmark::Counter(static_cast<double>(matches), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  if (before >= 0)
    state.counters["instructions/match"] = static_cast<double>(after - before) / static_cast<double>(matches);
}
BENCHMARK(match)->Arg(20)->Arg(200)->Arg(2000)->Arg(20000);
// So many and twice as many, for counting from outside (bench/micro.py) where the kernel does not let us count.
BENCHMARK(match)->Name("counted")->Args({20})->Args({2000})->Iterations(500);
BENCHMARK(match)->Name("counted_twice")->Args({20})->Args({2000})->Iterations(1000);

}  // namespace
}  // namespace plimsoll::contract
