#pragma once

#include "plimsoll/base/result.hpp"
#include "plimsoll/base/task.hpp"
#include "plimsoll/database/postgres_protocol.hpp"
#include "plimsoll/net/resolver.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace plimsoll::database {

/// A URL that cannot be used. `detail` says why, without the password.
inline constexpr Problem kDatabaseUrl{"database-url", 500, "The URL of the database cannot be used",
                                      "Write postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full."};

/// Where a server can be reached, its name resolved.
struct PostgresEndpoint {
  std::string host;                     ///< as the URL says it: name, literal address or folder of a Unix socket
  std::optional<net::Address> address;  ///< none: a Unix socket
  std::uint16_t port = 5432;

  bool is_unix() const noexcept { return !address; }
  /// For messages.
  std::string text() const;
};

/// Where a PostgreSQL server is, as a URL says: `postgres://user:password@host:port/name?sslmode=…` with several hosts
/// and the parameters of libpq that docs/postgresql.md names. Others are errors, so that none is overlooked.
struct PostgresTarget {
  struct Host {
    std::string name;     ///< a folder that begins with `/`, or `@` and an abstract name: a Unix socket
    std::string address;  ///< literal; empty: `name` is resolved
    std::uint16_t port = 5432;

    bool is_unix() const noexcept { return address.empty() && (name[0] == '/' || name[0] == '@'); }
  };
  enum class Tls : std::uint8_t { disable, prefer, require, verify_ca, verify_full };
  /// What a server must be to be taken (`target_session_attrs`).
  enum class Session : std::uint8_t { any, read_write, read_only, primary, standby, prefer_standby };

  std::vector<Host> hosts;
  std::string user, password, database;                       ///< no database: the one with the name of the user
  std::vector<std::pair<std::string, std::string>> settings;  ///< further parameters of the session
  Tls tls = Tls::prefer;
  bool cleartext = false;  ///< `sslmode=disable` was written: this machine is trusted with the password
  std::string authorities, certificate, key;  ///< PEM files; empty: none said
  PostgresProtocol::ChannelBinding binding = PostgresProtocol::ChannelBinding::preferred;
  Session session = Session::any;
  int connect_timeout = 0;  ///< for each server, seconds; 0: as long as there is time
  bool keepalives = true;
  int keepalives_idle = 30, keepalives_interval = 0,
      keepalives_count = 0;   ///< seconds, seconds, probes; 0: the system's
  int user_timeout = 30'000;  ///< milliseconds after which what was sent and nobody acknowledges ends the connection

  /// Beyond loopback and Unix sockets the server must prove who it is: a URL without `sslmode` gets `verify-full`, any
  /// other is refused.
  static Result<PostgresTarget> read(const std::string& url);
  /// In order, each address of a name. A name that cannot be resolved is left out where there are others.
  Task<Result<std::vector<PostgresEndpoint>>> resolve(Loop& loop, net::Resolver& resolver) const;
};

}  // namespace plimsoll::database
