#pragma once

#include "plimsoll/base/clock.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace plimsoll::client {

/// A target that may be chosen.
struct Choice {
  std::uint32_t target = 0;
  std::int64_t running = 0;  ///< calls under way
  double weight = 1;         ///< above 0: its share to those of the others
  double latency = 0;        ///< of its calls lately, in nanoseconds; 0: not known
  std::uint64_t name = 0;    ///< hash of its name: the same in every process and whatever the other targets are
};

/// 64 bits as a number from 0 on and below 1.
constexpr double unit_of(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

/// All 64 bits of both, each depending on all (the finalizer of SplitMix64).
constexpr std::uint64_t mixed_bits(std::uint64_t a, std::uint64_t b) {
  auto x = a ^ (b + 0x9E37'79B9'7F4A'7C15 + (a << 6) + (a >> 2));
  x = (x ^ (x >> 30)) * 0xBF58'476D'1CE4'E5B9;
  x = (x ^ (x >> 27)) * 0x94D0'49BB'1331'11EB;
  return x ^ (x >> 31);
}

constexpr bool are_equal(std::span<const Choice> choices) {
  return std::ranges::all_of(choices, [&](const Choice& each) { return each.weight == choices.front().weight; });
}

/// The index at which `at`, from 0 on and below 1, of the sum of the weights lies; `without` counts for nothing.
constexpr std::size_t index_at(std::span<const Choice> choices, double at, std::size_t without = SIZE_MAX) {
  double sum = 0;
  for (std::size_t i = 0; i < choices.size(); ++i) sum += i == without ? 0 : choices[i].weight;
  at *= sum;
  std::size_t last = 0;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (i == without) continue;
    last = i;
    if ((at -= choices[i].weight) < 0) break;
  }
  return last;
}

/// In turn: `turn` counts the calls. There is at least one choice. With weights the turns are spread evenly by the
/// golden ratio, so that no target gets its share at once.
constexpr std::uint32_t round_robin(std::span<const Choice> choices, std::uint64_t turn) {
  if (are_equal(choices)) return choices[turn % choices.size()].target;
  return choices[index_at(choices, unit_of(turn * 0x9E37'79B9'7F4A'7C15))].target;
}

/// Of two different ones at random, each by its weight, the one with less to do for its weight: fewer calls under way
/// (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"), or, by `latency`, the shorter time until
/// they and one more are done. One whose latency is not known is taken to be as fast as the other. `random`: any 64
/// bits.
constexpr std::uint32_t least(std::span<const Choice> choices, std::uint64_t random, bool latency) {
  const auto count = static_cast<std::uint64_t>(choices.size());
  if (count == 1) return choices[0].target;
  std::uint64_t first = 0, second = 0;
  if (are_equal(choices)) {
    first = (random & 0xFFFF'FFFF) % count;
    second = (first + 1 + (random >> 32) % (count - 1)) % count;
  } else {
    first = index_at(choices, unit_of(random));
    second = index_at(choices, unit_of(mixed_bits(random, count)), first);
  }
  const auto &a = choices[first], &b = choices[second];
  const auto cost = [&](const Choice& each, const Choice& other) {
    if (!latency) return static_cast<double>(each.running) / each.weight;
    const auto span = each.latency > 0 ? each.latency : other.latency > 0 ? other.latency : 1;
    return static_cast<double>(each.running + 1) / each.weight * span;
  };
  return cost(b, a) < cost(a, b) ? b.target : a.target;
}
constexpr std::uint32_t least_request(std::span<const Choice> choices, std::uint64_t random) {
  return least(choices, random, false);
}

/// Rendezvous hashing by weight (Thaler and Ravishankar, "Using name-based mappings to increase hit rates"; weights as
/// in Schindler and Stadermann's logarithmic method): each key has a score with each target, and the highest wins. A
/// target that leaves moves its own keys and no others; one that comes takes its share, evenly from all.
inline std::uint32_t by_hash(std::span<const Choice> choices, std::uint64_t key) {
  std::uint32_t best = choices[0].target;
  double highest = -1;
  for (const auto& each : choices) {
    // From above 0 to below 1, so that the logarithm is below 0.
    const double drawn = (static_cast<double>(mixed_bits(key, each.name) >> 11) + 0.5) * 0x1p-53;
    const double score = each.weight / -std::log(drawn);
    if (score > highest) highest = score, best = each.target;
  }
  return best;
}

/// The share of its weight that a target has so long after it came, or came back: it grows evenly over `span`, from a
/// tenth on.
constexpr double slow_start(Nanoseconds since, Nanoseconds span) {
  if (span <= 0 || since >= span) return 1;
  return std::max(0.1, static_cast<double>(since) / static_cast<double>(span));
}

/// Whether so few targets can be used that all of them are: a few would only be overrun.
constexpr bool is_panic(std::size_t usable, std::size_t all, double threshold) {
  return usable == 0 || static_cast<double>(usable) < threshold * static_cast<double>(all);
}

/// The latency of a target lately: a rise counts at once, a fall with time (Finagle's "peak EWMA") and with each call,
/// so that a moment in which all were slow is soon forgotten of those that have many calls. What nobody has seen for
/// long is forgotten, so that a target that was slow is tried again. Fits an atomic word.
struct PeakLatency {
  float nanoseconds = 0;
  std::uint32_t at_ms = 0;  ///< of the steady clock, as far as it fits

  static constexpr Nanoseconds kMemory = 10 * kSecond;
  static constexpr double kEachCall = 1.0 / 16;  ///< the share of a fall that each call counts at least
  double at(Nanoseconds now) const { return nanoseconds * kept(now); }
  PeakLatency after(Nanoseconds span, Nanoseconds now) const {
    const auto share = std::min(kept(now), 1 - kEachCall), before = nanoseconds * share;
    const auto value = static_cast<double>(span);
    return {.nanoseconds = static_cast<float>(value > before ? value : before + value * (1 - share)),
            .at_ms = static_cast<std::uint32_t>(now / kMillisecond)};
  }

 private:
  /// The share of the peak that is left. Loops read their clocks at different times: `now` may lie before it.
  double kept(Nanoseconds now) const {
    const auto age = static_cast<std::int32_t>(static_cast<std::uint32_t>(now / kMillisecond) - at_ms);
    return std::exp(-static_cast<double>(std::max(age, 0)) * kMillisecond / kMemory);
  }
};

}  // namespace plimsoll::client
