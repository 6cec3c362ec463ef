#pragma once

#include "plimsoll/base/arena.hpp"
#include "plimsoll/json/value.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <type_traits>

namespace plimsoll::json {

/// Items of the containers that are open, those of the innermost last. They move into the arena when a container ends,
/// so that each is one piece.
template <class Item>
class Open {
 public:
  ~Open() { std::free(items_); }
  std::size_t size() const { return static_cast<std::size_t>(end_ - items_); }
  /// One more, with nothing in it yet.
  Item* add() {
    if (end_ == limit_) [[unlikely]]
      grow();
    return end_++;
  }
  Item* last() { return end_ - 1; }
  std::span<const Item> since(std::size_t base) const { return {items_ + base, end_}; }
  /// Those above `base`, now in the arena.
  std::span<Item> move(std::size_t base, Arena& arena) {
    auto* const from = items_ + base;
    const auto count = static_cast<std::size_t>(end_ - from);
    auto* kept = arena.array<Item>(count);
    std::memcpy(static_cast<void*>(kept), from, count * sizeof(Item));
    end_ = from;
    return {kept, count};
  }
  /// A request may be large once; the thread does not stay so.
  void clear() {
    constexpr std::size_t kKept = 16 * 1024;
    end_ = items_;
    if (limit_ - items_ > static_cast<std::ptrdiff_t>(kKept)) {
      std::free(items_);
      items_ = end_ = limit_ = nullptr;
    }
  }

 private:
  void grow() {
    static_assert(std::is_trivially_copyable_v<Item>);
    const auto count = size(), room = std::max<std::size_t>(64, 2 * count);
    auto* larger = static_cast<Item*>(std::realloc(static_cast<void*>(items_), room * sizeof(Item)));
    if (!larger) throw std::bad_alloc();
    items_ = larger;
    end_ = larger + count;
    limit_ = larger + room;
  }
  Item *items_ = nullptr, *end_ = nullptr, *limit_ = nullptr;
};
struct Scratch {
  Open<Value> values;
  Open<Member> members;
};

/// Names are held against each other one by one in objects of up to so many members, and by hash in larger ones.
inline constexpr std::size_t kFewMembers = 32;

/// Which names an object has had, as one bit for each: one whose bit is not there is new, and need not be looked for.
class Names {
 public:
  /// Whether `name` may have been there; now it has. `readable`: bytes from its beginning on.
  bool add(std::string_view name, std::ptrdiff_t readable) {
    if (readable < 8 || name.empty()) [[unlikely]]
      return true;
    std::uint64_t word;
    std::memcpy(&word, name.data(), 8);
    if (name.size() < 8) word &= (std::uint64_t{1} << name.size() * 8) - 1;
    const auto bit = std::uint64_t{1} << ((word + name.size()) * 0x9E3779B97F4A7C15 >> 58);
    const bool known = (seen_ & bit) != 0;
    seen_ |= bit;
    return known;
  }

 private:
  std::uint64_t seen_ = 0;
};

}  // namespace plimsoll::json
