#include "plimsoll/telemetry/metrics.hpp"

#include <bit>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

namespace plimsoll::telemetry {
namespace {

constexpr Nanoseconds kFirst = 1024;  // upper bound of the first bucket, about a microsecond
constexpr std::size_t kSub = 16;

/// Octaves above 1,024 ns, each in sixteen equal steps.
std::size_t bucket_of(Nanoseconds span) {
  if (span < kFirst) return 0;
  const auto value = static_cast<std::uint64_t>(span);
  const auto octave = static_cast<std::size_t>(std::bit_width(value)) - 11;  // 0 for 1024..2047
  const auto step = static_cast<std::size_t>((value >> (octave + 6)) & (kSub - 1));
  return std::min(1 + octave * kSub + step, Histogram::kBuckets - 1);
}

/// Exclusive upper bound in nanoseconds.
double upper(std::size_t bucket) {
  if (bucket == 0) return kFirst;
  const auto octave = (bucket - 1) / kSub, step = (bucket - 1) % kSub;
  return std::ldexp(static_cast<double>(kSub + step + 1), static_cast<int>(octave) + 6);
}

/// kBounds in nanoseconds.
constexpr auto kLimits = [] {
  std::array<Nanoseconds, Histogram::kBounds.size()> limits{};
  for (std::size_t i = 0; i < limits.size(); ++i) {
    Nanoseconds value = 0;
    int decimals = -1;
    for (const char c : Histogram::kBounds[i]) {
      if (c == '.') {
        decimals = 0;
        continue;
      }
      value = value * 10 + (c - '0');
      if (decimals >= 0) ++decimals;
    }
    for (int digit = std::max(decimals, 0); digit < 9; ++digit) value *= 10;
    limits[i] = value;
  }
  return limits;
}();

/// The first exposed bucket that may hold a duration of each fine bucket. No fine bucket holds two bounds, so it is
/// this one or the next.
const auto kFirstExposed = [] {
  std::array<std::uint8_t, Histogram::kBuckets> first{};
  for (std::size_t i = 0; i < first.size(); ++i) {
    const double low = i == 0 ? 0 : upper(i - 1);
    while (first[i] < kLimits.size() && static_cast<double>(kLimits[first[i]]) < low) ++first[i];
  }
  return first;
}();

std::size_t exposed_of(Nanoseconds span, std::size_t bucket) {
  const std::size_t first = kFirstExposed[bucket];
  return first + (first < kLimits.size() && span > kLimits[first]);
}

void append(std::string& out, double value) {
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void append_escaped(std::string& out, std::string_view text) {
  for (char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
}

std::string label_text(std::span<const Label> labels) {
  std::string out;
  for (const auto& label : labels) {
    if (!out.empty()) out += ',';
    out += label.name;
    out += "=\"";
    append_escaped(out, label.value);
    out += '"';
  }
  return out;
}

std::string_view type_of(Kind kind) { return kind == Kind::counter ? "counter" : "gauge"; }

}  // namespace

std::size_t cell_of_this_thread() {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed) % kCells;
  return mine;
}

std::uint64_t Counter::value() const noexcept {
  std::uint64_t sum = 0;
  for (const auto& cell : cells_) sum += cell.value.load(std::memory_order_relaxed);
  return sum;
}

std::int64_t Gauge::value() const noexcept {
  std::int64_t sum = 0;
  for (const auto& cell : cells_) sum += cell.value.load(std::memory_order_relaxed);
  return sum;
}

struct Histogram::Cell {
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets{};
  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> exposed{};
  std::atomic<std::uint64_t> nanoseconds{0};
};

Histogram::Histogram() {
  for (auto& cell : cells_) cell.store(nullptr, std::memory_order_relaxed);
}
Histogram::~Histogram() = default;

Histogram::Cell* Histogram::mine() noexcept {
  auto& slot = cells_[cell_of_this_thread()];
  if (auto* cell = slot.load(std::memory_order_acquire)) [[likely]]
    return cell;
  std::lock_guard lock(mutex_);
  if (auto* cell = slot.load(std::memory_order_acquire)) return cell;
  try {
    auto* cell = owned_.emplace_back(std::make_unique<Cell>()).get();
    slot.store(cell, std::memory_order_release);
    return cell;
  } catch (const std::bad_alloc&) { return nullptr; }
}

void Histogram::record(Nanoseconds span) noexcept {
  auto* cell = mine();
  if (!cell) return;
  const auto bucket = bucket_of(span);
  cell->buckets[bucket].fetch_add(1, std::memory_order_relaxed);
  cell->exposed[exposed_of(span, bucket)].fetch_add(1, std::memory_order_relaxed);
  cell->nanoseconds.fetch_add(static_cast<std::uint64_t>(std::max<Nanoseconds>(span, 0)), std::memory_order_relaxed);
}

Histogram::Sum Histogram::sum() const {
  Sum sum;
  for (const auto& slot : cells_)
    if (const auto* cell = slot.load(std::memory_order_acquire)) {
      for (std::size_t i = 0; i < kBuckets; ++i) sum.buckets[i] += cell->buckets[i].load(std::memory_order_relaxed);
      for (std::size_t i = 0; i < sum.exposed.size(); ++i) {
        const auto n = cell->exposed[i].load(std::memory_order_relaxed);
        sum.exposed[i] += n;
        sum.count += n;
      }
      sum.seconds += static_cast<double>(cell->nanoseconds.load(std::memory_order_relaxed)) / 1e9;
    }
  return sum;
}

double Histogram::quantile(double q) const {
  const auto all = sum();
  if (all.count == 0) return 0;
  double before = 0, in_buckets = 0;
  for (const auto n : all.buckets) in_buckets += static_cast<double>(n);
  const double rank = q * in_buckets;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const auto here = static_cast<double>(all.buckets[i]);
    if (here > 0 && before + here >= rank) {
      const double low = i == 0 ? 0 : upper(i - 1);
      return low + (upper(i) - low) * (rank - before) / here;
    }
    before += here;
  }
  return upper(kBuckets - 1);
}

struct Registry::State {
  struct Series {
    std::unique_ptr<Counter> counter;
    std::unique_ptr<Gauge> gauge;
    std::unique_ptr<Histogram> histogram;
    std::map<std::uint64_t, std::move_only_function<double() const>> readers;  ///< the latest counts
  };
  struct Family {
    std::string name, help, type;
    std::map<std::string, Series> series;  // by label text
    Expectation* expectations = nullptr;

    /// Label texts of the series that are expected and not there, in their order.
    std::set<std::string> expected() const {
      std::set<std::string> texts;
      for (const auto* one = expectations; one; one = one->next_)
        one->each_(one->owner_, [&](std::span<const Label> labels) {
          if (auto text = label_text(labels); !series.contains(text)) texts.insert(std::move(text));
        });
      return texts;
    }
  };
  mutable std::mutex mutex;
  std::map<std::string, Family, std::less<>> families;

  std::uint64_t observations = 0;

  void end_observation(const std::string& name, const std::string& labels, std::uint64_t number) {
    std::lock_guard lock(mutex);
    const auto family = families.find(name);
    if (family == families.end()) return;
    const auto one = family->second.series.find(labels);
    if (one == family->second.series.end()) return;
    one->second.readers.erase(number);
    if (one->second.readers.empty()) family->second.series.erase(one);
    erase_if_empty(family->second);
  }

  void erase_if_empty(const Family& family) {
    if (family.series.empty() && !family.expectations) families.erase(families.find(family.name));
  }

  Family& family(std::string_view name, std::string_view help, std::string_view type) {
    auto& family = families[std::string(name)];
    if (family.type.empty()) family.name = name, family.help = help, family.type = type;
    return family;
  }

  Series& find(std::string_view name, std::string_view help, std::string_view type, std::span<const Label> labels) {
    auto& series = family(name, help, type).series;
    auto text = label_text(labels);
    if (const auto known = series.find(text); known != series.end()) return known->second;
    text.shrink_to_fit();  // there are several for each operation
    return series[std::move(text)];
  }
};

Registry::Registry() : state_(std::make_unique<State>()) {}
Registry::~Registry() = default;

Counter& Registry::counter(std::string_view name, std::string_view help, std::span<const Label> labels) {
  std::lock_guard lock(state_->mutex);
  auto& series = state_->find(name, help, "counter", labels);
  if (!series.counter) series.counter = std::make_unique<Counter>();
  return *series.counter;
}

void Expectation::begin(Kind kind, std::string_view name, std::string_view help) {
  std::lock_guard lock(registry_.mutex);
  auto& family = registry_.family(name, help, type_of(kind));
  family_ = &family;
  next_ = std::exchange(family.expectations, this);
  if (next_) next_->before_ = this;
}

Expectation::~Expectation() {
  std::lock_guard lock(registry_.mutex);
  auto& family = *static_cast<Registry::State::Family*>(family_);
  (before_ ? before_->next_ : family.expectations) = next_;
  if (next_) next_->before_ = before_;
  registry_.erase_if_empty(family);
}

Counter& problem_counter(Registry& registry, std::string_view code) {
  const Label labels[] = {{"problem", code}};
  return registry.counter("plimsoll_problems_total", "Answers and ends of jobs that told a problem, by its code.",
                          labels);
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, std::span<const Label> labels) {
  std::lock_guard lock(state_->mutex);
  auto& series = state_->find(name, help, "gauge", labels);
  if (!series.gauge) series.gauge = std::make_unique<Gauge>();
  return *series.gauge;
}

Observation Registry::observe(Kind kind, std::string_view name, std::string_view help, std::span<const Label> labels,
                              std::move_only_function<double() const> read) {
  std::lock_guard lock(state_->mutex);
  const auto number = ++state_->observations;
  state_->find(name, help, type_of(kind), labels).readers.emplace(number, std::move(read));
  return Observation{[state = state_.get(), name = std::string(name), text = label_text(labels), number] {
    state->end_observation(name, text, number);
  }};
}

Histogram& Registry::histogram(std::string_view name, std::string_view help, std::span<const Label> labels) {
  std::lock_guard lock(state_->mutex);
  auto& series = state_->find(name, help, "histogram", labels);
  if (!series.histogram) series.histogram = std::make_unique<Histogram>();
  return *series.histogram;
}

namespace {

void expose_histogram(std::string& out, const std::string& name, const std::string& labels, const Histogram::Sum& sum) {
  const auto line = [&](std::string_view le, std::uint64_t count) {
    out += name + "_bucket{" + labels + (labels.empty() ? "" : ",") + "le=\"";
    out += le;
    out += "\"} " + std::to_string(count) + '\n';
  };
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < Histogram::kBounds.size(); ++i) line(Histogram::kBounds[i], cumulative += sum.exposed[i]);
  line("+Inf", sum.count);
  const auto braces = labels.empty() ? std::string{} : '{' + labels + '}';
  out += name + "_sum" + braces + ' ';
  append(out, sum.seconds);
  out += '\n' + name + "_count" + braces + ' ' + std::to_string(sum.count) + '\n';
}

}  // namespace

std::string Registry::expose() const {
  std::lock_guard lock(state_->mutex);
  std::string out;
  for (const auto& [name, family] : state_->families) {
    out += "# HELP " + name + ' ' + family.help + "\n# TYPE " + name + ' ' + family.type + '\n';
    const auto begin_line = [&](const std::string& labels) {
      out += name;
      if (!labels.empty()) out += '{' + labels + '}';
      out += ' ';
    };
    const auto expected = family.expected();
    auto next = expected.begin();
    const auto put_expected_before = [&](const std::string* labels) {
      for (; next != expected.end() && (!labels || *next < *labels); ++next) {
        begin_line(*next);
        out += "0\n";
      }
    };
    for (const auto& [labels, series] : family.series) {
      put_expected_before(&labels);
      if (series.histogram) {
        expose_histogram(out, name, labels, series.histogram->sum());
        continue;
      }
      begin_line(labels);
      if (!series.readers.empty())
        append(out, series.readers.rbegin()->second());
      else if (series.gauge)
        out += std::to_string(series.gauge->value());
      else
        out += std::to_string(series.counter ? series.counter->value() : 0);
      out += '\n';
    }
    put_expected_before(nullptr);
  }
  return out;
}

}  // namespace plimsoll::telemetry
