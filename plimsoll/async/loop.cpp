#include "plimsoll/async/loop.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

namespace plimsoll {
namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr auto kTick = 5ms;

struct Loop::Impl {
  asio::io_context context{1};
  asio::steady_timer tick{context};
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

Loop::Loop() : impl_(std::make_unique<Impl>()) {}
Loop::~Loop() = default;
asio::io_context& Loop::context() { return impl_->context; }
std::uint64_t Loop::tick_in(Nanoseconds span) {
  return wheel_.now() + 1 +
         static_cast<std::uint64_t>(span) / static_cast<std::uint64_t>(std::chrono::nanoseconds(kTick).count());
}

static Line line(Task<> work, std::size_t& running, asio::steady_timer& tick) {
  co_await std::move(work);
  if (--running == 0) tick.cancel();
}

void Loop::spawn(Scope& scope, Task<> work) {
  asio::post(impl_->context, [this, &scope, work = std::move(work)]() mutable {
    ++running_;
    auto handle = line(std::move(work), running_, impl_->tick).handle;
    handle.promise().scope = &scope;
    handle.resume();
  });
}

void Loop::run() {
  auto& tick = impl_->tick;
  auto turn = [&](auto& self) -> void {
    tick.expires_after(kTick);
    tick.async_wait([&](boost::system::error_code ec) {
      if (ec) return;
      wheel_.advance(static_cast<std::uint64_t>((std::chrono::steady_clock::now() - impl_->started) / kTick));
      if (running_) self(self);
    });
  };
  turn(turn);
  impl_->context.run();
  impl_->context.restart();
}

void Loop::expect() { impl_->context.get_executor().on_work_started(); }
void Loop::resume(std::coroutine_handle<> who) {
  asio::post(impl_->context, [this, who] {
    impl_->context.get_executor().on_work_finished();
    who.resume();
  });
}

}  // namespace plimsoll
