#include "plimsoll/store/memory.hpp"

#include "plimsoll/base/hash.hpp"

#include <bit>
#include <charconv>
#include <mutex>
#include <set>
#include <unordered_map>

namespace plimsoll::store {
namespace {

// What a key costs beside its own bytes: the nodes of the table and of the index by expiry, as malloc rounds them.
constexpr std::size_t kOverhead = 224;

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::unexpected<Error> lives_for_ever() { return fail(kInternal, "a stored value needs an expiry above zero"); }
std::unexpected<Error> too_large() { return fail(kUnavailable, "the value is larger than the store"); }

}  // namespace

/// A part of the keys. All methods are called with `mutex` held.
class Memory::Shard {
 public:
  std::mutex mutex;
  std::size_t limit = 0;
  std::size_t bytes = 0;

  struct Entry {
    std::string value;
    Nanoseconds expires = 0;
  };
  using Table = std::unordered_map<std::string, Entry, Hash64, std::equal_to<>>;
  Table table;

  Entry* find(std::string_view key, Nanoseconds now) {
    const auto at = table.find(key);
    if (at == table.end()) return nullptr;
    if (at->second.expires > now) return &at->second;
    erase(at);
    return nullptr;
  }

  /// False when it can never fit.
  bool put(std::string_view key, std::string_view value, Nanoseconds now, Nanoseconds expires,
           std::atomic<std::uint64_t>& evicted) {
    const auto cost = key.size() + value.size() + kOverhead;
    if (cost > limit) return false;
    erase(key);
    while (!by_expiry_.empty() && (by_expiry_.begin()->first <= now || bytes + cost > limit)) {
      if (by_expiry_.begin()->first > now) evicted.fetch_add(1, std::memory_order_relaxed);
      erase(table.find(*by_expiry_.begin()->second));
    }
    const auto at = table.emplace(std::string(key), Entry{std::string(value), expires}).first;
    by_expiry_.emplace(expires, &at->first);  // nodes of the table stay where they are
    bytes += cost;
    return true;
  }

  /// Changes a value in place; its expiry stays.
  void replace(Entry& entry, std::string value) {
    bytes += value.size();
    bytes -= entry.value.size();
    entry.value = std::move(value);
  }

  void erase(std::string_view key) {
    if (const auto at = table.find(key); at != table.end()) erase(at);
  }

 private:
  void erase(Table::iterator at) {
    bytes -= at->first.size() + at->second.value.size() + kOverhead;
    by_expiry_.erase({at->second.expires, &at->first});
    table.erase(at);
  }
  std::set<std::pair<Nanoseconds, const std::string*>> by_expiry_;
};

Memory::Memory(MemoryOptions options, const Clock& clock)
    : clock_(clock), count_(std::bit_ceil(options.shards)), shards_(std::make_unique<Shard[]>(count_)) {
  for (std::size_t i = 0; i < count_; ++i) shards_[i].limit = options.bytes.bytes / count_;
}

Memory::~Memory() = default;

Memory::Shard& Memory::shard(std::string_view key) const {
  return shards_[(hash64(key) >> 32) & (count_ - 1)];  // the tables use the low bits
}

Task<Result<std::optional<std::string>>> Memory::get(Loop&, std::string_view key) {
  auto& mine = shard(key);
  const std::scoped_lock lock(mine.mutex);
  auto* entry = mine.find(key, clock_.steady());
  if (!entry) co_return std::optional<std::string>();
  co_return std::optional<std::string>(entry->value);
}

Task<Result<>> Memory::put(Loop&, std::string_view key, std::string_view value, Nanoseconds expiry) {
  if (expiry <= 0) co_return lives_for_ever();
  const auto now = clock_.steady();
  auto& mine = shard(key);
  const std::scoped_lock lock(mine.mutex);
  if (!mine.put(key, value, now, now + expiry, evicted_)) co_return too_large();
  co_return Result<>{};
}

Task<Result<bool>> Memory::put_if_absent(Loop&, std::string_view key, std::string_view value, Nanoseconds expiry) {
  if (expiry <= 0) co_return lives_for_ever();
  const auto now = clock_.steady();
  auto& mine = shard(key);
  const std::scoped_lock lock(mine.mutex);
  if (mine.find(key, now)) co_return false;
  if (!mine.put(key, value, now, now + expiry, evicted_)) co_return too_large();
  co_return true;
}

Task<Result<std::int64_t>> Memory::add(Loop&, std::string_view key, std::int64_t delta, Nanoseconds expiry) {
  if (expiry <= 0) co_return lives_for_ever();
  const auto now = clock_.steady();
  auto& mine = shard(key);
  const std::scoped_lock lock(mine.mutex);
  auto* entry = mine.find(key, now);
  const auto before = entry ? number(entry->value) : 0;
  std::int64_t sum = 0;
  if (!before || __builtin_add_overflow(*before, delta, &sum))
    co_return fail(kInternal, "the stored value is not a number");
  if (entry)
    mine.replace(*entry, std::to_string(sum));
  else if (!mine.put(key, std::to_string(sum), now, now + expiry, evicted_))
    co_return too_large();
  co_return sum;
}

Task<Result<bool>> Memory::compare_and_set(Loop&, std::string_view key, std::optional<std::string_view> expected,
                                           std::string_view value, Nanoseconds expiry) {
  if (expiry <= 0) co_return lives_for_ever();
  const auto now = clock_.steady();
  auto& mine = shard(key);
  const std::scoped_lock lock(mine.mutex);
  const auto* entry = mine.find(key, now);
  if (expected ? !entry || entry->value != *expected : entry != nullptr) co_return false;
  if (!mine.put(key, value, now, now + expiry, evicted_)) co_return too_large();
  co_return true;
}

Task<Result<>> Memory::remove(Loop&, std::string_view key) {
  auto& mine = shard(key);
  const std::scoped_lock lock(mine.mutex);
  mine.erase(key);
  co_return Result<>{};
}

std::size_t Memory::size() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const std::scoped_lock lock(shards_[i].mutex);
    sum += shards_[i].table.size();
  }
  return sum;
}

std::size_t Memory::bytes() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    const std::scoped_lock lock(shards_[i].mutex);
    sum += shards_[i].bytes;
  }
  return sum;
}

}  // namespace plimsoll::store
