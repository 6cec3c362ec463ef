#include "plimsoll/async/descriptor.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

namespace plimsoll {

Descriptor::Descriptor(Loop& loop, int descriptor) : loop_(&loop), descriptor_(descriptor) { begin_watching(); }

void Descriptor::begin_watching() noexcept {
  writing_.ready = watched_ = true;
  // What cannot be watched (a full epoll, no memory) is at once readable: the caller's next call tells the error.
  if (!loop_->watch(descriptor_, *this)) reading_.ready = hung_up_ = broken_ = true;
}

void Descriptor::attach(Loop& loop) noexcept {
  detach();
  loop_ = &loop;
  reading_.ready = hung_up_ = broken_ = false;
  begin_watching();
}

void Descriptor::detach() noexcept {
  if (std::exchange(watched_, false)) loop_->forget(*this);
}

Descriptor::~Descriptor() {
  if (descriptor_ < 0) return;
  detach();
  ::close(descriptor_);
}

int Descriptor::release() noexcept {
  detach();
  return std::exchange(descriptor_, -1);
}

void Descriptor::happened(std::uint32_t events) {
  if (events & (EPOLLERR | EPOLLHUP)) broken_ = hung_up_ = true;
  if (events & EPOLLRDHUP) hung_up_ = true;
  if ((events & EPOLLIN) || hung_up_) reading_.ready = true;
  if ((events & EPOLLOUT) || broken_) writing_.ready = true;
  if (hung_up_ && watcher_) watcher_->hung_up();
  auto* reader = reading_.ready ? reading_.waiter : nullptr;
  auto* writer = writing_.ready ? writing_.waiter : nullptr;
  if (writer == reader) writer = nullptr;  // one that waits for either
  // Both are taken first, and the second goes by the loop: the first may destroy this descriptor.
  if (writer && reader) {
    writer->wake_ = Wake::ready;
    writing_.waiter = nullptr;
    writer->disarm();
    writer->defer();
    writer = nullptr;
  }
  if (reader) return reader->end(Wake::ready);
  if (writer) writer->end(Wake::ready);
}

bool Descriptor::Wait::begin() noexcept {
  if (scope_) {
    if (scope_->stopped() != Stop::none) {
      wake_ = Wake::stopped;
      return false;
    }
    scope_->wait_at(*this);
  }
  wait_at_sides(this);
  if (within_ > 0) {
    ring = [](Alarm& alarm) { static_cast<Wait&>(alarm).end(Wake::late); };
    loop_.wheel().arm(*this, loop_.tick_in(within_));
  }
  return true;
}

void Descriptor::Wait::stop(Stop) noexcept {
  if (deferred()) return;
  wake_ = Wake::stopped;
  wait_at_sides(nullptr);
  disarm();
  defer();
}

void Descriptor::Wait::defer() noexcept {
  run = [](Deferred& deferred) { static_cast<Wait&>(deferred).resume(); };
  loop_.defer(*this);
}

void Descriptor::Wait::end(Wake wake) noexcept {
  wake_ = wake;
  wait_at_sides(nullptr);
  disarm();
  resume();
}

void Descriptor::Wait::resume() noexcept {
  if (scope_) scope_->go_on();
  waiting_.resume();
}

}  // namespace plimsoll
