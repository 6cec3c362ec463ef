#include "plimsoll/exchange/cache/cache_store.hpp"

#include "plimsoll/base/hash.hpp"
#include "plimsoll/base/percent.hpp"

#include <algorithm>
#include <new>
#include <ranges>
#include <tuple>

namespace plimsoll {
namespace {

constexpr std::size_t kOverhead = 256;  ///< of an entry beside what it holds: index, ghosts, pointers
constexpr std::size_t kMost = 3;        ///< uses that are counted

std::size_t hash_of(std::string_view key) { return hash64(key); }

}  // namespace

std::size_t ResourceVersions::index(std::string_view path) noexcept {
  constexpr std::size_t kSlots = 4096;
  if (!path.contains('%')) return hash64(path) % kSlots;
  try {  // what is not decoded completely is told apart less, not more
    std::string decoded;
    (void)append_decoded(decoded, path);
    return hash64(decoded) % kSlots;
  } catch (...) { return 0; }
}

std::size_t CachedAnswer::bytes() const noexcept {
  std::size_t sum = sizeof *this + body.size() * 2;  // its encodings together take about as much again
  sum += texts.size() + headers.size() * sizeof(headers[0]);
  for (auto& name : vary) sum += name.size() + 32;
  if (of_origin) sum += of_origin->bytes();
  return sum + basis.tables.size() * sizeof(void*);
}

CacheStore::Entry* CacheStore::Entry::make(std::string_view key, std::size_t hash) {
  auto* made = ::new (::operator new(sizeof(Entry) + key.size())) Entry;
  made->hash = hash;
  made->key_size = static_cast<std::uint32_t>(key.size());
  key.copy(reinterpret_cast<char*>(made + 1), key.size());
  return made;
}

void CacheStore::Entry::end(Entry* entry) noexcept {
  entry->~Entry();
  ::operator delete(entry);
}

void CacheStore::Queue::push(Entry& entry) noexcept {
  entry.newer = nullptr;
  entry.older = std::exchange(newest, &entry);
  (entry.older ? entry.older->newer : oldest) = &entry;
  bytes += entry.bytes;
}

void CacheStore::Queue::take(Entry& entry) noexcept {
  (entry.newer ? entry.newer->older : newest) = entry.older;
  (entry.older ? entry.older->newer : oldest) = entry.newer;
  bytes -= entry.bytes;
}

CacheStore::Entry*& CacheStore::Index::at(std::string_view key, std::size_t hash) noexcept {
  auto slot = slot_of(hash, slots_.size());
  while (slots_[slot] && (slots_[slot]->hash != hash || slots_[slot]->key() != key)) slot = next(slot);
  return slots_[slot];
}

void CacheStore::Index::reserve_one() {
  if (2 * (size_ + 1) <= slots_.size()) return;
  std::vector<Entry*> wider(slots_.size() * 2);
  for (auto* entry : std::exchange(slots_, std::move(wider)))
    if (entry) at(entry->key(), entry->hash) = entry;
}

/// Those behind it that it stood in the way of move up, so that no look-up meets a gap.
void CacheStore::Index::remove(Entry& entry) noexcept {
  const auto mask = slots_.size() - 1;
  auto gap = slot_of(entry.hash, slots_.size());
  while (slots_[gap] != &entry) gap = next(gap);
  for (auto slot = next(gap); slots_[slot]; slot = next(slot)) {
    const auto home = slot_of(slots_[slot]->hash, slots_.size());
    if (((slot - home) & mask) < ((slot - gap) & mask)) continue;  // its place is behind the gap
    slots_[gap] = slots_[slot];
    gap = slot;
  }
  slots_[gap] = nullptr;
  --size_;
}

void CacheStore::Ghosts::remember(std::size_t hash) noexcept {
  auto& set = of(hash);
  if (std::ranges::find(set, hash) != set.end()) return;
  std::ranges::copy_backward(set.begin(), set.end() - 1, set.end());
  set.front() = hash;
}

bool CacheStore::Ghosts::forget(std::size_t hash) noexcept {
  auto& set = of(hash);
  const auto found = std::ranges::find(set, hash);
  if (found == set.end()) return false;
  *std::ranges::copy(found + 1, set.end(), found).out = 0;
  return true;
}

void CacheStore::Ghosts::resize(std::size_t hashes) {
  const auto sets = hashes / std::tuple_size_v<Set>;
  if (sets <= sets_.size()) return;
  for (auto& set : std::exchange(sets_, std::vector<Set>(sets)))
    for (auto hash : set | std::views::reverse)  // the newest last
      if (hash) remember(hash);
}

CacheStore::Shard::~Shard() {
  for (auto* queue : {&small, &main})
    for (auto* entry = queue->newest; entry;) Entry::end(std::exchange(entry, entry->older));
}

CacheStore::CacheStore(std::size_t bytes, std::size_t shards, std::size_t entries)
    : bytes_(bytes), entries_(entries), shards_(shards) {}

std::shared_ptr<const CachedAnswer> CacheStore::find(std::string_view key) {
  const auto hash = hash_of(key);
  auto& shard = of(hash);
  std::lock_guard lock(shard.mutex);
  auto* entry = shard.index.at(key, hash);
  if (!entry) return nullptr;
  if (entry->used < kMost) ++entry->used;
  return entry->answer;
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
  if (is_full()) evict(shard_of(hash));
  return true;
}

void CacheStore::place(Shard& shard, std::size_t hash, std::string_view key, std::shared_ptr<const CachedAnswer> answer,
                       std::size_t size) {
  if (auto* entry = shard.index.at(key, hash)) {
    (entry->main ? shard.main : shard.small).bytes += size - entry->bytes;  // modulo 2^64, as the sums are
    held_.fetch_add(size - entry->bytes, std::memory_order_relaxed);
    entry->bytes = size;
    entry->answer.swap(answer);
    return;
  }
  shard.index.reserve_one();
  shard.ghosts.resize(shard.index.slots());
  auto* entry = Entry::make(key, hash);
  entry->answer = std::move(answer);
  entry->bytes = size;
  entry->main = shard.ghosts.forget(hash);
  (entry->main ? shard.main : shard.small).push(*entry);
  held_.fetch_add(size, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  shard.index.at(key, hash) = entry;
  shard.index.added();
}

void CacheStore::remove(std::string_view key) {
  const auto hash = hash_of(key);
  auto& shard = of(hash);
  std::lock_guard lock(shard.mutex);
  if (auto* entry = shard.index.at(key, hash)) drop(shard, *entry);
}

void CacheStore::drop(Shard& shard, Entry& entry) noexcept {
  (entry.main ? shard.main : shard.small).take(entry);
  held_.fetch_sub(entry.bytes, std::memory_order_relaxed);
  count_.fetch_sub(1, std::memory_order_relaxed);
  shard.index.remove(entry);
  Entry::end(&entry);
}

void CacheStore::evict(std::size_t first) {
  // The last entry of a shard may be what has just come: it goes only when no shard has another.
  for (const std::size_t spared : {std::size_t{1}, std::size_t{0}})
    for (std::size_t at = first, skipped = 0; skipped < shards_.size(); ++at) {
      if (!is_full()) return;
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
    const auto part = (shard.small.bytes + shard.main.bytes) / 10;
    // The only one in the small queue may be what has just come, and be larger than its part: it stays until another
    // comes.
    const bool several = shard.small.oldest != shard.small.newest;
    dropped = (several && shard.small.bytes > part) || !shard.main.oldest ? evict_small(shard) : evict_main(shard);
  }
}

bool CacheStore::evict_small(Shard& shard) {
  auto& last = *shard.small.oldest;
  if (last.used > 0) {
    last.used = 0;
    last.main = true;
    shard.small.take(last);
    shard.main.push(last);
    return false;
  }
  shard.ghosts.remember(last.hash);
  drop(shard, last);
  return true;
}

bool CacheStore::evict_main(Shard& shard) {
  auto& last = *shard.main.oldest;
  if (last.used > 0) {
    --last.used;
    shard.main.take(last);
    shard.main.push(last);
    return false;
  }
  drop(shard, last);
  return true;
}

std::size_t CacheStore::bytes() const {
  std::size_t sum = 0;
  for (auto& shard : shards_) {
    std::lock_guard lock(shard.mutex);
    sum += shard.small.bytes + shard.main.bytes;
  }
  return sum;
}

}  // namespace plimsoll
