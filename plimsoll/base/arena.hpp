#pragma once

#include <cstddef>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace plimsoll {

/// Memory that is bumped, never freed singly, and given back at once: of an exchange, of a parsed document.
class Arena {
 public:
  /// `block`: bytes of the first block, and of each that follows; blocks of less than 4 KiB double up to that.
  explicit Arena(std::size_t block = 16 * 1024);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// `size` bytes, aligned to 16; never null (throws bad_alloc).
  void* take(std::size_t size) {
    size = (size + 15) & ~std::size_t{15};
    if (static_cast<std::size_t>(end_ - at_) < size) [[unlikely]]
      more(size);
    return std::exchange(at_, at_ + size);
  }
  /// An array of trivial T, uninitialised.
  template <class T>
  T* array(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    return static_cast<T*>(take(count * sizeof(T)));
  }
  /// A copy of `text` that lives as long as the arena.
  std::string_view keep(std::string_view text);
  /// Makes a T whose destructor runs when the arena is released, last made first.
  template <class T, class... A>
  T& make(A&&... arguments) {
    auto* object = ::new (take(sizeof(T))) T(std::forward<A>(arguments)...);
    if constexpr (!std::is_trivially_destructible_v<T>)
      ends_ = ::new (take(sizeof(End))) End{ends_, object, [](void* p) { static_cast<T*>(p)->~T(); }};
    return *object;
  }
  /// Ends what was made and takes all memory back; the first block is kept for the next use.
  void release();
  /// Bytes in blocks held now.
  std::size_t held() const { return held_; }

 private:
  static constexpr std::size_t kWholeBlock = 4096;
  void more(std::size_t size);
  struct Block;
  struct End {
    End* before;
    void* object;
    void (*destroy)(void*);
  };
  Block* blocks_ = nullptr;
  std::byte *at_ = nullptr, *end_ = nullptr;
  std::size_t block_, held_ = 0;
  End* ends_ = nullptr;
};

}  // namespace plimsoll
