#include "plimsoll/async/loop.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/database/test_folder.hpp"
#include "plimsoll/database/wait.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <fstream>
#include <random>
#include <set>
#include <thread>

namespace plimsoll::database {
namespace {

/// What a disk holds when the power fails: what was synced, and of what was written since any part.
class Disk {
 public:
  void opened(const std::string& path) {
    std::lock_guard lock(mutex_);
    images_.try_emplace(path);
  }
  void written(const std::string& path, sqlite3_int64 offset, const void* bytes, int size) {
    std::lock_guard lock(mutex_);
    images_[path].pending.push_back(
        {offset, std::string(static_cast<const char*>(bytes), static_cast<std::size_t>(size))});
  }
  void truncated(const std::string& path, sqlite3_int64 size) {
    std::lock_guard lock(mutex_);
    images_[path].pending.push_back({size, std::nullopt});
  }
  void synced(const std::string& path) {
    std::lock_guard lock(mutex_);
    auto& image = images_[path];
    for (auto& change : image.pending) apply(image.durable, change);
    image.pending.clear();
  }
  void removed(const std::string& path) {
    std::lock_guard lock(mutex_);
    images_.erase(path);
  }
  /// Lays down what would be left now; each unsynced write is there or not as `random` says.
  void cut(const std::string& folder, std::mt19937& random) {
    std::lock_guard lock(mutex_);
    for (auto& [path, image] : images_) {
      auto left = image.durable;
      for (auto& change : image.pending)
        if (random() % 2) apply(left, change);
      std::ofstream(folder + "/" + std::filesystem::path(path).filename().string(), std::ios::binary) << left;
    }
  }
  void forget() {
    std::lock_guard lock(mutex_);
    images_.clear();
  }

 private:
  struct Change {
    sqlite3_int64 offset;
    std::optional<std::string> bytes;  ///< nothing: truncated to `offset`
  };
  struct Image {
    std::string durable;
    std::vector<Change> pending;
  };
  static void apply(std::string& content, const Change& change) {
    const auto at = static_cast<std::size_t>(change.offset);
    if (!change.bytes) return content.resize(at);
    if (content.size() < at + change.bytes->size()) content.resize(at + change.bytes->size());
    content.replace(at, change.bytes->size(), *change.bytes);
  }
  std::mutex mutex_;
  std::map<std::string, Image> images_;
};

Disk disk;
sqlite3_vfs* real = nullptr;

/// A file of the system's VFS, with a note of each write and sync.
struct NotedFile {
  sqlite3_file base;
  char path[256];
  bool noted;
  sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
NotedFile& of(sqlite3_file* file) { return *reinterpret_cast<NotedFile*>(file); }
#define INNER(file, method, ...) of(file).inner()->pMethods->method(of(file).inner() __VA_OPT__(, ) __VA_ARGS__)

int write_noted(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 offset) {
  if (of(file).noted) disk.written(of(file).path, offset, bytes, size);
  return INNER(file, xWrite, bytes, size, offset);
}
int truncate_noted(sqlite3_file* file, sqlite3_int64 size) {
  if (of(file).noted) disk.truncated(of(file).path, size);
  return INNER(file, xTruncate, size);
}
int sync_noted(sqlite3_file* file, int flags) {
  const int code = INNER(file, xSync, flags);
  if (code == SQLITE_OK && of(file).noted) disk.synced(of(file).path);
  return code;
}

const sqlite3_io_methods kMethods = {
    .iVersion = 2,
    .xClose = [](sqlite3_file* f) { return INNER(f, xClose); },
    .xRead = [](sqlite3_file* f, void* p, int n, sqlite3_int64 at) { return INNER(f, xRead, p, n, at); },
    .xWrite = write_noted,
    .xTruncate = truncate_noted,
    .xSync = sync_noted,
    .xFileSize = [](sqlite3_file* f, sqlite3_int64* size) { return INNER(f, xFileSize, size); },
    .xLock = [](sqlite3_file* f, int level) { return INNER(f, xLock, level); },
    .xUnlock = [](sqlite3_file* f, int level) { return INNER(f, xUnlock, level); },
    .xCheckReservedLock = [](sqlite3_file* f, int* out) { return INNER(f, xCheckReservedLock, out); },
    .xFileControl = [](sqlite3_file* f, int op, void* p) { return INNER(f, xFileControl, op, p); },
    .xSectorSize = [](sqlite3_file* f) { return INNER(f, xSectorSize); },
    .xDeviceCharacteristics = [](sqlite3_file* f) { return INNER(f, xDeviceCharacteristics); },
    .xShmMap = [](sqlite3_file* f, int page, int size, int extend,
                  void volatile** p) { return INNER(f, xShmMap, page, size, extend, p); },
    .xShmLock = [](sqlite3_file* f, int at, int n, int flags) { return INNER(f, xShmLock, at, n, flags); },
    .xShmBarrier = [](sqlite3_file* f) { INNER(f, xShmBarrier); },
    .xShmUnmap = [](sqlite3_file* f, int remove) { return INNER(f, xShmUnmap, remove); },
};

int open_noted(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
  auto& noted = of(file);
  noted.base.pMethods = nullptr;
  const int code = real->xOpen(real, name, noted.inner(), flags, out);
  if (code != SQLITE_OK) return code;
  noted.noted = name && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL));
  if (noted.noted) {
    std::snprintf(noted.path, sizeof noted.path, "%s", name);
    disk.opened(noted.path);
  }
  noted.base.pMethods = &kMethods;
  return code;
}

int delete_noted(sqlite3_vfs*, const char* name, int sync) {
  const int code = real->xDelete(real, name, sync);
  if (code == SQLITE_OK) disk.removed(name);
  return code;
}

void register_vfs() {
  if (real) return;
  real = sqlite3_vfs_find(nullptr);
  static sqlite3_vfs vfs = *real;
  vfs.zName = "power-cut";
  vfs.szOsFile = static_cast<int>(sizeof(NotedFile)) + real->szOsFile;
  vfs.xOpen = open_noted;
  vfs.xDelete = delete_noted;
  ASSERT_EQ(sqlite3_vfs_register(&vfs, 0), SQLITE_OK);
}

constexpr std::int64_t kBatch = 10;

struct Loss {
  int rows = 0, half_batches = 0, broken = 0;
  std::size_t acknowledged = 0;
};

/// What is missing from a file that a power cut left behind.
void examine(const std::string& path, const std::set<std::int64_t>& acknowledged, Loss& loss) {
  sqlite3* db = nullptr;
  sqlite3_open(path.c_str(), &db);
  const auto column = [&](const char* sql) {
    std::vector<std::string> all;
    sqlite3_exec(
        db, sql,
        [](void* into, int, char** values, char**) {
          static_cast<std::vector<std::string>*>(into)->push_back(values[0] ? values[0] : "");
          return 0;
        },
        &all, nullptr);
    return all;
  };
  if (column("PRAGMA integrity_check") != std::vector<std::string>{"ok"}) ++loss.broken;
  std::set<std::int64_t> there;
  for (auto& id : column("SELECT DISTINCT unit FROM row")) there.insert(std::stoll(id));
  for (auto id : acknowledged) loss.rows += !there.contains(id);
  loss.half_batches += static_cast<int>(
      column(("SELECT unit FROM row GROUP BY unit HAVING count(*)<>" + std::to_string(kBatch)).c_str()).size());
  loss.acknowledged += acknowledged.size();
  sqlite3_close(db);
}

Loss cut_power(SqliteOptions::Synchronous synchronous, unsigned seed, int cuts) {
  register_vfs();
  disk.forget();
  TestFolder folder;
  std::mt19937 random{seed};
  auto opened = open_sqlite({.path = folder / "cut.db",
                             .synchronous = synchronous,
                             .checkpoint = config::kibibytes(256),  // often, so that cuts fall into checkpoints too
                             .vfs = "power-cut"});
  EXPECT_TRUE(opened) << opened.error().detail;
  auto& database = **opened;
  auto made = wait_for([&](Loop& loop) -> Task<Result<>> {
    auto done = co_await database.write(loop, [](Session& session) -> Task<Result<>> {
      auto created =
          co_await session.script("CREATE TABLE row(unit INTEGER, n INTEGER, text TEXT); CREATE INDEX u ON row(unit)");
      co_return created;
    });
    co_return done;
  });
  EXPECT_TRUE(made);

  std::mutex mutex;
  std::set<std::int64_t> acknowledged;
  std::atomic<bool> stop{false};
  std::atomic<std::int64_t> next{0};
  std::thread writer([&] {
    Loop loop;
    std::vector<Scope> scopes(8);
    auto client = [&]() -> Task<> {
      while (!stop) {
        const auto unit = ++next;
        auto done = co_await database.write(loop, [&](Session& session) -> Task<Result<>> {
          for (std::int64_t n = 0; n < kBatch; ++n) {
            const Cell cells[] = {unit, n, std::string(100, 'x')};
            auto put = co_await session.query("INSERT INTO row VALUES(?,?,?)", cells);
            if (!put) co_return std::unexpected(std::move(put).error());
          }
          co_return Result<>{};
        });
        if (!done) break;
        std::lock_guard lock(mutex);
        acknowledged.insert(unit);
      }
    };
    for (auto& scope : scopes) loop.spawn(scope, client());
    loop.run();
  });
  Loss loss;
  for (int cut = 0; cut < cuts; ++cut) {
    const auto until = next.load() + 40 + static_cast<std::int64_t>(random() % 100);
    while (next.load() < until) std::this_thread::yield();
    std::unique_lock lock(mutex);
    const auto promised = acknowledged;  // before the cut: all of these must be on the disk
    lock.unlock();
    const auto left = folder / ("left" + std::to_string(cut)).c_str();
    std::filesystem::create_directory(left);
    disk.cut(left, random);
    examine(left + "/cut.db", promised, loss);
  }
  stop = true;
  writer.join();
  return loss;
}

unsigned seed_of_test() {
  const char* given = std::getenv("PLIMSOLL_SEED");
  const auto seed = given ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
  std::printf("PLIMSOLL_SEED=%u\n", seed);
  return seed;
}

TEST(PowerCut, LosesNothingThatWasAcknowledgedAndNoHalfOfAUnit) {
  const auto loss = cut_power(SqliteOptions::Synchronous::full, seed_of_test(), 20);
  EXPECT_GT(loss.acknowledged, 500u);
  EXPECT_EQ(loss.rows, 0);
  EXPECT_EQ(loss.half_batches, 0);
  EXPECT_EQ(loss.broken, 0);
}

TEST(PowerCut, IsNoticedByThisTestWhereNothingIsSynced) {
  const auto loss = cut_power(SqliteOptions::Synchronous::off, seed_of_test(), 5);
  EXPECT_GT(loss.rows + loss.broken, 0);
}

}  // namespace
}  // namespace plimsoll::database
