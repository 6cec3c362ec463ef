#pragma once

#include "plimsoll/database/database.hpp"

#include <functional>
#include <string>
#include <vector>

namespace plimsoll::database {

/// A file `migrations/<name>.sql`. They are applied in the order of their names, each once, in a transaction of its
/// own.
struct Migration {
  std::string name;  ///< without `.sql`
  std::string sql;
  std::string checksum;  ///< SHA-256 of the file, hexadecimal
};

/// What the database says about a file, or of one that is no longer there.
struct MigrationStatus {
  enum class State : std::uint8_t {
    applied,
    pending,
    changed,      ///< applied, and the file is not what it was
    missing,      ///< applied, and there is no such file
    out_of_order  ///< not applied, though a later one is
  } state;
  std::string name;
  std::string applied_at{};  ///< RFC 3339; empty: not yet
};

/// Files that cannot be read, or an order that cannot be kept.
inline constexpr Problem kMigration{
    "migration", 500, "The migrations cannot be applied",
    "Correct the file that is named; an applied migration is never edited: write a new one."};

/// Reads a folder; the files in the order of their names. A folder that is not there has none.
Result<std::vector<Migration>> read_migrations(const std::string& folder);
/// Compares files and database. Blocks: for starts and commands.
Result<std::vector<MigrationStatus>> migration_status(Database& database, const std::vector<Migration>& files);
/// Applies what is pending and gives the names. Nothing is applied when a file was changed, is missing, or comes out of
/// order. Two processes that do this at once apply each file once: the second waits for the lock and finds it applied.
/// Each file is one transaction: after a process was killed the next one goes on with the file that was under way.
/// `begins` is called, on any thread, before a file is run.
Result<std::vector<std::string>> apply_migrations(Database& database, const std::vector<Migration>& files,
                                                  std::int64_t wall,
                                                  const std::function<void(std::string_view)>& begins = {});

/// The decision alone: what to say about each file and each applied name.
struct AppliedMigration {
  std::string name, checksum, applied_at;
};
std::vector<MigrationStatus> compare_migrations(const std::vector<Migration>& files,
                                                const std::vector<AppliedMigration>& applied);
std::string_view to_string(MigrationStatus::State state);

}  // namespace plimsoll::database
