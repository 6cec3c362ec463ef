#pragma once

#include "plimsoll/config/options.hpp"
#include "plimsoll/database/database.hpp"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace plimsoll::telemetry {
class Histogram;
class Log;
}  // namespace plimsoll::telemetry

namespace plimsoll::database {

class SlowStatements;

/// How a PostgreSQL server is used: the options of `database: {pool: …}`.
struct PostgresOptions {
  enum class Statements : std::uint8_t { off, on };

  std::string url{};  ///< `postgres://user:password@host:port/database?sslmode=…`, see PostgresTarget
  std::int64_t least = 5;
  std::int64_t most = 20;
  config::Duration idle = config::seconds(30);
  config::Duration life = config::minutes(30);
  config::Duration acquire = config::seconds(2);
  std::int64_t queue = 1'024;
  Statements statements = Statements::on;
  bool row_security = false;  ///< each transaction is told who the caller is (postgres_policies.hpp)
  config::Duration connect = config::seconds(5);
  config::Duration transaction = config::seconds(5);
  /// Everything is done in one transaction that is never committed: what a start would do can be tried so.
  bool trial = false;
  std::vector<std::string> replicas{};  ///< URLs of standby servers that answer reads
  config::Duration replica_lag = config::seconds(10);
  std::function<void()> opened{};            ///< called for each connection that was opened, before it is used
  telemetry::Log* log = nullptr;             ///< for what an operator must know; null: none
  SlowStatements* slow = nullptr;            ///< is told of each statement that is; null: nobody
  telemetry::Histogram* acquired = nullptr;  ///< how long connections were waited for; null: not recorded
};
extern const std::span<const config::Field> kPostgresFields;

/// Connects to the server, so that what is wrong is known at once, and starts the pool. An error that an operator has
/// to correct (password, name of the database) is not `retryable`.
Result<std::unique_ptr<Database>> open_postgres(const PostgresOptions& options);

}  // namespace plimsoll::database
