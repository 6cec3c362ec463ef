#include "plimsoll/async/descriptor.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <utility>

namespace plimsoll {

Descriptor::Descriptor(Loop& loop, int descriptor) : loop_(&loop), descriptor_(descriptor) { begin_watching(); }

void Descriptor::begin_watching() noexcept {
  writing_.set(true);
  watched_ = true;
  // What cannot be watched (a full epoll, no memory) is at once readable: the caller's next call tells the error.
  if (loop_->watch(descriptor_, *this)) return;
  hung_up_ = broken_ = true;
  reading_.set(true);
}

void Descriptor::attach(Loop& loop) noexcept {
  detach();
  loop_ = &loop;
  hung_up_ = broken_ = false;
  reading_.set(false);
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
  if ((events & EPOLLIN) || hung_up_) reading_.set(true);
  if ((events & EPOLLOUT) || broken_) writing_.set(true);
  if (hung_up_ && watcher_) watcher_->hung_up();
  auto* reader = reading_.ready() ? reading_.waiter_ : nullptr;
  auto* writer = writing_.ready() ? writing_.waiter_ : nullptr;
  if (writer == reader) writer = nullptr;  // one that waits for either
  // Both are taken first, and the second goes by the loop: the first may destroy this descriptor.
  if (writer && reader) std::exchange(writer, nullptr)->end_soon(Wake::ready);
  if (reader) return reader->end(Wake::ready);
  if (writer) writer->end(Wake::ready);
}

}  // namespace plimsoll
