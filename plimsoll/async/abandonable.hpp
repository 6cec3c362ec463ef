#pragma once

#include "plimsoll/async/loop.hpp"
#include "plimsoll/base/clock.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <type_traits>
#include <vector>

namespace plimsoll {

/// A few threads for calls that may hang and that nothing can end, as those to a file system of the network. What runs
/// there owns all that it touches: whoever waits for it may go before it has ended, and so may this object.
class AbandonableThreads {
 public:
  /// They begin with the first work, so that what is never used has none.
  explicit AbandonableThreads(unsigned count) : desk_(std::make_shared<Desk>(count)) {}
  ~AbandonableThreads() {
    const std::scoped_lock lock(desk_->mutex);
    desk_->closing = true;
    desk_->ready.notify_all();
  }
  AbandonableThreads(const AbandonableThreads&) = delete;

  void post(std::move_only_function<void()> work) {
    const std::scoped_lock lock(desk_->mutex);
    desk_->queue.push_back(std::move(work));
    if (desk_->idle < desk_->queue.size() && desk_->running < desk_->begun.size()) try {
        std::thread([desk = desk_, number = desk_->running] { desk->work(number); }).detach();
        ++desk_->running;
      } catch (...) {
        if (desk_->running == 0) {  // else those that are there do it
          desk_->queue.pop_back();
          throw;
        }
      }
    desk_->ready.notify_one();
  }
  /// Each thread has been at one piece of work for that long.
  bool hang(Nanoseconds span) const {
    const auto now = system_clock().steady();
    const std::scoped_lock lock(desk_->mutex);
    for (const auto since : desk_->begun)
      if (since == 0 || now - since < span) return false;
    return true;
  }

 private:
  struct Desk {
    explicit Desk(unsigned count) : begun(count) {}
    void work(std::size_t number) {
      for (std::unique_lock lock(mutex);;) {
        ++idle;
        ready.wait(lock, [&] { return closing || !queue.empty(); });
        --idle;
        if (queue.empty()) return;
        auto next = std::move(queue.front());
        queue.pop_front();
        begun[number] = system_clock().steady();
        lock.unlock();
        next();
        next = nullptr;  // what it owned may take long to end
        lock.lock();
        begun[number] = 0;
      }
    }
    mutable std::mutex mutex;
    std::condition_variable ready;
    std::deque<std::move_only_function<void()>> queue;
    std::vector<Nanoseconds> begun;  ///< of each thread (steady): its present work; 0: it has none
    std::size_t running = 0, idle = 0;
    bool closing = false;
  };
  std::shared_ptr<Desk> desk_;
};

/// `Result<T> got = co_await abandonable(loop, threads, [own = …] { … });`: runs there, resumes here, throws here what
/// was thrown there. Told to stop, it goes on here at once with the error of that; the work ends when it ends, and what
/// it gives is dropped. Work that has not begun by then does not begin.
template <class F>
class Abandonable final : public Waiting, public Deferred {
 public:
  using Value = std::invoke_result_t<F>;
  Abandonable(Loop& loop, AbandonableThreads& threads, F f)
      : loop_(loop), threads_(threads), work_(std::make_shared<Work>(loop, std::move(f))) {
    run = [](Deferred& deferred) { static_cast<Abandonable&>(deferred).left_.resume(); };
  }
  bool await_ready() const noexcept { return false; }
  template <class P>
  bool await_suspend(std::coroutine_handle<P> waiting) {
    scope_ = waiting.promise().scope;
    if (scope_ && scope_->stopped() != Stop::none) {
      stopped_ = scope_->stopped();
      return false;
    }
    work_->waiting = waiting;
    threads_.post([work = work_] { work->run(); });
    if (scope_) scope_->wait_at(*this);
    return true;
  }
  Value await_resume() {
    if (scope_) scope_->go_on();
    if (stopped_ != Stop::none) return std::unexpected(error_of(stopped_));
    // Taken out of the work, which may end last on its own thread: what was thrown then ends here, with whoever reads
    // it.
    if (auto thrown = std::move(work_->thrown)) std::rethrow_exception(std::move(thrown));
    return std::move(*work_->value);
  }
  void stop(Stop why) noexcept override {
    left_ = work_->leave();
    if (!left_) return;
    stopped_ = why;
    loop_.defer(*this);
  }

 private:
  struct Work {
    Work(Loop& loop, F f) : loop(loop), f(std::move(f)) {}
    std::coroutine_handle<> leave() {
      const std::scoped_lock lock(mutex);
      return std::exchange(waiting, {});
    }
    void run() {
      if (std::unique_lock lock(mutex); !waiting) return;
      std::optional<Value> made;
      std::exception_ptr failed;
      try {
        made.emplace(f());
      } catch (...) { failed = std::current_exception(); }
      const std::scoped_lock lock(mutex);
      if (!waiting) return;
      value = std::move(made);
      thrown = std::move(failed);
      loop.expect();
      loop.resume(std::exchange(waiting, {}));
    }
    Loop& loop;  ///< there as long as something waits
    F f;
    std::mutex mutex;
    std::coroutine_handle<> waiting;  ///< null: it has gone on
    std::optional<Value> value;
    std::exception_ptr thrown;
  };
  Loop& loop_;
  AbandonableThreads& threads_;
  std::shared_ptr<Work> work_;
  Scope* scope_ = nullptr;
  Stop stopped_ = Stop::none;
  std::coroutine_handle<> left_;  ///< of whoever goes on before the end
};
template <class F>
Abandonable<F> abandonable(Loop& loop, AbandonableThreads& threads, F f) {
  return {loop, threads, std::move(f)};
}

}  // namespace plimsoll
