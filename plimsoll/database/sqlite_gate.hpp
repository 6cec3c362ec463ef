#pragma once

#include "plimsoll/database/database.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

namespace plimsoll::database {

inline constexpr std::string_view kMoved = "sqlite: the database file was moved or deleted";
inline constexpr std::string_view kUnseen =
    "sqlite: the database file cannot be looked up: its folder, or its disk, refuses it";
inline constexpr std::string_view kOverwritten =
    "sqlite: another program has written into the database file, or cut its log";
/// An error with its cause, which goes without it where memory is short: for threads that have nobody to throw to.
inline Error caused(DeclaredProblem problem, std::string_view cause) noexcept {
  Error error{problem};
  try {
    error.more().cause = cause;
  } catch (const std::bad_alloc&) {}
  return error;
}
inline Error moved_error(std::string_view why = kMoved) noexcept { return caused(&kUnavailable, why); }

/// Who may use the connections to a file. Everybody, until it is seen that another file has taken its place; then the
/// one thread that looks whether that file is good, until it admits everybody to it. Files are numbered, so that what
/// was asked of the one before is never carried out on the next.
class SqliteGate {
 public:
  /// The number of the file that the calling thread may use; `database-unavailable` where it may use none.
  Result<std::uint64_t> pass() const {
    if (closed_.load(std::memory_order_acquire)) [[unlikely]] {
      const std::scoped_lock lock(mutex_);
      if (looks_ != std::this_thread::get_id()) return std::unexpected(Error{&kUnavailable}.because(reason_));
    }
    return file_.load(std::memory_order_acquire);
  }
  bool is_current(std::uint64_t file) const noexcept { return file == file_.load(std::memory_order_acquire); }

  /// From now on only the calling thread passes, to the next file.
  void close() {
    const std::scoped_lock lock(mutex_);
    looks_ = std::this_thread::get_id();
    closed_.store(true, std::memory_order_release);
    file_.fetch_add(1, std::memory_order_acq_rel);
  }
  /// The file is not good: all others are told why.
  void refuse(std::string reason) {
    const std::scoped_lock lock(mutex_);
    reason_ = std::move(reason);
  }
  /// Everybody passes.
  void admit() {
    const std::scoped_lock lock(mutex_);
    reason_ = kMoved;
    damage_.clear();
    damaged_.store(false, std::memory_order_relaxed);
    seen_moved_.store(false, std::memory_order_relaxed);
    closed_.store(false, std::memory_order_release);
  }

  /// What a connection has found out: whether its file is still at its place.
  void saw_moved(bool moved) noexcept { seen_moved_.store(moved, std::memory_order_relaxed); }
  /// SQLite has found the file to be damaged: why, for operators. What can be read is read on; it counts as lost until
  /// it was opened again and admitted. Called again it changes nothing.
  void saw_damage(std::string_view why) {
    if (damaged_.load(std::memory_order_relaxed)) return;
    const std::scoped_lock lock(mutex_);
    damage_ = why;
    damaged_.store(true, std::memory_order_relaxed);
  }
  /// Empty: none is known.
  std::string damage() const {
    const std::scoped_lock lock(mutex_);
    return damage_;
  }
  bool lost() const noexcept {
    return seen_moved_.load(std::memory_order_relaxed) || closed_.load(std::memory_order_relaxed) ||
           damaged_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> file_{1};
  std::atomic<bool> closed_{false}, seen_moved_{false}, damaged_{false};
  mutable std::mutex mutex_;
  std::thread::id looks_{};  ///< who passes while it is closed
  std::string reason_{kMoved}, damage_{};
};

}  // namespace plimsoll::database
