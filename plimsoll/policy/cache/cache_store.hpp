#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/database/versions.hpp"
#include "plimsoll/http/message.hpp"
#include "plimsoll/policy/cache/origin_rules.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace plimsoll::policy {

/// When each resource was last changed by an unsafe request, by a hash of its path (RFC 9111, section 4.4). Two that
/// share a slot are invalidated together, which costs a fill and nothing else.
class ResourceVersions {
 public:
  /// All changes so far: what is begun now is of all of them.
  std::uint64_t now() const noexcept { return changes_.load(std::memory_order_acquire); }
  /// The last change of `path`; greater than a `now()` from before it.
  std::uint64_t of(std::string_view path) const noexcept { return slot(path).load(std::memory_order_acquire); }
  void changed(std::string_view path) noexcept {
    auto& last = slot(path);
    const auto change = changes_.fetch_add(1, std::memory_order_acq_rel) + 1;
    auto known = last.load(std::memory_order_acquire);
    while (known < change && !last.compare_exchange_weak(known, change, std::memory_order_acq_rel)) {}
  }

 private:
  static std::size_t index(std::string_view path) noexcept { return hash64(path) % 4096; }
  std::atomic<std::uint64_t>& slot(std::string_view path) noexcept { return slots_[index(path)]; }
  const std::atomic<std::uint64_t>& slot(std::string_view path) const noexcept { return slots_[index(path)]; }
  std::array<std::atomic<std::uint64_t>, 4096> slots_{};
  std::atomic<std::uint64_t> changes_{0};
};

/// What the world was like when an answer was begun to be made, and what it was made of.
struct Basis {
  std::uint64_t tables_at = 0;  ///< TableVersions::now
  std::vector<const database::TableVersions::Table*> tables{};
  std::uint64_t resource_at = 0;  ///< ResourceVersions::of the path
  std::uint64_t position = 0;     ///< database::Position: all before it is shown

  bool tables_written() const noexcept {
    for (auto* table : tables)
      if (table->written_since(tables_at)) return true;
    return false;
  }
};

/// An answer as it is kept, or a word about answers to requests of that key. Constant but for the encodings of its
/// body, which are added as they are asked for.
struct CachedAnswer final : Encodings {
  enum class Kind : std::uint8_t {
    answer,
    varies,  ///< the answers differ by the request headers of `vary`
    pass,    ///< not to be kept, nor waited for: each asks for itself
    origin,  ///< a response that an origin's own headers speak for
  } kind = Kind::answer;
  std::uint16_t status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::vector<std::string> vary;
  Basis basis;
  std::shared_ptr<const origin::Stored> of_origin{};          ///< of `Kind::origin`
  Nanoseconds made = 0;                                       ///< steady
  Nanoseconds fresh = 0, while_revalidate = 0, if_error = 0;  ///< steady: until when it may be used for what

  std::size_t bytes() const noexcept;
};

/// Answers by key, bounded by bytes. S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP
/// 2023): what is new waits in a small queue and comes to the main one only when it is asked for again, so that a scan
/// of things asked for once passes through without driving out what is used. A hit moves nothing, it adds one to a
/// count.
class CacheStore {
 public:
  explicit CacheStore(std::size_t bytes, std::size_t shards = 16);

  std::shared_ptr<const CachedAnswer> find(std::string_view key);
  /// Replaces what is there, and drives out what there is no room for. What is larger than an eighth of the store is
  /// not kept: false.
  bool put(std::string_view key, std::shared_ptr<const CachedAnswer> answer);
  void remove(std::string_view key);
  /// Bytes of a body that fits, with a usual head: it is counted twice, since its encodings together take about as
  /// much.
  std::size_t largest_body() const { return bytes_ / 8 / 2 - std::min<std::size_t>(bytes_ / 32, 16 << 10); }
  std::size_t bytes() const;
  std::size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const CachedAnswer> answer;
    std::size_t bytes = 0;
    std::uint8_t used = 0;  ///< 0 to 3
    bool main = false;
  };
  using Queue = std::list<Entry>;
  struct alignas(64) Shard {
    mutable std::mutex mutex;
    Queue small, main;  ///< newest first
    std::size_t small_bytes = 0, main_bytes = 0;
    std::unordered_map<std::string_view, Queue::iterator, Hash64> index;  // callers choose what is in a key
    std::list<std::size_t> ghosts;  ///< hashes of what was driven out of `small`, newest first
    std::unordered_map<std::size_t, std::list<std::size_t>::iterator> ghost_index;
  };
  std::size_t shard_of(std::size_t hash) const { return hash % shards_.size(); }
  Shard& of(std::size_t hash) { return shards_[shard_of(hash)]; }
  void place(Shard&, std::size_t hash, std::string_view key, std::shared_ptr<const CachedAnswer> answer,
             std::size_t size);
  /// Of all shards in turn, from this one on, until all is within the bytes: an entry may be larger than a shard's
  /// part.
  void evict(std::size_t first);
  void evict_one(Shard&);
  /// True: it is dropped. False: it has been used, and has another turn.
  bool evict_small(Shard&);
  bool evict_main(Shard&);
  void drop(Shard&, Queue&, std::size_t& bytes, Queue::iterator);
  static void remember(Shard&, std::size_t hash);

  const std::size_t bytes_;
  std::atomic<std::size_t> held_{0};  ///< bytes of all shards
  std::vector<Shard> shards_;
};

}  // namespace plimsoll::policy
