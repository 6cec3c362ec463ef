#include "apps/plimsoll/database_path.hpp"

#include "apps/plimsoll/commands.hpp"

#include <filesystem>

namespace plimsoll::command {
namespace {

constexpr Problem kNoDatabase{"no-database", 500, "The database does not exist",
                              "Name it: --database sqlite:PATH, or `database: {url: 'sqlite:PATH'}` in plimsoll.yaml."};

/// A server may run with the database that is used where none is named: it is called by its contract.
constexpr Problem kNotNamed{"no-database", 500, "No database is named",
                            "A server of shop.yaml whose plimsoll.yaml names no database uses shop.db: write "
                            "`--database sqlite:shop.db`, or `database: {url: 'sqlite:shop.db'}` in plimsoll.yaml."};

bool has_back_up(const database::Engine& engine) { return engine.back_up && engine.verify && engine.restore; }

}  // namespace

Result<> find_folder(const database::Engine& engine, const database::Place& place) {
  const auto file = database::file_of(place.url);
  if (!engine.file || !database::may_be_mounted_later(file)) return {};
  Error error = Error{&kNoDatabase}.because("there is no folder " + std::filesystem::path(file).parent_path().string() +
                                            std::string(database::kRemedyFollows) +
                                            "Mount its volume or make the folder, or name another database.");
  error.retryable = true;
  return std::unexpected(std::move(error));
}

Result<NamedDatabase> named_database(const std::string& database, const std::string& config, bool existing) {
  auto deployment = server::read_deployment(config);
  if (!deployment) return said(deployment.error());
  NamedDatabase made{.deployment = std::move(*deployment), .place = {}, .engine = nullptr};
  made.place = made.deployment.database.place();
  if (!database.empty()) made.place.url = database;
  auto& url = made.place.url;
  if (url.empty()) return fail(kNotNamed, "no database is named");
  made.engine = database::engine_of(url);
  if (!made.engine && !url.contains("://")) {  // the path of a file
    const auto usual = database::default_url({});
    made.engine = database::engine_of(usual);
    url.insert(0, made.engine->schemes.front());
  }
  if (!made.engine)
    return fail(kNoDatabase, "only " + database::listed_schemes({}, "and") +
                                 " databases are known to this version: " + database::without_password(url));
  if (auto found = find_folder(*made.engine, made.place); !found) return std::unexpected(std::move(found).error());
  const auto file = database::file_of(url);
  std::error_code unknown;  // where it cannot be told, opening says why
  if (existing && made.engine->file && !std::filesystem::exists(file, unknown) && !unknown)
    return fail(kNoDatabase, "there is no database at " + file);
  return made;
}

Result<NamedDatabase> database_to_keep(const std::string& database, const std::string& config, bool existing) {
  auto named = named_database(database, config, existing);
  if (named && !has_back_up(*named->engine))
    return fail(kNoDatabase, "this command works on " + database::listed_forms("`", "or", has_back_up) +
                                 ", and not on " + database::shown(named->place.url));
  return named;
}

Result<std::unique_ptr<database::Database>> open_database(const std::string& database, const std::string& config,
                                                          bool existing, Purpose purpose) {
  auto named = named_database(database, config, existing);
  if (!named) return std::unexpected(std::move(named).error());
  return open_database(*named->engine, named->place, purpose);
}

Result<std::unique_ptr<database::Database>> open_database(const database::Engine& engine, const database::Place& place,
                                                          Purpose purpose) {
  if (auto found = find_folder(engine, place); !found) return std::unexpected(std::move(found).error());
  auto opened = engine.open(place, {.purpose = purpose});
  if (!opened) return std::unexpected(std::move(opened).error());
  return std::move(opened->database);
}

}  // namespace plimsoll::command
