#include "plimsoll/async/loop.hpp"

#include "plimsoll/async/descriptor.hpp"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>

#include <array>
#include <cerrno>
#include <system_error>

namespace plimsoll {
namespace asio = boost::asio;

constexpr Nanoseconds kTick = 5 * kMillisecond;

static std::uint64_t tick_of(Nanoseconds since_start) { return static_cast<std::uint64_t>(since_start / kTick); }

/// Descriptors of ours stand in an epoll of their own, which Asio sees as one more descriptor: edges are registered
/// once for the life of a connection, and a turn costs three system calls however many connections it serves. So does a
/// timer: it is set when a loop falls asleep and when it wakes, never for an alarm.
struct Loop::Impl {
  explicit Impl(Loop& loop) : loop(loop) {
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = this}};
    if (timer < 0 || ::epoll_ctl(epoll.native_handle(), EPOLL_CTL_ADD, timer, &event) != 0)
      throw std::system_error(errno, std::system_category(), "a timer");
  }
  ~Impl() { ::close(timer); }
  Loop& loop;
  // Descriptors are touched by the loop's own thread alone; others only post, and that stays locked.
  asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  asio::posix::stream_descriptor epoll{context, ::epoll_create1(EPOLL_CLOEXEC)};
  int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  Nanoseconds started = system_clock().steady();
  bool listening = false, ticking = false;
  std::uint64_t turns = 0, turns_at_tick = 0;
  Deferred *deferred = nullptr, **deferred_end = &deferred;
  std::array<epoll_event, 256> events;
  int event = 0, event_count = 0;

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
  void wait_for_events() {
    listening = true;
    epoll.async_wait(asio::posix::stream_descriptor::wait_read, [this](boost::system::error_code code) {
      listening = false;
      if (!code) take_events();
      if (loop.running_ && !listening) wait_for_events();
    });
  }
  void take_events() {
    event_count = ::epoll_wait(epoll.native_handle(), events.data(), static_cast<int>(events.size()), 0);
    const bool alone = event_count == 1 && events[0].data.ptr == this;
    const bool quiet = alone && turns == turns_at_tick;
    if (alone) loop.asleep_ = false;
    loop.begin_turn();
    bool due = false;
    for (event = 0; event < event_count;) {
      const auto& happened = events[static_cast<std::size_t>(event++)];
      if (happened.data.ptr == this)
        due = true;
      else if (happened.data.ptr)
        static_cast<Descriptor*>(happened.data.ptr)->happened(happened.events);
    }
    event_count = 0;
    if (!due) return;
    read_timer();
    advance(quiet);
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
}
asio::io_context& Loop::context() { return impl_->context; }
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
  co_await std::move(work);
  loop.work_ended();
}

void Loop::work_ended() noexcept {
  if (--running_ != 0) return;
  impl_->set_timer(0, 0);
  impl_->epoll.cancel();
}

void Loop::spawn(Scope& scope, Task<> work) {
  asio::post(impl_->context, [this, &scope, work = std::move(work)]() mutable {
    if (running_++ == 0) {
      begin_turn();
      impl_->tick_on();
      if (!impl_->listening) impl_->wait_for_events();
    }
    auto handle = line(*this, std::move(work)).handle;
    handle.promise().scope = &scope;
    handle.resume();
  });
}

void Loop::run() {
  impl_->context.run();
  impl_->context.restart();
}

void Loop::expect() { impl_->context.get_executor().on_work_started(); }
void Loop::resume(std::coroutine_handle<> who) {
  asio::post(impl_->context, [this, who] {
    impl_->context.get_executor().on_work_finished();
    begin_turn();
    who.resume();
  });
}

void Loop::post(std::move_only_function<void()> f) {
  asio::post(impl_->context, [this, f = std::move(f)]() mutable {
    begin_turn();
    f();
  });
}

void Loop::defer(Deferred& what) noexcept {
  const bool first = !impl_->deferred;
  what.pending_ = true;
  what.next_ = nullptr;
  *impl_->deferred_end = &what;
  impl_->deferred_end = &what.next_;
  if (first) asio::post(impl_->context, [impl = impl_.get()] { impl->run_deferred(); });
}

bool Loop::watch(int descriptor, Descriptor& who) noexcept {
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data = {.ptr = &who}};
  return ::epoll_ctl(impl_->epoll.native_handle(), EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void Loop::forget(Descriptor& who) noexcept {
  // Said aloud, because a close does not do it while another process or thread holds a copy of the descriptor.
  ::epoll_ctl(impl_->epoll.native_handle(), EPOLL_CTL_DEL, who.get(), nullptr);
  // What has been fetched already must not be delivered.
  for (auto i = impl_->event; i < impl_->event_count; ++i)
    if (auto& event = impl_->events[static_cast<std::size_t>(i)]; event.data.ptr == &who) event.data.ptr = nullptr;
}

}  // namespace plimsoll
