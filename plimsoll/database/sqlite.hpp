#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/database/database.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace plimsoll::telemetry {
class Log;
}

namespace plimsoll::database {

class SlowStatements;

/// How a SQLite file is used. WAL always: readers never wait for the writer.
struct SqliteOptions {
  enum class Synchronous : std::uint8_t { off, normal, full };

  std::string path = "plimsoll.db";  ///< beside it stand `-wal` and `-shm` while it is open
  Synchronous synchronous = Synchronous::full;
  std::int64_t readers = 4;
  std::int64_t queue = 1'024;
  config::Size cache = config::mebibytes(16);
  config::Size checkpoint = config::mebibytes(16);
  config::Duration busy = config::seconds(2);
  config::Duration writer = config::seconds(1);
  config::Duration transaction = config::seconds(5);
  std::int64_t inline_steps = 20'000;
  std::int64_t group = 1'024;
  config::Duration gather = config::milliseconds(2);
  std::string read_as{};  ///< URI for SQLite, of a database that is only read (`uri_to_read`); empty: it is written
  std::string vfs{};      ///< of SQLite; empty: the system's. For tests
  telemetry::Log* log = nullptr;   ///< for what an operator must know; null: none
  SlowStatements* slow = nullptr;  ///< is told of each statement that is; null: nobody
};
extern const std::span<const config::Field> kSqliteFields;  ///< all that a deployment says, but for the path

/// Opens (or makes) the file and starts its writer and readers. A file that cannot be opened, is no database, or cannot
/// be read is an error that says why.
Result<std::unique_ptr<Database>> open_sqlite(const SqliteOptions& options);

}  // namespace plimsoll::database
