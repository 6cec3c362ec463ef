#include "plimsoll/http/h2_memory.hpp"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace plimsoll::http {
namespace {

constexpr std::size_t kStep = 64;     // bytes; blocks are whole steps
constexpr std::size_t kClasses = 16;  // up to 1 KiB
constexpr std::size_t kKept = 128;    // blocks of a class
constexpr std::size_t kPrefix = 16;   // bytes before a block: its room, and the alignment that malloc owes
static_assert(kPrefix >= sizeof(std::size_t) && kPrefix % alignof(std::max_align_t) == 0);

struct Block {
  Block* next;
};

/// Blocks that outlive the thread which kept them go straight back to the system.
thread_local bool ended = false;

class Kept {
 public:
  ~Kept() {
    for (auto& list : lists_)
      while (auto* block = list.first) {
        list.first = block->next;
        std::free(start(block));
      }
    ended = true;
  }

  void* take(std::size_t size) {
    if (size > std::numeric_limits<std::size_t>::max() - kPrefix - kStep) return nullptr;
    const auto steps = size ? (size + kStep - 1) / kStep : 1;
    if (steps <= kClasses && !ended) {
      auto& list = lists_[steps - 1];
      if (auto* block = list.first) {
        list.first = block->next;
        --list.count;
        return block;
      }
    }
    auto* memory = static_cast<std::byte*>(std::malloc(kPrefix + steps * kStep));
    if (!memory) return nullptr;
    const auto room = steps * kStep;
    std::memcpy(memory, &room, sizeof room);
    return memory + kPrefix;
  }

  void give(void* block) {
    if (!block) return;
    const auto steps = room(block) / kStep;
    if (steps <= kClasses && !ended) {
      auto& list = lists_[steps - 1];
      if (list.count < kKept) {
        list.first = new (block) Block{list.first};
        ++list.count;
        return;
      }
    }
    std::free(start(block));
  }

  static std::size_t room(const void* block) {
    std::size_t found = 0;
    std::memcpy(&found, start(block), sizeof found);
    return found;
  }

 private:
  static void* start(const void* block) { return static_cast<std::byte*>(const_cast<void*>(block)) - kPrefix; }

  struct List {
    Block* first = nullptr;
    std::size_t count = 0;
  };
  std::array<List, kClasses> lists_;
};

thread_local Kept kept;

}  // namespace

nghttp2_mem* h2_memory() {
  static nghttp2_mem memory{
      nullptr,
      [](std::size_t size, void*) { return kept.take(size); },
      [](void* block, void*) { kept.give(block); },
      [](std::size_t count, std::size_t size, void*) -> void* {
        if (size && count > std::numeric_limits<std::size_t>::max() / size) return nullptr;
        auto* block = kept.take(count * size);
        return block ? std::memset(block, 0, count * size) : nullptr;
      },
      [](void* block, std::size_t size, void*) -> void* {
        if (block && size <= Kept::room(block)) return block;
        auto* larger = kept.take(size);
        if (larger && block) {
          std::memcpy(larger, block, Kept::room(block));
          kept.give(block);
        }
        return larger;
      },
  };
  return &memory;
}

}  // namespace plimsoll::http
