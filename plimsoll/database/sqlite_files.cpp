#include "plimsoll/database/sqlite_files.hpp"

#include "plimsoll/base/owned_descriptor.hpp"
#include "plimsoll/database/engine.hpp"
#include "plimsoll/database/sqlite_connection.hpp"
#include "plimsoll/database/sqlite_gate.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

namespace plimsoll::database {
namespace {

constexpr Problem kBackup{"backup", 500, "The database cannot be copied", "Name a file that does not exist yet."};

constexpr Problem kRestore{"restore", 500, "The backup cannot be restored", "The database is as it was."};

/// Rows of one statement, as text.
Result<std::vector<std::string>> texts(SqliteConnection& connection, std::string_view sql) {
  RowKeeper keeper;
  if (auto done = connection.run(sql, {}, &keeper); !done) return std::unexpected(std::move(done).error());
  std::vector<std::string> all;
  for (auto& row : keeper.rows) {
    std::string line;
    for (auto& cell : row) {
      if (!line.empty()) line += ", ";
      if (auto* text = std::get_if<std::string>(&cell)) line += *text;
      if (auto* number = std::get_if<std::int64_t>(&cell)) line += std::to_string(*number);
    }
    all.push_back(std::move(line));
  }
  return all;
}

/// A file that becomes durable under its name, or leaves nothing behind.
struct Draft {
  std::string path;
  bool kept = false;
  ~Draft() {
    if (kept) return;
    std::error_code ignored;
    for (const auto* end : {"", "-wal", "-shm", "-journal"}) std::filesystem::remove(path + end, ignored);
  }
};

constexpr std::string_view kDraft = ".plimsoll-part";  ///< behind the name, a dot and the number of the process

/// What processes have left of backups to this file that were killed. Where a process of that number runs it may be
/// its.
void remove_drafts_of_killed(const std::string& to) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const auto folder = fs::path(to).parent_path(), name = fs::path(to).filename();
  fs::directory_iterator entry(folder.empty() ? "." : folder, ignored);
  for (; entry != fs::directory_iterator(); entry.increment(ignored)) {
    const auto file = entry->path().filename().string();
    std::string_view rest = file;
    if (!rest.starts_with(name.native() + ".") || !rest.ends_with(kDraft)) continue;
    rest.remove_prefix(name.native().size() + 1);
    rest.remove_suffix(kDraft.size());
    if (rest.empty() || rest.find_first_not_of("0123456789") != rest.npos) continue;
    // Ours was the number of another before, which was killed: in a container every process may have the same.
    if (rest != std::to_string(::getpid()) && fs::exists("/proc/" + std::string(rest), ignored)) continue;
    const Draft removed{.path = entry->path()};
  }
}

/// The system refuses something of a file, as it may not at the next attempt. A folder that a relative path names is
/// misspelt where it is not there.
std::unexpected<Error> refused(const std::string& path, int why) {
  auto said = "`" + path + "`: " + std::strerror(why);
  const bool missing = why == ENOENT || why == ENOTDIR;
  if (missing) said += std::string(kRemedyFollows) + "Make the folder, or name another file.";
  Error error = Error{&kUnavailable}.because(std::move(said));
  if (missing) error.retryable = may_be_mounted_later(path);
  return std::unexpected(std::move(error));
}

Result<> synced(const std::string& path, int flags) {
  const OwnedDescriptor file{::open(path.c_str(), flags | O_CLOEXEC)};
  if (!file || ::fsync(file.get()) != 0) return refused(path, errno);
  return {};
}

/// Whether SQLite takes a file of this name for one of its own beside a database.
bool is_companion(std::string_view path) {
  return path.ends_with("-journal") || path.ends_with("-wal") || path.ends_with("-shm");
}

Result<> copy(SqliteConnection& from, const std::string& to) {
  sqlite3* target = nullptr;
  const int opened = sqlite3_open_v2(to.c_str(), &target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_EXRESCODE, nullptr);
  const std::unique_ptr<sqlite3, decltype(&sqlite3_close_v2)> owner{target, sqlite3_close_v2};
  if (opened != SQLITE_OK) return std::unexpected(sqlite_error(opened, sqlite3_errstr(opened)));
  auto* backup = sqlite3_backup_init(target, "main", from.handle(), "main");
  if (!backup) return std::unexpected(sqlite_error(sqlite3_extended_errcode(target), sqlite3_errmsg(target)));
  // In one step: it reads one snapshot, which no writer waits for, and a writer cannot make it begin again.
  sqlite3_backup_step(backup, -1);
  const int done = sqlite3_backup_finish(backup);
  if (done != SQLITE_OK) return std::unexpected(sqlite_error(done, sqlite3_errmsg(target)));
  return {};
}

/// Where a link leads: the log stands beside the file itself.
std::string real_path(const std::string& path) {
  std::error_code unknown;
  if (!std::filesystem::is_symlink(path, unknown)) return path;
  const auto found = std::filesystem::canonical(path, unknown);
  return unknown ? path : found.string();
}

/// The folder of a file, on the disk.
Result<> folder_synced(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return synced(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY);
}

std::uint32_t big(const unsigned char* at) {
  return std::uint32_t{at[0]} << 24 | std::uint32_t{at[1]} << 16 | std::uint32_t{at[2]} << 8 | at[3];
}

/// The checksum of SQLite's log (https://sqlite.org/fileformat2.html, "Checksum Algorithm").
struct Checksum {
  std::uint32_t a = 0, b = 0;
  bool big_endian = false;
  void add(const unsigned char* from, std::size_t size) {
    for (std::size_t i = 0; i + 8 <= size; i += 8) {
      a += word(from + i) + b;
      b += word(from + i + 4) + a;
    }
  }
  std::uint32_t word(const unsigned char* at) const {
    const auto word = big(at);
    return big_endian ? word : __builtin_bswap32(word);
  }
};

/// Whether some process holds the lock that every connection to a database in WAL mode holds (`WAL_DMS` of SQLite).
bool in_use(const std::string& path) {
  constexpr off_t kDeadManSwitch = 128;
  const OwnedDescriptor shared{::open((path + "-shm").c_str(), O_RDONLY | O_CLOEXEC)};
  if (!shared) return false;
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = kDeadManSwitch;
  lock.l_len = 1;
  return ::fcntl(shared.get(), F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace

Result<> back_up(const SqliteOptions& from, const std::string& to) {
  std::error_code ignored;
  if (std::filesystem::exists(to, ignored)) return fail(kBackup, "`" + to + "` exists already");
  if (is_companion(to))
    return fail(kBackup, "SQLite takes `" + to + "` for a file of its own, and may delete it" +
                             std::string(kRemedyFollows) + "Name it otherwise, such as `" + to + ".db`.");
  auto source = SqliteConnection::open(from, SqliteConnection::Role::reader);
  if (!source) return std::unexpected(std::move(source).error());
  remove_drafts_of_killed(to);
  Draft draft{.path = to + "." + std::to_string(::getpid()) + std::string(kDraft)};
  {
    const OwnedDescriptor made{::open(draft.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (!made) {
      const int why = errno;
      draft.kept = true;  // not ours
      return refused(to, why);
    }
  }
  if (auto copied = copy(**source, draft.path); !copied) return copied;
  auto wrong = verify({.path = draft.path});
  if (!wrong) return std::unexpected(std::move(wrong).error());
  if (!wrong->empty())
    return fail(kBackup,
                "the copy is damaged, as its source may be: " + wrong->front() + std::string(kRemedyFollows) +
                    "`plimsoll database verify` lists what is damaged of the source: restore it from an earlier "
                    "backup.");
  if (auto done = synced(draft.path, O_RDONLY); !done) return done;
  // A hard link does not replace a file that has come meanwhile, as a rename would.
  if (::link(draft.path.c_str(), to.c_str()) != 0)
    return errno == EEXIST ? fail(kBackup, "`" + to + "` exists already") : refused(to, errno);
  return folder_synced(to);
}

Result<std::string> restore(const SqliteOptions& to, const std::string& from) {
  const auto path = real_path(to.path);
  const auto failed = [](const std::string& what) { return refused(what, errno); };
  std::error_code ignored;
  if (!std::filesystem::exists(from, ignored)) {
    Error error = fail(kRestore, "there is no file `" + from + "`").error();
    error.retryable = may_be_mounted_later(from);
    return std::unexpected(std::move(error));
  }
  if (in_use(path)) {
    Error error = Error{&kRestore}.because(
        "a process uses `" + path + "`" + std::string(kRemedyFollows) +
        "Stop the server first; or rename a copy of the backup over the file, which it notices.");
    error.retryable = true;
    return std::unexpected(std::move(error));
  }
  const auto next = path + "-restored";
  std::filesystem::remove(next, ignored);  // of an attempt that was broken off
  auto source = to;
  source.path = from;
  if (auto fits = match_log(source); !fits) return std::unexpected(std::move(fits).error());
  if (auto copied = back_up(source, next); !copied) return std::unexpected(std::move(copied).error());
  const Draft draft{.path = next};
  std::string kept;
  if (struct stat was{}; ::stat(path.c_str(), &was) == 0) {
    // Whoever restores it, the server can open it as before.
    if (::chown(next.c_str(), was.st_uid, was.st_gid) != 0 || ::chmod(next.c_str(), was.st_mode & 0777) != 0)
      return failed(next);
    kept = path + "-before";
    for (int n = 2; std::filesystem::exists(kept, ignored); ++n) kept = path + "-before-" + std::to_string(n);
    if (::link(path.c_str(), kept.c_str()) != 0) return failed(kept);
  }
  if (::rename(next.c_str(), path.c_str()) != 0) return failed(path);
  // A log without its file is left where it is never applied to another.
  const auto log = path + "-wal";
  if (std::filesystem::exists(log, ignored) &&
      ::rename(log.c_str(), (kept.empty() ? log + "-before" : kept + "-wal").c_str()) != 0)
    return failed(log);
  ::unlink((path + "-shm").c_str());
  if (auto done = folder_synced(path); !done) return std::unexpected(std::move(done).error());
  return kept;
}

namespace {

/// A database that is too damaged to be read through is an answer too.
bool is_damage(const Error& error) { return reason_of(error).find("malformed") != std::string::npos; }

Result<std::vector<std::string>> damage_of(SqliteConnection& connection) {
  auto found = texts(connection, "PRAGMA integrity_check(100)");
  if (!found && is_damage(found.error())) return std::vector{reason_of(found.error())};
  if (found && found->size() == 1 && found->front() == "ok") found->clear();
  return found;
}

Error damaged(const std::string& what) {
  return Error{&kUnavailable}.because("sqlite: the database is damaged: " + what + std::string(kRemedyFollows) +
                                      "Restore it from a backup; `plimsoll database verify` lists the damage.");
}

}  // namespace

namespace {

Result<std::vector<std::string>> wrong_in(SqliteConnection& connection) {
  auto found = damage_of(connection);
  if (!found) return found;
  auto strays =
      texts(connection,
            "SELECT 'a row of ' || \"table\" || ' (rowid ' || ifnull(rowid, '?') || ') refers to a row of ' || "
            "parent || ' that does not exist' FROM pragma_foreign_key_check LIMIT 100");
  if (!strays && is_damage(strays.error())) {
    found->push_back(reason_of(strays.error()));
    return found;
  }
  if (!strays) return strays;
  found->insert(found->end(), strays->begin(), strays->end());
  return found;
}

}  // namespace

Result<std::vector<std::string>> verify(SqliteOptions options) {
  options.read_as = uri_to_read(options.path);
  for (;;) {
    auto connection = SqliteConnection::open(options, SqliteConnection::Role::reader);
    if (!connection) return std::unexpected(std::move(connection).error());
    auto found = wrong_in(**connection);
    connection->reset();
    // A server that has started or ended meanwhile may have changed what was read.
    if (found && found->empty()) return found;
    if (const auto now = uri_to_read(options.path); now == std::exchange(options.read_as, now)) return found;
  }
}

Result<> is_sound(const SqliteOptions& options) {
  auto connection = SqliteConnection::open(options, SqliteConnection::Role::reader);
  if (!connection) return std::unexpected(std::move(connection).error());
  (*connection)->leave_log();
  auto wrong = damage_of(**connection);
  if (!wrong) return std::unexpected(std::move(wrong).error());
  return wrong->empty() ? Result<>{} : std::unexpected(damaged(wrong->front()));
}

namespace {

/// What a log holds (https://www.sqlite.org/fileformat2.html#walformat).
struct Wal {
  WalLeftovers found;
  std::size_t page_size = 0;               ///< 0: there is no header
  std::map<std::uint32_t, off_t> pages{};  ///< where the newest content that was committed of each begins
};
constexpr std::size_t kFrameHeader = 24;

Wal read_wal(int log) {
  constexpr std::size_t kHeader = 32;
  constexpr std::uint32_t kMagic = 0x377f0682;
  struct stat is{};
  std::array<unsigned char, kHeader> header{};
  Wal wal;
  if (::fstat(log, &is) != 0 || !read_at(log, header.data(), kHeader, 0)) return wal;
  const auto magic = big(header.data());
  const std::size_t page = big(header.data() + 8);
  if ((magic & ~1u) != kMagic || page < 512 || page > 65536 || (page & (page - 1))) return wal;
  Checksum sum{.big_endian = (magic & 1u) != 0};
  sum.add(header.data(), 24);
  if (sum.a != big(header.data() + 24) || sum.b != big(header.data() + 28)) return wal;
  wal.page_size = page;
  std::vector<unsigned char> frame(kFrameHeader + page);
  std::map<std::uint32_t, off_t> uncommitted;
  std::int64_t valid = 0;
  for (off_t at = kHeader; at < is.st_size; at += static_cast<off_t>(frame.size())) {
    const auto there = std::min<std::size_t>(frame.size(), static_cast<std::size_t>(is.st_size - at));
    if (there < kFrameHeader || !read_at(log, frame.data(), there, at)) break;
    // What another generation has left stands behind the end: nothing of it was ever to be applied.
    if (std::memcmp(frame.data() + 8, header.data() + 16, 8) != 0) break;
    sum.add(frame.data(), 8);
    if (there == frame.size()) sum.add(frame.data() + kFrameHeader, page);
    ++valid;
    if (there < frame.size() || sum.a != big(frame.data() + 16) || sum.b != big(frame.data() + 20)) {
      wal.found.torn = true;
      break;
    }
    uncommitted[big(frame.data())] = at + static_cast<off_t>(kFrameHeader);
    if (big(frame.data() + 4) == 0) continue;  // not a commit: the size of the database after it
    wal.found.kept = valid;
    for (const auto& [number, place] : std::exchange(uncommitted, {})) wal.pages[number] = place;
  }
  wal.found.dropped = valid - wal.found.kept;
  return wal;
}

/// How many pages of a log the file has as the log has them.
std::size_t pages_in(int file, int log, const Wal& wal) {
  std::vector<char> ours(wal.page_size), theirs(wal.page_size);
  return static_cast<std::size_t>(std::ranges::count_if(wal.pages, [&](const auto& page) {
    const auto at = std::uint64_t{page.first - 1} * wal.page_size;
    return read_at(file, ours.data(), ours.size(), at) &&
           read_at(log, theirs.data(), theirs.size(), static_cast<std::uint64_t>(page.second)) && ours == theirs;
  }));
}

bool later(const struct statx_timestamp& one, const struct statx_timestamp& other) {
  return std::tie(one.tv_sec, one.tv_nsec) > std::tie(other.tv_sec, other.tv_nsec);
}

/// Whether the machine has begun to run after a time: files may then lack what was written last, in any order.
bool rebooted_since(const struct statx_timestamp& time) {
  struct timespec now{}, running{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  ::clock_gettime(CLOCK_BOOTTIME, &running);
  return now.tv_sec - running.tv_sec >= time.tv_sec;
}

Error foreign_log(const std::string& path, const std::string& why) {
  Error error =
      Error{&kUnavailable}.because("sqlite: the log `" + path + "-wal` is not that of the database file, which " + why +
                                   std::string(kRemedyFollows) +
                                   "To put a backup in its place: plimsoll database restore BACKUP "
                                   "--database sqlite:" +
                                   path +
                                   ". To go on without the log, move it away. Where both were copied "
                                   "together: touch " +
                                   path + "-wal");
  error.retryable = false;
  return error;
}

}  // namespace

std::optional<WalLeftovers> inspect_wal(const std::string& path) {
  const OwnedDescriptor log{::open((path + "-wal").c_str(), O_RDONLY | O_CLOEXEC)};
  if (!log || in_use(path)) return std::nullopt;
  return read_wal(log.get()).found;
}

Result<LogMatch> match_log(const SqliteOptions& options) {
  const auto path = real_path(options.path);
  const OwnedDescriptor log{::open((path + "-wal").c_str(), O_RDONLY | O_CLOEXEC)};
  struct statx of_file{}, of_log{};
  constexpr unsigned kTimes = STATX_MTIME | STATX_CTIME | STATX_BTIME;
  if (!log || ::statx(AT_FDCWD, path.c_str(), 0, kTimes, &of_file) != 0 || in_use(path) ||
      ::statx(log.get(), "", AT_EMPTY_PATH, kTimes, &of_log) != 0)
    return LogMatch::same;
  const bool born = (of_file.stx_mask & of_log.stx_mask & STATX_BTIME) && later(of_file.stx_btime, of_log.stx_btime);
  const bool written = later(of_file.stx_mtime, of_log.stx_mtime);
  if (!born && !written && !later(of_file.stx_ctime, of_log.stx_ctime)) return LogMatch::same;
  const auto wal = read_wal(log.get());
  if (wal.pages.empty()) return LogMatch::same;
  std::size_t there = 0;
  {
    const OwnedDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    there = pages_in(file.get(), log.get(), wal);
  }
  if (there == wal.pages.size()) return LogMatch::same;
  // The log is written back page by page, and the file is written in no other way.
  const bool put_there = written || (born && later(of_file.stx_ctime, of_log.stx_mtime));
  if (there == 0 && put_there && !rebooted_since(of_log.stx_mtime))
    return std::unexpected(foreign_log(path, "was put there after it"));
  auto reading = options;
  reading.read_as = uri_to_read(path);
  if (auto sound = is_sound(reading); !sound)
    return std::unexpected(foreign_log(path, "does not fit it: " + reason_of(sound.error())));
  return LogMatch::likely;
}

namespace {

/// The version that writes it, at offset 18 of the file (https://www.sqlite.org/fileformat.html): 2 is WAL.
bool in_wal_mode(const std::string& path) {
  std::array<char, 20> head{};
  const OwnedDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  return read_at(file.get(), head.data(), head.size(), 0) && head[18] == 2;
}

}  // namespace

std::string uri_to_read(const std::string& path) {
  const auto real = real_path(path);
  const auto uri = sqlite_uri(real) + "?mode=ro";
  if (in_use(real) || !in_wal_mode(real)) return uri;
  struct stat log{}, index{};
  // To read a file in WAL mode SQLite makes a log beside it, unless it is told that nobody writes; and the index of a
  // log that is there anew, unless it may not write the one that is there.
  if (::stat((real + "-wal").c_str(), &log) != 0 || log.st_size == 0) return uri + "&immutable=1";
  return ::stat((real + "-shm").c_str(), &index) == 0 ? uri + "&readonly_shm=1" : uri;
}

namespace {

/// As opening says it: what is no database, or is damaged, does not become one by waiting.
Error cannot_read(int code, std::string_view message) {
  auto error = sqlite_error(code, message);
  if ((code & 0xFF) == SQLITE_NOTADB || (code & 0xFF) == SQLITE_CORRUPT) error.retryable = false;
  return error;
}

/// A database that is read and not touched: neither locked for writers nor brought up to date from its log.
class Untouched {
 public:
  ~Untouched() { sqlite3_close_v2(db_); }
  Result<> open(const std::string& uri, std::int64_t busy) {
    const int code =
        sqlite3_open_v2(uri.c_str(), &db_, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE, nullptr);
    if (code != SQLITE_OK) return std::unexpected(cannot_read(code, db_ ? sqlite3_errmsg(db_) : sqlite3_errstr(code)));
    sqlite3_busy_timeout(db_, static_cast<int>(busy));
    add_collations(db_);
    add_row_functions(db_, embedded_);
    return {};
  }
  /// Each row's texts; nulls are empty.
  Result<std::vector<std::vector<std::string>>> rows(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    if (const int code = sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr); code != SQLITE_OK)
      return std::unexpected(cannot_read(code, sqlite3_errmsg(db_)));
    const std::unique_ptr<sqlite3_stmt, decltype(&sqlite3_finalize)> owner{statement, &sqlite3_finalize};
    std::vector<std::vector<std::string>> all;
    int code = SQLITE_OK;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
      auto& row = all.emplace_back();
      for (int i = 0; i < sqlite3_column_count(statement); ++i) {
        const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
        row.emplace_back(text ? text : "");
      }
    }
    if (code != SQLITE_DONE) return std::unexpected(cannot_read(code, sqlite3_errmsg(db_)));
    return all;
  }

 private:
  sqlite3* db_ = nullptr;
  EmbeddedRows embedded_;  ///< of no use, but functions of indexes count into it
};

/// Of a file that is read without its log, whosever that is.
std::string uri_alone(const std::string& path) { return sqlite_uri(path) + "?mode=ro&immutable=1"; }

}  // namespace

Result<> has_tables(const std::string& path, std::span<const std::string> tables, bool alone) {
  struct stat is{};
  if (::stat(path.c_str(), &is) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) return refused(path, errno);
    return std::unexpected(moved_error());
  }
  alone |= in_wal_mode(path) && ::stat((path + "-wal").c_str(), &is) != 0;
  Untouched file;
  if (auto opened = file.open(alone ? uri_alone(path) : sqlite_uri(path) + "?mode=ro", 0); !opened) return opened;
  auto found = file.rows("SELECT name FROM sqlite_schema WHERE type='table'");
  if (!found) return std::unexpected(std::move(found).error());
  for (const auto& table : tables)
    if (std::ranges::none_of(*found, [&](const auto& row) { return row[0] == table; }))
      return std::unexpected(Error{&kUnavailable}.because(
          "sqlite: the database file was replaced by one without the table `" + table + "`"));
  return {};
}

Result<> is_sound_alone(const std::string& path) {
  Untouched file;
  if (auto opened = file.open(uri_alone(path), 0); !opened) return opened;
  auto found = file.rows("PRAGMA quick_check(1)");
  if (!found) return std::unexpected(std::move(found).error());
  return found->size() == 1 && found->front() == std::vector<std::string>{"ok"}
             ? Result<>{}
             : std::unexpected(damaged(found->empty() ? "" : found->front().front()));
}

Result<> copy_structure(const std::string& from, const SqliteOptions& to) {
  std::error_code unknown;
  if (!std::filesystem::exists(from, unknown) && !unknown) return {};
  Untouched source;
  if (auto opened = source.open(uri_to_read(from), to.busy.nanoseconds / kMillisecond); !opened) return opened;
  // Tables before what stands on them; those that a virtual table makes for itself come with it.
  auto made = source.rows(
      "SELECT s.sql FROM sqlite_schema s LEFT JOIN pragma_table_list t ON t.schema='main' AND t.name=s.name "
      "WHERE s.sql IS NOT NULL AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND coalesce(t.type,'')<>'shadow' "
      "ORDER BY CASE s.type WHEN 'table' THEN 0 WHEN 'index' THEN 1 WHEN 'view' THEN 2 ELSE 3 END, s.rowid");
  if (!made) return std::unexpected(std::move(made).error());
  auto target = SqliteConnection::open(to, SqliteConnection::Role::writer);
  if (!target) return std::unexpected(std::move(target).error());
  bool migrated = false;
  for (const auto& row : *made) {
    if (auto done = (*target)->run(row[0], {}, nullptr); !done) return done;
    migrated |= row[0].contains("plimsoll_migrations");
  }
  if (!migrated) return {};
  auto applied = source.rows("SELECT name,checksum,applied_at FROM plimsoll_migrations");
  if (!applied) return std::unexpected(std::move(applied).error());
  for (auto& row : *applied) {
    const Cell cells[] = {row[0], row[1], row[2]};
    if (auto done =
            (*target)->run("INSERT INTO plimsoll_migrations(name,checksum,applied_at) VALUES(?,?,?)", cells, nullptr);
        !done)
      return done;
  }
  return {};
}

}  // namespace plimsoll::database
