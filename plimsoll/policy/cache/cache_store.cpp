#include "plimsoll/policy/cache/cache_store.hpp"

#include "plimsoll/base/hash.hpp"

#include <algorithm>

namespace plimsoll::policy {
namespace {

constexpr std::size_t kOverhead = 256;  ///< of an entry beside what it holds: nodes, index, pointers
constexpr std::size_t kMost = 3;        ///< uses that are counted

std::size_t hash_of(std::string_view key) { return hash64(key); }

}  // namespace

std::size_t CachedAnswer::bytes() const noexcept {
  std::size_t sum = sizeof *this + body.size() * 2;  // its encodings together take about as much again
  for (auto& [name, value] : headers) sum += name.size() + value.size() + 64;
  for (auto& name : vary) sum += name.size() + 32;
  if (of_origin) sum += of_origin->bytes();
  return sum + basis.tables.size() * sizeof(void*);
}

CacheStore::CacheStore(std::size_t bytes, std::size_t shards) : bytes_(bytes), shards_(shards) {}

std::shared_ptr<const CachedAnswer> CacheStore::find(std::string_view key) {
  auto& shard = of(hash_of(key));
  std::lock_guard lock(shard.mutex);
  auto found = shard.index.find(key);
  if (found == shard.index.end()) return nullptr;
  auto& entry = *found->second;
  if (entry.used < kMost) ++entry.used;
  return entry.answer;
}

bool CacheStore::put(std::string_view key, std::shared_ptr<const CachedAnswer> answer) {
  const auto size = answer->bytes() + key.size() + kOverhead;
  if (size > bytes_ / 8) return false;
  const auto hash = hash_of(key);
  {
    auto& shard = of(hash);
    std::lock_guard lock(shard.mutex);
    place(shard, hash, key, std::move(answer), size);
  }
  if (held_.load(std::memory_order_relaxed) > bytes_) evict(shard_of(hash));
  return true;
}

void CacheStore::place(Shard& shard, std::size_t hash, std::string_view key, std::shared_ptr<const CachedAnswer> answer,
                       std::size_t size) {
  if (auto found = shard.index.find(key); found != shard.index.end()) {
    auto& entry = *found->second;
    auto& bytes = entry.main ? shard.main_bytes : shard.small_bytes;
    bytes = bytes - entry.bytes + size;
    held_.fetch_add(size - entry.bytes, std::memory_order_relaxed);  // modulo 2^64, as the sum is
    entry.bytes = size;
    entry.answer = std::move(answer);
  } else {
    const auto ghost = shard.ghost_index.find(hash);
    const bool known = ghost != shard.ghost_index.end();
    if (known) {
      shard.ghosts.erase(ghost->second);
      shard.ghost_index.erase(ghost);
    }
    auto& queue = known ? shard.main : shard.small;
    queue.push_front({.key = std::string(key), .answer = std::move(answer), .bytes = size, .main = known});
    (known ? shard.main_bytes : shard.small_bytes) += size;
    held_.fetch_add(size, std::memory_order_relaxed);
    shard.index.emplace(queue.front().key, queue.begin());
  }
}

void CacheStore::remove(std::string_view key) {
  auto& shard = of(hash_of(key));
  std::lock_guard lock(shard.mutex);
  auto found = shard.index.find(key);
  if (found == shard.index.end()) return;
  const auto at = found->second;
  if (at->main)
    drop(shard, shard.main, shard.main_bytes, at);
  else
    drop(shard, shard.small, shard.small_bytes, at);
}

void CacheStore::drop(Shard& shard, Queue& queue, std::size_t& bytes, Queue::iterator at) {
  bytes -= at->bytes;
  held_.fetch_sub(at->bytes, std::memory_order_relaxed);
  shard.index.erase(std::string_view(at->key));
  queue.erase(at);
}

void CacheStore::remember(Shard& shard, std::size_t hash) {
  if (shard.ghost_index.contains(hash)) return;
  shard.ghosts.push_front(hash);
  shard.ghost_index.emplace(hash, shard.ghosts.begin());
  while (shard.ghosts.size() > std::max<std::size_t>(shard.index.size(), 16)) {
    shard.ghost_index.erase(shard.ghosts.back());
    shard.ghosts.pop_back();
  }
}

void CacheStore::evict(std::size_t first) {
  // The last entry of a shard may be what has just come: it goes only when no shard has another.
  for (const std::size_t spared : {std::size_t{1}, std::size_t{0}})
    for (std::size_t at = first, skipped = 0; skipped < shards_.size(); ++at) {
      if (held_.load(std::memory_order_relaxed) <= bytes_) return;
      auto& shard = shards_[at % shards_.size()];
      std::lock_guard lock(shard.mutex);
      if (shard.index.size() <= spared) {
        ++skipped;
        continue;
      }
      skipped = 0;
      evict_one(shard);
    }
}

void CacheStore::evict_one(Shard& shard) {
  for (bool dropped = false; !dropped;) {
    const auto part = (shard.small_bytes + shard.main_bytes) / 10;
    dropped = !shard.small.empty() && (shard.small_bytes > part || shard.main.empty()) ? evict_small(shard)
                                                                                       : evict_main(shard);
  }
}

bool CacheStore::evict_small(Shard& shard) {
  const auto last = std::prev(shard.small.end());
  if (last->used > 0) {
    last->used = 0;
    last->main = true;
    shard.small_bytes -= last->bytes;
    shard.main_bytes += last->bytes;
    shard.main.splice(shard.main.begin(), shard.small, last);
    return false;
  }
  remember(shard, hash_of(last->key));
  drop(shard, shard.small, shard.small_bytes, last);
  return true;
}

bool CacheStore::evict_main(Shard& shard) {
  const auto last = std::prev(shard.main.end());
  if (last->used > 0) {
    --last->used;
    shard.main.splice(shard.main.begin(), shard.main, last);
    return false;
  }
  drop(shard, shard.main, shard.main_bytes, last);
  return true;
}

std::size_t CacheStore::bytes() const {
  std::size_t sum = 0;
  for (auto& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    sum += shard.small_bytes + shard.main_bytes;
  }
  return sum;
}

std::size_t CacheStore::size() const {
  std::size_t sum = 0;
  for (auto& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    sum += shard.index.size();
  }
  return sum;
}

}  // namespace plimsoll::policy
