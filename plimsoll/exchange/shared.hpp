#pragma once

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace plimsoll {

/// A key for each type, without run-time type information.
template <class T>
inline char type_key = 0;

/// What parts share, one object of each type: those of the process outlive a reload (the table of rate limits, a
/// cache), those of a plan do not. Made by the first who asks, while a plan is built; parts keep the pointer they get.
class Shared {
 public:
  /// The only T; made from `arguments` when there is none yet.
  template <class T, class... A>
  std::shared_ptr<T> of(A&&... arguments) {
    const std::scoped_lock lock(mutex_);
    for (const auto& [key, object] : objects_)
      if (key == &type_key<T>) return std::static_pointer_cast<T>(object);
    auto made = std::make_shared<T>(std::forward<A>(arguments)...);
    objects_.emplace_back(&type_key<T>, made);
    return made;
  }

 private:
  std::mutex mutex_;
  std::vector<std::pair<const void*, std::shared_ptr<void>>> objects_;
};

}  // namespace plimsoll
