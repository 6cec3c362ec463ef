#pragma once

#include "plimsoll/async/loop.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace plimsoll {

/// A few threads for what blocks: password hashing, file reads, large compression.
class Threads {
 public:
  explicit Threads(unsigned count) {
    for (unsigned i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Threads() {
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
    }
    ready_.notify_all();
    for (auto& t : threads_) t.join();
  }
  void post(std::move_only_function<void()> f) {
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(f));
    }
    ready_.notify_one();
  }

 private:
  void work() {
    for (std::unique_lock lock(mutex_);;) {
      ready_.wait(lock, [&] { return closing_ || !queue_.empty(); });
      if (queue_.empty()) return;
      auto f = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      f();
      lock.lock();
    }
  }
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::move_only_function<void()>> queue_;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

/// `co_await blocking(loop, threads, [&] { … })`: runs there, resumes here, throws here what was thrown there. Told to
/// stop, it still waits for the real end. Where there are no threads (null) it runs here, at once.
template <class F>
class Blocking {
 public:
  using Value = std::invoke_result_t<F>;
  Blocking(Loop& loop, Threads* threads, F f) : loop_(loop), threads_(threads), f_(std::move(f)) {}
  bool await_ready() {
    if (!threads_) value_.emplace(f_());
    return !threads_;
  }
  void await_suspend(std::coroutine_handle<> parent) {
    loop_.expect();
    threads_->post([this, parent] {
      try {
        value_.emplace(f_());
      } catch (...) { thrown_ = std::current_exception(); }
      loop_.resume(parent);
    });
  }
  Value await_resume() {
    if (thrown_) std::rethrow_exception(thrown_);
    return std::move(*value_);
  }

 private:
  Loop& loop_;
  Threads* threads_;
  F f_;
  std::optional<Value> value_;
  std::exception_ptr thrown_;
};
template <class F>
Blocking<F> blocking(Loop& loop, Threads* threads, F f) {
  return {loop, threads, std::move(f)};
}
template <class F>
Blocking<F> blocking(Loop& loop, Threads& threads, F f) {
  return {loop, &threads, std::move(f)};
}

}  // namespace plimsoll
