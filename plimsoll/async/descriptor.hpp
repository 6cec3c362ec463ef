#pragma once

#include "plimsoll/async/readiness.hpp"

#include <cstdint>

namespace plimsoll {

/// Told when the other end of a descriptor is gone, or has said that it will send no more.
class HangUp {
 public:
  virtual void hung_up() noexcept = 0;

 protected:
  ~HangUp() = default;
};

/// A non-blocking descriptor that a loop watches, edge by edge (epoll(7)): whoever uses it reads and writes by system
/// calls of its own and says when there is nothing more, so that no call is made in vain. Closes the descriptor. At
/// most one line of work waits to read and one to write.
class Descriptor {
 public:
  using Wait = Readiness::Wait;
  Descriptor(Loop& loop, int descriptor);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const noexcept { return descriptor_; }
  /// Lets go of it: no longer watched, and not closed. Nobody may wait.
  int release() noexcept;
  Loop& loop() const noexcept { return *loop_; }
  /// Another loop watches it, or none: what belongs to no line of work meanwhile. Nobody may wait; what is known of it
  /// is forgotten. Not watched, it is only held.
  void attach(Loop& loop) noexcept;
  void detach() noexcept;

  /// Whether a read (write) may find something; false until the next edge after `read_all` (`write_full`).
  bool can_read() const noexcept { return reading_.ready(); }
  bool can_write() const noexcept { return writing_.ready(); }
  /// A read found nothing, or less than it asked for. After the other end has hung up there is always its end to read.
  void read_all() noexcept { reading_.set(hung_up_); }
  void write_full() noexcept { writing_.set(broken_); }
  /// The other end sends no more, or is gone.
  bool hung_up() const noexcept { return hung_up_; }

  /// `Wake woken = co_await descriptor.readable(within);` `within` 0: no deadline of its own.
  Wait readable(Nanoseconds within) noexcept;
  Wait writable(Nanoseconds within) noexcept;
  /// Until it can be read or written; nobody else waits meanwhile.
  Wait changed(Nanoseconds within) noexcept;
  /// Null: nobody. Called from the loop, never from within a call to this object.
  void watch(HangUp* watcher) noexcept { watcher_ = watcher; }

  /// By the loop: what epoll said.
  void happened(std::uint32_t events);

 private:
  void begin_watching() noexcept;
  Loop* loop_;
  int descriptor_;
  bool hung_up_ = false, broken_ = false, watched_ = false;
  Readiness reading_, writing_;
  HangUp* watcher_ = nullptr;
};

inline Descriptor::Wait Descriptor::readable(Nanoseconds within) noexcept { return {*loop_, reading_, within}; }
inline Descriptor::Wait Descriptor::writable(Nanoseconds within) noexcept { return {*loop_, writing_, within}; }
inline Descriptor::Wait Descriptor::changed(Nanoseconds within) noexcept {
  return {*loop_, reading_, within, &writing_};
}

}  // namespace plimsoll
