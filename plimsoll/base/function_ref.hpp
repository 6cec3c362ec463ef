#pragma once

#include "plimsoll/base/task.hpp"

#include <type_traits>

namespace plimsoll {

/// A callable that somebody else owns and that outlives the call: two pointers, no allocation. (The standard's wrappers
/// allocate, and cannot return a Task while clang checks its lifetimes.)
template <class Signature>
class FunctionRef;
template <class R, class... A>
class FunctionRef<R(A...)> {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef>)
  FunctionRef(F&& f) noexcept  // NOLINT: implicit on purpose
      : object_(const_cast<void*>(static_cast<const void*>(&f))), call_(&invoke<std::remove_reference_t<F>>) {}
  PLIMSOLL_KEEPS_NOTHING R operator()(A... a) const { return call_(object_, static_cast<A>(a)...); }

 private:
  template <class F>
  PLIMSOLL_KEEPS_NOTHING static R invoke(void* object, A... a) {
    return (*static_cast<F*>(object))(static_cast<A>(a)...);
  }
  void* object_;
  R (*call_)(void*, A...);
};

}  // namespace plimsoll
