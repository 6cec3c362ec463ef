#pragma once

#include "plimsoll/policy/rate_limit/gcra.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace plimsoll::policy {

/// The state of all rate limits of a process: key → Gcra, without a lock, in memory that never grows.
///
/// Buckets of four pairs (key, theoretical arrival time), one cache line each, changed by compare-and-swap of 16 bytes.
/// A key is a 64-bit seeded hash (base/hash.hpp) that also chooses its bucket. A pair whose time has passed is a full
/// bucket, the same as none: its place is free. When all four of a line are still in debt, the one that is nearest to
/// full makes room; when the newcomer would be nearer, it is let pass and not noted. So a flood of strangers evicts
/// idle ones and other strangers, never those that are limited, and an eviction only ever errs by granting.
///
/// Memory is reserved at once and taken from the machine as it is touched.
class LimitTable {
 public:
  static constexpr std::size_t kBytes = std::size_t{48} << 20;  ///< 3,145,728 keys in debt at the same time

  explicit LimitTable(std::size_t bytes = kBytes);
  ~LimitTable();
  LimitTable(const LimitTable&) = delete;

  /// Decides and takes, atomically.
  RateDecision take(std::uint64_t key, const Rate& rate, Nanoseconds now, std::int64_t cost = 1) noexcept;
  /// What `take` would answer now, and takes nothing.
  RateDecision peek(std::uint64_t key, const Rate& rate, Nanoseconds now, std::int64_t cost = 1) const noexcept;
  /// Returns units that `take` has granted.
  void give_back(std::uint64_t key, const Rate& rate, std::int64_t cost) noexcept;

  std::size_t bytes() const { return lines_ * sizeof(Line); }

 private:
  struct alignas(16) Pair {
    std::uint64_t key;
    Nanoseconds full_at;
  };
  struct alignas(64) Line {
    Pair pairs[4];
  };
  static Pair load(const Pair&) noexcept;
  static bool swap(Pair& place, Pair& expected, Pair desired) noexcept;
  Line& line(std::uint64_t key) const noexcept;
  Pair* find(Line&, std::uint64_t key, Pair& seen) const noexcept;
  bool insert(Line&, Pair made, Nanoseconds now) noexcept;

  std::size_t lines_;
  Line* memory_;
};

}  // namespace plimsoll::policy
