#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace plimsoll {

/// Things of one thread that are used again, last given first.
template <class T>
class Spares {
 public:
  explicit Spares(std::size_t kept) { free_.reserve(kept); }
  template <class... A>
  std::unique_ptr<T> take(A&&... arguments) {
    if (free_.empty()) return std::make_unique<T>(std::forward<A>(arguments)...);
    auto thing = std::move(free_.back());
    free_.pop_back();
    return thing;
  }
  void give(std::unique_ptr<T> thing) noexcept {
    if (free_.size() < free_.capacity()) free_.push_back(std::move(thing));
  }

 private:
  std::vector<std::unique_ptr<T>> free_;
};

}  // namespace plimsoll
