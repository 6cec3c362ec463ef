#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/function_ref.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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

/// Durations in buckets a sixteenth of an octave wide, so that a quantile of this process is within 5 %, and in the
/// buckets that are exposed. Those have the same bounds in every series of every instance: only then may `sum by (le)`
/// add them up.
class Histogram {
 public:
  static constexpr std::size_t kBuckets = 33 * 16;  ///< 16 an octave, from 1 µs to over an hour
  /// Upper bounds of the exposed buckets, inclusive, as written in `le`: what OpenTelemetry recommends for
  /// `http.server.request.duration` and four below, for what a process answers by itself.
  static constexpr std::array<std::string_view, 18> kBounds = {"0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01",
                                                               "0.025",   "0.05",   "0.075", "0.1",    "0.25",  "0.5",
                                                               "0.75",    "1",      "2.5",   "5",      "7.5",   "10"};
  Histogram();
  ~Histogram();
  void record(Nanoseconds span) noexcept;
  struct Sum {
    std::array<std::uint64_t, kBuckets> buckets{};
    std::array<std::uint64_t, kBounds.size() + 1> exposed{};  ///< not cumulative; the last one is above all bounds
    std::uint64_t count = 0;
    double seconds = 0;
  };
  Sum sum() const;
  /// In nanoseconds; `q` in 0..1. 0 when nothing was recorded.
  double quantile(double q) const;

 private:
  struct Cell;
  std::array<std::atomic<Cell*>, kCells> cells_;
  /// Of this thread; null where there is no memory for it, and what would be recorded is left out.
  Cell* mine() noexcept;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Cell>> owned_;
};

struct Label {
  std::string_view name, value;
};
/// Without the last label where its value is empty: a version, which there is only among several.
inline std::span<const Label> without_empty_last(std::span<const Label> all) {
  return all.back().value.empty() ? all.first(all.size() - 1) : all;
}

/// A value that is computed when somebody scrapes. It ends with this object.
class Observation {
 public:
  Observation() = default;
  explicit Observation(std::move_only_function<void()> end) : end_(std::move(end)) {}
  Observation(Observation&& other) noexcept : end_(std::exchange(other.end_, nullptr)) {}
  Observation& operator=(Observation&& other) noexcept {
    std::swap(end_, other.end_);
    return *this;
  }
  ~Observation() {
    if (end_) end_();
  }

 private:
  std::move_only_function<void()> end_;
};

enum class Kind : std::uint8_t { counter, gauge };

/// All metrics of a process. Registering takes a lock and happens while a plan is built; recording never does. The same
/// name and labels give the same cell again, so that a reload goes on counting.
class Registry {
 public:
  struct State;
  Registry();
  ~Registry();
  /// Names in Prometheus form, unit included: `http_server_request_duration_seconds`.
  Counter& counter(std::string_view name, std::string_view help, std::span<const Label> labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, std::span<const Label> labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, std::span<const Label> labels = {});
  /// A value that something else keeps: `read` is called by whoever scrapes, on its thread, and must neither wait nor
  /// use the registry. Until the observation ends, which waits for a scrape under way.
  [[nodiscard]] Observation observe(Kind kind, std::string_view name, std::string_view help,
                                    std::span<const Label> labels, std::move_only_function<double() const> read);
  /// The Prometheus text format, version 0.0.4.
  std::string expose() const;

 private:
  friend class Expectation;
  std::unique_ptr<State> state_;
};

/// Series that are exposed as 0 until they are counted: without a first 0 a rate misses the first thing that happens.
/// They cost neither text nor cells, so that there may be one for whatever could happen: their owner names them
/// whenever somebody scrapes. They end with this object, which the owner declares last.
class Expectation {
 public:
  using Tell = FunctionRef<void(std::span<const Label>)>;
  /// `owner.expected(tell)` calls `tell` with the labels of each, on the thread of whoever scrapes; it must neither
  /// wait nor use the registry, which outlives this object.
  template <class Owner>
  Expectation(Registry& registry, Kind kind, std::string_view name, std::string_view help, const Owner& owner)
      : registry_(*registry.state_),
        owner_(&owner),
        each_([](const void* owner, Tell tell) { static_cast<const Owner*>(owner)->expected(tell); }) {
    begin(kind, name, help);
  }
  ~Expectation();
  Expectation(const Expectation&) = delete;

 private:
  friend struct Registry::State;
  void begin(Kind, std::string_view name, std::string_view help);
  Registry::State& registry_;
  const void* const owner_;
  void (*const each_)(const void* owner, Tell);
  void* family_ = nullptr;
  Expectation *before_ = nullptr, *next_ = nullptr;  ///< others of the family
};

/// `plimsoll_problems_total{problem="<code>"}`: answers that told this problem, and attempts of jobs that ended in it.
/// Takes the registry's lock; refusals are seldom, and whoever counts many keeps the counter.
Counter& problem_counter(Registry& registry, std::string_view code);

}  // namespace plimsoll::telemetry
