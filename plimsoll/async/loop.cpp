#include "plimsoll/async/loop.hpp"

#include "plimsoll/async/descriptor.hpp"

#include <sys/epoll.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>

namespace plimsoll {
namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr auto kTick = 5ms;

static std::uint64_t tick_of(Nanoseconds since_start) {
  return static_cast<std::uint64_t>(since_start / std::chrono::nanoseconds(kTick).count());
}

/// Descriptors of ours stand in an epoll of their own, which Asio sees as one more descriptor: edges are registered
/// once for the life of a connection, and a turn costs three system calls however many connections it serves.
struct Loop::Impl {
  explicit Impl(Loop& loop) : loop(loop) {}
  Loop& loop;
  // Descriptors and timers are touched by the loop's own thread alone; others only post, and that stays locked.
  asio::io_context context{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  asio::steady_timer tick{context};
  asio::posix::stream_descriptor epoll{context, ::epoll_create1(EPOLL_CLOEXEC)};
  Nanoseconds started = system_clock().steady();
  bool ticking = false, listening = false;
  Deferred *deferred = nullptr, **deferred_end = &deferred;
  std::array<epoll_event, 256> events;
  int event = 0, event_count = 0;

  void wait_for_tick() {
    ticking = true;
    tick.expires_after(kTick);
    tick.async_wait([this](boost::system::error_code) {
      ticking = false;
      loop.begin_turn();
      loop.wheel_.advance(tick_of(loop.now_ - started));
      if (loop.running_ && !ticking) wait_for_tick();
    });
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
    loop.begin_turn();
    for (event = 0; event < event_count;) {
      const auto& happened = events[static_cast<std::size_t>(event++)];
      if (happened.data.ptr) static_cast<Descriptor*>(happened.data.ptr)->happened(happened.events);
    }
    event_count = 0;
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
Loop::~Loop() = default;
asio::io_context& Loop::context() { return impl_->context; }
std::uint64_t Loop::tick_in(Nanoseconds span) { return tick_of(now_ + span - impl_->started) + 1; }

void Loop::begin_turn() noexcept {
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
  impl_->tick.cancel();
  impl_->epoll.cancel();
}

void Loop::spawn(Scope& scope, Task<> work) {
  asio::post(impl_->context, [this, &scope, work = std::move(work)]() mutable {
    if (running_++ == 0) {
      begin_turn();
      if (!impl_->ticking) impl_->wait_for_tick();
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
