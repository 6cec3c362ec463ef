#pragma once

#include "plimsoll/base/clock.hpp"

#include <sys/types.h>
#include <atomic>
#include <cstddef>
#include <vector>

namespace plimsoll::database {

/// The disk under a SQLite file, as the threads see it that read the file. A read of a page that the kernel does not
/// have in memory waits for the disk, and nothing can end it: an I/O thread must not begin one. SQLite's system call
/// for it (`pread`) is therefore replaced, for the process, by one that knows what its thread may do:
///
/// - An I/O thread reads what the kernel has in memory (`preadv2` with RWF_NOWAIT); else the call fails, and the read
///   is repeated on a reader thread. While a reader thread waits for the disk, even the kernel is not asked: the pages
///   that SQLite has in its own memory are all there is.
/// - Where the file system does not know that call (overlayfs, FUSE), an I/O thread maps the page without touching it,
///   and asks whether it is there (`mincore`). Where the file system is memory (tmpfs) nothing is asked.
/// - Where a file cannot be mapped either, an I/O thread does read, until a read of any thread has waited: the next are
///   refused for some time. The first one that hangs holds up its thread.
/// - Of a reader thread it is known since when it waits.
class SqliteDisk {
 public:
  /// How it is found out whether a page is in memory; the next where one is not to be had.
  enum class Look : std::uint8_t { call, mapping, none, needless };
  /// `readers`: threads that may wait for it.
  explicit SqliteDisk(std::size_t readers, Look look = Look::call) : since_(readers), look_(look) {}

  /// While it lives, the calling thread reads as one of the two kinds of threads.
  class Access {
   public:
    explicit Access(SqliteDisk& disk) : Access(disk, nullptr) {}                          ///< I/O thread
    Access(SqliteDisk& disk, std::size_t reader) : Access(disk, &disk.since_[reader]) {}  ///< reader thread
    ~Access();
    Access(const Access&) = delete;
    /// A read would have waited for the disk, and was refused.
    bool refused() const noexcept { return refused_; }
    ssize_t read(int file, void* into, std::size_t size, off_t at) noexcept;

   private:
    Access(SqliteDisk& disk, std::atomic<Nanoseconds>* since) noexcept;
    ssize_t read_from_memory(int file, void* into, std::size_t size, off_t at) noexcept;
    bool may_read(int file, std::size_t size, off_t at) noexcept;
    SqliteDisk& disk_;
    std::atomic<Nanoseconds>* const since_;  ///< null: of an I/O thread
    bool refused_ = false;
  };

  /// A read of the calling thread was refused.
  static bool refused_here() noexcept;
  /// The last read of the calling thread that the disk has refused (`errno`), since it was forgotten; 0: none.
  static int failed_here() noexcept;
  static void forget_failed() noexcept;
  /// For how long a thread has waited for the disk that waits longest; 0: none does.
  Nanoseconds longest_wait() const noexcept;
  /// Every reader thread has waited for so long or longer.
  bool all_wait(Nanoseconds span) const noexcept;
  /// Replaces SQLite's calls, once; where SQLite reads in another way all reads wait. Before the first file is opened.
  static void replace_calls();

 private:
  ssize_t timed(std::atomic<Nanoseconds>& since, int file, void* into, std::size_t size, off_t at) noexcept;

  std::vector<std::atomic<Nanoseconds>> since_;  ///< steady, of each reader thread; 0: it does not wait
  std::atomic<Nanoseconds> io_since_{0};         ///< of one of the I/O threads
  std::atomic<Nanoseconds> slow_until_{0};
  std::atomic<Look> look_;
};

}  // namespace plimsoll::database
