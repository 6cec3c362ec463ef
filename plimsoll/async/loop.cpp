#include "plimsoll/async/loop.hpp"
#include "plimsoll/async/start.hpp"

#include "plimsoll/async/descriptor.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace plimsoll {

constexpr Nanoseconds kTick = 5 * kMillisecond;
/// What other threads have posted is worked on so long before the loop looks at its sockets again.
constexpr Nanoseconds kPosted = 2 * kMillisecond;

/// Posted at once without taking memory.
constexpr std::size_t kPostedRoom = 64;

static std::uint64_t tick_of(Nanoseconds since_start) { return static_cast<std::uint64_t>(since_start / kTick); }

/// Edges are registered once for the life of a connection, and a turn costs one system call however many connections it
/// serves. The timer is one more descriptor: it is set when a loop falls asleep and when it wakes, never for an alarm.
struct Loop::Impl {
  explicit Impl(Loop& loop) : loop(loop) {
    posted.reserve(kPostedRoom);
    running.reserve(kPostedRoom);
    if (!add(timer, EPOLLET, this) || !add(bell, EPOLLET, &bell))
      throw std::system_error(errno, std::system_category(), "the descriptors of an event loop");
  }
  ~Impl() {
    ::close(timer);
    ::close(bell);
    ::close(epoll);
  }
  Loop& loop;
  int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  int bell = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);  ///< rung by other threads that post while the loop waits
  Nanoseconds started = system_clock().steady();
  bool ticking = false;
  std::uint64_t turns = 0, turns_at_tick = 0;
  Deferred *deferred = nullptr, **deferred_end = &deferred;
  Work* work = nullptr;
  std::array<epoll_event, 256> events;
  int event = 0, event_count = 0;

  std::mutex mutex;
  std::vector<std::move_only_function<void()>> posted, running;  ///< `posted` under the mutex
  std::size_t next_running = 0;
  std::atomic<bool> any_posted{false}, waiting{false};
  std::atomic<std::size_t> expected{0};

  bool add(int descriptor, std::uint32_t how, void* who) noexcept {
    epoll_event event{.events = EPOLLIN | how, .data = {.ptr = who}};
    return descriptor >= 0 && ::epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
  }

  /// After `first`, then each `again`; zero: not.
  void set_timer(Nanoseconds first, Nanoseconds again) noexcept {
    const auto time = [](Nanoseconds span) { return timespec{span / kSecond, span % kSecond}; };
    const itimerspec when{.it_interval = time(again), .it_value = time(first)};
    ::timerfd_settime(timer, 0, &when, nullptr);
    ticking = again > 0;
  }
  /// A timer that repeats goes on only once it is read.
  void read_timer() noexcept {
    std::uint64_t expired = 0;
    (void)!::read(timer, &expired, sizeof expired);
  }
  void tick_on() noexcept {
    if (!ticking) set_timer(kTick, kTick);
  }
  /// Nothing has happened since the last tick: the next one that matters is the next alarm's. An idle server costs next
  /// to nothing; a busy one ticks, and no alarm costs it a system call.
  void sleep() noexcept {
    const auto span = started + static_cast<Nanoseconds>(loop.wheel_.next_due()) * kTick - loop.now_;
    if (span <= kTick) return tick_on();
    set_timer(span, 0);
    loop.asleep_ = true;
  }
  void advance(bool quiet) {
    loop.wheel_.advance(tick_of(loop.now_ - started));
    if (!loop.running_) return;
    turns_at_tick = turns;
    if (quiet)
      sleep();
    else
      tick_on();
  }

  /// Another thread that posts while we are on the way to wait either sees that we wait, and rings, or is seen by us.
  /// It rings under the mutex: what it has posted may be the last thing that this loop does before it is gone, and with
  /// it the bell.
  void post(std::move_only_function<void()> f) {
    const std::lock_guard lock(mutex);
    posted.push_back(std::move(f));
    any_posted.store(true);
    if (!waiting.exchange(false)) return;
    const std::uint64_t one = 1;
    (void)!::write(bell, &one, sizeof one);
  }
  bool nothing_to_do() const { return !any_posted.load() && !deferred && !work && next_running == running.size(); }
  bool over() const { return nothing_to_do() && !loop.running_ && !expected.load(std::memory_order_acquire); }

  void turn() {
    wait();
    run_posted();
    if (work) run_work();
    if (deferred) run_deferred();
  }
  void wait() {
    waiting.store(true);
    event_count = ::epoll_wait(epoll, events.data(), static_cast<int>(events.size()), nothing_to_do() ? -1 : 0);
    waiting.store(false, std::memory_order_relaxed);
    if (event_count <= 0) {
      if (work) loop.begin_turn();
      return;
    }
    const bool alone = event_count == 1 && events[0].data.ptr == this;
    const bool quiet = alone && turns == turns_at_tick;
    if (alone) loop.asleep_ = false;
    loop.begin_turn();
    bool due = false;
    for (event = 0; event < event_count;) {
      const auto& happened = events[static_cast<std::size_t>(event++)];
      loop.ahead_ = static_cast<std::size_t>(event_count - event);
      if (happened.data.ptr == this)
        due = true;
      else if (happened.data.ptr && happened.data.ptr != &bell)
        static_cast<Descriptor*>(happened.data.ptr)->happened(happened.events);
    }
    event_count = 0;
    if (!due) return;
    read_timer();
    advance(quiet);
  }
  void run_posted() {
    if (next_running == running.size()) {
      if (!any_posted.load(std::memory_order_acquire)) return;
      any_posted.store(false);
      next_running = 0;
      running.clear();
      const std::lock_guard lock(mutex);
      running.swap(posted);
    }
    for (Nanoseconds until = 0; next_running < running.size();) {
      loop.begin_turn();
      if (until == 0) until = loop.now_ + kPosted;
      if (loop.now_ >= until) break;
      auto f = std::move(running[next_running++]);
      loop.ahead_ = running.size() - next_running;
      f();
    }
    loop.ahead_ = 0;
    if (next_running == running.size()) running.clear(), next_running = 0;
  }
  /// Each once; what has more to do stays.
  void run_work() {
    auto* next = std::exchange(work, nullptr);
    while (auto* what = next) {
      next = what->next_;
      what->pending_ = false;
      if (what->run(*what)) loop.begin(*what);
    }
  }
  void run_deferred() {
    loop.begin_turn();
    auto* next = std::exchange(deferred, nullptr);
    deferred_end = &deferred;
    while (auto* what = next) {
      next = what->next_;
      what->pending_ = false;
      what->run(*what);
    }
  }
};

Loop::Loop() : impl_(std::make_unique<Impl>(*this)) { begin_turn(); }
/// What is deferred still may hold itself until it is run.
Loop::~Loop() {
  while (impl_->deferred) impl_->run_deferred();
  const std::lock_guard lock(impl_->mutex);  // whoever posted last has rung
}
std::uint64_t Loop::tick_in(Nanoseconds span) { return tick_of(now() + span - impl_->started) + 1; }

void Loop::begin_turn() const noexcept {
  ++impl_->turns;
  if (asleep_) [[unlikely]] {
    asleep_ = false;
    impl_->tick_on();
  }
  const auto& clock = system_clock();
  now_ = clock.steady();
  wall_ = clock.wall();
}

Line line(Loop& loop, Task<> work) {
  if (loop.running_++ == 0) loop.impl_->tick_on();
  co_await std::move(work);
  loop.work_ended();
}

void Loop::work_ended() noexcept {
  if (--running_ == 0) impl_->set_timer(0, 0);
}

namespace {

/// A line of work that has not begun.
class Unbegun {
 public:
  explicit Unbegun(std::coroutine_handle<> handle) : handle_(handle) {}
  Unbegun(Unbegun&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Unbegun& operator=(Unbegun&&) = delete;
  ~Unbegun() {
    if (handle_) handle_.destroy();
  }
  void begin() { std::exchange(handle_, {}).resume(); }

 private:
  std::coroutine_handle<> handle_;
};

}  // namespace

/// All memory is taken here: where it is short, it is the caller who is told.
void Loop::spawn(Scope& scope, Task<> work) {
  const auto handle = line(*this, std::move(work)).handle;
  handle.promise().scope = &scope;
  impl_->post([line = Unbegun{handle}]() mutable { line.begin(); });
}

void start(Loop& loop, Scope& scope, Task<> work) {
  const auto handle = line(loop, std::move(work)).handle;
  handle.promise().scope = &scope;
  handle.resume();
}

void Loop::run() {
  while (!impl_->over()) impl_->turn();
}

void Loop::expect() { impl_->expected.fetch_add(1, std::memory_order_relaxed); }
/// Whoever waits is never lost: where there is no memory to say so, the loop makes room by working on what was posted.
void Loop::resume(std::coroutine_handle<> who) {
  for (;;) try {
      return impl_->post([this, who] {
        impl_->expected.fetch_sub(1, std::memory_order_relaxed);
        who.resume();
      });
    } catch (const std::bad_alloc&) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }
}

void Loop::post(std::move_only_function<void()> f) { impl_->post(std::move(f)); }

void Loop::defer(Deferred& what) noexcept {
  what.pending_ = true;
  what.next_ = nullptr;
  *impl_->deferred_end = &what;
  impl_->deferred_end = &what.next_;
}

void Loop::begin(Work& what) noexcept {
  if (what.pending_) return;
  what.pending_ = true;
  what.next_ = std::exchange(impl_->work, &what);
}

bool Loop::watch(int descriptor, Descriptor& who) noexcept {
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = &who}};
  return ::epoll_ctl(impl_->epoll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Loop::forget(Descriptor& who) noexcept {
  // Said aloud, because a close does not do it while another process or thread holds a copy of the descriptor.
  ::epoll_ctl(impl_->epoll, EPOLL_CTL_DEL, who.get(), nullptr);
  // What has been fetched already must not be delivered.
  for (auto i = impl_->event; i < impl_->event_count; ++i)
    if (auto& event = impl_->events[static_cast<std::size_t>(i)]; event.data.ptr == &who) event.data.ptr = nullptr;
}

}  // namespace plimsoll
