#include "plimsoll/database/sqlite_disk.hpp"

#include <sqlite3.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace plimsoll::database {
namespace {

constexpr Nanoseconds kLong = 100 * kMillisecond;  ///< a read that takes longer has waited
constexpr Nanoseconds kRest = 10 * kSecond;        ///< after one that has waited, where memory is not known

thread_local SqliteDisk::Access* access_of_thread = nullptr;

ssize_t read_file(int file, void* into, std::size_t size, off_t at) {
  return access_of_thread ? access_of_thread->read(file, into, size, at) : ::pread(file, into, size, at);
}

Nanoseconds now() noexcept { return system_clock().steady(); }

}  // namespace

void SqliteDisk::watch_reads() {
  auto* vfs = sqlite3_vfs_find("unix");
  if (!vfs || vfs->iVersion < 3) return;
  const auto call = reinterpret_cast<sqlite3_syscall_ptr>(&read_file);
  for (const auto* name : {"pread", "pread64"})  // SQLite is built to use one of them
    if (vfs->xGetSystemCall(vfs, name)) vfs->xSetSystemCall(vfs, name, call);
}

SqliteDisk::Access::Access(SqliteDisk& disk, std::atomic<Nanoseconds>* since) noexcept : disk_(disk), since_(since) {
  access_of_thread = this;
}

SqliteDisk::Access::~Access() { access_of_thread = nullptr; }

ssize_t SqliteDisk::Access::read(int file, void* into, std::size_t size, off_t at) noexcept {
  return since_ ? disk_.timed(*since_, file, into, size, at) : read_from_memory(file, into, size, at);
}

ssize_t SqliteDisk::Access::read_from_memory(int file, void* into, std::size_t size, off_t at) noexcept {
  if (disk_.longest_wait() <= kLong) {
    if (disk_.knows_memory_.load(std::memory_order_relaxed)) {
      const iovec part{.iov_base = into, .iov_len = size};
      const auto got = ::preadv2(file, &part, 1, at, RWF_NOWAIT);
      // The file system, the kernel or a sandbox does not know the call.
      if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM))
        disk_.knows_memory_.store(false, std::memory_order_relaxed);
      else if (got >= 0 || errno != EAGAIN)
        return got;
    }
    if (!disk_.knows_memory_.load(std::memory_order_relaxed) &&
        now() >= disk_.slow_until_.load(std::memory_order_relaxed))
      return disk_.timed(disk_.io_since_, file, into, size, at);
  }
  refused_ = true;
  errno = EAGAIN;
  return -1;
}

ssize_t SqliteDisk::timed(std::atomic<Nanoseconds>& since, int file, void* into, std::size_t size, off_t at) noexcept {
  const auto begun = now();
  Nanoseconds none = 0;
  const bool noted = since.compare_exchange_strong(none, begun, std::memory_order_relaxed);
  const auto got = ::pread(file, into, size, at);
  const auto why = errno;
  if (noted) since.store(0, std::memory_order_relaxed);
  if (const auto end = now(); end - begun > kLong) slow_until_.store(end + kRest, std::memory_order_relaxed);
  errno = why;
  return got;
}

bool SqliteDisk::refused_here() noexcept { return access_of_thread && access_of_thread->refused(); }

Nanoseconds SqliteDisk::longest_wait() const noexcept {
  Nanoseconds first = io_since_.load(std::memory_order_relaxed);
  for (const auto& since : since_)
    if (const auto at = since.load(std::memory_order_relaxed); at && (!first || at < first)) first = at;
  return first ? std::max<Nanoseconds>(now() - first, 1) : 0;
}

bool SqliteDisk::all_wait(Nanoseconds span) const noexcept {
  const auto before = now() - span;
  return std::ranges::all_of(since_, [&](const auto& since) {
    const auto at = since.load(std::memory_order_relaxed);
    return at && at <= before;
  });
}

}  // namespace plimsoll::database
