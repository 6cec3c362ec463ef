#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/base/task.hpp"
#include "plimsoll/database/postgres_connection.hpp"
#include "plimsoll/net/resolver.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::database {

/// A URL that cannot be used. `detail` says why, without the password.
inline constexpr Problem kDatabaseUrl{"database-url", 500, "The URL of the database cannot be used",
                                      "Write postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full."};

/// Where a PostgreSQL server is, as a URL says: `postgres://user:password@host:port/name?sslmode=…` and everything else
/// that libpq knows (several hosts, `target_session_attrs`, certificates).
struct PostgresTarget {
  struct Host {
    std::string name, address, port;  ///< as libpq's `host`, `hostaddr`, `port`
  };
  std::vector<Host> hosts;
  PostgresParameters others;

  /// Beyond loopback and Unix sockets the server must prove who it is: a URL without `sslmode` gets `verify-full`, any
  /// other is refused.
  static Result<PostgresTarget> read(const std::string& url);
  /// Keywords and values for libpq with the names of hosts resolved, so that libpq waits for no resolver. A name that
  /// cannot be resolved is left out where there are others.
  Task<Result<PostgresParameters>> resolve(Loop& loop, net::Resolver& resolver) const;
};

bool is_postgres_url(std::string_view url);
/// The URL without its password, for logs and messages.
std::string without_password(std::string_view url);

}  // namespace plimsoll::database
