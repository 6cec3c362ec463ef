#include "plimsoll/database/sqlite_disk.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

namespace plimsoll::database {
namespace {

constexpr Nanoseconds kLong = 100 * kMillisecond;  ///< a read that takes longer has waited
constexpr Nanoseconds kRest = 10 * kSecond;        ///< after one that has waited, where memory is not known

thread_local SqliteDisk::Access* access_of_thread = nullptr;
thread_local int failed_of_thread = 0;

ssize_t read_file(int file, void* into, std::size_t size, off_t at) {
  const auto got = access_of_thread ? access_of_thread->read(file, into, size, at) : ::pread(file, into, size, at);
  if (got < 0 && errno != EAGAIN && errno != EINTR) [[unlikely]]
    failed_of_thread = errno;
  return got;
}

/// SQLite makes room in the file of the WAL index by writing the last byte of each of its pages (4,096 bytes). Where
/// the file system has smaller blocks, the rest of the page may find no room, and who uses it is killed (SIGBUS).
ssize_t write_file(int file, const void* from, std::size_t size, off_t at) {
  constexpr off_t kPage = 4096;
  if (size == 1 && at % kPage == kPage - 1)
    if (const int failed = ::posix_fallocate(file, at + 1 - kPage, kPage); failed == ENOSPC || failed == EDQUOT) {
      errno = failed;
      return -1;
    }
  return ::pwrite(file, from, size, at);
}

/// Root's SQLite gives a log to the owner of the database each time that it opens one. Where it is his, nothing is
/// done: the time at which the log was changed last says whether it belongs to the file (`match_log`).
int give_file(int file, uid_t owner, gid_t group) {
  struct stat about{};
  if (::fstat(file, &about) == 0 && about.st_uid == owner && about.st_gid == group) return 0;
  return ::fchown(file, owner, group);
}

Nanoseconds now() noexcept { return system_clock().steady(); }

bool is_memory(int file) noexcept {
  struct statfs of{};
  return ::fstatfs(file, &of) == 0 && (of.f_type == TMPFS_MAGIC || of.f_type == RAMFS_MAGIC);
}

/// Whether the kernel has so many bytes of a file in memory, those behind its end not counted. Nothing: it does not
/// say.
std::optional<bool> is_there(int file, std::size_t size, off_t at) noexcept {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto before = static_cast<std::size_t>(at) % page;
  const auto first = at - static_cast<off_t>(before);
  const auto length = before + size;
  std::array<unsigned char, 32> pages;  // SQLite reads at most 64 KiB
  if (length > pages.size() * page) return std::nullopt;
  auto* mapped = ::mmap(nullptr, length, PROT_NONE, MAP_SHARED, file, first);
  if (mapped == MAP_FAILED) return std::nullopt;
  const bool told = ::mincore(mapped, length, pages.data()) == 0;
  ::munmap(mapped, length);
  if (!told) return std::nullopt;
  struct stat found{};
  for (std::size_t i = 0; i * page < length; ++i) {
    if (pages[i] & 1) continue;
    if (found.st_size == 0 && ::fstat(file, &found) != 0) return std::nullopt;
    if (first + static_cast<off_t>(i * page) < found.st_size) return false;
  }
  return true;
}

}  // namespace

void SqliteDisk::replace_calls() {
  auto* vfs = sqlite3_vfs_find("unix");
  if (!vfs || vfs->iVersion < 3) return;
  const auto replace = [vfs](const char* name, auto* by) {
    if (vfs->xGetSystemCall(vfs, name)) vfs->xSetSystemCall(vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(by));
  };
  for (const auto* name : {"pread", "pread64"}) replace(name, &read_file);  // SQLite is built to use one of them
  for (const auto* name : {"pwrite", "pwrite64"}) replace(name, &write_file);
  replace("fchown", &give_file);
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
    if (disk_.look_.load(std::memory_order_relaxed) == Look::call) {
      const iovec part{.iov_base = into, .iov_len = size};
      const auto got = ::preadv2(file, &part, 1, at, RWF_NOWAIT);
      // The file system, the kernel or a sandbox does not know the call.
      if (got < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM))
        disk_.look_.store(is_memory(file) ? Look::needless : Look::mapping, std::memory_order_relaxed);
      else if (got >= 0 || errno != EAGAIN)
        return got;
    }
    if (may_read(file, size, at)) return disk_.timed(disk_.io_since_, file, into, size, at);
  }
  refused_ = true;
  errno = EAGAIN;
  return -1;
}

/// Without the call.
bool SqliteDisk::Access::may_read(int file, std::size_t size, off_t at) noexcept {
  auto look = disk_.look_.load(std::memory_order_relaxed);
  if (look == Look::mapping) {
    if (const auto there = is_there(file, size, at)) return *there;
    disk_.look_.store(look = Look::none, std::memory_order_relaxed);
  }
  if (look == Look::none) return now() >= disk_.slow_until_.load(std::memory_order_relaxed);
  return look == Look::needless;
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

int SqliteDisk::failed_here() noexcept { return failed_of_thread; }

void SqliteDisk::forget_failed() noexcept { failed_of_thread = 0; }

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
