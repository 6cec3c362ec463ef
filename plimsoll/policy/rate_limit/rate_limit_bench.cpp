#include "plimsoll/base/hash.hpp"
#include "plimsoll/policy/rate_limit/limit_table.hpp"

#include <benchmark/benchmark.h>

namespace plimsoll::policy {
namespace {

constexpr Rate kRate{.limit = 1'000'000'000, .period = 60 * kSecond, .burst = 1'000'000'000};

/// Decisions per second by threads, each with callers of its own: a table without locks scales with the cores.
void DecisionsOfManyCallers(benchmark::State& state) {
  static LimitTable table;
  std::uint64_t i = static_cast<std::uint64_t>(state.thread_index()) << 32;
  Nanoseconds now = 3600 * kSecond;
  for (auto _ : state) {
    const auto who = i++ % 100'000;
    benchmark::DoNotOptimize(table.take(hash64({reinterpret_cast<const char*>(&who), sizeof who}), kRate, now += 1000));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(DecisionsOfManyCallers)->ThreadRange(1, 2)->UseRealTime();

/// The worst case: all threads serve the same caller.
void DecisionsOfOneCaller(benchmark::State& state) {
  static LimitTable table;
  Nanoseconds now = 3600 * kSecond;
  for (auto _ : state) benchmark::DoNotOptimize(table.take(42, kRate, now += 1000));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(DecisionsOfOneCaller)->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace plimsoll::policy
