#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace plimsoll::database {

/// When each table was last written, in the order of commits that this process knows of. Whoever remembers what it read
/// notes `now()` before reading; it is current as long as none of its tables was written `since`.
class TableVersions {
 public:
  class Table {
   public:
    bool written_since(std::uint64_t when) const noexcept { return written_.load(std::memory_order_acquire) > when; }

   private:
    friend class TableVersions;
    std::atomic<std::uint64_t> written_{0};
  };

  std::uint64_t now() const noexcept { return clock_.load(std::memory_order_acquire); }
  /// Lives as long as this; made at the first question. Takes a lock: ask once and keep it.
  const Table& of(std::string_view name) {
    std::lock_guard lock(mutex_);
    auto found = tables_.find(name);
    if (found == tables_.end()) {
      found = tables_.emplace(name, std::make_unique<Table>()).first;
      // Writes to it were not noted until now: as far as anybody knows the last one was this very moment.
      found->second->written_.store(now(), std::memory_order_release);
    }
    return *found->second;
  }
  /// After the commit, and before anybody is told of it: the next read then sees the change.
  void wrote(std::string_view name) {
    const auto when = clock_.fetch_add(1, std::memory_order_acq_rel) + 1;
    std::lock_guard lock(mutex_);
    auto found = tables_.find(name);
    if (found == tables_.end()) return;  // nobody remembers anything of it
    auto& written = found->second->written_;
    auto known = written.load(std::memory_order_relaxed);
    while (known < when && !written.compare_exchange_weak(known, when, std::memory_order_acq_rel)) {}
  }

  /// All tables may be others than they were.
  void wrote_all() {
    const auto when = clock_.fetch_add(1, std::memory_order_acq_rel) + 1;
    std::lock_guard lock(mutex_);
    for (auto& [name, table] : tables_) table->written_.store(when, std::memory_order_release);
  }

 private:
  std::atomic<std::uint64_t> clock_{0};
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Table>, std::less<>> tables_;
};

}  // namespace plimsoll::database
