#pragma once

#include "plimsoll/database/database.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <unordered_map>

namespace plimsoll::database {

/// Moves a position on, never back.
inline void raise(std::atomic<Position>& position, Position to) noexcept {
  auto known = position.load(std::memory_order_relaxed);
  while (known < to && !position.compare_exchange_weak(known, to, std::memory_order_acq_rel)) {}
}

/// How far each caller has written (Position), so that its next read is answered by who has replayed that. Safe from
/// any thread. Callers that are told apart by nothing share an entry, which costs a wait and nothing else.
///
/// Bounded: where a shard is full its callers are forgotten, and from then on every read must show what the last of
/// them has written.
class WrittenPositions {
 public:
  explicit WrittenPositions(std::size_t most = 65'536) : most_(std::max<std::size_t>(1, most / kShards)) {}

  /// `caller` 0: the server itself.
  void wrote(std::uint64_t caller, Position at) noexcept {
    raise(newest_, at);
    if (caller == 0) return;
    auto& shard = of_caller(caller);
    const std::lock_guard lock(shard.mutex);
    try {
      if (shard.positions.size() >= most_ && !shard.positions.contains(caller)) {
        for (const auto& [key, position] : shard.positions) raise(floor_, position);
        shard.positions.clear();
      }
      auto& known = shard.positions[caller];
      known = std::max(known, at);
    } catch (const std::bad_alloc&) { raise(floor_, at); }
  }
  /// Everybody must show this.
  void raise_floor(Position at) noexcept {
    raise(newest_, at);
    raise(floor_, at);
  }
  /// What a read of this caller must show.
  Position of(std::uint64_t caller) const {
    const auto least = floor_.load(std::memory_order_acquire);
    if (newest_.load(std::memory_order_acquire) <= least || caller == 0) return least;
    auto& shard = of_caller(caller);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.positions.find(caller);
    const auto now = floor_.load(std::memory_order_acquire);  // raised before an entry is forgotten
    return found == shard.positions.end() ? now : std::max(now, found->second);
  }
  /// What everybody has written.
  Position newest() const noexcept { return newest_.load(std::memory_order_acquire); }
  /// Every replica that is used has replayed this: who wrote no further need not be remembered. One that comes back
  /// later has to replay it first.
  void forget(Position replayed) {
    raise(floor_, replayed);
    for (auto& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      std::erase_if(shard.positions, [&](const auto& each) { return each.second <= replayed; });
    }
  }
  std::size_t size() const {
    std::size_t all = 0;
    for (auto& shard : shards_) {
      const std::lock_guard lock(shard.mutex);
      all += shard.positions.size();
    }
    return all;
  }

 private:
  static constexpr std::size_t kShards = 64;
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    std::unordered_map<std::uint64_t, Position> positions;
  };
  Shard& of_caller(std::uint64_t caller) noexcept { return shards_[(caller >> 8) % kShards]; }
  const Shard& of_caller(std::uint64_t caller) const noexcept { return shards_[(caller >> 8) % kShards]; }

  const std::size_t most_;  ///< callers of a shard
  std::array<Shard, kShards> shards_;
  std::atomic<Position> newest_{0}, floor_{0};
};

}  // namespace plimsoll::database
