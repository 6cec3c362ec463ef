#include "apps/plimsoll/database_path.hpp"

#include "apps/plimsoll/commands.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/database/postgres.hpp"
#include "plimsoll/database/postgres_target.hpp"
#include "plimsoll/database/sqlite.hpp"
#include "plimsoll/server/deployment.hpp"

#include <filesystem>

namespace plimsoll::command {
namespace {

constexpr Problem kNoDatabase{"no-database", 500, "The database does not exist",
                              "Name it: --database sqlite:PATH, or `database: {url: 'sqlite:PATH'}` in plimsoll.yaml."};

/// `--database`, or what the deployment names.
Result<std::string> url_of(const std::string& database, const std::string& config) {
  if (!database.empty()) return database;
  auto deployment = server::read_deployment(config);
  if (!deployment) return said(deployment.error());
  if (deployment->database.url.empty()) return fail(kNoDatabase, "no database is named");
  return deployment->database.url;
}

}  // namespace

Result<std::string> database_path(const std::string& database, const std::string& config, bool existing) {
  auto url = url_of(database, config);
  if (!url) return url;
  constexpr std::string_view kScheme = "sqlite:";
  if (database::is_postgres_url(*url))
    return fail(kNoDatabase, "this command works on files of SQLite, and not on " + database::without_password(*url));
  if (!url->starts_with(kScheme) && url->find("://") != url->npos)
    return fail(kNoDatabase,
                "only sqlite: and postgres: databases are known to this version: " + database::without_password(*url));
  auto path = url->starts_with(kScheme) ? url->substr(kScheme.size()) : *url;
  if (existing && !std::filesystem::exists(path)) return fail(kNoDatabase, "there is no database at " + path);
  return path;
}

Result<std::unique_ptr<database::Database>> open_database(const std::string& database, const std::string& config,
                                                          bool existing) {
  auto url = url_of(database, config);
  if (!url) return std::unexpected(std::move(url).error());
  auto deployment = server::read_deployment(config);
  if (!deployment) return said(deployment.error());
  if (database::is_postgres_url(*url)) {
    auto options = deployment->database.postgres;
    options.url = *url;
    options.least = 0;
    return database::open_postgres(options);
  }
  auto path = database_path(*url, config, existing);
  if (!path) return std::unexpected(std::move(path).error());
  auto options = deployment->database.sqlite;
  options.path = std::move(*path);
  options.readers = 1;
  return database::open_sqlite(options);
}

}  // namespace plimsoll::command
