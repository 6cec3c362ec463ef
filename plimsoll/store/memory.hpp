#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/store/store.hpp"

#include <atomic>
#include <memory>

namespace plimsoll::telemetry {
class Registry;
}

namespace plimsoll::store {

struct MemoryOptions {
  config::Size bytes = config::mebibytes(64);  ///< of all keys and values with their bookkeeping
  std::size_t shards = 16;                     ///< each behind its own lock
};

/// The store of a single process. Sharded by key; a lock is held for one look-up and never across a wait.
///
/// Bounded by bytes: what has expired goes first, then what would expire soonest. A value that alone exceeds a shard's
/// part of the bytes is refused with `store-unavailable`.
class Memory final : public Store {
 public:
  explicit Memory(MemoryOptions options = {}, const Clock& clock = system_clock());
  ~Memory() override;

  Task<Result<std::optional<std::string>>> get(Loop&, std::string_view key) override;
  Task<Result<>> put(Loop&, std::string_view key, std::string_view value, Nanoseconds expiry) override;
  Task<Result<bool>> put_if_absent(Loop&, std::string_view key, std::string_view value, Nanoseconds expiry) override;
  Task<Result<std::int64_t>> add(Loop&, std::string_view key, std::int64_t delta, Nanoseconds expiry) override;
  Task<Result<bool>> compare_and_set(Loop&, std::string_view key, std::optional<std::string_view> expected,
                                     std::string_view value, Nanoseconds expiry) override;
  Task<Result<>> remove(Loop&, std::string_view key) override;

  std::size_t size() const;   ///< keys held, expired ones that nobody has met yet included
  std::size_t bytes() const;  ///< accounted for
  std::uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }  ///< before their time

 private:
  class Shard;
  Shard& shard(std::string_view key) const;
  const Clock& clock_;
  std::size_t count_;
  std::unique_ptr<Shard[]> shards_;
  std::atomic<std::uint64_t> evicted_{0};
};

}  // namespace plimsoll::store
