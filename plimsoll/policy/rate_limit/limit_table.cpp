#include "plimsoll/policy/rate_limit/limit_table.hpp"

#include <sys/mman.h>
#include <new>

namespace plimsoll::policy {
namespace {

#if defined(__x86_64__)
// Never inlined: in a caller without the instruction the exchange would become a call into a library that is not
// linked.
#define PLIMSOLL_WIDE_SWAP __attribute__((target("cx16"), noinline))
#else
#define PLIMSOLL_WIDE_SWAP
#endif

using Wide = unsigned __int128;

constexpr Wide wide(std::uint64_t key, Nanoseconds full_at) {
  return static_cast<Wide>(static_cast<std::uint64_t>(full_at)) << 64 | key;
}

PLIMSOLL_WIDE_SWAP bool swap_wide(void* place, Wide expected, Wide desired) noexcept {
  return __sync_bool_compare_and_swap(static_cast<Wide*>(place), expected, desired);
}

std::uint64_t name_of(std::uint64_t key) { return key == 0 ? 1 : key; }  // 0 marks an empty place

}  // namespace

LimitTable::LimitTable(std::size_t bytes) : lines_(std::max<std::size_t>(bytes / sizeof(Line), 1)) {
  auto* memory = ::mmap(nullptr, lines_ * sizeof(Line), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<Line*>(memory);
}

LimitTable::~LimitTable() { ::munmap(memory_, lines_ * sizeof(Line)); }

// The halves may be of different moments; whoever changes the pair on that ground fails at the swap.
LimitTable::Pair LimitTable::load(const Pair& place) noexcept {
  Pair seen;
  seen.key = __atomic_load_n(&place.key, __ATOMIC_ACQUIRE);
  seen.full_at = __atomic_load_n(&place.full_at, __ATOMIC_ACQUIRE);
  return seen;
}

bool LimitTable::swap(Pair& place, Pair& expected, Pair desired) noexcept {
  if (swap_wide(&place, wide(expected.key, expected.full_at), wide(desired.key, desired.full_at))) return true;
  expected = load(place);
  return false;
}

LimitTable::Line& LimitTable::line(std::uint64_t key) const noexcept {
  return memory_[static_cast<std::size_t>(static_cast<Wide>(key) * lines_ >> 64)];
}

LimitTable::Pair* LimitTable::find(Line& line, std::uint64_t key, Pair& seen) const noexcept {
  for (auto& place : line.pairs)
    if (seen = load(place); seen.key == key) return &place;
  return nullptr;
}

/// Puts `made` into the place that is worth least. True also when it is worth less than all of them; false: look again.
bool LimitTable::insert(Line& line, Pair made, Nanoseconds now) noexcept {
  Pair* victim = nullptr;
  Pair least{};
  for (auto& place : line.pairs) {
    const auto seen = load(place);
    if (!victim || seen.full_at < least.full_at) victim = &place, least = seen;
  }
  if (least.full_at > now && least.full_at >= made.full_at) return true;
  if (!swap(*victim, least, made)) return false;
  // Two threads may have put the same key into two places. Each looks after its own swap, so at least one sees both.
  for (auto& place : line.pairs)
    if (&place != victim && load(place).key == made.key) {
      auto mine = made;
      swap(*victim, mine, Pair{});
      return false;
    }
  return true;
}

RateDecision LimitTable::take(std::uint64_t key, const Rate& rate, Nanoseconds now, std::int64_t cost) noexcept {
  key = name_of(key);
  auto& mine = line(key);
  for (;;) {
    Pair seen;
    auto* place = find(mine, key, seen);
    Gcra bucket(place ? seen.full_at : 0);
    const auto decision = bucket.take(rate, now, cost);
    if (!decision.allowed) return decision;
    const Pair made{key, bucket.full_at()};
    if (place ? swap(*place, seen, made) : insert(mine, made, now)) return decision;
  }
}

RateDecision LimitTable::peek(std::uint64_t key, const Rate& rate, Nanoseconds now, std::int64_t cost) const noexcept {
  key = name_of(key);
  Pair seen;
  const auto* place = find(line(key), key, seen);
  return Gcra(place ? seen.full_at : 0).take(rate, now, cost);
}

void LimitTable::give_back(std::uint64_t key, const Rate& rate, std::int64_t cost) noexcept {
  key = name_of(key);
  Pair seen;
  for (auto* place = find(line(key), key, seen); place && seen.key == key;) {
    Gcra bucket(seen.full_at);
    bucket.give_back(rate, cost);
    if (swap(*place, seen, {key, bucket.full_at()})) return;
  }
}

}  // namespace plimsoll::policy
