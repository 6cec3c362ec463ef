#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace plimsoll {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define PLIMSOLL_NO_FRAME_POOL 1  // recycling hides use after free (ASan) and makes false happens-before (TSan)
#endif
#endif

/// Memory for coroutine frames: one list of free blocks per 64 bytes of size, per thread, last in first out.
///
/// A frame that is released on another thread joins that thread's lists. Blocks return to the heap when their thread
/// ends.
class FramePool {
 public:
  static constexpr std::size_t kStep = 64, kClasses = 32;  // up to 2 KiB; larger frames go to the heap
  static constexpr unsigned kKept = 4096;                  // blocks kept per class

  static void* take(std::size_t size) {
#ifndef PLIMSOLL_NO_FRAME_POOL
    const auto index = (size - 1) / kStep;
    if (index < kClasses) [[likely]] {
      auto& list = lists_[index];
      if (auto* block = list.head) [[likely]] {
        list.head = block->next;
        --list.count;
        return block;
      }
      return more(index);
    }
#endif
    return ::operator new(size);
  }

  static void give(void* memory, [[maybe_unused]] std::size_t size) noexcept {
#ifndef PLIMSOLL_NO_FRAME_POOL
    const auto index = (size - 1) / kStep;
    if (index < kClasses) [[likely]] {
      auto& list = lists_[index];
      if (list.count < kKept) [[likely]] {
        list.head = ::new (memory) Block{list.head};
        ++list.count;
        return;
      }
    }
#endif
    ::operator delete(memory);
  }

 private:
  struct Block {
    Block* next;
  };
  struct List {
    Block* head = nullptr;
    unsigned count = 0;
  };
  static void* more(std::size_t index);  // out of line: registers the release at thread end, then the heap

  static constinit thread_local std::array<List, kClasses> lists_;  // trivially destructible: no guard on access
};

inline constinit thread_local std::array<FramePool::List, FramePool::kClasses> FramePool::lists_{};

}  // namespace plimsoll
