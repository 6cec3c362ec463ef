#pragma once

#include "plimsoll/base/frame_pool.hpp"
#include "plimsoll/base/result.hpp"

#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>

// clang reports a Task that outlives what it refers to (-Wdangling). A function that is no coroutine itself and hands
// on another's Task says so with PLIMSOLL_FORWARDS. On in our own build and in programs that link the library.
// It refuses std::function<Task<>()>, too: use FunctionRef.
#if defined(__clang__) && defined(PLIMSOLL_CHECK_TASKS)
#define PLIMSOLL_TASK [[nodiscard, clang::coro_return_type, clang::coro_lifetimebound]]
#define PLIMSOLL_FORWARDS [[clang::coro_wrapper]]
#define PLIMSOLL_KEEPS_NOTHING [[clang::coro_wrapper, clang::coro_disable_lifetimebound]]
#else
#define PLIMSOLL_TASK [[nodiscard]]
#define PLIMSOLL_FORWARDS
#define PLIMSOLL_KEEPS_NOTHING
#endif

namespace plimsoll {

class Scope;  // async/scope.hpp: through which a line of work is told to stop

/// The exception in flight as an Error. Nothing behind a co_await of a Result is ever skipped by a throw.
Error error_from_current_exception() noexcept;

/// What every coroutine of ours knows: who waits for it, and its scope, which it inherits from who awaits it.
struct PromiseBase {
  std::coroutine_handle<> waiting;
  Scope* scope = nullptr;

  static void* operator new(std::size_t size) { return FramePool::take(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { FramePool::give(memory, size); }

  struct Finish {
    bool await_ready() const noexcept { return false; }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) const noexcept {
      if (auto waiting = self.promise().waiting) return waiting;
      return std::noop_coroutine();
    }
    void await_resume() const noexcept {}
  };
  std::suspend_always initial_suspend() const noexcept { return {}; }
  Finish final_suspend() const noexcept { return {}; }
};

template <class T>
struct PromiseOf : PromiseBase {
  union {
    T value;
  };
  std::exception_ptr thrown;
  bool filled = false;

  PromiseOf() noexcept {}
  PromiseOf(const PromiseOf&) = delete;
  ~PromiseOf() {
    if (filled) value.~T();
  }

  template <class U = T>
    requires std::is_constructible_v<T, U&&>
  void return_value(U&& from) noexcept(std::is_nothrow_constructible_v<T, U&&>) {
    ::new (static_cast<void*>(&value)) T(std::forward<U>(from));
    filled = true;
  }
  void unhandled_exception() noexcept {
    if constexpr (is_result<T>) {
      if (filled) value.~T();  // thrown by a destructor of the body after co_return
      ::new (static_cast<void*>(&value)) T(std::unexpect, error_from_current_exception());
      filled = true;
    } else {
      thrown = std::current_exception();
    }
  }
  T take() {
    if constexpr (!is_result<T>)
      if (thrown) std::rethrow_exception(thrown);
    return std::move(value);
  }
};

template <>
struct PromiseOf<void> : PromiseBase {
  std::exception_ptr thrown;
  void return_void() const noexcept {}
  void unhandled_exception() noexcept { thrown = std::current_exception(); }
  void take() const {
    if (thrown) std::rethrow_exception(thrown);
  }
};

/// A coroutine that starts when it is awaited, is awaited once, and stays on its thread. Knows no event loop.
template <class T = void>
class PLIMSOLL_TASK Task {
 public:
  struct promise_type : PromiseOf<T> {
    Task get_return_object() noexcept { return Task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
  };
  using Handle = std::coroutine_handle<promise_type>;

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  /// Runs the child on this stack until it ends or waits, so that a loop over ready tasks never grows the stack, even
  /// where the compiler makes no tail call of a symmetric transfer (sanitizers).
  struct Awaiter {
    Handle task;
    bool await_ready() const noexcept { return false; }
    template <class P>
    bool await_suspend(std::coroutine_handle<P> parent) const {
      return start(task, parent, parent.promise().scope);
    }
    T await_resume() const { return task.promise().take(); }
  };
  Awaiter operator co_await() && noexcept { return Awaiter{handle_}; }

  /// True when the parent must wait. For the awaiters of async/, which give the child a scope of its own.
  static bool start(Handle task, std::coroutine_handle<> parent, Scope* scope) {
    auto& promise = task.promise();
    promise.scope = scope;
    task.resume();
    if (task.done()) return false;
    promise.waiting = parent;
    return true;
  }
  Handle handle() const noexcept { return handle_; }

 private:
  explicit Task(Handle handle) noexcept : handle_(handle) {}
  Handle handle_;
};

}  // namespace plimsoll
