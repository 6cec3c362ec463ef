#pragma once

#include <atomic>
#include <utility>

namespace plimsoll {

/// Few values that are found without a lock and never removed; each is added when it is met first. Threads that meet
/// one at the same time may each add it. Used by all threads.
template <class T>
class SeenList {
 public:
  SeenList() = default;
  SeenList(const SeenList&) = delete;
  ~SeenList() {
    for (auto* one = newest_.load(); one;) delete std::exchange(one, one->next);
  }

  /// The newest value of which `is` is true, or null.
  template <class Is>
  const T* find(Is is) const {
    for (const auto* one = newest_.load(std::memory_order_acquire); one; one = one->next)
      if (is(one->value)) return &one->value;
    return nullptr;
  }
  void add(T value) {
    auto* added = new Node{std::move(value), newest_.load(std::memory_order_relaxed)};
    while (!newest_.compare_exchange_weak(added->next, added, std::memory_order_release, std::memory_order_relaxed)) {}
  }

 private:
  struct Node {
    T value;
    Node* next;
  };
  std::atomic<Node*> newest_ = nullptr;
};

}  // namespace plimsoll
