#include "apps/plimsoll/database_path.hpp"

#include "apps/plimsoll/commands.hpp"
#include "plimsoll/config/options.hpp"
#include "plimsoll/server/deployment.hpp"

#include <filesystem>

namespace plimsoll::command {
namespace {

constexpr Problem kNoDatabase{"no-database", 500, "There is no such database",
                              "Name it: --database sqlite:PATH, or `database: {url: 'sqlite:PATH'}` in plimsoll.yaml."};

}  // namespace

Result<std::string> database_path(const std::string& database, const std::string& config, bool existing) {
  auto url = database;
  if (url.empty()) {
    auto deployment = server::read_deployment(config);
    if (!deployment) return said(deployment.error());
    url = deployment->database.url;
  }
  if (url.empty()) return fail(kNoDatabase, "no database is named");
  constexpr std::string_view kScheme = "sqlite:";
  if (!url.starts_with(kScheme) && url.find("://") != url.npos)
    return fail(kNoDatabase, "only sqlite: databases are known to this version: " + url);
  auto path = url.starts_with(kScheme) ? url.substr(kScheme.size()) : url;
  if (existing && !std::filesystem::exists(path)) return fail(kNoDatabase, "there is no database at " + path);
  return path;
}

}  // namespace plimsoll::command
