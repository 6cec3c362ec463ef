#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/database/sqlite.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace plimsoll::database {

/// Copies a database while it is used: one consistent state, that of the last commit before the copy began. The copy is
/// verified before it gets its name, for its owner alone, and on the disk when this returns. A file of that name is an
/// error. Blocks.
Result<> back_up(const SqliteOptions& from, const std::string& to);

/// What is wrong with a database: damaged pages and indexes, rows that refer to nothing. Empty: nothing. With the
/// collations of this server, which other programs do not have. Blocks, and reads the whole file, of which it
/// changes nothing.
Result<std::vector<std::string>> verify(SqliteOptions options);

/// Whether pages and indexes are as they should be: an error says what is damaged. Blocks, and reads the whole file.
Result<> is_sound(const SqliteOptions& options);

/// Whether the pages of the file alone make a database; what stands beside it is the log of another file, and is not
/// looked at. An error says what is damaged. Blocks, and reads the whole file.
Result<> is_sound_alone(const std::string& path);

/// Puts a backup in the place of a database, which may be damaged or missing, while no process uses it. The backup is
/// copied and verified first, and takes the place at once or not at all. What was there, with its log, is kept under
/// the name that is given back; empty: nothing was there. Blocks.
Result<std::string> restore(const SqliteOptions& to, const std::string& from);

/// Whether the log beside a database that no process uses (`-wal`) is that of this file.
enum class LogMatch : std::uint8_t {
  same,    ///< it is, or there is none
  likely,  ///< the file was changed after the log, and both together are sound
};
/// An error where the file was replaced or overwritten after the log was written: to open them would mix the two. Times
/// and pages of both are compared; where these leave a doubt, the whole database is verified with its log. Only for a
/// process that has not opened this database itself.
Result<LogMatch> match_log(const SqliteOptions& options);

/// Whether a file is a database that has all of these tables: an error says which it lacks, or why it cannot be read.
/// Changes nothing of it. `alone`: what stands beside it is the log of another file, and is not looked at.
Result<> has_tables(const std::string& path, std::span<const std::string> tables, bool alone);

/// The URI by which SQLite reads a database and changes nothing of it: no file is made beside it, and a log that was
/// left is read, and stays as it is; only where that has no index (`-shm`), SQLite makes one. It holds for as long as
/// no server starts or ends. Only for a process that has not opened this database itself.
std::string uri_to_read(const std::string& path);

/// Makes in the database `to` what `from` has, without its rows: tables, indexes, views, triggers, and which migrations
/// are applied. `from` is only read, and nothing is made beside it; a file that is not there has nothing. Blocks.
Result<> copy_structure(const std::string& from, const SqliteOptions& to);

/// What a process that did not end in order has left in the log of a database (`-wal`), which the next opening
/// recovers.
struct WalLeftovers {
  std::int64_t kept = 0;     ///< frames up to the last commit: they are applied
  std::int64_t dropped = 0;  ///< frames of a transaction that never committed: nobody was told that it did
  bool torn = false;         ///< one of those was written in part
};
/// Null: there is no log, or another process has the database open and nothing is recovered. Only for a process that
/// has not opened this database itself: closing the files that are looked at would end its locks.
std::optional<WalLeftovers> inspect_wal(const std::string& path);

}  // namespace plimsoll::database
