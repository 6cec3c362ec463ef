#pragma once

#include "plimsoll/base/clock.hpp"
#include "plimsoll/base/hash.hpp"
#include "plimsoll/database/versions.hpp"
#include "plimsoll/http/message.hpp"
#include "plimsoll/http/origin_rules.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll {

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
  /// The same for each spelling of a path.
  static std::size_t index(std::string_view path) noexcept;
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
    varies,  ///< the answers differ by the request headers of `vary`, or by all (`by_all_fields`)
    pass,    ///< not to be kept, nor waited for: each asks for itself
    origin,  ///< a response that an origin's own headers speak for
  } kind = Kind::answer;
  std::uint16_t status = 200;
  std::vector<std::pair<std::string_view, std::string_view>> headers;  ///< of `texts`
  std::string texts;
  std::string body;
  std::vector<std::string> vary;
  bool by_all_fields = false;  ///< of `Kind::varies`: they are of one user each
  Basis basis;
  std::shared_ptr<const http::origin::Stored> of_origin{};    ///< of `Kind::origin`
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
  /// `entries`: the most that are kept, however small they are.
  explicit CacheStore(std::size_t bytes, std::size_t shards = 16, std::size_t entries = SIZE_MAX);

  std::shared_ptr<const CachedAnswer> find(std::string_view key);
  /// Replaces what is there, and drives out what there is no room for. What is larger than an eighth of the store is
  /// not kept: false.
  bool put(std::string_view key, std::shared_ptr<const CachedAnswer> answer);
  void remove(std::string_view key);
  /// Bytes of a body that fits, with a usual head: it is counted twice, since its encodings together take about as
  /// much.
  std::size_t largest_body() const { return bytes_ / 8 / 2 - std::min<std::size_t>(bytes_ / 32, 16 << 10); }
  std::size_t bytes() const;
  std::size_t size() const { return count_.load(std::memory_order_relaxed); }

 private:
  /// One allocation: the key's text stands behind it.
  struct Entry {
    Entry *newer = nullptr, *older = nullptr;  ///< in its queue
    std::shared_ptr<const CachedAnswer> answer;
    std::size_t hash = 0, bytes = 0;
    std::uint32_t key_size = 0;
    std::uint8_t used = 0;  ///< 0 to 3
    bool main = false;

    std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size}; }
    static Entry* make(std::string_view key, std::size_t hash);
    static void end(Entry* entry) noexcept;
  };
  struct Queue {
    Entry *newest = nullptr, *oldest = nullptr;
    std::size_t bytes = 0;
    void push(Entry& entry) noexcept;
    void take(Entry& entry) noexcept;
  };
  /// Of `slots`, a power of two. Shards are chosen by the lowest bits.
  static std::size_t slot_of(std::size_t hash, std::size_t slots) noexcept { return (hash >> 16) & (slots - 1); }
  /// Entries by their hash: open addressing with linear probing, at most half full. Callers choose what is in a key,
  /// and do not know the seed of its hash.
  class Index {
   public:
    /// Where it is, or where it would be put.
    Entry*& at(std::string_view key, std::size_t hash) noexcept;
    /// There is room for one more; throws without memory, and nothing has changed then.
    void reserve_one();
    void added() noexcept { ++size_; }
    void remove(Entry& entry) noexcept;
    std::size_t size() const noexcept { return size_; }
    std::size_t slots() const noexcept { return slots_.size(); }

   private:
    std::size_t next(std::size_t slot) const noexcept { return (slot + 1) & (slots_.size() - 1); }
    std::vector<Entry*> slots_ = std::vector<Entry*>(64);  ///< a power of two of them
    std::size_t size_ = 0;
  };
  /// Hashes of what was driven out of `small`: sets of eight, each with the newest first. It remembers about as many as
  /// the index has slots.
  class Ghosts {
   public:
    void remember(std::size_t hash) noexcept;
    /// Whether it was remembered; it no longer is.
    bool forget(std::size_t hash) noexcept;
    void resize(std::size_t hashes);

   private:
    using Set = std::array<std::size_t, 8>;
    Set& of(std::size_t hash) noexcept { return sets_[slot_of(hash, sets_.size())]; }
    std::vector<Set> sets_ = std::vector<Set>(8);  ///< a power of two of them
  };
  struct alignas(64) Shard {
    Shard() = default;
    ~Shard();
    mutable std::mutex mutex;
    Queue small, main;
    Index index;
    Ghosts ghosts;
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
  void drop(Shard&, Entry&) noexcept;

  bool is_full() const noexcept {
    return held_.load(std::memory_order_relaxed) > bytes_ || count_.load(std::memory_order_relaxed) > entries_;
  }

  const std::size_t bytes_, entries_;
  std::atomic<std::size_t> held_{0};   ///< bytes of all shards
  std::atomic<std::size_t> count_{0};  ///< entries of all shards
  std::vector<Shard> shards_;
};

}  // namespace plimsoll
