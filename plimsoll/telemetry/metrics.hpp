#pragma once

#include "plimsoll/base/clock.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::telemetry {

/// Threads write to cells of their own, a cache line each; whoever scrapes adds them up.
inline constexpr std::size_t kCells = 16;
/// The cell of the calling thread.
std::size_t cell_of_this_thread();

class Counter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    cells_[cell_of_this_thread()].value.fetch_add(n, std::memory_order_relaxed);
  }
  std::uint64_t value() const noexcept;

 private:
  struct alignas(64) Cell {
    std::atomic<std::uint64_t> value{0};
  };
  std::array<Cell, kCells> cells_;
};

class Gauge {
 public:
  void add(std::int64_t n) noexcept { cells_[cell_of_this_thread()].value.fetch_add(n, std::memory_order_relaxed); }
  /// For gauges that one place sets and nobody adds to.
  void set(std::int64_t n) noexcept { cells_[0].value.store(n, std::memory_order_relaxed); }
  std::int64_t value() const noexcept;

 private:
  struct alignas(64) Cell {
    std::atomic<std::int64_t> value{0};
  };
  std::array<Cell, kCells> cells_;
};

/// Durations in buckets a sixteenth of an octave wide: any quantile within 5 %. Exposed as a Prometheus histogram of
/// those buckets that hold something.
class Histogram {
 public:
  static constexpr std::size_t kBuckets = 33 * 16;  ///< 16 an octave, from 1 µs to over an hour
  Histogram();
  ~Histogram();
  void record(Nanoseconds span) noexcept;
  struct Sum {
    std::array<std::uint64_t, kBuckets> buckets{};
    std::uint64_t count = 0;
    double seconds = 0;
  };
  Sum sum() const;
  /// In nanoseconds; `q` in 0..1. 0 when nothing was recorded.
  double quantile(double q) const;

 private:
  struct Cell;
  std::array<std::atomic<Cell*>, kCells> cells_;
  Cell& mine();
  std::mutex mutex_;
  std::vector<std::unique_ptr<Cell>> owned_;
};

struct Label {
  std::string_view name, value;
};

/// All metrics of a process. Registering takes a lock and happens while a plan is built; recording never does. The same
/// name and labels give the same cell again, so that a reload goes on counting.
class Registry {
 public:
  Registry();
  ~Registry();
  /// Names in Prometheus form, unit included: `http_server_request_duration_seconds`.
  Counter& counter(std::string_view name, std::string_view help, std::span<const Label> labels = {});
  /// A counter that is told as 0 until it is counted: without a first 0 a rate misses the first thing that happens. It
  /// costs its text, not a counter's cells, so that there may be one for whatever could happen.
  void expect(std::string_view name, std::string_view help, std::span<const Label> labels);
  Gauge& gauge(std::string_view name, std::string_view help, std::span<const Label> labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, std::span<const Label> labels = {});
  /// The Prometheus text format, version 0.0.4.
  std::string expose() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// `plimsoll_problems_total{problem="<code>"}`: answers that told this problem, and attempts of jobs that ended in it.
/// Takes the registry's lock; refusals are seldom, and whoever counts many keeps the counter.
Counter& problem_counter(Registry& registry, std::string_view code);

}  // namespace plimsoll::telemetry
